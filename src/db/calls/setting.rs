//! Verbs about settings.

use serde_json::Value;

use super::{Actor, VerbOptions};
use crate::db::{Db, Lane};
use crate::error::Result;

/// `bloom.setting_get`: the value, if it was ever set.
pub async fn setting_get(db: &Db, key: &str) -> Result<Option<Value>> {
    let sql = "select * from bloom.setting_get($1)";
    Ok(db
        .call_opt(Lane::General, sql, &[&key])
        .await?
        .map(|row| row.get("value")))
}

/// `bloom.setting_set`: `null` removes it. `audit` is the action in the audit trail, and what it was
/// done to.
pub async fn setting_set(
    db: &Db,
    key: &str,
    value: &Value,
    audit: Option<(&str, &str)>,
    actor: Actor<'_>,
) -> Result<()> {
    let (action, subject) = audit.unzip();
    let options = VerbOptions::of(actor)
        .maybe("audit", action)
        .maybe("subject", subject)
        .json();
    let sql = "select bloom.setting_set($1, $2, $3)";
    db.call_one(Lane::General, sql, &[&key, value, &options])
        .await?;
    Ok(())
}
