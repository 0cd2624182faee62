//! Stored API keys, for the HTTP side.

use std::time::Duration;

use futures_util::future::BoxFuture;

use tracing::warn;

use crate::db::Db;
use crate::db::calls::key::{FoundKey, key_find};
use crate::error::Result;
use crate::http::auth::KeyHash;
use crate::http::{KeyStore, Scope, ScopeSet, StoredKey};

/// Looks keys up in the database, which alone decides whether they are valid.
pub(super) struct Store {
    db: Db,
}

impl Store {
    pub(super) fn new(db: Db) -> Self {
        Self { db }
    }
}

impl KeyStore for Store {
    fn find(&self, hash: KeyHash) -> BoxFuture<'_, Result<Option<StoredKey>>> {
        Box::pin(async move { Ok(key_find(&self.db, &hash).await?.map(stored)) })
    }
}

fn stored(key: FoundKey) -> StoredKey {
    let scopes: Vec<Scope> = key
        .scopes
        .iter()
        .filter_map(|name| {
            if let Ok(scope) = name.parse() {
                Some(scope)
            } else {
                warn!(key.id = %key.id, scope = name, "a scope of a newer version is ignored");
                None
            }
        })
        .collect();
    let left = key
        .expires_in_ms
        .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
    StoredKey {
        id: key.id,
        name: key.name,
        scopes: ScopeSet::of(&scopes),
        expires_in: left,
    }
}
