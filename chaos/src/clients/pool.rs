//! What the clients of a run share.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use crate::checker::Sample;
use crate::journal::{Clock, Journal};

/// How many tasks the operator may pick from.
const RECENT: usize = 500;

/// Shared by all clients.
#[derive(Debug)]
pub struct Pool {
    /// Where journals go.
    pub journals: PathBuf,
    /// The run's clock.
    pub clock: Clock,
    /// Tasks that wait, as last seen.
    pub backlog: AtomicU64,
    /// Submissions that were acknowledged.
    pub acknowledged: AtomicU64,
    /// What the services used so far.
    pub samples: Mutex<Vec<Sample>>,
    /// Whether submissions carry their key for the service, too.
    pub with_keys: bool,
    calm: AtomicBool,
    over: AtomicBool,
    recent: Mutex<VecDeque<Uuid>>,
    names: AtomicU64,
}

impl Pool {
    /// Of a run whose journals go to `journals`.
    #[must_use]
    pub fn new(journals: PathBuf, clock: Clock, with_keys: bool) -> Self {
        Self {
            journals,
            clock,
            samples: Mutex::new(Vec::new()),
            with_keys,
            backlog: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            calm: AtomicBool::new(false),
            over: AtomicBool::new(false),
            recent: Mutex::new(VecDeque::new()),
            names: AtomicU64::new(1),
        }
    }

    /// A journal for a new client of this kind; no name is ever used twice.
    ///
    /// # Errors
    /// When its file cannot be made.
    pub fn journal(&self, kind: &str) -> anyhow::Result<Journal> {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        Journal::create(&self.journals, &format!("{kind}-{number}"), self.clock)
    }

    /// From now on nothing new is submitted, cancelled or let go; the workers work the queue off.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Whether it is so.
    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Everybody stops.
    pub fn end(&self) {
        self.calm_down();
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether it is so.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// A task was acknowledged.
    pub fn accepted(&self, task: Uuid) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut recent) = self.recent.lock() {
            recent.push_back(task);
            if recent.len() > RECENT {
                recent.pop_front();
            }
        }
    }

    /// One of the tasks that were acknowledged lately.
    pub fn some_task(&self, rng: &mut fastrand::Rng) -> Option<Uuid> {
        let recent = self.recent.lock().ok()?;
        (!recent.is_empty()).then(|| recent[rng.usize(..recent.len())])
    }

    /// Waits while more tasks wait than a run should carry.
    pub async fn room(&self, most: u64) {
        while self.backlog.load(Ordering::Relaxed) > most && !self.is_calm() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
