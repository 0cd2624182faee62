//! Wake-ups: who waits for work, and whom a submission rouses.
//!
//! The order that loses nothing is *register, look, wait*: a [`Waiter`] exists before its first
//! look at the database, so whatever is submitted after that look finds it. What is missed all the
//! same (a notification of another process) is found by the process's own poll and by
//! [`Waiters::resync`]; being woken is never more than a hint.
//!
//! ```no_run
//! # use bloom_runtime::{error::Result, wake::{Found, Interest, Lane, Waiters, Woken}};
//! # use tokio::time::Instant;
//! # async fn lease() -> Result<Vec<Lane>> { Ok(vec![]) }
//! # async fn f(waiters: Waiters, interest: Interest, deadline: Instant) -> Result<Vec<Lane>> {
//! let mut waiter = waiters.register(interest)?;
//! loop {
//!     waiter.begin();
//!     let leases = lease().await?;
//!     waiter.settle(Found::Tasks(&leases));
//!     if !leases.is_empty() || waiter.wait(deadline).await == Woken::TimedOut {
//!         return Ok(leases);
//!     }
//! }
//! # }
//! ```

mod notifier;
mod queue;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

pub use notifier::{Announcer, Batch, Notifier};
pub use queue::{Found, Interest, Lane};

use crate::error::{Error, Kind, Result};
use crate::metrics::Histogram;
use queue::{Id, Queue};

/// Waiters that a process keeps, unless told otherwise.
pub const MAX_WAITERS: usize = 10_000;
/// A resync rouses everybody, spread over this time.
pub const RESYNC_SPREAD: Duration = Duration::from_secs(1);

/// Upper bounds of the times from a wake-up to its leases, in seconds.
const LATENCIES: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// There may be work: look.
    Work,
    /// The deadline came first.
    TimedOut,
    /// Nobody waits any more: the service stops.
    Closed,
}

/// The waiters of this process. A cheap clonable handle.
#[derive(Clone)]
pub struct Waiters {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    limit: usize,
    /// From a wake-up to its leases.
    latencies: Arc<Histogram>,
}

#[derive(Default)]
struct State {
    queue: Queue,
    bells: HashMap<Id, Bell>,
    closed: bool,
}

/// How one waiter is roused.
struct Bell {
    notify: Arc<Notify>,
    /// When to look again whatever happens.
    resync_at: Option<Instant>,
    /// When it was roused, until it has heard of it.
    rung_at: Option<Instant>,
}

impl State {
    fn ring(&mut self, roused: &[Id]) {
        for id in roused {
            if let Some(bell) = self.bells.get_mut(id) {
                bell.rung_at.get_or_insert_with(Instant::now);
                bell.notify.notify_one();
            }
        }
    }
}

impl Default for Waiters {
    fn default() -> Self {
        Self::new(MAX_WAITERS)
    }
}

