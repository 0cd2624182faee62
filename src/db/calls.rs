//! One function per verb: the same name, typed arguments, typed rows. The statement in each is one
//! call of one function of schema `bloom`, and so one round trip.
//!
//! Row types mirror what the verbs return. What goes over the wire is defined in `http`.

pub mod artifact;
pub mod audit;
pub mod credential;
pub mod key;
pub mod lease;
pub mod maintenance;
pub mod measures;
pub mod queue;
pub mod seal;
pub mod setting;
pub mod task;
pub mod task_log;
pub mod webhook;
pub mod worker;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tokio_postgres::Row;

/// Who the audit trail says it was: the name of an API key, a worker, or a part of the service.
pub type Actor<'a> = &'a str;

/// Milliseconds since the Unix epoch.
pub type EpochMs = i64;

/// The options object of a verb, from those that are given.
#[derive(Debug, Default, Clone)]
pub struct VerbOptions(Map<String, Value>);

impl VerbOptions {
    /// Options with nothing but the actor.
    #[must_use]
    pub fn of(actor: Actor<'_>) -> Self {
        Self::default().with("actor", actor)
    }

    /// Sets `key`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// Sets `key` if there is a value.
    #[must_use]
    pub fn maybe(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// As the verb takes it.
    #[must_use]
    pub fn json(self) -> Value {
        Value::Object(self.0)
    }
}

/// A `timestamptz` column.
fn time(row: &Row, column: &str) -> EpochMs {
    epoch_ms(row.get(column))
}

/// A `timestamptz` column that may be null.
fn maybe_time(row: &Row, column: &str) -> Option<EpochMs> {
    row.get::<_, Option<SystemTime>>(column).map(epoch_ms)
}

fn epoch_ms(at: SystemTime) -> EpochMs {
    match at.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}
