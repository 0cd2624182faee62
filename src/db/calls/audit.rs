//! Verbs that read the event log, and the counts folded from it.

use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Actor, EpochMs, VerbOptions, time};
use crate::db::{Db, Lane};
use crate::error::Result;

/// One row of the event log.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.event_row, as documented there"
)]
pub struct Event {
    /// The place in the log: transaction, then number.
    pub position: (i64, i64),
    pub at: EpochMs,
    pub cause: String,
    pub task_id: Option<Uuid>,
    pub ver: Option<i32>,
    pub prior: Option<String>,
    pub status: Option<String>,
    pub fence: Option<i32>,
    pub attempts: Option<i16>,
    pub lease_id: Option<Uuid>,
    pub worker_id: Option<String>,
    pub subject: Option<String>,
    pub actor: String,
    pub detail: Option<Value>,
}

impl From<&Row> for Event {
    fn from(row: &Row) -> Self {
        Self {
            position: (row.get("xid_number"), row.get("seq")),
            at: time(row, "at"),
            cause: row.get("cause"),
            task_id: row.get("task_id"),
            ver: row.get("ver"),
            prior: row.get("prior"),
            status: row.get("status"),
            fence: row.get("fence"),
            attempts: row.get("attempts"),
            lease_id: row.get("lease_id"),
            worker_id: row.get("worker_id"),
            subject: row.get("subject"),
            actor: row.get("actor"),
            detail: row.get("detail"),
        }
    }
}

/// `bloom.task_events`: in order, from `ver > after` on.
pub async fn task_events(db: &Db, task_id: Uuid, after: i32) -> Result<Vec<Event>> {
    let sql = "select *, xid::text::bigint as xid_number from bloom.task_events($1, $2)";
    let rows = db.call(Lane::General, sql, &[&task_id, &after]).await?;
    Ok(rows.iter().map(Event::from).collect())
}

/// `bloom.audit_list`: newest first, below the position `before`; with `subject`, only its rows.
pub async fn audit_list(
    db: &Db,
    limit: i32,
    before: Option<(i64, i64)>,
    subject: Option<&str>,
) -> Result<Vec<Event>> {
    let (xid, seq) = before.unzip();
    let xid = xid.map(|xid| xid.to_string());
    let options = VerbOptions::default().maybe("subject", subject).json();
    let sql = "select *, xid::text::bigint as xid_number \
               from bloom.audit_list($1, $2::text::xid8, $3, $4)";
    let rows = db
        .call(Lane::General, sql, &[&limit, &xid, &seq, &options])
        .await?;
    Ok(rows.iter().map(Event::from).collect())
}

/// `bloom.audit_note`: `subject` is `KIND/ID`.
pub async fn audit_note(
    db: &Db,
    action: &str,
    subject: &str,
    detail: &Value,
    actor: Actor<'_>,
) -> Result<()> {
    let sql = "select bloom.audit_note($1, $2, $3, $4)";
    let options = VerbOptions::of(actor).json();
    db.call_one(Lane::General, sql, &[&action, &subject, detail, &options])
        .await?;
    Ok(())
}

/// `bloom.stats`.
pub async fn stats(db: &Db) -> Result<Value> {
    Ok(db
        .call_one(Lane::General, "select bloom.stats()", &[])
        .await?
        .get(0))
}
