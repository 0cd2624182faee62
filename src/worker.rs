//! The pull worker: leases tasks over HTTP, runs the operator's program on each, reports.
//!
//! What it is careful about:
//! - A task's lease may end without this process noticing (a pause, a partition). Every lease has
//!   a deadline on the monotonic clock, counted from *before* the request that renewed it was
//!   sent; work that cannot be renewed in time is killed here, before others may start it.
//! - An answer may be lost. A lease request is repeated with the same id, a completion with the
//!   same lease, until the answer is definite.
//! - A program is a tree of processes. It ends as a whole: see [`tree`] and [`lifeline`].
//!
//! Every process of a program sees `BLOOM_TASK_ID`, `BLOOM_LEASE_ID`, `BLOOM_FENCE`,
//! `BLOOM_ATTEMPT`, `BLOOM_WORKER`, `BLOOM_CONTEXT_ID`, `BLOOM_AGENT_SLUG`, `BLOOM_FORMAT` and the
//! few variables in [`Options::environment`], no keys. It reads the prompt on stdin; what it prints
//! is the result, with NUL and broken UTF-8 replaced by U+FFFD.

pub mod announce;
pub mod api;
pub mod attempt;
pub mod backoff;
pub mod beat;
pub mod claude;
pub mod confine;
pub mod disk;
pub mod held;
pub mod hints;
pub mod identity;
pub mod job;
pub mod lifecycle;
pub mod lifeline;
pub mod live;
pub mod log;
pub mod output;
pub mod program;
pub mod report;
pub mod slot;
pub mod tree;
pub mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::client::{Client, Failure, SetupError};
use crate::config::environment;
use crate::shutdown::Shutdown;
use announce::Announcement;
use api::{Api, Capabilities, Registration};
use backoff::Backoff;
use confine::{Cgroup, User};
use held::Registry;
use identity::Identity;
use job::Executor;
use report::Delivery;
use workspace::{Occupancy, Scope};

/// How much of the end of a program's stderr a failure carries, in bytes.
pub const MAX_STDERR_BYTES: usize = 64 << 10;
/// The most tasks at once.
pub const MAX_CONCURRENCY: u32 = 32;
/// The longest life of a lease.
pub const MAX_TTL: Duration = Duration::from_secs(86_400);
/// The longest long-poll.
pub const MAX_POLL_WAIT: Duration = Duration::from_secs(60);
/// The longest name, in characters.
pub const MAX_NAME: usize = 128;
/// The first and the longest pause between two tries to register.
const REGISTER_PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));
/// The pause between two sweeps of old directories.
const CLEAN_EVERY: Duration = Duration::from_secs(3600);
/// The pause before a slot that broke is started again.
const MEND_PAUSE: Duration = Duration::from_secs(1);

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Options {
    /// The service's address.
    pub server: String,
    /// The key to show it.
    pub api_key: Option<SecretString>,
    /// The worker's name, unique among workers.
    pub name: String,
    /// How many tasks at once, 1 to [`MAX_CONCURRENCY`].
    pub concurrency: u32,
    /// What tasks may require of it.
    pub labels: Vec<String>,
    /// What runs tasks.
    pub executor: Executor,
    /// Where programs work, if not where their executor has them work.
    pub scope: Option<Scope>,
    /// The credential that tasks use up, by name; workers of one credential share its limits.
    pub credential: Option<String>,
    /// The most that a program's directory may hold, in bytes.
    pub max_disk_bytes: u64,
    /// The user that programs run as, if not the worker's own.
    pub user: Option<User>,
    /// Where each attempt gets a control group of its own.
    pub cgroup: Option<Cgroup>,
    /// Whether to tell Membridge of this node.
    pub announcement: Option<Announcement>,
    /// How long the directory of an unused context is kept.
    pub keep_contexts: Duration,
    /// How long a lease lives without a beat; whole seconds, up to [`MAX_TTL`].
    pub ttl: Duration,
    /// How long the service may hold a lease request, up to [`MAX_POLL_WAIT`].
    pub poll_wait: Duration,
    /// From SIGTERM to SIGKILL when a program is ended.
    pub kill_grace: Duration,
    /// How long running programs may go on once the worker is asked to stop.
    pub shutdown_grace: Duration,
    /// The most a program may print, in bytes.
    pub max_output_bytes: usize,
    /// The variables that every program sees, see [`environment`].
    pub environment: Vec<(String, OsString)>,
    /// Where working directories are made.
    pub work_root: PathBuf,
}

