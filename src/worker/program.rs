//! One run of the operator's program: started behind a gate, fed, read, ended, cleaned up.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::api::Granted;
use super::lifeline::Lifeline;
use super::output::{Capture, Keep};
use super::tree::{COOKIE, Tree};
use super::{MAX_STDERR_BYTES, Options};

/// How long the pipes may stay open once the program has exited.
const PIPE_GRACE: Duration = Duration::from_millis(500);

/// The program waits for one line before it runs, so that a worker killed right after starting it
/// leaves nothing behind: without the line it exits, and with it the watcher is in place. POSIX
/// makes `read` leave everything after the line to the program.
const GATE: &str = r#"IFS= read -r word && [ "$word" = go ] || exit 125; exec /bin/sh -c "$1""#;

/// A program that has been started.
#[derive(Debug)]
pub struct Program {
    child: Child,
    tree: Tree,
    lifeline: Lifeline,
    pipes: JoinSet<()>,
    stdout: Capture,
    stderr: Capture,
    work_dir: PathBuf,
}

/// What a program left.
#[derive(Debug)]
pub struct Remains {
    /// What it printed.
    pub stdout: Vec<u8>,
    /// The end of what it complained about (up to twice [`MAX_STDERR_BYTES`]).
    pub stderr: Vec<u8>,
    /// Whether its whole process tree is known to be gone.
    pub tree_gone: bool,
}

impl Program {
    /// Starts the program of `options` on `granted`.
    ///
    /// # Errors
    /// When the working directory or a process cannot be made; nothing is left then.
    pub async fn start(options: &Options, granted: &Granted) -> io::Result<Self> {
        let name = format!("bloom-{}-{}", granted.lease.id, granted.lease.attempt);
        let work_dir = options.work_root.join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&work_dir)?;
        let started = Self::spawn(options, granted, &work_dir);
        if started.is_err() {
            remove(work_dir).await;
        }
        started
    }

    fn spawn(options: &Options, granted: &Granted, work_dir: &Path) -> io::Result<Self> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", GATE, "bloom-gate", &options.exec])
            .env_clear()
            .envs(environment(options, granted))
            .current_dir(work_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let raw = child.id().and_then(|id| i32::try_from(id).ok());
        let leader = raw.and_then(Pid::from_raw).ok_or_else(missing)?;
        let path = options.environment.iter().find(|(name, _)| name == "PATH");
        let path = path.map(|(_, value)| value.as_os_str());
        let lifeline = Lifeline::tie(leader, granted.lease.id, work_dir, path)?;
        let tree = Tree::new(leader, granted.lease.id);
        let (stdout, stderr) = (
            Capture::new(Keep::Whole(options.max_output_bytes)),
            Capture::new(Keep::Tail(MAX_STDERR_BYTES)),
        );
        let mut pipes = JoinSet::new();
        pipes.spawn(
            stdout
                .clone()
                .fill(child.stdout.take().ok_or_else(missing)?),
        );
        pipes.spawn(
            stderr
                .clone()
                .fill(child.stderr.take().ok_or_else(missing)?),
        );
        let stdin = child.stdin.take().ok_or_else(missing)?;
        // The writer is one of the pipes' tasks: it never holds up reading.
        pipes.spawn(feed(stdin, granted.task.prompt.clone()));
        Ok(Self {
            child,
            tree,
            lifeline,
            pipes,
            stdout,
            stderr,
            work_dir: work_dir.to_owned(),
        })
    }

    /// Resolves when the leader has exited.
    ///
    /// # Errors
    /// When the system cannot say.
    pub async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// What it has printed so far.
    #[must_use]
    pub fn stdout(&self) -> &Capture {
        &self.stdout
    }

    /// Its processes.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Ends whatever is left of it, reads out the pipes and removes the working directory.
    pub async fn finish(self) -> Remains {
        let Self {
            mut child,
            tree,
            lifeline,
            mut pipes,
            stdout,
            stderr,
            work_dir,
        } = self;
        // Time for the pipes to run dry; a child that holds them open ends with the group.
        let dry = timeout(PIPE_GRACE, async {
            while pipes.join_next().await.is_some() {}
        })
        .await;
        let tree_gone = tree.destroy().await;
        if dry.is_err() {
            drop(
                timeout(PIPE_GRACE, async {
                    while pipes.join_next().await.is_some() {}
                })
                .await,
            );
        }
        pipes.shutdown().await;
        // Reaped already, unless it could not be killed.
        drop(child.try_wait());
        if tree_gone {
            lifeline.cut().await;
        }
        remove(work_dir).await;
        Remains {
            stdout: stdout.take(),
            stderr: stderr.take(),
            tree_gone,
        }
    }

    /// Signals the group.
    pub async fn signal(&self, signal: Signal) {
        self.tree.signal(signal).await;
    }
}

/// Opens the gate and writes the prompt. A program that does not read it is fine.
async fn feed(mut stdin: ChildStdin, prompt: String) {
    if stdin.write_all(b"go\n").await.is_ok() && stdin.write_all(prompt.as_bytes()).await.is_ok() {
        drop(stdin.shutdown().await);
    }
}

/// The variables of a program: what the worker passes on, and the attempt's own. Never a key.
fn environment(options: &Options, granted: &Granted) -> Vec<(String, OsString)> {
    let (lease, task) = (&granted.lease, &granted.task);
    let own = [
        ("BLOOM_TASK_ID", task.id.to_string()),
        (COOKIE, lease.id.to_string()),
        ("BLOOM_FENCE", lease.fence.to_string()),
        ("BLOOM_ATTEMPT", lease.attempt.to_string()),
        ("BLOOM_WORKER", options.name.clone()),
        // The service refuses NUL; without it here a variable cannot make the start fail.
        (
            "BLOOM_CONTEXT_ID",
            task.context_id.replace('\0', "\u{FFFD}"),
        ),
        (
            "BLOOM_AGENT_SLUG",
            task.agent_slug.replace('\0', "\u{FFFD}"),
        ),
        (
            "BLOOM_FORMAT",
            task.desired_format.replace('\0', "\u{FFFD}"),
        ),
    ];
    let own = own
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()));
    options.environment.iter().cloned().chain(own).collect()
}

async fn remove(work_dir: PathBuf) {
    let shown = work_dir.display().to_string();
    let removed = spawn_blocking(move || std::fs::remove_dir_all(work_dir)).await;
    if let Ok(Err(error)) = removed {
        tracing::warn!(%error, work_dir = shown, "cannot remove a working directory");
    }
}
