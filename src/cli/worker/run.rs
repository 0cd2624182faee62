//! `bloom worker --name …`, or `bloom worker run`: pulls tasks and runs a program on each.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args as ClapArgs;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::client::ClientArgs;
use crate::config::environment;
use crate::shutdown::Shutdown;
use crate::worker::announce::Announcement;
use crate::worker::claude::Setup;
use crate::worker::claude::flags::Permits;
use crate::worker::confine::{Cgroup, User};
use crate::worker::job::Executor;
use crate::worker::workspace::Scope;
use crate::worker::{self, MAX_CONCURRENCY, Options};

/// How a worker is run.
#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    /// Which service to work for.
    #[command(flatten)]
    pub client: ClientArgs,
    /// This worker's name, unique among workers.
    #[arg(long, required = true)]
    pub name: Option<String>,
    /// How many tasks to run at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CONCURRENCY)))]
    pub concurrency: u32,
    /// A program to run on each task, for `sh -c`: the prompt on stdin, the result on stdout.
    /// Without it tasks go to the Claude CLI.
    #[arg(long, value_name = "CMD")]
    pub exec: Option<String>,
    /// How the Claude CLI is run.
    #[command(flatten)]
    pub claude: ClaudeArgs,
    /// A label that tasks may require (repeatable, or separated by commas).
    #[arg(long = "label", value_name = "LABEL", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// An environment variable to pass on to programs (repeatable).
    #[arg(long = "pass-env", value_name = "NAME")]
    pub pass_env: Vec<String>,
    /// How long a lease lives without a beat, in seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub ttl: u64,
    /// How long the service may hold a request while there is no work, in seconds.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u64).range(0..=60))]
    pub poll_wait: u64,
    /// From SIGTERM to SIGKILL when a program is ended, in seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub kill_grace: u64,
    /// How long running programs may go on after SIGTERM to the worker, in seconds.
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub shutdown_grace: u64,
    /// The most that a program may print, in bytes.
    #[arg(long, default_value_t = 8 << 20, value_name = "BYTES")]
    pub max_output: usize,
    /// Where the programs' working directories are made [default: the system's place for
    /// temporary files].
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// The most that a program's directory may hold, in bytes.
    #[arg(long, default_value_t = 10 << 30, value_name = "BYTES")]
    pub max_disk: u64,
    /// Whether each attempt has a directory of its own, or the tasks of a context share one
    /// [default: context for the Claude CLI, attempt for --exec].
    #[arg(long, value_enum)]
    pub workspace: Option<Workspace>,
    /// How long the directory of a context is kept that nobody uses, in days.
    #[arg(long, default_value_t = 7, value_name = "DAYS")]
    pub keep_contexts_days: u32,
    /// Run programs as this user (for a worker that runs as root).
    #[arg(long, value_name = "USER")]
    pub run_as: Option<String>,
    /// Directory of a version 2 control group in which each attempt gets a group of its own: then
    /// no process of a program can hide from its end.
    #[arg(long, value_name = "DIR")]
    pub cgroup: Option<PathBuf>,
    /// The most memory that a program may use, as memory.max takes it, e.g. 2G.
    #[arg(long, value_name = "SIZE", requires = "cgroup")]
    pub memory_max: Option<String>,
    /// The most processes that a program may have, as pids.max takes it.
    #[arg(long, value_name = "COUNT", requires = "cgroup")]
    pub pids_max: Option<String>,
    /// The processor time that a program may use, as cpu.max takes it, e.g. "50000 100000".
    #[arg(long, value_name = "QUOTA", requires = "cgroup")]
    pub cpu_max: Option<String>,
    /// A Membridge control plane to announce this node to.
    #[arg(long, value_name = "URL", requires = "advertise_url")]
    pub membridge: Option<reqwest::Url>,
    /// File that holds its admin key.
    #[arg(long, value_name = "FILE", requires = "membridge")]
    pub membridge_admin_key_file: Option<PathBuf>,
    /// The address of this node that is announced.
    #[arg(long, value_name = "URL", requires = "membridge")]
    pub advertise_url: Option<String>,
    /// Name of the credential that tasks use up. Workers that name the same one share its usage
    /// limits [default: one of its own].
    #[arg(long, value_name = "NAME")]
    pub credential: Option<String>,
}

/// Where programs work.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Workspace {
    /// In a directory of the attempt's own, removed afterwards.
    Attempt,
    /// In one that the tasks of a context share.
    Context,
}

/// How the Claude CLI is run.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Claude CLI")]
pub struct ClaudeArgs {
    /// The CLI [default: the first claude on PATH].
    #[arg(long, value_name = "FILE", conflicts_with = "exec")]
    pub claude_bin: Option<PathBuf>,
    /// Directory of agent definitions, SLUG.md; a task's `agent_slug` selects one.
    #[arg(long, value_name = "DIR", conflicts_with = "exec")]
    pub agents_dir: Option<PathBuf>,
    /// Tools that tasks may ask for (repeatable, or separated by commas) [default: any].
    #[arg(long = "permit-tool", value_name = "TOOL", value_delimiter = ',')]
    pub permit_tools: Option<Vec<String>>,
    /// Let tasks ask to run without permission checks.
    #[arg(long, conflicts_with = "exec")]
    pub permit_bypass: bool,
}

