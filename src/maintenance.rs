//! The jobs that keep the queue tidy. Every service process runs all of them; the verbs that they
//! call share the work out by locks, so that it does not matter how many do, or when.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::db::Db;
use crate::db::calls::lease::{lease_expire, lease_overdue};
use crate::db::calls::maintenance::{
    Retention, lane_advance, partition_ensure, retention_run, status_fold, task_promote,
};
use crate::db::calls::worker::worker_sweep;
use crate::error::{Error, Result};
use crate::seals::Sealer;
use crate::shutdown::Shutdown;

/// How many rows a job moves in one transaction.
const BATCH: i32 = 500;
/// A mark moves by at least so many tasks.
const MARK_STRIDE: i32 = 500;
/// Partitions are made so many weeks ahead.
const WEEKS_AHEAD: i32 = 2;
/// A worker that beat once and has been silent for so long is offline.
const SILENT_SECONDS: i32 = 60;
/// How often one run of a job may find that there is more to do.
const ROUNDS_MAX: u32 = 100;

/// What the jobs need to know.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// For so long after the start of this process, of Postgres, or the end of an outage, no lease
    /// is taken back: its worker may just not have reached us.
    pub grace: Duration,
    /// How long history is kept.
    pub keep: Retention,
}

/// How often a job ran.
#[derive(Debug)]
pub struct Runs {
    /// The job's name.
    pub job: &'static str,
    ok: AtomicU64,
    failed: AtomicU64,
}

impl Runs {
    fn of(job: &'static str) -> Arc<Self> {
        Arc::new(Self {
            job,
            ok: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// How many runs succeeded and how many failed.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.ok.load(Relaxed), self.failed.load(Relaxed))
    }
}

/// Starts every job; they end with `shutdown`. Returns how often each ran.
#[must_use]
pub fn start(
    db: &Db,
    options: Options,
    sealer: Option<(Sealer, Duration)>,
    shutdown: &Shutdown,
) -> Vec<Arc<Runs>> {
    let second = Duration::from_secs(1);
    let mut all = Vec::new();
    all.push(repeat(shutdown, "promote", second / 2, {
        let db = db.clone();
        move || promote(db.clone())
    }));
    all.push(repeat(shutdown, "mark", second / 4, {
        let db = db.clone();
        move || {
            let db = db.clone();
            async move { lane_advance(&db, MARK_STRIDE).await.map(drop) }
        }
    }));
    all.push(repeat(shutdown, "count", second, {
        let db = db.clone();
        move || {
            let db = db.clone();
            async move { status_fold(&db).await.map(drop) }
        }
    }));
    all.push(repeat(shutdown, "workers", 5 * second, {
        let db = db.clone();
        move || {
            let db = db.clone();
            async move { worker_sweep(&db, SILENT_SECONDS).await.map(drop) }
        }
    }));
    all.push(repeat(shutdown, "history", 600 * second, {
        let db = db.clone();
        move || tidy_history(db.clone(), options.keep)
    }));
    if let Some((sealer, interval)) = sealer {
        all.push(repeat(shutdown, "seal", interval, move || {
            let sealer = sealer.clone();
            async move { sealer.run().await }
        }));
    }
    let reaped = Runs::of("reap");
    all.push(Arc::clone(&reaped));
    shutdown.spawn(reap(db.clone(), options.grace, reaped, shutdown.clone()));
    all
}

/// Runs `job` about every `pause` until shutdown. A failure is logged when it begins and when it
/// is over, not every time.
pub fn repeat<F>(
    shutdown: &Shutdown,
    name: &'static str,
    pause: Duration,
    job: impl Fn() -> F + Send + 'static,
) -> Arc<Runs>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let stop = shutdown.clone();
    let runs = Runs::of(name);
    let mut log = FailureLog::new(Arc::clone(&runs));
    shutdown.spawn(async move {
        while !stop.is_requested() {
            log.note(job().await.as_ref().err());
            nap(pause, &stop).await;
        }
    });
    runs
}

/// Sleeps for `pause`, a fifth more or less, so that processes do not march in step.
async fn nap(pause: Duration, shutdown: &Shutdown) {
    let pause = pause.mul_f64(0.8 + 0.4 * fastrand::f64());
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = shutdown.requested() => {}
    }
}

async fn promote(db: Db) -> Result<()> {
    for _ in 0..ROUNDS_MAX {
        if task_promote(&db, BATCH).await? < BATCH {
            break;
        }
    }
    Ok(())
}

async fn tidy_history(db: Db, keep: Retention) -> Result<()> {
    partition_ensure(&db, WEEKS_AHEAD).await?;
    for _ in 0..ROUNDS_MAX {
        let dropped = retention_run(&db, keep).await?;
        if dropped.is_empty() {
            break;
        }
        info!(partitions = dropped.join(" "), "old history dropped");
    }
    Ok(())
}

/// Takes back leases that ran out. An outage of ours or of Postgres looks to us like the death of
/// every worker; so there is a pause after it in which they can show that they live.
async fn reap(db: Db, grace: Duration, runs: Arc<Runs>, shutdown: Shutdown) {
    let mut log = FailureLog::new(runs);
    let mut not_before = Instant::now() + grace;
    while !shutdown.is_requested() {
        // Before the grace is over, asking for what is overdue notices an outage all the same.
        let outcome = if Instant::now() < not_before {
            lease_overdue(&db, 1).await.map(drop)
        } else {
            reap_round(&db, grace).await
        };
        if matches!(outcome, Err(Error::Unavailable { .. })) {
            not_before = Instant::now() + grace;
        }
        log.note(outcome.as_ref().err());
        nap(Duration::from_secs(1), &shutdown).await;
    }
}

async fn reap_round(db: &Db, grace: Duration) -> Result<()> {
    let grace = u32::try_from(grace.as_secs()).unwrap_or(u32::MAX);
    for _ in 0..ROUNDS_MAX {
        match lease_expire(db, BATCH, None, grace).await {
            Ok(0) => return Ok(()),
            Ok(count) => info!(count, "leases ran out"),
            Err(error @ Error::Unavailable { .. }) => return Err(error),
            Err(error) => {
                warn!(
                    error = error.chain(),
                    "leases cannot be ended together; one by one now"
                );
                return reap_singly(db, grace).await;
            }
        }
    }
    Ok(())
}

/// One lease that cannot be ended must not keep the others: each in a transaction of its own.
async fn reap_singly(db: &Db, grace: u32) -> Result<()> {
    let mut last = Ok(());
    for task in lease_overdue(db, BATCH).await? {
        if let Err(error) = lease_expire(db, 1, Some(&[task]), grace).await {
            warn!(task.id = %task, error = error.chain(), "the lease cannot be ended");
            last = Err(error);
        }
    }
    last
}

/// Counts runs, and logs the first failure of a row of them, and the recovery.
struct FailureLog {
    runs: Arc<Runs>,
    failing: bool,
}

impl FailureLog {
    fn new(runs: Arc<Runs>) -> Self {
        Self {
            runs,
            failing: false,
        }
    }

    fn note(&mut self, failure: Option<&Error>) {
        let runs = match failure {
            Some(_) => &self.runs.failed,
            None => &self.runs.ok,
        };
        runs.fetch_add(1, Relaxed);
        match failure {
            Some(error) if !self.failing => {
                warn!(
                    job = self.runs.job,
                    error = error.chain(),
                    "maintenance fails; it goes on trying"
                );
            }
            None if self.failing => info!(job = self.runs.job, "maintenance works again"),
            _ => {}
        }
        self.failing = failure.is_some();
    }
}
