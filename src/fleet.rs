//! A snapshot of the worker table for routing: read at most once a second, and again at once after
//! a change that this process made. Routing only ranks by it; the verb that leases checks
//! everything anew, so a stale snapshot costs an attempt, never a promise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::db::Db;
use crate::db::calls::worker::{Worker, worker_list};
use crate::error::Result;
use crate::routing::Candidate;

/// How old a snapshot may be.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The snapshot. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    db: Db,
    last: Arc<Mutex<Option<Reading>>>,
}

/// The workers, and when they were asked for.
struct Reading {
    at: Instant,
    workers: Arc<Vec<Candidate>>,
}

impl Fleet {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self {
            db,
            last: Arc::default(),
        }
    }

    /// The workers as of a second ago at most. Concurrent callers share one reading.
    pub async fn candidates(&self) -> Result<Arc<Vec<Candidate>>> {
        let mut last = self.last.lock().await;
        if let Some(reading) = &*last
            && reading.at.elapsed() < MAX_AGE
        {
            return Ok(Arc::clone(&reading.workers));
        }
        let at = Instant::now();
        let workers: Arc<Vec<_>> = Arc::new(
            worker_list(&self.db)
                .await?
                .into_iter()
                .map(candidate)
                .collect(),
        );
        *last = Some(Reading {
            at,
            workers: Arc::clone(&workers),
        });
        Ok(workers)
    }

    /// Has the next caller read anew.
    pub async fn forget(&self) {
        *self.last.lock().await = None;
    }
}

fn candidate(worker: Worker) -> Candidate {
    Candidate {
        online: worker.status == "online",
        draining: worker.draining,
        claude_cli: worker.claude_cli,
        max_concurrency: u32::try_from(worker.max_concurrency).unwrap_or(0),
        active: u32::try_from(worker.active).unwrap_or(0),
        last_seen_ms: worker.last_seen_at,
        exhausted_until_ms: worker.credential_exhausted_until,
        live_contexts: worker.live_contexts.into_iter().collect(),
        labels: worker.labels,
        id: worker.id,
    }
}