impl ClaudeArgs {
    fn setup(&self) -> anyhow::Result<Setup> {
        let found = self.claude_bin.clone().or_else(environment::find_claude);
        let bin = found.ok_or_else(|| {
            anyhow!(
                "there is no claude on PATH. Install the Claude CLI (npm install -g \
                 @anthropic-ai/claude-code), name it with --claude-bin, or run a program of your \
                 own with --exec."
            )
        })?;
        let bin = bin
            .canonicalize()
            .with_context(|| format!("cannot use {}", bin.display()))?;
        if let Some(dir) = &self.agents_dir
            && !dir.is_dir()
        {
            return Err(anyhow!("{} is not a directory", dir.display()));
        }
        Ok(Setup {
            bin,
            agents_dir: self.agents_dir.clone(),
            permits: Permits {
                bypass: self.permit_bypass,
                tools: self.permit_tools.clone(),
            },
        })
    }
}

impl RunArgs {
    /// The worker's options.
    ///
    /// # Errors
    /// When the key cannot be read or a variable may not be passed on.
    pub fn options(&self) -> anyhow::Result<Options> {
        let exec = self.exec.as_deref().unwrap_or_default();
        let name = self.name.as_deref().context("--name is missing")?;
        let mut options = Options::new(&self.client.server, name, exec);
        if self.exec.is_none() {
            options.executor = Executor::Claude(self.claude.setup()?);
        }
        options.scope = self.workspace.map(|workspace| match workspace {
            Workspace::Attempt => Scope::Attempt,
            Workspace::Context => Scope::Context,
        });
        options.credential.clone_from(&self.credential);
        let user = self.run_as.as_deref().map(User::find).transpose();
        options.user = user.map_err(|error| anyhow!("--run-as: {error}"))?;
        options.cgroup = self.cgroup.clone().map(|dir| {
            let limits = [
                ("memory.max", &self.memory_max),
                ("pids.max", &self.pids_max),
                ("cpu.max", &self.cpu_max),
            ];
            let limits = limits
                .into_iter()
                .filter_map(|(file, value)| Some((file, value.clone()?)));
            Cgroup {
                dir,
                limits: limits.collect(),
            }
        });
        if let (Some(membridge), Some(url)) = (&self.membridge, &self.advertise_url) {
            options.announcement = Some(Announcement {
                membridge: membridge.clone(),
                key: crate::config::key_in(self.membridge_admin_key_file.as_deref())?,
                url: url.clone(),
            });
        }
        options.max_disk_bytes = self.max_disk;
        options.keep_contexts = Duration::from_secs(u64::from(self.keep_contexts_days) * 86_400);
        options.api_key = self.client.key().context("cannot read the API key file")?;
        options.concurrency = self.concurrency;
        options.labels.clone_from(&self.labels);
        options.ttl = Duration::from_secs(self.ttl);
        options.poll_wait = Duration::from_secs(self.poll_wait);
        options.kill_grace = Duration::from_secs(self.kill_grace);
        options.shutdown_grace = Duration::from_secs(self.shutdown_grace);
        options.max_output_bytes = self.max_output;
        options.environment = environment::for_program(&self.pass_env).map_err(|e| anyhow!(e))?;
        if let Some(dir) = &self.work_dir {
            options.work_root.clone_from(dir);
        }
        Ok(options)
    }
}

/// Works until SIGTERM or SIGINT: the first one stops pulling and lets running tasks finish, the
/// second one gives them back at once.
///
/// # Errors
/// When the options are wrong or the service refuses the worker.
pub async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let options = args.options()?;
    hide_memory();
    let (shutdown, at_once) = (Shutdown::new(), CancellationToken::new());
    let signals = Signals::new()?;
    let (stop, hurry) = (shutdown.clone(), at_once.clone());
    let listener = tokio::spawn(async move { signals.obey(&stop, &hurry).await });
    let summary = worker::run(options, shutdown, at_once).await;
    listener.abort();
    let summary = summary?;
    tracing::info!(
        summary.completed,
        summary.released,
        summary.lost,
        "worker stopped"
    );
    Ok(ExitCode::SUCCESS)
}

/// Keeps programs of the same user from reading the key in this process's environment or memory.
fn hide_memory() {
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::warn!(%error, "programs of the same user can read this process's environment");
    }
}

/// SIGTERM and SIGINT.
pub(in crate::cli) struct Signals {
    term: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on the two no longer end the process.
    pub(in crate::cli) fn new() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt,
        })
    }

    /// Resolves at the next one.
    pub(in crate::cli) async fn next(&mut self) {
        tokio::select! { _ = self.term.recv() => {}, _ = self.interrupt.recv() => {} }
    }

    async fn obey(mut self, shutdown: &Shutdown, at_once: &CancellationToken) {
        self.next().await;
        shutdown.request();
        self.next().await;
        at_once.cancel();
    }
}
