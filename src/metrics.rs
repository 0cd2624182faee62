//! What is counted for Prometheus.
//!
//! Two kinds of numbers: those of the queue, which the database keeps, so that they are right
//! however many processes there are; and those of this process, which its parts count themselves
//! with atomics and which are read only when somebody scrapes. Labels are bounded: route templates,
//! statuses, and the names of the first queues; never ids, never texts of clients.

mod histogram;
mod http;
mod labels;
mod queues;
mod samples;
mod table;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use uuid::Uuid;

pub use histogram::{Counted, Histogram};
pub use http::Requests;
pub use labels::{Labels, OTHER};
pub use samples::{Label, Samples};
pub use table::*;

use crate::db::Db;
use crate::db::calls::lease::{Completed, Grant};
use crate::error::{Error, Result};
use queues::Queues;

/// How many queues have a label of their own.
const QUEUES_MAX: usize = 200;
/// Upper bounds of waiting times, in seconds.
const WAIT_BOUNDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0,
    86_400.0,
];
/// Upper bounds of running times, in seconds.
const RUN_BOUNDS: &[f64] = &[
    0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14_400.0,
];
/// How a lease can end with a result.
const OUTCOMES: [&str; 4] = ["completed", "failed", "dead", "cancelled"];

/// What a part of the service adds to a scrape.
type Source = Box<dyn Fn(&mut Samples) + Send + Sync>;

/// All that is counted, and how to show it.
pub struct Metrics {
    queues: Queues,
    names: Labels,
    requests: Requests,
    waits: RwLock<HashMap<Arc<str>, Arc<Histogram>>>,
    runs: [Histogram; OUTCOMES.len()],
    sources: Vec<Source>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Nothing is counted yet. `routes` are methods and templates.
    #[must_use]
    pub fn new(db: Db, routes: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        Self {
            queues: Queues::new(db),
            names: Labels::new(QUEUES_MAX),
            requests: Requests::of(routes),
            waits: RwLock::default(),
            runs: OUTCOMES.map(|_| Histogram::new(RUN_BOUNDS)),
            sources: Vec::new(),
        }
    }

    /// Has `source` asked at every scrape. It must not wait for anything.
    pub fn watch(&mut self, source: impl Fn(&mut Samples) + Send + Sync + 'static) {
        self.sources.push(Box::new(source));
    }

    /// Counts a request; see [`Requests::count`].
    pub fn request(&self, method: &str, route: Option<&'static str>, status: u16, time: Duration) {
        self.requests.count(method, route, status, time);
    }

    /// Counts the wait of a task that was leased for the first time.
    pub fn leased(&self, grant: &Grant) {
        if grant.fence != 1 || grant.replayed {
            return;
        }
        let waited = seconds(grant.started_at - grant.created_at);
        self.wait_of(&grant.queue).observe(waited);
    }

    /// Counts the time of a lease that ended with a result.
    pub fn completed(&self, done: &Completed) {
        let outcome = OUTCOMES
            .iter()
            .position(|outcome| *outcome == done.task_status);
        if let (Some(outcome), false) = (outcome, done.replayed) {
            // The ids of leases begin with the time at which they were made.
            self.runs[outcome].observe(seconds(done.completed_at - made_at(done.lease_id)));
        }
    }

    fn wait_of(&self, queue: &str) -> Arc<Histogram> {
        let name = self.names.of(queue);
        let known = self.waits.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = known.get(&name) {
            return Arc::clone(histogram);
        }
        drop(known);
        let mut known = self.waits.write().unwrap_or_else(PoisonError::into_inner);
        let histogram = known
            .entry(name)
            .or_insert_with(|| Arc::new(Histogram::new(WAIT_BOUNDS)));
        Arc::clone(histogram)
    }

    /// Everything as text, in the `OpenMetrics` format. While the database is away, with what it
    /// said last.
    ///
    /// # Errors
    /// [`Error::Internal`] when the text cannot be written.
    pub async fn scrape(&self) -> Result<String> {
        let mut out = Samples::default();
        self.queues.collect(&self.names, &mut out).await;
        for source in &self.sources {
            source(&mut out);
        }
        let waits = self.waits.read().unwrap_or_else(PoisonError::into_inner);
        let mut waits: Vec<_> = waits
            .iter()
            .map(|(name, histogram)| (Arc::clone(name), histogram.read()))
            .collect();
        waits.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, counted) in waits {
            out.histogram(TASK_WAIT, &[&name], counted);
        }
        for (outcome, histogram) in OUTCOMES.iter().zip(&self.runs) {
            out.histogram(TASK_RUN, &[outcome], histogram.read());
        }
        self.requests.collect(&mut out);
        out.encode().map_err(Error::internal)
    }
}

fn seconds(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "times of days, not of ages")]
    let ms = ms as f64;
    ms / 1000.0
}

/// When an id of version 7 was made, in epoch milliseconds.
fn made_at(id: Uuid) -> i64 {
    i64::try_from(id.as_u128() >> 80).unwrap_or(i64::MAX)
}