impl Options {
    /// The usual ones, for a program; `environment` is empty.
    #[must_use]
    pub fn new(server: &str, name: &str, exec: &str) -> Self {
        Self {
            server: server.to_owned(),
            api_key: None,
            name: name.to_owned(),
            concurrency: 1,
            labels: Vec::new(),
            executor: Executor::Exec(exec.to_owned()),
            scope: None,
            credential: None,
            max_disk_bytes: 10 << 30,
            user: None,
            cgroup: None,
            announcement: None,
            keep_contexts: Duration::from_secs(7 * 86_400),
            ttl: Duration::from_secs(30),
            poll_wait: Duration::from_secs(25),
            kill_grace: Duration::from_secs(3),
            shutdown_grace: Duration::from_secs(25),
            max_output_bytes: 8 << 20,
            environment: Vec::new(),
            work_root: environment::work_root(),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |text: &str| Err(Error::Options(text.to_owned()));
        // `.` and `..` vanish from a URL's path.
        let bad_name = matches!(self.name.as_str(), "" | "." | "..") || self.name.contains('\0');
        if bad_name || self.name.chars().count() > MAX_NAME {
            return wrong("the name must be 1 to 128 characters");
        }
        if !(1..=MAX_CONCURRENCY).contains(&self.concurrency) {
            return wrong("the concurrency must be 1 to 32");
        }
        if let Some(cgroup) = &self.cgroup {
            cgroup.check().map_err(Error::Options)?;
        }
        if self.ttl < Duration::from_secs(1) || self.ttl > MAX_TTL {
            return wrong("the lease time must be 1 to 86400 seconds");
        }
        if self.poll_wait > MAX_POLL_WAIT {
            return wrong("the poll wait must be at most 60 seconds");
        }
        if let Executor::Exec(exec) = &self.executor
            && (exec.trim().is_empty() || exec.contains('\0'))
        {
            return wrong("the program must not be empty");
        }
        Ok(())
    }
}

/// Why a worker cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option is out of its bounds.
    #[error("{0}")]
    Options(String),
    /// The client could not be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The service will not have this worker.
    #[error("the service refused to register the worker")]
    Refused(#[source] Failure),
}

/// What a worker did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Reports, of success or failure, that the service accepted.
    pub completed: u64,
    /// Tasks given back.
    pub released: u64,
    /// Leases that ended under it, by loss or for want of an answer.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct Counters {
    completed: AtomicU64,
    released: AtomicU64,
    lost: AtomicU64,
}

/// What all parts of one worker share.
#[derive(Debug)]
pub struct Context {
    options: Options,
    identity: Identity,
    api: Api,
    session: Uuid,
    held: Arc<Registry>,
    occupancy: Arc<Occupancy>,
    drain: watch::Sender<bool>,
    shutdown: Shutdown,
    /// The grace is over: end and release what still runs.
    hard: CancellationToken,
    /// Not even a grace any more.
    at_once: CancellationToken,
    counters: Counters,
}

impl Context {
    async fn register(&self) -> Result<(), Failure> {
        let registration = Registration {
            name: &self.options.name,
            status: "online",
            capabilities: Capabilities {
                claude_cli: true,
                max_concurrency: self.options.concurrency,
                labels: &self.identity.labels,
            },
            agent_version: env!("CARGO_PKG_VERSION"),
            os_info: self.identity.os_info.clone(),
            install_method: "bloom-worker",
            credential: self.options.credential.as_deref(),
        };
        self.api.register(&registration).await
    }

