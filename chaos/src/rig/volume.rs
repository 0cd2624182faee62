//! Volumes of their own, which can be filled. They need root and a mount namespace of ours, so that
//! nothing is left of them however we end.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::Volumes;
use super::machine::{is_root, which};

/// Room for the data of primary and standby.
const DATA: &str = "8G";
/// Room for their write-ahead logs.
const WAL: &str = "3G";
/// Room for the logs of services and workers.
const LOGS: &str = "256M";

/// Whether we may mount; then the program should be started again by [`enter`].
#[must_use]
pub fn are_possible() -> bool {
    let probe = ["--mount", "--propagation", "private", "true"];
    is_root()
        && Command::new("unshare")
            .args(probe)
            .output()
            .is_ok_and(|o| o.status.success())
}

/// Runs this program with these arguments in a mount namespace of its own; its exit code.
///
/// # Errors
/// When it cannot be started.
pub fn enter(args: &[String]) -> anyhow::Result<Option<i32>> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]);
    command.arg(std::env::current_exe()?).args(args);
    Ok(command.status()?.code())
}

/// Makes them below `dir`. Where there are no loop devices they are in memory, which is as good for
/// being full, but not for surviving a power cut (nothing here cuts the power).
///
/// # Errors
/// When not even that is possible.
pub fn make(dir: &Path) -> anyhow::Result<Volumes> {
    std::fs::create_dir_all(dir)?;
    Ok(Volumes {
        data: Some(on_disk(dir, "data", DATA).or_else(|_| in_memory(dir, "data", DATA))?),
        wal: Some(on_disk(dir, "wal", WAL).or_else(|_| in_memory(dir, "wal", WAL))?),
        logs: Some(in_memory(dir, "logs", LOGS)?),
    })
}

fn on_disk(dir: &Path, name: &str, size: &str) -> anyhow::Result<PathBuf> {
    let image = dir.join(format!("{name}.img"));
    let mkfs = which("mkfs.ext4").context("no mkfs.ext4")?;
    run(Command::new("truncate").args(["-s", size]).arg(&image))?;
    run(Command::new(mkfs).args(["-q", "-F", "-m", "0"]).arg(&image))?;
    let at = mount_point(dir, name)?;
    run(Command::new("mount")
        .args(["-o", "loop"])
        .arg(&image)
        .arg(&at))?;
    Ok(at)
}

fn in_memory(dir: &Path, name: &str, size: &str) -> anyhow::Result<PathBuf> {
    let at = mount_point(dir, name)?;
    let size = format!("size={size}");
    run(Command::new("mount")
        .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
        .arg(&at))?;
    Ok(at)
}

fn mount_point(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let at = dir.join(name);
    std::fs::create_dir_all(&at)?;
    Ok(at)
}

/// Takes them away again.
pub fn unmake(volumes: &Volumes) {
    for at in [&volumes.data, &volumes.wal, &volumes.logs]
        .into_iter()
        .flatten()
    {
        // Whoever still has a file there keeps it; the namespace ends with us anyway.
        let _ended = Command::new("umount").arg("-l").arg(at).output();
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {text}");
    Ok(())
}
