//! Verbs about artifacts.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{EpochMs, time};
use crate::db::{Db, Lane};
use crate::error::Result;

/// What a task produced.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.artifact_row, as documented there"
)]
pub struct Artifact {
    pub id: Uuid,
    pub task_id: Uuid,
    pub kind: String,
    pub created_at: EpochMs,
    pub url: Option<String>,
    pub tags: Vec<String>,
    pub content: Option<String>,
    pub size_bytes: i64,
    pub sha256: Option<String>,
}

impl From<&Row> for Artifact {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("artifact_id"),
            task_id: row.get("task_id"),
            kind: row.get("type"),
            created_at: time(row, "created_at"),
            url: row.get("url"),
            tags: row.get("tags"),
            content: row.get("content"),
            size_bytes: row.get("size_bytes"),
            sha256: row.get("sha256"),
        }
    }
}

/// `bloom.artifact_get`.
pub async fn artifact_get(db: &Db, id: Uuid) -> Result<Artifact> {
    let row = db
        .call_one(
            Lane::General,
            "select * from bloom.artifact_get($1)",
            &[&id],
        )
        .await?;
    Ok(Artifact::from(&row))
}

/// `bloom.artifact_list`: newest first, ids below `before`. A page may stop early, by size.
pub async fn artifact_list(
    db: &Db,
    task_id: Option<Uuid>,
    limit: i32,
    before: Option<Uuid>,
) -> Result<Vec<Artifact>> {
    let sql = "select * from bloom.artifact_list($1, $2, $3)";
    let rows = db
        .call(Lane::General, sql, &[&task_id, &limit, &before])
        .await?;
    Ok(rows.iter().map(Artifact::from).collect())
}

/// `bloom.artifact_place`: the name of this database in object storage.
pub async fn artifact_place(db: &Db) -> Result<Uuid> {
    let row = db.call_one(Lane::Reserved, "select bloom.artifact_place()", &[]);
    Ok(row.await?.get(0))
}

/// `bloom.artifact_sweep`: which of these objects, from 0, are nobody's.
pub async fn artifact_sweep(
    db: &Db,
    tasks: &[Uuid],
    leases: &[Uuid],
    urls: &[String],
) -> Result<Vec<usize>> {
    let sql = "select ordinal from bloom.artifact_sweep($1, $2, $3)";
    let rows = db
        .call(Lane::General, sql, &[&tasks, &leases, &urls])
        .await?;
    let at = |row: &Row| usize::try_from(row.get::<_, i32>(0) - 1).ok();
    Ok(rows.iter().filter_map(at).collect())
}
