//! Verbs about webhooks and deliveries to them.

use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::audit::Position;
use super::{Actor, EpochMs, VerbOptions, maybe_time, time};
use crate::db::{Db, Lane};
use crate::error::Result;

/// A webhook as people see it.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.webhook_row, as documented there"
)]
pub struct Webhook {
    pub id: Uuid,
    pub name: String,
    pub url: String,
    pub types: Vec<String>,
    pub queues: Vec<String>,
    pub max_events: i16,
    pub max_attempts: i16,
    pub backoff_ms: i32,
    pub paused: bool,
    pub paused_why: Option<String>,
    pub position: Position,
    pub created_at: EpochMs,
    pub created_by: String,
    pub pending: i64,
    pub attempts: i16,
    pub next_at: Option<EpochMs>,
    pub last_error: Option<String>,
    pub last_delivered_at: Option<EpochMs>,
}

impl From<&Row> for Webhook {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("webhook_id"),
            name: row.get("name"),
            url: row.get("url"),
            types: row.get("types"),
            queues: row.get("queues"),
            max_events: row.get("max_events"),
            max_attempts: row.get("max_attempts"),
            backoff_ms: row.get("backoff_ms"),
            paused: row.get("paused"),
            paused_why: row.get("paused_why"),
            position: (row.get("xid_number"), row.get("seq")),
            created_at: time(row, "created_at"),
            created_by: row.get("created_by"),
            pending: row.get("pending"),
            attempts: row.get("attempts"),
            next_at: maybe_time(row, "next_at"),
            last_error: row.get("last_error"),
            last_delivered_at: maybe_time(row, "last_delivered_at"),
        }
    }
}

/// A webhook that this process may deliver to now.
#[derive(Debug, Clone)]
pub struct Work {
    /// Which one.
    pub webhook: Uuid,
    /// Where to.
    pub url: String,
    /// Its encrypted secret.
    pub secret: Value,
    /// Which types of events it wants; none: all.
    pub types: Vec<String>,
    /// Events of which queues it wants; none: all.
    pub queues: Vec<String>,
    /// How many events one request may have.
    pub max_events: usize,
    /// Up to where deliveries were made.
    pub position: Position,
    /// A delivery that is to be made first.
    pub pending: Option<Pending>,
}

impl From<&Row> for Work {
    fn from(row: &Row) -> Self {
        let pending = |id| Pending {
            id,
            events: row.get("events"),
            attempts: row.get("attempts"),
        };
        Self {
            webhook: row.get("webhook_id"),
            url: row.get("url"),
            secret: row.get("secret"),
            types: row.get("types"),
            queues: row.get("queues"),
            max_events: usize::try_from(row.get::<_, i16>("max_events")).unwrap_or(1),
            position: (row.get("xid_number"), row.get("seq")),
            pending: row.get::<_, Option<Uuid>>("delivery_id").map(pending),
        }
    }
}

/// A delivery to be made.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Its id.
    pub id: Uuid,
    /// The JSON array of its events.
    pub events: String,
    /// How often it was tried.
    pub attempts: i16,
}

/// A delivery in the log.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.delivery_row, as documented there"
)]
pub struct Delivery {
    pub id: Uuid,
    pub webhook: Uuid,
    pub state: String,
    pub event_count: i32,
    pub attempts: i16,
    pub next_at: Option<EpochMs>,
    pub status: Option<i32>,
    pub error: Option<String>,
    pub duration_ms: Option<i32>,
    pub created_at: EpochMs,
    pub ended_at: Option<EpochMs>,
    pub events: Option<String>,
}

impl From<&Row> for Delivery {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("delivery_id"),
            webhook: row.get("webhook_id"),
            state: row.get("state"),
            event_count: row.get("event_count"),
            attempts: row.get("attempts"),
            next_at: maybe_time(row, "next_at"),
            status: row.get("status"),
            error: row.get("error"),
            duration_ms: row.get("duration_ms"),
            created_at: time(row, "created_at"),
            ended_at: maybe_time(row, "ended_at"),
            events: row.get("events"),
        }
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// Whether it was taken.
    pub is_delivered: bool,
    /// The HTTP status, if there was one.
    pub status: Option<u16>,
    /// Why it was not taken.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: i32,
}

/// `bloom.webhook_create`; `secret` is encrypted.
pub async fn webhook_create(
    db: &Db,
    id: Uuid,
    (name, url): (&str, &str),
    secret: &Value,
    options: VerbOptions,
) -> Result<Webhook> {
    let sql = "select *, xid::text::bigint as xid_number \
               from bloom.webhook_create($1, $2, $3, $4, $5)";
    let options = options.json();
    let params: [&(dyn ToSql + Sync); 5] = [&id, &name, &url, secret, &options];
    Ok(Webhook::from(
        &db.call_one(Lane::General, sql, &params).await?,
    ))
}

/// `bloom.webhook_configure`.
pub async fn webhook_configure(db: &Db, id: Uuid, options: VerbOptions) -> Result<Webhook> {
    let sql = "select *, xid::text::bigint as xid_number from bloom.webhook_configure($1, $2)";
    let options = options.json();
    let row = db.call_one(Lane::General, sql, &[&id, &options]).await?;
    Ok(Webhook::from(&row))
}

