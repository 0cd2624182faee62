//! Verbs about workers.

use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Actor, EpochMs, VerbOptions, maybe_time, time};
use crate::db::sqlstate::item_refusal;
use crate::db::{Db, Lane};
use crate::error::{Error, Result};

/// A worker as it registered, with its load.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.worker_row, as documented there"
)]
pub struct Worker {
    pub id: String,
    pub url: String,
    pub status: String,
    pub claude_cli: bool,
    pub max_concurrency: i32,
    pub labels: Vec<String>,
    pub last_seen_at: Option<EpochMs>,
    pub ip_addrs: Vec<String>,
    pub obs_count: i64,
    pub db_sha: String,
    pub registered_at: EpochMs,
    pub active: i32,
    pub agent_version: String,
    pub os_info: String,
    pub install_method: String,
    pub draining: bool,
    pub live_contexts: Vec<String>,
    pub credential: String,
    pub credential_exhausted_until: Option<EpochMs>,
    /// Whether the call that returned this made it.
    pub created: bool,
}

impl From<&Row> for Worker {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("worker_id"),
            url: row.get("url"),
            status: row.get("status"),
            claude_cli: row.get("claude_cli"),
            max_concurrency: row.get("max_concurrency"),
            labels: row.get("labels"),
            last_seen_at: maybe_time(row, "last_seen_at"),
            ip_addrs: row.get("ip_addrs"),
            obs_count: row.get("obs_count"),
            db_sha: row.get("db_sha"),
            registered_at: time(row, "registered_at"),
            active: row.get("active"),
            agent_version: row.get("agent_version"),
            os_info: row.get("os_info"),
            install_method: row.get("install_method"),
            draining: row.get("draining"),
            live_contexts: row.get("live_contexts"),
            credential: row.get("credential"),
            credential_exhausted_until: maybe_time(row, "credential_exhausted_until"),
            created: row.get::<_, Option<bool>>("created").unwrap_or(false),
        }
    }
}

/// `bloom.worker_register`: `options` as the verb describes.
pub async fn worker_register(db: &Db, id: &str, options: VerbOptions) -> Result<Worker> {
    let sql = "select * from bloom.worker_register($1, $2)";
    let row = db
        .call_one(Lane::General, sql, &[&id, &options.json()])
        .await?;
    Ok(Worker::from(&row))
}

/// `bloom.worker_update`: `options` may hold `draining` and `status`.
pub async fn worker_update(db: &Db, id: &str, options: VerbOptions) -> Result<Worker> {
    let sql = "select * from bloom.worker_update($1, $2)";
    let row = db
        .call_one(Lane::General, sql, &[&id, &options.json()])
        .await?;
    Ok(Worker::from(&row))
}

/// `bloom.worker_remove`: how many of its leases ended.
pub async fn worker_remove(db: &Db, id: &str, actor: Actor<'_>) -> Result<i32> {
    let sql = "select bloom.worker_remove($1, $2)";
    Ok(db
        .call_one(Lane::General, sql, &[&id, &VerbOptions::of(actor).json()])
        .await?
        .get(0))
}

/// `bloom.worker_leave`: whether the worker is offline now.
pub async fn worker_leave(db: &Db, id: &str, session: Uuid) -> Result<bool> {
    let sql = "select bloom.worker_leave($1, $2)";
    let row = db.call_one(Lane::Reserved, sql, &[&id, &session]).await?;
    Ok(row.get(0))
}

/// One of many beats.
#[derive(Debug, Clone)]
pub struct Beat {
    /// The worker.
    pub worker_id: String,
    /// Its process.
    pub session_id: Uuid,
    /// An array of `{lease_id, progress?, usage?}`.
    pub leases: Value,
}

/// `bloom.worker_beat_many`: an answer for each, in order: `{leases: [{lease_id, state}], drain}`.
pub async fn worker_beat_many(db: &Db, beats: &[Beat]) -> Result<Vec<Result<Value>>> {
    let workers: Vec<_> = beats.iter().map(|beat| beat.worker_id.as_str()).collect();
    let sessions: Vec<_> = beats.iter().map(|beat| beat.session_id).collect();
    let leases: Value = beats.iter().map(|beat| beat.leases.clone()).collect();
    let sql = "select error, answer from bloom.worker_beat_many($1, $2, $3) order by ordinal";
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&workers, &sessions, &leases];
    let rows = db.call(Lane::Reserved, sql, &params).await?;
    if rows.len() != beats.len() {
        return Err(Error::internal("not one answer for each beat"));
    }
    let read = |row: &Row| match row.get::<_, Option<Value>>("error") {
        Some(error) => Err(item_refusal(error)),
        None => Ok(row.get("answer")),
    };
    Ok(rows.iter().map(read).collect())
}

/// `bloom.worker_get`.
pub async fn worker_get(db: &Db, id: &str) -> Result<Worker> {
    let row = db
        .call_one(Lane::General, "select * from bloom.worker_get($1)", &[&id])
        .await?;
    Ok(Worker::from(&row))
}

/// `bloom.worker_list`: newest first.
pub async fn worker_list(db: &Db) -> Result<Vec<Worker>> {
    let rows = db
        .call(Lane::General, "select * from bloom.worker_list()", &[])
        .await?;
    Ok(rows.iter().map(Worker::from).collect())
}

/// `bloom.worker_sync`: `agents` as the verb describes, `more` of the same round to follow or not;
/// answers `{listed, created, changed, vanished, skipped: [{index, name, error}]}`.
pub async fn worker_sync(db: &Db, agents: &[Value], more: bool, actor: Actor<'_>) -> Result<Value> {
    let sql = "select bloom.worker_sync($1, $2)";
    let agents = Value::Array(agents.to_vec());
    let options = VerbOptions::of(actor).with("more", more).json();
    Ok(db
        .call_one(Lane::General, sql, &[&agents, &options])
        .await?
        .get(0))
}

/// `bloom.worker_sweep`: how many workers changed their status.
pub async fn worker_sweep(db: &Db, silent_seconds: i32) -> Result<i32> {
    let sql = "select bloom.worker_sweep($1)";
    Ok(db
        .call_one(Lane::General, sql, &[&silent_seconds])
        .await?
        .get(0))
}
