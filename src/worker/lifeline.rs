//! Children must not outlive a worker that is killed with SIGKILL and so cannot clean up.
//!
//! Each program has a watcher: a tiny `sh` in a process group of its own that reads a pipe whose
//! other end only this process holds. The worker's death, however it came, closes the pipe, and
//! the watcher kills the program's group and everything else that carries its lease id. The
//! alternatives are worse: `PR_SET_PDEATHSIG` reaches only the direct child, fires when the
//! *thread* that started it ends, exists on Linux only, and needs `unsafe` between fork and exec.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;
use uuid::Uuid;

use super::tree::COOKIE;

/// How long the watcher may take to leave once it was told to.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// `$1` process group, `$2` the variable and value that every process of the tree carries, `$3` the
/// working directory, which nobody else would remove, `$4` the control group, if there is one. The
/// environment of a process is read through `/proc` where that exists. Two rounds, since a process
/// may fork while the list is read.
const WATCH: &str = r#"
IFS= read -r word && exit 0
for round in 1 2; do
    kill -s KILL -- "-$1"
    [ -z "$4" ] || echo 1 > "$4/cgroup.kill"
    for entry in /proc/[0-9]*; do
        if tr '\0' '\n' < "$entry/environ" | grep -qxF "$2"; then
            kill -s KILL "${entry#/proc/}"
        fi
    done
done
rm -rf -- "$3"
[ -z "$4" ] || rmdir -- "$4" || { sleep 1; rmdir -- "$4"; }
"#;

/// The worker's end of the pipe. Dropping it kills the program's tree; [`Lifeline::cut`] does not.
#[derive(Debug)]
pub struct Lifeline {
    watcher: Child,
    pipe: ChildStdin,
}

impl Lifeline {
    /// Starts the watcher of a process group.
    ///
    /// # Errors
    /// When no process can be started.
    pub fn tie(
        group: Pid,
        lease_id: Uuid,
        work_dir: &Path,
        path: Option<&OsStr>,
        cell: Option<&Path>,
    ) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", WATCH, "bloom-watcher"])
            .arg(group.as_raw_nonzero().to_string())
            .arg(format!("{COOKIE}={lease_id}"))
            .arg(work_dir)
            .arg(cell.unwrap_or(Path::new("")))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        if let Some(path) = path {
            command.env("PATH", path);
        }
        let mut watcher = command.spawn()?;
        let pipe = watcher.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { watcher, pipe })
    }

    /// Lets the watcher go without killing: the tree is known to be gone.
    pub async fn cut(self) {
        let Self {
            mut watcher,
            mut pipe,
        } = self;
        // A watcher that is gone already has nothing to be told.
        let told = pipe.write_all(b"done\n").await.and(Ok(pipe));
        if timeout(LEAVE_LIMIT, watcher.wait()).await.is_err() {
            tracing::warn!("the watcher of a program did not leave");
        }
        drop(told);
    }
}
