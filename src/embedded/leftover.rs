//! Deals with what an earlier service left running in the data directory.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use super::binaries::Binaries;
use super::error::Error;
use super::layout::{Layout, remove_file};
use super::owner::Owner;
use super::process;

/// How long `pg_ctl` waits for an earlier postmaster, by shutdown mode, in seconds.
const STOP_MODES: [(&str, u64); 2] = [("fast", 30), ("immediate", 10)];

/// How long processes of a dead postmaster may take to notice that it is dead.
const ORPHAN_LIMIT: Duration = Duration::from_secs(5);

/// Leaves the data directory without any process, so that a new postmaster can start.
///
/// Only called while the lock is held, so nothing here belongs to a live service.
pub(super) async fn clear(
    layout: &Layout,
    binaries: &Binaries,
    owner: &Owner,
) -> Result<(), Error> {
    let data = layout.data();
    let pid_file = data.join("postmaster.pid");
    let pid = postmaster(&pid_file).filter(|pid| process::is_alive(*pid));
    if let Some(pid) = pid {
        if process::belongs_to(pid, &data).await {
            stop(pid, &data, binaries, owner).await?;
        } else {
            // The number is somebody else's now (common in containers). Postgres would take it
            // for a live postmaster and refuse, so its file must go, once no process is left.
            end_orphans(&data).await;
            remove_file(&pid_file)?;
        }
    }
    end_orphans(&data).await;
    Ok(())
}

/// The process that a `postmaster.pid` names.
fn postmaster(pid_file: &Path) -> Option<u32> {
    std::fs::read_to_string(pid_file)
        .ok()?
        .lines()
        .next()?
        .trim()
        .parse()
        .ok()
}

async fn stop(pid: u32, data: &Path, binaries: &Binaries, owner: &Owner) -> Result<(), Error> {
    tracing::warn!(pid, "stopping the Postgres of an earlier service");
    for (mode, seconds) in STOP_MODES {
        let mut command = owner.command(&binaries.program("pg_ctl"));
        command
            .args(["stop", "-s", "-m", mode, "-t", &seconds.to_string(), "-D"])
            .arg(data);
        let limit = Duration::from_secs(seconds) + process::QUICK;
        let stopped = process::output(command, limit).await?.status.success();
        if stopped || !process::belongs_to(pid, data).await {
            return Ok(());
        }
    }
    Err(Error::Leftover { pid })
}

/// Ends processes whose postmaster is dead. They end by themselves unless they are in the middle
/// of something; a new postmaster refuses to start beside them. Nothing committed depends on them:
/// the start replays the log.
pub(super) async fn end_orphans(data: &Path) {
    let started = Instant::now();
    loop {
        let orphans = process::all_in(data);
        if orphans.is_empty() || started.elapsed() > 2 * ORPHAN_LIMIT {
            return;
        }
        if started.elapsed() > ORPHAN_LIMIT {
            for pid in orphans.into_iter().filter_map(process::as_pid) {
                tracing::warn!(
                    pid = pid.as_raw_nonzero().get(),
                    "killing a process of a dead Postgres"
                );
                kill_process(pid, Signal::KILL).ok();
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
