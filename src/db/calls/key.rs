//! Verbs about API keys.

use tokio_postgres::Row;
use uuid::Uuid;

use super::{Actor, EpochMs, VerbOptions, maybe_time, time};
use crate::db::{Db, Lane};
use crate::error::Result;

/// A stored key as a request needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKey {
    /// Its id.
    pub id: Uuid,
    /// Its name, the actor of what it does.
    pub name: String,
    /// Some of `producer`, `worker`, `reader`, `admin`.
    pub scopes: Vec<String>,
    /// In how many milliseconds it expires.
    pub expires_in_ms: Option<i64>,
}

/// A stored key as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.key_list, as documented there"
)]
pub struct Key {
    pub id: Uuid,
    pub name: String,
    pub prefix: String,
    pub scopes: Vec<String>,
    pub created_at: EpochMs,
    pub created_by: String,
    pub expires_at: Option<EpochMs>,
    pub revoked_at: Option<EpochMs>,
    pub last_used_at: Option<EpochMs>,
}

/// A key to be stored: never the key itself.
#[derive(Debug, Clone)]
pub struct NewKey<'a> {
    /// What people call it.
    pub name: &'a str,
    /// Its first characters.
    pub prefix: &'a str,
    /// Its SHA-256.
    pub hash: &'a [u8; 32],
    /// Some of `producer`, `worker`, `reader`, `admin`.
    pub scopes: &'a [&'a str],
    /// When it stops being valid.
    pub expires_at: Option<EpochMs>,
}

/// `bloom.key_find`. Heartbeats and completions need it, too.
pub async fn key_find(db: &Db, hash: &[u8; 32]) -> Result<Option<FoundKey>> {
    let sql = "select * from bloom.key_find($1)";
    let row = db.call_opt(Lane::Reserved, sql, &[&&hash[..]]).await?;
    Ok(row.map(|row| FoundKey {
        id: row.get("key_id"),
        name: row.get("name"),
        scopes: row.get("scopes"),
        expires_in_ms: row.get("expires_in_ms"),
    }))
}

/// `bloom.key_create`: the key's id.
pub async fn key_create(db: &Db, key: &NewKey<'_>, actor: Actor<'_>) -> Result<Uuid> {
    let options = VerbOptions::of(actor)
        .maybe("expires_at", key.expires_at)
        .json();
    let sql = "select bloom.key_create($1, $2, $3, $4, $5)";
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] = [
        &key.name,
        &key.prefix,
        &&key.hash[..],
        &key.scopes,
        &options,
    ];
    Ok(db.call_one(Lane::General, sql, &params).await?.get(0))
}

/// `bloom.key_list`: newest first.
pub async fn key_list(db: &Db) -> Result<Vec<Key>> {
    let rows = db
        .call(Lane::General, "select * from bloom.key_list()", &[])
        .await?;
    let read = |row: &Row| Key {
        id: row.get("key_id"),
        name: row.get("name"),
        prefix: row.get("prefix"),
        scopes: row.get("scopes"),
        created_at: time(row, "created_at"),
        created_by: row.get("created_by"),
        expires_at: maybe_time(row, "expires_at"),
        revoked_at: maybe_time(row, "revoked_at"),
        last_used_at: maybe_time(row, "last_used_at"),
    };
    Ok(rows.iter().map(read).collect())
}

/// `bloom.key_note_use`: they were used just now.
pub async fn key_note_use(db: &Db, ids: &[Uuid]) -> Result<()> {
    let sql = "select bloom.key_note_use($1)";
    db.call_one(Lane::General, sql, &[&ids]).await?;
    Ok(())
}

/// `bloom.key_revoke`.
pub async fn key_revoke(db: &Db, id: Uuid, actor: Actor<'_>) -> Result<()> {
    let sql = "select bloom.key_revoke($1, $2)";
    db.call_one(Lane::General, sql, &[&id, &VerbOptions::of(actor).json()])
        .await?;
    Ok(())
}
