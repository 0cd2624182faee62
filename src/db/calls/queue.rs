//! Verbs about queues.

use serde_json::Value;
use tokio_postgres::Row;

use super::{EpochMs, VerbOptions, maybe_time, time};
use crate::db::{Db, Lane};
use crate::error::Result;

/// A queue with how many of its tasks have each status.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.queue_row, as documented there"
)]
pub struct Queue {
    pub name: String,
    pub paused: bool,
    pub max_running: Option<i32>,
    pub serial_contexts: bool,
    pub aging_seconds: i32,
    pub pin_wait_ms: i32,
    pub tasks: Value,
    pub oldest_ready_at: Option<EpochMs>,
    pub created_at: EpochMs,
}

impl From<&Row> for Queue {
    fn from(row: &Row) -> Self {
        Self {
            name: row.get("queue"),
            paused: row.get("paused"),
            max_running: row.get("max_running"),
            serial_contexts: row.get("serial_contexts"),
            aging_seconds: row.get("aging_seconds"),
            pin_wait_ms: row.get("pin_wait_ms"),
            tasks: row.get("tasks"),
            oldest_ready_at: maybe_time(row, "oldest_ready_at"),
            created_at: time(row, "created_at"),
        }
    }
}

/// `bloom.queue_configure`: `options` as the verb describes.
pub async fn queue_configure(db: &Db, name: &str, options: VerbOptions) -> Result<Queue> {
    let sql = "select * from bloom.queue_configure($1, $2)";
    let row = db
        .call_one(Lane::General, sql, &[&name, &options.json()])
        .await?;
    Ok(Queue::from(&row))
}

/// `bloom.queue_list`: by name.
pub async fn queue_list(db: &Db) -> Result<Vec<Queue>> {
    let rows = db
        .call(Lane::General, "select * from bloom.queue_list()", &[])
        .await?;
    Ok(rows.iter().map(Queue::from).collect())
}