impl Waiters {
    /// At most `limit` at a time.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::default(),
                limit,
                latencies: Arc::new(Histogram::new(LATENCIES)),
            }),
        }
    }

    /// Registers interest. To be done **before** looking at the database.
    ///
    /// # Errors
    /// [`Kind::Busy`] when there are too many waiters, or the service stops.
    pub fn register(&self, interest: Interest) -> Result<Waiter> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::refused(
                Kind::Busy,
                "draining",
                "The service is shutting down",
            ));
        }
        if state.queue.len() >= self.inner.limit {
            let text = "Too many workers are waiting for work";
            return Err(Error::refused(Kind::Busy, "too_many_waiters", text));
        }
        let id = state.queue.register(interest);
        let notify = Arc::new(Notify::new());
        state.bells.insert(
            id,
            Bell {
                notify: Arc::clone(&notify),
                resync_at: None,
                rung_at: None,
            },
        );
        drop(state);
        Ok(Waiter {
            waiters: self.clone(),
            id,
            notify,
            rung_at: None,
        })
    }

    /// Rouses those who came first for `count` new tasks of a lane: as many waiters as there is
    /// work, not one more (one that asked for several tasks stands for as many). Returns for how
    /// many of the tasks nobody here waits.
    #[expect(
        clippy::must_use_candidate,
        reason = "not all callers have others to tell; waking is the point"
    )]
    pub fn wake(&self, lane: &Lane, count: usize) -> usize {
        let mut state = self.lock();
        let (roused, left) = state.queue.wake(lane, count);
        state.ring(&roused);
        left
    }

    /// Slots of a worker became free (a lease ended): its waiters that found no room look again.
    pub fn worker_freed(&self, worker: &str) {
        let mut state = self.lock();
        let roused = state.queue.worker_freed(worker);
        state.ring(&roused);
    }

    /// To be called now and then: waiters that found no room are told of work again, in case their
    /// slots became free without a [`Waiters::worker_freed`] here.
    pub fn unpark(&self) {
        self.lock().queue.unpark();
    }

    /// Rouses everybody, each at a random moment of the next `spread`
    /// (see [`RESYNC_SPREAD`]): for when wake-ups may have been missed.
    pub fn resync(&self, spread: Duration) {
        let mut state = self.lock();
        let now = Instant::now();
        for bell in state.bells.values_mut() {
            let at = now + spread.mul_f64(fastrand::f64());
            bell.resync_at = Some(bell.resync_at.map_or(at, |known| known.min(at)));
            // It has to notice its new alarm.
            bell.notify.notify_one();
        }
    }

    /// Ends all waits, and refuses new ones: the service stops.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for bell in state.bells.values() {
            bell.notify.notify_one();
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().queue.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long it takes from the wake-up of a waiter until it has its leases.
    #[must_use]
    pub fn latencies(&self) -> Arc<Histogram> {
        Arc::clone(&self.inner.latencies)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of ours panics while it holds the lock.
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One registered interest. Dropping it at any point passes on what it was woken for.
pub struct Waiter {
    waiters: Waiters,
    id: Id,
    notify: Arc<Notify>,
    /// When it was roused for the present look.
    rung_at: Option<Instant>,
}

impl Waiter {
    /// Right before each look at the database.
    pub fn begin(&mut self) {
        self.waiters.lock().queue.begin(self.id);
    }

    /// Right after each look. Not called when the look failed: then somebody else looks, once this
    /// waiter is dropped.
    pub fn settle(&mut self, found: Found<'_>) {
        if let (Some(at), Found::Tasks([_, ..])) = (self.rung_at.take(), &found) {
            self.waiters.inner.latencies.observe_time(at.elapsed());
        }
        let mut state = self.waiters.lock();
        let roused = state.queue.settle(self.id, found);
        state.ring(&roused);
    }

    /// Sleeps until there may be work, or until `deadline`. May be abandoned and called again.
    pub async fn wait(&mut self, deadline: Instant) -> Woken {
        loop {
            let resync_at = {
                let mut state = self.waiters.lock();
                if state.closed {
                    return Woken::Closed;
                }
                if state.queue.is_woken(self.id) {
                    self.rung_at = state
                        .bells
                        .get_mut(&self.id)
                        .and_then(|bell| bell.rung_at.take());
                    return Woken::Work;
                }
                let now = Instant::now();
                match state.bells.get_mut(&self.id) {
                    Some(bell) if bell.resync_at.is_some_and(|at| at <= now) => {
                        bell.resync_at = None;
                        return Woken::Work;
                    }
                    Some(bell) => bell.resync_at,
                    None => None,
                }
            };
            if Instant::now() >= deadline {
                return Woken::TimedOut;
            }
            let until = resync_at.map_or(deadline, |at| at.min(deadline));
            // Rung, or time: either way the state says which.
            timeout_at(until, self.notify.notified()).await.ok();
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut state = self.waiters.lock();
        state.bells.remove(&self.id);
        let roused = state.queue.remove(self.id);
        state.ring(&roused);
    }
}

#[cfg(test)]
mod tests;
