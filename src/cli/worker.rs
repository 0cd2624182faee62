//! `bloom worker`: pulls tasks and runs a program on each.

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
use crate::worker::{self, MAX_CONCURRENCY, Options};

/// Arguments of `bloom worker`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Which service to work for.
    #[command(flatten)]
    pub client: ClientArgs,
    /// This worker's name, unique among workers.
    #[arg(long)]
    pub name: String,
    /// How many tasks to run at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CONCURRENCY)))]
    pub concurrency: u32,
    /// The program, for `sh -c`: the prompt on stdin, the result on stdout.
    #[arg(long, value_name = "CMD")]
    pub exec: String,
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
}

impl Args {
    /// The worker's options.
    ///
    /// # Errors
    /// When the key cannot be read or a variable may not be passed on.
    pub fn options(&self) -> anyhow::Result<Options> {
        let mut options = Options::new(&self.client.server, &self.name, &self.exec);
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
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
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
pub(super) struct Signals {
    term: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on the two no longer end the process.
    pub(super) fn new() -> std::io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt,
        })
    }

    /// Resolves at the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! { _ = self.term.recv() => {}, _ = self.interrupt.recv() => {} }
    }

    async fn obey(mut self, shutdown: &Shutdown, at_once: &CancellationToken) {
        self.next().await;
        shutdown.request();
        self.next().await;
        at_once.cancel();
    }
}
