//! The numbers of the queue as a whole, which are the database's.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::labels::Labels;
use super::samples::Samples;
use super::table::{
    CREDENTIALS_EXHAUSTED, DATABASE_READ_AGE, DATABASE_UP, LEASES_ACTIVE, LOG_LAG, NOTIFY_QUEUE,
    QUEUE_OLDEST, QUEUE_PAUSED, QUEUE_TASKS, STALE_REFUSALS, TASK_EVENTS, WORKER_SLOTS, WORKERS,
};
use crate::db::Db;
use crate::db::calls::measures::{Measures, measures};

/// However many scrapers there are, the database is asked only so often.
const FRESH: Duration = Duration::from_secs(1);
/// How long a scrape waits for the database before it answers with what it has.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was read last.
#[derive(Default)]
struct Known {
    asked: Option<Instant>,
    answered: bool,
    read: Option<(Instant, Measures)>,
}

/// Reads the numbers of the queue, not too often.
pub(super) struct Queues {
    db: Db,
    known: Mutex<Known>,
}

impl Queues {
    pub(super) fn new(db: Db) -> Self {
        Self {
            db,
            known: Mutex::default(),
        }
    }

    /// Adds what the database says, or said last.
    pub(super) async fn collect(&self, names: &Labels, out: &mut Samples) {
        // One asks, the others wait for its answer.
        let mut known = self.known.lock().await;
        if known.asked.is_none_or(|at| at.elapsed() >= FRESH) {
            let read = timeout(PATIENCE, measures(&self.db)).await;
            let now = Instant::now();
            known.asked = Some(now);
            known.answered = matches!(read, Ok(Ok(_)));
            match read {
                Ok(Ok(read)) => known.read = Some((now, read)),
                Ok(Err(error)) => {
                    tracing::debug!(error = error.chain(), "a scrape without the database");
                }
                Err(_) => tracing::debug!("a scrape without the database: no answer in time"),
            }
        }
        out.count(DATABASE_UP, &[], u64::from(known.answered));
        if let Some((at, read)) = &known.read {
            out.number(DATABASE_READ_AGE, &[], at.elapsed().as_secs_f64());
            show(read, names, out);
        }
    }
}

fn show(read: &Measures, names: &Labels, out: &mut Samples) {
    let mut tasks = Sums::default();
    let mut oldest = Sums::default();
    let mut paused = Sums::default();
    for queue in &read.queues {
        let name = names.of(&queue.queue);
        paused.raise(&[&name], if queue.paused { 1.0 } else { 0.0 });
        for (status, count) in &queue.tasks {
            tasks.add(&[&name, status], *count);
        }
        for (status, age) in &queue.oldest_seconds {
            oldest.raise(&[&name, status], *age);
        }
    }
    let mut events = Sums::default();
    for event in &read.events {
        events.add(&[&names.of(&event.queue), &event.cause], event.events);
    }
    tasks.show(QUEUE_TASKS, out);
    oldest.show(QUEUE_OLDEST, out);
    paused.show(QUEUE_PAUSED, out);
    events.show(TASK_EVENTS, out);
    for (status, count) in &read.workers {
        out.number(WORKERS, &[status], *count);
    }
    out.number(LEASES_ACTIVE, &[], read.leases_active);
    out.number(WORKER_SLOTS, &[], read.worker_slots);
    out.number(CREDENTIALS_EXHAUSTED, &[], read.credentials_exhausted);
    out.number(STALE_REFUSALS, &[], read.stale_refused);
    out.number(LOG_LAG, &[], read.log_lag_seconds);
    out.number(NOTIFY_QUEUE, &[], read.notify_queue);
}

/// Numbers by labels: several queues may share the last label.
#[derive(Default)]
struct Sums(std::collections::BTreeMap<Vec<String>, f64>);

impl Sums {
    fn at(&mut self, labels: &[&str]) -> &mut f64 {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.0.entry(labels).or_default()
    }

    fn add(&mut self, labels: &[&str], value: f64) {
        *self.at(labels) += value;
    }

    fn raise(&mut self, labels: &[&str], value: f64) {
        let known = self.at(labels);
        *known = known.max(value);
    }

    fn show(self, metric: &'static super::table::Metric, out: &mut Samples) {
        for (labels, value) in self.0 {
            let labels: Vec<_> = labels.iter().map(String::as_str).collect();
            out.number(metric, &labels, value);
        }
    }
}
