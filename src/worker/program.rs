//! One run of a program: started behind a gate, fed, read, ended.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Options;
use super::api::{Granted, Stopped};
use super::confine::Cell;
use super::lifeline::Lifeline;
use super::output::{Sink, drain, follow, without_nul};
use super::tree::{COOKIE, Tree};
use super::workspace::Workspace;
use crate::trace;

/// How long the pipes may stay open once the program has exited.
const PIPE_GRACE: Duration = Duration::from_millis(500);
/// How long they may take to run dry once its processes are gone: a machine may be busy.
const DRY_LIMIT: Duration = Duration::from_secs(5);

/// The program waits for one line before it runs, so that a worker killed right after starting it
/// leaves nothing behind: without the line it exits, and with it the watcher is in place. POSIX
/// makes `read` leave everything after the line to the program.
const GATE: &str = r#"IFS= read -r word && [ "$word" = go ] || exit 125; exec "$@""#;

/// How long what was printed before may take to be read once nobody prints any more.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// The file of the scratch directory for [`Launch::into_file`].
const STDOUT: &str = "stdout";

/// What to run, and who reads it.
pub struct Launch {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Variables beside the usual ones.
    pub environment: Vec<(String, OsString)>,
    /// What it reads.
    pub stdin: String,
    /// Takes what it prints.
    pub stdout: Sink,
    /// Whether it prints into a file, which is read while it grows: some programs lose what a pipe
    /// cannot take at once when they exit.
    pub into_file: bool,
    /// Takes what it complains about.
    pub stderr: Sink,
}

/// A program that has been started.
#[derive(Debug)]
pub struct Program {
    child: Child,
    tree: Tree,
    lifeline: Lifeline,
    pipes: JoinSet<()>,
    /// Reads the file that it prints into.
    file: JoinSet<()>,
    end_of_file: CancellationToken,
    overflow: Arc<Notify>,
    cell: Option<Cell>,
    stopped: Option<Stopped>,
}

/// What is known of a program that has ended.
#[derive(Debug)]
pub struct Remains {
    /// Whether its whole process tree is known to be gone.
    pub tree_gone: bool,
    /// How it was ended, if it did not end by itself.
    pub stopped: Option<Stopped>,
}

impl Program {
    /// Starts `launch` for `granted`.
    ///
    /// # Errors
    /// When a process cannot be made; nothing is left then.
    pub fn start(
        options: &Options,
        granted: &Granted,
        workspace: &Workspace,
        launch: Launch,
    ) -> io::Result<Self> {
        let cell = options
            .cgroup
            .as_ref()
            .map(|cgroup| cgroup.open(granted.lease.id));
        let cell = cell.transpose()?;
        let started = Self::spawn(options, granted, workspace, launch, cell.clone());
        if let (Err(_), Some(cell)) = (&started, &cell) {
            cell.kill();
            cell.remove();
        }
        started
    }

    fn spawn(
        options: &Options,
        granted: &Granted,
        workspace: &Workspace,
        launch: Launch,
        cell: Option<Cell>,
    ) -> io::Result<Self> {
        let (stdout, growing) = outlet(launch.into_file, &workspace.scratch)?;
        let mut command = Command::new("/bin/sh");
        if let Some(user) = &options.user {
            // The supplementary groups of root go with it.
            command.uid(user.uid).gid(user.gid);
        }
        let mut child = command
            .args(["-c", GATE, "bloom-gate"])
            .args(launch.argv)
            .env_clear()
            .envs(environment(options, granted))
            .envs(launch.environment)
            .current_dir(&workspace.cwd)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let raw = child.id().and_then(|id| i32::try_from(id).ok());
        let leader = raw.and_then(Pid::from_raw).ok_or_else(missing)?;
        if let (Some(cell), Some(pid)) = (&cell, child.id()) {
            // It waits behind its gate, so everything that it ever starts is born in there.
            cell.enter(pid)?;
        }
        let path = options.environment.iter().find(|(name, _)| name == "PATH");
        let path = path.map(|(_, value)| value.as_os_str());
        let group = cell.as_ref().map(Cell::dir);
        let lease_id = granted.lease.id;
        let lifeline = Lifeline::tie(leader, lease_id, &workspace.scratch, path, group)?;
        let tree = Tree::new(leader, lease_id, cell.clone());
        let overflow = Arc::new(Notify::new());
        let (mut pipes, mut file) = (JoinSet::new(), JoinSet::new());
        let end_of_file = CancellationToken::new();
        if let Some(growing) = growing {
            let (overflow, end) = (Arc::clone(&overflow), end_of_file.clone());
            file.spawn(follow(growing.into(), launch.stdout, overflow, end));
        } else {
            let stdout = child.stdout.take().ok_or_else(missing)?;
            pipes.spawn(drain(stdout, launch.stdout, Arc::clone(&overflow)));
        }
        let stderr = child.stderr.take().ok_or_else(missing)?;
        pipes.spawn(drain(stderr, launch.stderr, Arc::clone(&overflow)));
        let stdin = child.stdin.take().ok_or_else(missing)?;
        // The writer is one of the pipes' tasks: it never holds up reading.
        pipes.spawn(feed(stdin, launch.stdin));
        Ok(Self {
            child,
            tree,
            lifeline,
            pipes,
            file,
            end_of_file,
            overflow,
            cell,
            stopped: None,
        })
    }

