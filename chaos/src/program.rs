//! The program that workers run in place of the real CLI. It writes down what it does, and writes
//! into a sink that takes fences only upwards, as the guide tells downstream systems to do.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::journal::wall;
use crate::rig::machine::parent_of;

/// How often a program that takes long says that it lives.
const PULSE: Duration = Duration::from_millis(100);
/// How long a program lives that nobody ends.
const STUBBORN: Duration = Duration::from_secs(40);

/// What a program did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Began.
    Start,
    /// Still works.
    Alive,
    /// The sink took its fence.
    Accepted,
    /// The sink refused its fence.
    Refused,
    /// Is about to kill its worker.
    Kill,
    /// Ended by itself.
    End,
}

/// One line of a program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Effect {
    /// Its task.
    pub task: Uuid,
    /// The number of its lease.
    pub fence: i32,
    /// Its worker.
    pub worker: String,
    /// What it did.
    pub what: What,
    /// When, microseconds since 1970.
    pub w: i64,
    /// SHA-256 of what it printed, at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What the prompt asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Work a moment, print a result.
    Normal,
    /// Exit with 1.
    Fail,
    /// Go on for long, deaf to SIGTERM.
    Stubborn,
    /// Leave a process behind that goes on and holds the output open.
    Orphan,
    /// Kill the worker.
    Poison,
}

/// A prompt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Prompt {
    /// The submission's key.
    pub key: String,
    /// What to do.
    pub mode: Mode,
    /// How long, milliseconds.
    pub ms: u64,
}

/// Arguments of the program.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write.
    #[arg(long)]
    dir: PathBuf,
    /// The task.
    #[arg(long, env = "BLOOM_TASK_ID")]
    task: Uuid,
    /// The number of the lease.
    #[arg(long, env = "BLOOM_FENCE")]
    fence: i32,
    /// The worker.
    #[arg(long, env = "BLOOM_WORKER")]
    worker: String,
    /// To be the process that an orphaning program leaves behind.
    #[arg(long)]
    left_behind: bool,
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn digest(text: &str) -> String {
    use std::fmt::Write as _;
    let mut hex = String::new();
    for byte in Sha256::digest(text) {
        // Writing into a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

impl Args {
    fn say(&self, what: What, digest: Option<String>) -> anyhow::Result<()> {
        let effect = Effect {
            task: self.task,
            fence: self.fence,
            worker: self.worker.clone(),
            what,
            w: wall(),
            digest,
        };
        let mut line = serde_json::to_vec(&effect)?;
        line.push(b'\n');
        let path = self.dir.join("effects.jsonl");
        let mut file = File::options().create(true).append(true).open(path)?;
        Ok(file.write_all(&line)?)
    }

    /// Asks the sink to take an effect of this fence; says what it said, while it holds the lock, so
    /// that the lines are in its order.
    fn act(&self) -> anyhow::Result<()> {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(self.dir.join("sink").join(self.task.to_string()))?;
        flock(&file, FlockOperation::LockExclusive)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let highest: i32 = text.trim().parse().unwrap_or(0);
        if self.fence < highest {
            return self.say(What::Refused, None);
        }
        file.seek(SeekFrom::Start(0))?;
        file.write_all(self.fence.to_string().as_bytes())?;
        self.say(What::Accepted, None)
    }

    /// Lives for so long, deaf to SIGTERM, and says so.
    async fn live(&self, long: Duration) -> anyhow::Result<()> {
        let mut deaf = signal(SignalKind::terminate())?;
        let begin = Instant::now();
        while begin.elapsed() < long {
            self.say(What::Alive, None)?;
            tokio::select! {
                () = tokio::time::sleep(PULSE) => {}
                _ = deaf.recv() => {}
            }
        }
        Ok(())
    }

    fn leave_behind(&self) -> anyhow::Result<()> {
        let me = std::env::current_exe()?;
        let text = |value: &Path| value.as_os_str().to_owned();
        let mut child = Command::new("setsid");
        child
            .arg(me)
            .arg("program")
            .arg("--dir")
            .arg(text(&self.dir));
        child.arg("--left-behind").stdin(Stdio::null());
        child.spawn()?;
        Ok(())
    }

    /// kill -9 of the worker: the nearest ancestor of that name.
    fn kill_worker(&self) -> anyhow::Result<()> {
        self.say(What::Kill, None)?;
        let mut pid = i32::try_from(std::process::id())?;
        while let Some(parent) = parent_of(pid) {
            let name = std::fs::read_to_string(format!("/proc/{parent}/comm")).unwrap_or_default();
            if name.trim() == "bloom" {
                if let Some(worker) = Pid::from_raw(parent) {
                    kill_process(worker, Signal::KILL)?;
                }
                return Ok(());
            }
            pid = parent;
        }
        Ok(())
    }
}

/// Runs.
///
/// # Errors
/// When the prompt is none, or nothing can be written.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.left_behind {
        args.live(STUBBORN).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let prompt: Prompt = serde_json::from_str(&text)?;
    args.say(What::Start, None)?;
    args.act()?;
    match prompt.mode {
        Mode::Normal => tokio::time::sleep(Duration::from_millis(prompt.ms)).await,
        Mode::Fail => return Ok(ExitCode::FAILURE),
        Mode::Stubborn => args.live(Duration::from_millis(prompt.ms)).await?,
        Mode::Orphan => args.leave_behind()?,
        Mode::Poison => args.kill_worker()?,
    }
    args.act()?;
    let output = format!("{} {} {}", prompt.key, args.task, args.fence);
    std::io::stdout().write_all(output.as_bytes())?;
    args.say(What::End, Some(digest(&output)))?;
    Ok(ExitCode::SUCCESS)
}
