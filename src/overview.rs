//! How things are, for the overview page: what the database knows, and what only this process does.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::db::Db;
use crate::db::calls::audit::overview_get;
use crate::db::horizon::held_snapshot;
use crate::db::listen::ListenHandle;
use crate::error::Result;

/// How old an answer may be: many pages may ask for it every few seconds.
const MAX_AGE: Duration = Duration::from_secs(2);
/// A snapshot that is held for longer is worth a warning.
const SNAPSHOT_AGE: Duration = Duration::from_secs(120);

/// A stretch of time to look back at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last hour, by the minute.
    Hour,
    /// The last day, by the quarter of an hour.
    Day,
}

/// Reads overviews, at most one every two seconds for each window.
pub struct Overview {
    db: Db,
    listening: ListenHandle,
    hour: Mutex<Option<(Instant, Value)>>,
    day: Mutex<Option<(Instant, Value)>>,
}

impl Overview {
    /// Reads nothing yet.
    #[must_use]
    pub fn new(db: Db, listening: ListenHandle) -> Self {
        Self {
            db,
            listening,
            hour: Mutex::default(),
            day: Mutex::default(),
        }
    }

    /// The shape of `bloom.overview_get`, with the warnings that only this process knows of.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn read(&self, window: Window) -> Result<Value> {
        let (last, name) = match window {
            Window::Hour => (&self.hour, "hour"),
            Window::Day => (&self.day, "day"),
        };
        // Who comes meanwhile waits for the same answer.
        let mut last = last.lock().await;
        if let Some((at, value)) = &*last
            && at.elapsed() < MAX_AGE
        {
            return Ok(value.clone());
        }
        let mut value = overview_get(&self.db, name).await?;
        for warning in self.warnings().await? {
            add_warning(&mut value, &warning);
        }
        *last = Some((Instant::now(), value.clone()));
        Ok(value)
    }

    async fn warnings(&self) -> Result<Vec<Value>> {
        let mut warnings = Vec::new();
        if let Some(held) = held_snapshot(&self.db, SNAPSHOT_AGE).await? {
            let text = format!(
                "A snapshot has been held for {} s by process {} of {}: dead rows pile up until it ends",
                held.seconds, held.pid, held.user
            );
            warnings.push(json!({ "code": "snapshot_held", "text": text }));
        }
        if !self.listening.health().connected {
            let text =
                "This service hears no notifications: work is found by polling, with a delay";
            warnings.push(json!({ "code": "listen_lost", "text": text }));
        }
        Ok(warnings)
    }
}

/// Adds a warning to an overview.
pub fn add_warning(overview: &mut Value, warning: &Value) {
    if let Some(warnings) = overview["warnings"].as_array_mut() {
        warnings.push(warning.clone());
    }
}
