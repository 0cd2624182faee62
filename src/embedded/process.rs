//! Bounded runs of short programs, and questions about processes.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, test_kill_process};

use super::error::Error;

/// The longest that a program may take that only answers a question.
pub(super) const QUICK: Duration = Duration::from_secs(10);

/// Runs a program without input to its end and keeps what it wrote. Killed after `limit`.
pub(super) async fn output(mut command: Command, limit: Duration) -> Result<Output, Error> {
    command.stdin(Stdio::null());
    let program = command.get_program().to_string_lossy().into_owned();
    let mut command = tokio::process::Command::from(command);
    command.kill_on_drop(true);
    match tokio::time::timeout(limit, command.output()).await {
        Ok(result) => result.map_err(Error::io(format!("running {program}"))),
        Err(_) => Err(Error::Slow { program, limit }),
    }
}

/// Whether a process of that number exists, whoever owns it.
pub(super) fn is_alive(pid: u32) -> bool {
    as_pid(pid).is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

/// The number as the system calls want it.
pub(super) fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Whether `pid` is a Postgres process of the cluster in `data`. Numbers are used again, so a
/// number in a file proves nothing. Every process of a cluster has its data directory as the
/// working directory; where there is no `/proc`, the command line must name it.
pub(super) async fn belongs_to(pid: u32, data: &Path) -> bool {
    if Path::new("/proc/self/cwd").exists() {
        return works_in(&Path::new("/proc").join(pid.to_string()), data);
    }
    let mut command = Command::new("ps");
    command.args(["-o", "args=", "-p", &pid.to_string()]);
    output(command, QUICK).await.is_ok_and(|output| {
        let line = String::from_utf8_lossy(&output.stdout);
        line.contains("postgres") && line.contains(&*data.to_string_lossy())
    })
}

/// All live processes that work in `data`. Empty where there is no `/proc`.
pub(super) fn all_in(data: &Path) -> Vec<u32> {
    let Ok(entries) = Path::new("/proc").read_dir() else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            works_in(&entry.path(), data).then_some(pid)
        })
        .collect()
}

/// Whether the process behind a `/proc/N` has `data` as its working directory and is a Postgres:
/// a shell that somebody left there is not.
fn works_in(process: &Path, data: &Path) -> bool {
    let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
    name.starts_with("postgres")
        && std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == data)
}
