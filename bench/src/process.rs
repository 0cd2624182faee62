//! What processes cost, as the kernel counts it.

use std::fs;

/// Clock ticks a second in `/proc`; Linux has told user space 100 for decades.
const TICKS: f64 = 100.0;

/// The CPU time of a process and all of its descendants so far, in seconds.
#[must_use]
pub fn cpu_seconds(root: u32) -> f64 {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        if let Some(pid) = pid
            && let Some((parent, ticks)) = stat(pid)
        {
            all.push((pid, parent, ticks));
        }
    }
    let (mut family, mut ticks) = (vec![root], 0.0);
    while let Some(next) = family.pop() {
        for (pid, parent, own) in &all {
            if *pid == next {
                ticks += own;
            }
            if *parent == next {
                family.push(*pid);
            }
        }
    }
    ticks / TICKS
}

/// The parent of a process, and its ticks, with those of children that have ended.
fn stat(pid: u32) -> Option<(u32, f64)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything.
    let (_, rest) = line.rsplit_once(") ")?;
    let fields: Vec<_> = rest.split(' ').collect();
    let ticks = fields
        .get(11..15)?
        .iter()
        .filter_map(|field| field.parse::<f64>().ok());
    Some((fields.get(1)?.parse().ok()?, ticks.sum()))
}
