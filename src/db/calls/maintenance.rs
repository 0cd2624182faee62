//! Verbs that keep the queue tidy. All of them may be called at any time, anywhere, twice.

use serde_json::Value;
use uuid::Uuid;

use crate::db::{Db, Lane};
use crate::error::Result;

/// `bloom.task_promote`: how many deferred tasks became ready.
pub async fn task_promote(db: &Db, limit: i32) -> Result<i32> {
    Ok(db
        .call_one(Lane::General, "select bloom.task_promote($1)", &[&limit])
        .await?
        .get(0))
}

/// `bloom.status_fold`: how many counts changed.
pub async fn status_fold(db: &Db) -> Result<i64> {
    Ok(db
        .call_one(Lane::General, "select bloom.status_fold()", &[])
        .await?
        .get(0))
}

/// `bloom.lane_advance`: how many marks moved.
pub async fn lane_advance(db: &Db, stride: i32) -> Result<i32> {
    Ok(db
        .call_one(Lane::General, "select bloom.lane_advance($1)", &[&stride])
        .await?
        .get(0))
}

/// `bloom.partition_ensure`: how many partitions were made.
pub async fn partition_ensure(db: &Db, weeks: i32) -> Result<i32> {
    Ok(db
        .call_one(
            Lane::General,
            "select bloom.partition_ensure($1)",
            &[&weeks],
        )
        .await?
        .get(0))
}

/// How long history is kept, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Finished tasks, by their submission.
    pub finished_days: i32,
    /// Events.
    pub event_days: i32,
    /// Artifacts.
    pub artifact_days: i32,
}

/// `bloom.retention_run`: the partitions that were dropped.
pub async fn retention_run(db: &Db, keep: Retention) -> Result<Vec<String>> {
    let sql = "select bloom.retention_run($1, $2, $3)";
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&keep.finished_days, &keep.event_days, &keep.artifact_days];
    Ok(db.call_one(Lane::General, sql, &params).await?.get(0))
}

/// `bloom.waiting_mark`: this process has waiters for the next so many seconds (0: no more).
pub async fn waiting_mark(db: &Db, service: Uuid, seconds: i32) -> Result<()> {
    let sql = "select bloom.waiting_mark($1, $2)";
    db.call_one(Lane::General, sql, &[&service, &seconds])
        .await?;
    Ok(())
}

/// `bloom.waiting_wake`: tells other processes of new tasks; `lanes` is an array of
/// `{queue, requires, tasks}`.
pub async fn waiting_wake(db: &Db, lanes: &Value, service: Uuid) -> Result<()> {
    let sql = "select bloom.waiting_wake($1, $2)";
    db.call_one(Lane::General, sql, &[lanes, &service]).await?;
    Ok(())
}

/// Tasks that are ready and share their requirements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyLane {
    /// The queue.
    pub queue: String,
    /// The labels that a worker needs.
    pub requires: Vec<String>,
    /// How many; not more than 2000 are told.
    pub tasks: i64,
}

/// `bloom.lane_ready`.
pub async fn lane_ready(db: &Db) -> Result<Vec<ReadyLane>> {
    let rows = db
        .call(Lane::General, "select * from bloom.lane_ready()", &[])
        .await?;
    let read = |row: &tokio_postgres::Row| ReadyLane {
        queue: row.get("queue"),
        requires: row.get("requires"),
        tasks: row.get("tasks"),
    };
    Ok(rows.iter().map(read).collect())
}
