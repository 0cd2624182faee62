//! Verbs about credentials: what workers work with, and what has a usage limit.

use tokio_postgres::Row;

use super::{Actor, EpochMs, VerbOptions, maybe_time};
use crate::db::{Db, Lane};
use crate::error::Result;

/// A credential that a worker has, or that is exhausted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.credential_row, as documented there"
)]
pub struct Credential {
    pub name: String,
    pub exhausted_until: Option<EpochMs>,
    pub reason: Option<String>,
    pub reported_by: Option<String>,
    pub reported_at: Option<EpochMs>,
    pub workers: Vec<String>,
}

impl From<&Row> for Credential {
    fn from(row: &Row) -> Self {
        Self {
            name: row.get("credential"),
            exhausted_until: maybe_time(row, "exhausted_until"),
            reason: row.get("reason"),
            reported_by: row.get("reported_by"),
            reported_at: maybe_time(row, "reported_at"),
            workers: row.get("workers"),
        }
    }
}

/// `bloom.credential_list`: by name.
pub async fn credential_list(db: &Db) -> Result<Vec<Credential>> {
    let sql = "select * from bloom.credential_list()";
    let rows = db.call(Lane::General, sql, &[]).await?;
    Ok(rows.iter().map(Credential::from).collect())
}

/// `bloom.credential_clear`: its workers get work again.
pub async fn credential_clear(db: &Db, name: &str, actor: Actor<'_>) -> Result<()> {
    let sql = "select bloom.credential_clear($1, $2)";
    let options = VerbOptions::of(actor).json();
    db.call_one(Lane::General, sql, &[&name, &options]).await?;
    Ok(())
}
