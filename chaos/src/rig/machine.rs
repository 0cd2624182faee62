//! Processes, ports and abilities of this machine.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// A port that nobody uses.
///
/// # Errors
/// When there is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A field of `/proc/PID/stat` after the name: 0 is the state, 1 the parent.
fn stat_field(pid: i32, index: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(index).map(str::to_owned)
}

/// The parent of a process.
#[must_use]
pub fn parent_of(pid: i32) -> Option<i32> {
    stat_field(pid, 1)?
        .parse()
        .ok()
        .filter(|parent| *parent > 1)
}

/// Whether a process runs; a zombie only waits for its parent.
#[must_use]
pub fn is_running(pid: i32) -> bool {
    stat_field(pid, 0).is_some_and(|state| state != "Z")
}

/// Every process id.
fn all() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The processes below `root`, and itself, parents first.
#[must_use]
pub fn tree(root: i32) -> Vec<i32> {
    let pairs: Vec<(i32, i32)> = all()
        .into_iter()
        .filter_map(|pid| Some((pid, parent_of(pid)?)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(
            pairs
                .iter()
                .filter(|(_, p)| *p == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found
}

/// Sends a signal; a process that is gone already is no error.
pub fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _gone = kill_process(pid, signal);
    }
}

/// Resident memory of a process, KiB.
#[must_use]
pub fn resident_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Open files of a process.
#[must_use]
pub fn open_files(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// A user's ids: where we are root, servers run as somebody else.
#[must_use]
pub fn ids_of(name: &str) -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut ids = line.split(':').skip(2);
    Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
}

/// Whether we are root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program in one of the usual places.
#[must_use]
pub fn which(name: &str) -> Option<PathBuf> {
    let places = [
        "/usr/bin",
        "/usr/sbin",
        "/bin",
        "/sbin",
        "/usr/local/bin",
        "/usr/local/sbin",
    ];
    let mut paths = places.iter().map(|place| Path::new(place).join(name));
    paths.find(|path| path.exists())
}

/// The library that lies about the time, where Debian puts it.
#[must_use]
pub fn faketime_library() -> Option<PathBuf> {
    let dirs = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let mut paths = dirs.map(|dir| dir.path().join("faketime/libfaketimeMT.so.1"));
    paths.find(|path| path.exists())
}

/// Removes what that library left in shared memory for processes that are gone: it cannot do so
/// itself when they are killed, and another user's process that gets the same id would not start.
pub fn sweep_faketime() {
    let entries = std::fs::read_dir("/dev/shm").into_iter().flatten();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_str().unwrap_or_default();
        let of = ["sem.faketime_sem_", "faketime_shm_"];
        let pid = of.iter().find_map(|prefix| name.strip_prefix(prefix));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another run may have been faster.
            let _removed = std::fs::remove_file(entry.path());
        }
    }
}

/// The newest PostgreSQL server programs, or those in `named`.
///
/// # Errors
/// When there are none.
pub fn postgres_bin(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(dir) = named {
        return Ok(dir.to_owned());
    }
    let entries = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .map(|(version, path)| (version, path.join("bin")))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    let found = found.pop().map(|(_, bin)| bin);
    found.context("no PostgreSQL server programs; name them with --pg-bin")
}