    /// Resolves when the leader has exited.
    ///
    /// # Errors
    /// When the system cannot say.
    pub async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Told when it has printed more than it may.
    #[must_use]
    pub fn overflow(&self) -> Arc<Notify> {
        Arc::clone(&self.overflow)
    }

    /// Its processes.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Ends whatever is left of it and reads out the pipes.
    pub async fn finish(self) -> Remains {
        let Self {
            mut child,
            tree,
            lifeline,
            mut pipes,
            mut file,
            end_of_file,
            cell,
            stopped,
            ..
        } = self;
        // Time for the pipes to run dry; a child that holds them open ends with the group.
        let dry = timeout(PIPE_GRACE, ended(&mut pipes)).await;
        let tree_gone = tree.destroy().await;
        if dry.is_err() {
            drop(timeout(DRY_LIMIT, ended(&mut pipes)).await);
        }
        pipes.shutdown().await;
        end_of_file.cancel();
        drop(timeout(READ_LIMIT, ended(&mut file)).await);
        file.shutdown().await;
        // Reaped already, unless it could not be killed.
        drop(child.try_wait());
        if tree_gone {
            lifeline.cut().await;
            if let Some(cell) = cell {
                cell.remove();
            }
        }
        let stopped = stopped.map(|stopped| Stopped {
            tree_gone,
            ..stopped
        });
        Remains { tree_gone, stopped }
    }

    /// Notes that its end begins now: what it has to show for it is counted from here.
    pub async fn begin_end(&mut self) {
        if self.stopped.is_none() {
            let processes = self.tree.count().await;
            self.stopped = Some(Stopped {
                tree_gone: false,
                signal: "none",
                processes,
            });
        }
    }

    /// Signals the group.
    pub async fn signal(&mut self, signal: Signal) {
        self.begin_end().await;
        self.tree.signal(signal).await;
        if let Some(stopped) = &mut self.stopped {
            stopped.signal = match signal {
                Signal::KILL => "SIGKILL",
                _ => "SIGTERM",
            };
        }
    }
}

async fn ended(tasks: &mut JoinSet<()>) {
    while tasks.join_next().await.is_some() {}
}

/// Where the program prints to; and the file to read that from, if it is one.
fn outlet(into_file: bool, scratch: &Path) -> io::Result<(Stdio, Option<File>)> {
    if !into_file {
        return Ok((Stdio::piped(), None));
    }
    let path = scratch.join(STDOUT);
    let mut options = File::options();
    let outlet = options.append(true).create(true).mode(0o600).open(&path)?;
    // A run before this one may have printed into it too.
    outlet.set_len(0)?;
    Ok((outlet.into(), Some(File::open(path)?)))
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
        ("BLOOM_CONTEXT_ID", without_nul(task.context_id.clone())),
        ("BLOOM_AGENT_SLUG", without_nul(task.agent_slug.clone())),
        ("BLOOM_FORMAT", without_nul(task.desired_format.clone())),
    ];
    let trace = trace::VARIABLES
        .into_iter()
        .zip([&task.policy.traceparent, &task.policy.tracestate])
        .filter_map(|(name, value)| Some((name, without_nul(value.clone()?))));
    let own = own
        .into_iter()
        .chain(trace)
        .map(|(name, value)| (name.to_owned(), value.into()));
    let mut all: Vec<_> = options.environment.iter().cloned().chain(own).collect();
    if let Some(user) = &options.user {
        all.retain(|(name, _)| !matches!(name.as_str(), "HOME" | "USER" | "LOGNAME"));
        all.push(("HOME".to_owned(), user.home.clone().into_os_string()));
        all.push(("USER".to_owned(), user.name.clone().into()));
        all.push(("LOGNAME".to_owned(), user.name.clone().into()));
    }
    all
}