/// `bloom.webhook_list`: newest first.
pub async fn webhook_list(db: &Db) -> Result<Vec<Webhook>> {
    let sql = "select *, xid::text::bigint as xid_number from bloom.webhook_list()";
    let rows = db.call(Lane::General, sql, &[]).await?;
    Ok(rows.iter().map(Webhook::from).collect())
}

/// `bloom.webhook_get`.
pub async fn webhook_get(db: &Db, id: Uuid) -> Result<Webhook> {
    let sql = "select *, xid::text::bigint as xid_number from bloom.webhook_get($1)";
    Ok(Webhook::from(
        &db.call_one(Lane::General, sql, &[&id]).await?,
    ))
}

/// `bloom.webhook_find`: the address, and the encrypted secret.
pub async fn webhook_find(db: &Db, id: Uuid) -> Result<(String, Value)> {
    let sql = "select * from bloom.webhook_find($1)";
    let row = db.call_one(Lane::General, sql, &[&id]).await?;
    Ok((row.get("url"), row.get("secret")))
}

/// `bloom.webhook_remove`.
pub async fn webhook_remove(db: &Db, id: Uuid, actor: Actor<'_>) -> Result<()> {
    let sql = "select bloom.webhook_remove($1, $2)";
    let options = VerbOptions::of(actor).json();
    db.call_one(Lane::General, sql, &[&id, &options]).await?;
    Ok(())
}

/// `bloom.webhook_next`: at most `limit` webhooks, for so many seconds.
pub async fn webhook_next(db: &Db, service: Uuid, limit: i32, seconds: i32) -> Result<Vec<Work>> {
    let sql = "select *, xid::text::bigint as xid_number from bloom.webhook_next($1, $2, $3)";
    let params: [&(dyn ToSql + Sync); 3] = [&service, &limit, &seconds];
    Ok(db
        .call(Lane::General, sql, &params)
        .await?
        .iter()
        .map(Work::from)
        .collect())
}

/// `bloom.webhook_submit`: the webhook as it is by now, with the delivery of these events, a JSON
/// array; without one where there are none.
pub async fn webhook_submit(
    db: &Db,
    webhook: Uuid,
    service: Uuid,
    position: Position,
    (events, count): (&str, i32),
) -> Result<Work> {
    let sql = "select *, xid::text::bigint as xid_number \
               from bloom.webhook_submit($1, $2, $3::text::xid8, $4, $5, $6)";
    let (xid, seq) = (position.0.to_string(), position.1);
    let params: [&(dyn ToSql + Sync); 6] = [&webhook, &service, &xid, &seq, &events, &count];
    Ok(Work::from(&db.call_one(Lane::General, sql, &params).await?))
}

/// `bloom.webhook_complete`: the state of the delivery. The webhook stays ours for so many seconds.
pub async fn webhook_complete(
    db: &Db,
    delivery: Uuid,
    service: Uuid,
    attempt: &Attempt,
    seconds: i32,
) -> Result<String> {
    let options = VerbOptions::default()
        .maybe("status", attempt.status)
        .maybe("error", attempt.error.as_deref())
        .with("duration_ms", attempt.duration_ms)
        .with("seconds", seconds)
        .json();
    let sql = "select bloom.webhook_complete($1, $2, $3, $4)";
    let params: [&(dyn ToSql + Sync); 4] = [&delivery, &service, &attempt.is_delivered, &options];
    Ok(db.call_one(Lane::General, sql, &params).await?.get(0))
}

/// `bloom.webhook_release`.
pub async fn webhook_release(db: &Db, webhook: Uuid, service: Uuid) -> Result<()> {
    let sql = "select bloom.webhook_release($1, $2)";
    db.call_one(Lane::General, sql, &[&webhook, &service])
        .await?;
    Ok(())
}

/// `bloom.delivery_list`: newest first, older than `before`, without their events.
pub async fn delivery_list(
    db: &Db,
    webhook: Uuid,
    limit: i32,
    before: Option<Uuid>,
) -> Result<Vec<Delivery>> {
    let sql = "select * from bloom.delivery_list($1, $2, $3)";
    let params: [&(dyn ToSql + Sync); 3] = [&webhook, &limit, &before];
    Ok(db
        .call(Lane::General, sql, &params)
        .await?
        .iter()
        .map(Delivery::from)
        .collect())
}

/// `bloom.delivery_get`: with its events.
pub async fn delivery_get(db: &Db, id: Uuid) -> Result<Delivery> {
    let sql = "select * from bloom.delivery_get($1)";
    Ok(Delivery::from(
        &db.call_one(Lane::General, sql, &[&id]).await?,
    ))
}

/// `bloom.delivery_requeue`.
pub async fn delivery_requeue(db: &Db, id: Uuid, actor: Actor<'_>) -> Result<()> {
    let sql = "select bloom.delivery_requeue($1, $2)";
    let options = VerbOptions::of(actor).json();
    db.call_one(Lane::General, sql, &[&id, &options]).await?;
    Ok(())
}
