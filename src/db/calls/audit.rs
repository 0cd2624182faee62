//! Verbs that read the event log, and the counts folded from it.

use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Actor, EpochMs, VerbOptions, time};
use crate::db::{Db, Lane};
use crate::error::Result;

/// A place in the log: transaction, then number.
pub type Position = (i64, i64);

/// One row of the event log.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.event_row, as documented there"
)]
pub struct Event {
    /// Its place in the log.
    pub position: Position,
    pub at: EpochMs,
    pub cause: String,
    pub task_id: Option<Uuid>,
    pub ver: Option<i32>,
    pub queue: Option<String>,
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
            queue: row.get("queue"),
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

/// Which events [`audit_list`] shows.
#[derive(Debug, Default, Clone)]
pub struct EventFilter {
    /// Only of this task.
    pub task_id: Option<Uuid>,
    /// Only of this `KIND/ID`.
    pub subject: Option<String>,
    /// Only `task` (but grants), `lease` (grants), or the kind of a subject.
    pub kind: Option<String>,
    /// Only by this actor.
    pub actor: Option<String>,
    /// Only with one of these causes.
    pub causes: Option<Vec<String>>,
    /// Only of this lease.
    pub lease_id: Option<Uuid>,
}

impl EventFilter {
    /// Whether rows are looked for, so that a page may be short before the end.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        let Self {
            task_id: _,
            subject: _,
            kind,
            actor,
            causes,
            lease_id,
        } = self;
        kind.is_some() || actor.is_some() || causes.is_some() || lease_id.is_some()
    }

    fn options(&self) -> Value {
        VerbOptions::default()
            .maybe("task_id", self.task_id.map(|id| id.to_string()))
            .maybe("subject", self.subject.clone())
            .maybe("kind", self.kind.clone())
            .maybe("actor", self.actor.clone())
            .maybe("causes", self.causes.clone())
            .maybe("lease_id", self.lease_id.map(|id| id.to_string()))
            .json()
    }
}

/// `bloom.audit_list`: newest first, below the position `before`.
pub async fn audit_list(
    db: &Db,
    limit: i32,
    before: Option<Position>,
    filter: &EventFilter,
) -> Result<Vec<Event>> {
    let (xid, seq) = before.unzip();
    let xid = xid.map(|xid| xid.to_string());
    let options = filter.options();
    let sql = "select *, xid::text::bigint as xid_number \
               from bloom.audit_list($1, $2::text::xid8, $3, $4)";
    let rows = db
        .call(Lane::General, sql, &[&limit, &xid, &seq, &options])
        .await?;
    Ok(rows.iter().map(Event::from).collect())
}

/// `bloom.audit_reach`: the position from which to go on when a filtered page is short; `None` at
/// the end.
pub async fn audit_reach(
    db: &Db,
    before: Option<Position>,
    filter: &EventFilter,
) -> Result<Option<Position>> {
    let (xid, seq) = before.unzip();
    let xid = xid.map(|xid| xid.to_string());
    let options = filter.options();
    let sql = "select xid::text::bigint as xid_number, seq \
               from bloom.audit_reach($1::text::xid8, $2, $3)";
    let rows = db.call(Lane::General, sql, &[&xid, &seq, &options]).await?;
    Ok(rows.first().map(|row| (row.get(0), row.get(1))))
}

/// `bloom.audit_verify`: `{tasks, events, next, bad}` of the tasks with ids above `after`.
pub async fn audit_verify(db: &Db, after: Option<Uuid>, limit: i32) -> Result<Value> {
    let sql = "select bloom.audit_verify($1, $2)";
    Ok(db
        .call_one(Lane::General, sql, &[&after, &limit])
        .await?
        .get(0))
}

/// `bloom.audit_read`: oldest first, from the position `after` on.
pub async fn audit_read(db: &Db, after: Position, limit: i32) -> Result<Vec<Event>> {
    let (xid, seq) = (after.0.to_string(), after.1);
    let sql = "select *, xid::text::bigint as xid_number \
               from bloom.audit_read($1::text::xid8, $2, $3)";
    let rows = db.call(Lane::General, sql, &[&xid, &seq, &limit]).await?;
    Ok(rows.iter().map(Event::from).collect())
}

/// `bloom.audit_end`: the position after everything that [`audit_read`] shows now.
pub async fn audit_end(db: &Db) -> Result<Position> {
    let sql = "select bloom.audit_end()::text::bigint";
    let row = db.call_one(Lane::General, sql, &[]).await?;
    Ok((row.get(0), 0))
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

/// `bloom.overview_get`: `window` is `hour` or `day`.
pub async fn overview_get(db: &Db, window: &str) -> Result<Value> {
    let sql = "select bloom.overview_get($1)";
    Ok(db.call_one(Lane::General, sql, &[&window]).await?.get(0))
}
