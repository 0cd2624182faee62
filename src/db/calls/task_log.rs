//! Verbs about the live log of a task.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{EpochMs, VerbOptions, time};
use crate::db::{Db, Lane};
use crate::error::Result;

/// One piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.log_row, as documented there"
)]
pub struct Piece {
    pub fence: i32,
    pub attempt: Option<i16>,
    pub lease_id: Option<Uuid>,
    pub position: i64,
    pub at: EpochMs,
    pub text: String,
}

impl From<&Row> for Piece {
    fn from(row: &Row) -> Self {
        Self {
            fence: row.get("fence"),
            attempt: row.get("attempt"),
            lease_id: row.get("lease_id"),
            position: row.get("position"),
            at: time(row, "at"),
            text: row.get("text"),
        }
    }
}

/// `bloom.task_log_append`: how many bytes are stored now, and whether that is all that will be.
pub async fn task_log_append(
    db: &Db,
    task_id: Uuid,
    lease_id: Uuid,
    position: i64,
    text: &str,
    options: VerbOptions,
) -> Result<(i64, bool)> {
    let sql = "select * from bloom.task_log_append($1, $2, $3, $4, $5)";
    let options = options.json();
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&task_id, &lease_id, &position, &text, &options];
    let row = db.call_one(Lane::General, sql, &params).await?;
    Ok((row.get("next_position"), row.get("capped")))
}

/// `bloom.task_log_read`: the pieces after the one at this fence and position.
pub async fn task_log_read(
    db: &Db,
    task_id: Uuid,
    after: (i32, i64),
    limit: i32,
) -> Result<Vec<Piece>> {
    let sql = "select * from bloom.task_log_read($1, $2, $3, $4)";
    let rows = db
        .call(Lane::General, sql, &[&task_id, &after.0, &after.1, &limit])
        .await?;
    Ok(rows.iter().map(Piece::from).collect())
}
