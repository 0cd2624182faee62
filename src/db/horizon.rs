//! What holds the server back: a transaction that has been open for long.

use std::time::Duration;

use super::{Db, Lane};
use crate::error::Result;

/// An old transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The server process.
    pub pid: i32,
    /// Who is logged in there.
    pub user: String,
    /// How long it has been open, in seconds.
    pub seconds: i64,
}

/// The oldest transaction of this database that has held a snapshot for longer than `age`, as far as
/// our role may see those of others.
///
/// # Errors
/// When the database does not answer.
pub async fn held_snapshot(db: &Db, age: Duration) -> Result<Option<Held>> {
    let sql = "select pid, coalesce(usename::text, 'somebody') as role, \
                   extract(epoch from clock_timestamp() - xact_start)::bigint as seconds \
               from pg_catalog.pg_stat_activity \
               where datname = current_database() and pid <> pg_backend_pid() \
                   and backend_type = 'client backend' \
                   and (backend_xmin is not null or backend_xid is not null) \
                   and extract(epoch from clock_timestamp() - xact_start) > $1::float8 \
               order by xact_start limit 1";
    let row = db
        .call_opt(Lane::General, sql, &[&age.as_secs_f64()])
        .await?;
    Ok(row.map(|row| Held {
        pid: row.get("pid"),
        user: row.get("role"),
        seconds: row.get("seconds"),
    }))
}
