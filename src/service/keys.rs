//! Stored API keys, for the HTTP side.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

use tracing::warn;
use uuid::Uuid;

use crate::db::Db;
use crate::db::calls::key::{FoundKey, key_find, key_note_use};
use crate::error::Result;
use crate::http::auth::KeyHash;
use crate::http::{KeyStore, Scope, ScopeSet, StoredKey};
use crate::maintenance::{self, Runs};
use crate::shutdown::Shutdown;

/// How often it is noted which keys were used.
const NOTED_EVERY: Duration = Duration::from_secs(10);
/// The most keys whose use is noted at once; more wait for the next time.
const NOTED_AT_ONCE: usize = 1000;

/// Looks keys up in the database, which alone decides whether they are valid.
pub(super) struct Store {
    db: Db,
    /// What was used since it was last noted.
    used: Mutex<HashSet<Uuid>>,
}

impl Store {
    pub(super) fn new(db: Db) -> Self {
        Self {
            db,
            used: Mutex::default(),
        }
    }

    /// Writes down now and then which keys were used, until `shutdown`. Not done while a key is
    /// looked up: that must work on a disk that is full, too.
    pub(super) fn note_uses(self: &Arc<Self>, shutdown: &Shutdown) -> Arc<Runs> {
        let store = Arc::clone(self);
        maintenance::repeat(shutdown, "keys", NOTED_EVERY, move || {
            let store = Arc::clone(&store);
            async move { store.note().await }
        })
    }

    /// What could not be noted is the next time.
    async fn note(&self) -> Result<()> {
        let some: Vec<Uuid> = self.used().iter().take(NOTED_AT_ONCE).copied().collect();
        if some.is_empty() {
            return Ok(());
        }
        key_note_use(&self.db, &some).await?;
        self.used().retain(|key| !some.contains(key));
        Ok(())
    }

    fn used(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyStore for Store {
    fn find(&self, hash: KeyHash) -> BoxFuture<'_, Result<Option<StoredKey>>> {
        Box::pin(async move {
            let found = key_find(&self.db, &hash).await?;
            self.used().extend(found.as_ref().map(|key| key.id));
            Ok(found.map(stored))
        })
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
