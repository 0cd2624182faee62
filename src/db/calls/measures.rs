//! The numbers of the queue as a whole.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::db::{Db, Lane};
use crate::error::{Error, Result};

/// What `bloom.measures` says. Counts are whole numbers; ages are seconds.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Measures {
    /// Every queue.
    pub queues: Vec<QueueMeasures>,
    /// How often each transition happened, by queue.
    pub events: Vec<EventCount>,
    /// Live leases.
    pub leases_active: f64,
    /// Workers by their status.
    pub workers: BTreeMap<String, f64>,
    /// Leases that the online workers may hold together.
    pub worker_slots: f64,
    /// Credentials whose usage limit is reached.
    pub credentials_exhausted: f64,
    /// Reports of superseded leases that were refused.
    pub stale_refused: f64,
    /// The age of the oldest event that is not counted yet.
    pub log_lag_seconds: f64,
    /// How full the notification queue is, from 0 to 1.
    pub notify_queue: f64,
}

/// The numbers of one queue.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct QueueMeasures {
    /// Its name.
    pub queue: String,
    /// Whether it hands out nothing.
    pub paused: bool,
    /// Its tasks by their status.
    pub tasks: BTreeMap<String, f64>,
    /// The age of the oldest task by status.
    pub oldest_seconds: BTreeMap<String, f64>,
}

/// How often a transition happened.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct EventCount {
    /// The queue.
    pub queue: String,
    /// The transition's name in the event log.
    pub cause: String,
    /// How often.
    pub events: f64,
}

/// `bloom.measures`.
pub async fn measures(db: &Db) -> Result<Measures> {
    let row = db
        .call_one(Lane::General, "select bloom.measures()", &[])
        .await?;
    serde_json::from_value(row.get::<_, Value>(0)).map_err(Error::internal)
}
