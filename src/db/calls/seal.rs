//! Verbs about seals over the event log.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::db::{Db, Lane};
use crate::error::Result;
use crate::secrets::to_hex;

/// A place in the log: transaction id, then number.
pub type Position = (String, i64);

/// Bytes of a digest.
const DIGEST: usize = 32;

/// A seal, without the digests that its root stands for. Digests, keys and signatures are in
/// hexadecimal. As JSON it is a line of the file of seals and an item of `GET /audit/seals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Seal {
    /// 1, 2, 3 … without a gap.
    pub id: i64,
    /// When it was made, in epoch milliseconds.
    pub at: i64,
    /// It covers what comes after this,
    pub from: Position,
    /// up to and with this.
    pub to: Position,
    /// How many events it covers.
    pub events: usize,
    /// The root of the tree over them.
    pub root: String,
    /// The digest of the seal before; zeros for the first.
    pub prior: String,
    /// Whose signature it is.
    pub public_key: String,
    /// Over everything else.
    pub signature: String,
}

/// A seal as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The seal.
    pub seal: Seal,
    /// The digests of its events, in order.
    pub leaves: Vec<[u8; DIGEST]>,
    /// Whether all of its events are still kept.
    pub is_whole: bool,
}

impl From<&Row> for Stored {
    fn from(row: &Row) -> Self {
        let leaves = row.get::<_, &[u8]>("leaves").as_chunks().0.to_vec();
        let hex = |name| to_hex(row.get(name));
        Self {
            seal: Seal {
                id: row.get("seal_id"),
                at: row.get("at_ms"),
                from: (row.get("from_xid"), row.get("from_seq")),
                to: (row.get("to_xid"), row.get("to_seq")),
                events: leaves.len(),
                root: hex("root"),
                prior: hex("prior"),
                public_key: hex("public_key"),
                signature: hex("signature"),
            },
            leaves,
            is_whole: row.get("is_whole"),
        }
    }
}

/// An event that a seal covers, as it is now.
#[derive(Debug, Clone)]
pub struct Covered {
    /// Of this task,
    pub task_id: Option<Uuid>,
    /// its transition with this number.
    pub ver: Option<i32>,
    /// Or of this `KIND/ID`.
    pub subject: Option<String>,
    /// The text that is under the seal.
    pub body: String,
}

/// `bloom.audit_unsealed`: the next events to seal, each with its place.
pub async fn audit_unsealed(db: &Db, limit: i32) -> Result<Vec<(Position, String)>> {
    let sql = "select xid, seq, body from bloom.audit_unsealed($1)";
    let rows = db.call(Lane::General, sql, &[&limit]).await?;
    let read = |row: &Row| ((row.get(0), row.get(1)), row.get(2));
    Ok(rows.iter().map(read).collect())
}

/// `bloom.audit_seal`: false when another process was faster.
pub async fn audit_seal(db: &Db, seal: &Seal, leaves: &[[u8; DIGEST]]) -> Result<bool> {
    let mut body = json!(seal);
    body["leaves"] = json!(to_hex(leaves.as_flattened()));
    let sql = "select bloom.audit_seal($1)";
    Ok(db.call_one(Lane::General, sql, &[&body]).await?.get(0))
}

/// `bloom.audit_seals`: those above `after`, in order; without `after`, the last one.
pub async fn audit_seals(db: &Db, after: Option<i64>, limit: i32) -> Result<Vec<Stored>> {
    let sql = "select * from bloom.audit_seals($1, $2)";
    let rows = db.call(Lane::General, sql, &[&after, &limit]).await?;
    Ok(rows.iter().map(Stored::from).collect())
}

/// `bloom.audit_sealed`: the events that a seal covers.
pub async fn audit_sealed(db: &Db, id: i64) -> Result<Vec<Covered>> {
    let sql = "select task_id, ver, subject, body from bloom.audit_sealed($1)";
    let rows = db.call(Lane::General, sql, &[&id]).await?;
    let read = |row: &Row| Covered {
        task_id: row.get(0),
        ver: row.get(1),
        subject: row.get(2),
        body: row.get(3),
    };
    Ok(rows.iter().map(read).collect())
}