    fn count(&self, what: &str, delivery: Delivery) {
        let counter = match (what, delivery) {
            ("complete", Delivery::Accepted) => &self.counters.completed,
            ("release", Delivery::Accepted) => &self.counters.released,
            _ => &self.counters.lost,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn summary(&self) -> Summary {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Summary {
            completed: read(&self.counters.completed),
            released: read(&self.counters.released),
            lost: read(&self.counters.lost),
        }
    }
}

/// Runs a worker until `shutdown` is requested and its running tasks have ended: by themselves
/// within the grace, released after it, or released at once when `at_once` is cancelled.
///
/// # Errors
/// When the options are wrong or the service refuses the worker. An unreachable service is waited
/// for instead.
pub async fn run(
    options: Options,
    shutdown: Shutdown,
    at_once: CancellationToken,
) -> Result<Summary, Error> {
    options.check()?;
    let runnable = options.executor.check(&options.environment).await;
    runnable.map_err(Error::Options)?;
    let client = Client::new(&options.server, options.api_key.as_ref())?;
    let api = Api::new(client, &options.name);
    let ctx = Arc::new(Context {
        identity: identity::find(&options).await,
        api,
        session: Uuid::new_v4(),
        held: Arc::new(Registry::default()),
        occupancy: Arc::new(Occupancy::default()),
        drain: watch::Sender::new(false),
        shutdown,
        hard: at_once.child_token(),
        at_once,
        counters: Counters::default(),
        options,
    });
    if !introduce(&ctx).await? {
        return Ok(ctx.summary());
    }
    let done = CancellationToken::new();
    let mut aides = JoinSet::new();
    let (beater, beats_end) = (Arc::clone(&ctx), done.clone());
    aides.spawn(async move { beat::run(&beater, beats_end).await });
    let (clock, clock_end) = (Arc::clone(&ctx), done.clone());
    aides.spawn(async move {
        tokio::select! { () = clock_end.cancelled() => {}, () = stop_hard(&clock) => {} }
    });
    if let Some(announcement) = ctx.options.announcement.clone() {
        aides.spawn(announce::run(
            announcement,
            ctx.options.name.clone(),
            done.clone(),
        ));
    }
    let (cleaner, cleaning_ends) = (Arc::clone(&ctx), done.clone());
    aides.spawn(async move { clean_up(&cleaner, cleaning_ends).await });
    serve(&ctx).await;
    done.cancel();
    while aides.join_next().await.is_some() {}
    if let Err(failure) = ctx.api.leave(ctx.session).await {
        // Then it is taken offline once it has been silent for a while.
        tracing::debug!(error = %failure, "no goodbye");
    }
    Ok(ctx.summary())
}

/// Registers; false when the worker is asked to stop before that.
async fn introduce(ctx: &Context) -> Result<bool, Error> {
    let mut backoff = Backoff::new(REGISTER_PAUSE.0, REGISTER_PAUSE.1);
    loop {
        let pause = tokio::select! {
            biased;
            () = ctx.shutdown.requested() => return Ok(false),
            answer = ctx.register() => match answer {
                Ok(()) => break,
                Err(failure) if failure.is_transient() => {
                    tracing::warn!(error = %failure, "cannot register yet");
                    backoff.pause_or(failure.retry_after())
                }
                Err(failure) => return Err(Error::Refused(failure)),
            },
        };
        tokio::select! {
            biased;
            () = ctx.shutdown.requested() => return Ok(false),
            () = sleep(pause) => {}
        }
    }
    tracing::info!(worker.name = %ctx.options.name, session = %ctx.session, "registered");
    Ok(true)
}

/// Runs the slots to their end.
async fn serve(ctx: &Arc<Context>) {
    let mut slots = JoinSet::new();
    let start = |slots: &mut JoinSet<()>| {
        let ctx = Arc::clone(ctx);
        slots.spawn(async move { slot::run(&ctx).await });
    };
    for _ in 0..ctx.options.concurrency {
        start(&mut slots);
    }
    while let Some(ended) = slots.join_next().await {
        if let Err(error) = ended
            && !ctx.shutdown.is_requested()
        {
            // A fault of ours; its program ended with it, see `lifeline`.
            tracing::error!(%error, "a slot broke");
            sleep(MEND_PAUSE).await;
            start(&mut slots);
        }
    }
}

/// Removes the directories of contexts that nobody has used for long, at the start and every hour.
async fn clean_up(ctx: &Context, done: CancellationToken) {
    loop {
        let (root, keep) = (ctx.options.work_root.clone(), ctx.options.keep_contexts);
        match spawn_blocking(move || workspace::sweep(&root, keep)).await {
            Ok(Ok(removed)) if removed.is_empty() => {}
            Ok(Ok(removed)) => tracing::info!(count = removed.len(), "old directories removed"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot look for old directories"),
            Err(error) => tracing::error!(%error, "the sweep broke"),
        }
        tokio::select! {
            () = done.cancelled() => return,
            () = sleep(CLEAN_EVERY) => {}
        }
    }
}

/// Ends what still runs once the grace is over.
async fn stop_hard(ctx: &Context) {
    tokio::select! {
        () = ctx.shutdown.requested() => {}
        // Whoever wants an end at once wants no new tasks either.
        () = ctx.at_once.cancelled() => return ctx.shutdown.request(),
    }
    let grace = ctx.options.shutdown_grace;
    tracing::info!(
        grace_s = grace.as_secs(),
        "stopping: no new tasks, running ones may finish"
    );
    sleep(grace).await;
    ctx.hard.cancel();
}
