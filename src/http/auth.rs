//! Who calls, and what the caller may do.
//!
//! A key arrives in `X-Runtime-API-Key` or as `Authorization: Bearer`. The key from the
//! configuration has all rights and is compared, as a SHA-256 digest, in constant time; every
//! other key is looked up by its digest in a [`KeyStore`].
//!
//! # Scopes
//! A route names a set of scopes of which a key needs one. `admin` passes everywhere. By
//! convention the table uses them so:
//!
//! | scope | may |
//! |---|---|
//! | `producer` | submit, cancel and requeue tasks, and read them |
//! | `worker` | register, lease, heartbeat and complete, and read what that needs |
//! | `reader` | every GET that shows queue state, nothing that changes it |
//! | `admin` | everything: configuration, keys, removal of workers |
//!
//! # Revocation
//! Lookups, misses included, are remembered for at most [`CACHE_TTL`]; a revoked key works no
//! longer than that.

mod cache;
mod credentials;
mod local;
mod scope;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::header::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

pub(super) use local::is_local_request;
pub use scope::{Scope, ScopeSet};

use self::cache::{Cache, Known};
use self::credentials::Credentials;
use super::router::Access;
use crate::error::Result;

/// How long a looked-up key is trusted, or an unknown one refused, without asking again.
pub const CACHE_TTL: Duration = Duration::from_secs(2);

/// SHA-256 of a whole key.
pub type KeyHash = [u8; 32];

/// A key that is valid now: stored, not revoked, not expired. The store judges that, by the
/// database's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its id, which stands for the key in limits and in the log.
    pub id: Uuid,
    /// Its name, which is the actor in the audit log.
    pub name: String,
    /// What it may do.
    pub scopes: ScopeSet,
    /// In how long it expires, as the store's clock sees it; `None` for never.
    pub expires_in: Option<Duration>,
}

/// Where keys are kept.
pub trait KeyStore: Send + Sync {
    /// The valid key with this digest, if there is one.
    ///
    /// # Errors
    /// When the store cannot tell, e.g. because Postgres is away. The request then fails with
    /// that error; it is never let through.
    fn find(&self, hash: KeyHash) -> BoxFuture<'_, Result<Option<StoredKey>>>;
}

/// Whether keys are asked for at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Everyone may do everything. Only for a service that is bound to loopback; it also refuses
    /// requests that a web page elsewhere may have caused.
    Open,
    /// Every route needs a key unless it is [`Access::Open`].
    Keys,
}

/// The one on whose behalf a request is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    name: Arc<str>,
    key: Option<Uuid>,
    scopes: ScopeSet,
    is_open: bool,
}

impl Caller {
    /// The caller of an open route: nobody, with no rights.
    fn anonymous() -> Self {
        Self {
            name: Arc::from("anonymous"),
            key: None,
            scopes: ScopeSet::EMPTY,
            is_open: true,
        }
    }

    /// The caller of a service without keys.
    fn local() -> Self {
        let scopes = ScopeSet::of(&[Scope::Admin]);
        Self {
            name: Arc::from("local"),
            key: None,
            scopes,
            is_open: true,
        }
    }

    /// The holder of the configured key. Its id is nil.
    fn configured() -> Self {
        let scopes = ScopeSet::of(&[Scope::Admin]);
        Self {
            name: Arc::from("api"),
            key: Some(Uuid::nil()),
            scopes,
            is_open: false,
        }
    }

    fn stored(key: &StoredKey) -> Self {
        let name = Arc::from(key.name.as_str());
        Self {
            name,
            key: Some(key.id),
            scopes: key.scopes,
            is_open: false,
        }
    }

    /// The name of the key, for the audit log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key: nil for the configured one, `None` without a key.
    #[must_use]
    pub fn key(&self) -> Option<Uuid> {
        self.key
    }

    /// What the caller may do.
    #[must_use]
    pub fn scopes(&self) -> ScopeSet {
        self.scopes
    }

    /// Whether no key was asked for.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the caller may use a route.
    #[must_use]
    pub fn may(&self, access: Access) -> bool {
        match access {
            Access::Open => true,
            Access::Scopes(scopes) => self.scopes.meets(scopes),
        }
    }
}

/// What the headers of a request amount to.
#[derive(Debug)]
pub(super) enum Verdict {
    /// This caller.
    Known(Caller),
    /// No key where one is needed.
    Missing,
    /// A key that is none of ours, or more than one.
    Wrong,
}

/// Turns headers into callers.
pub struct Authenticator {
    policy: Policy,
    configured: Option<KeyHash>,
    store: Option<Arc<dyn KeyStore>>,
    cache: Cache,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authenticator")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl Authenticator {
    /// For a service that needs no keys. The caller must have made sure that it is bound to
    /// loopback.
    #[must_use]
    pub fn open() -> Self {
        Self::new(Policy::Open, None, None)
    }

    /// With the configured key, if any, and the stored ones, if any. An empty configured key is
    /// none.
    #[must_use]
    pub fn new(
        policy: Policy,
        configured: Option<&SecretString>,
        store: Option<Arc<dyn KeyStore>>,
    ) -> Self {
        let key = configured.map(|key| key.expose_secret().as_bytes());
        let configured = key.filter(|key| !key.is_empty()).map(hash_key);
        Self {
            policy,
            configured,
            store,
            cache: Cache::new(CACHE_TTL),
        }
    }

    /// Whether keys are asked for.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Finds out who calls. While `is_throttled` says that too many wrong keys came from that
    /// address, only keys that were good a while ago are looked up.
    pub(super) async fn identify(
        &self,
        access: Access,
        headers: &HeaderMap,
        is_throttled: impl Fn() -> bool,
    ) -> Result<Verdict> {
        if self.policy == Policy::Open {
            return Ok(Verdict::Known(Caller::local()));
        }
        if access == Access::Open {
            return Ok(Verdict::Known(Caller::anonymous()));
        }
        let hash = match credentials::find(headers) {
            Credentials::Key(key) => hash_key(key),
            Credentials::Missing => return Ok(Verdict::Missing),
            Credentials::Unusable => return Ok(Verdict::Wrong),
        };
        if self
            .configured
            .is_some_and(|own| bool::from(own.ct_eq(&hash)))
        {
            return Ok(Verdict::Known(Caller::configured()));
        }
        let Some(store) = &self.store else {
            return Ok(Verdict::Wrong);
        };
        match self.cache.get(&hash) {
            Known::Good(caller) => return Ok(Verdict::Known(caller)),
            Known::Wrong => return Ok(Verdict::Wrong),
            Known::Nothing if is_throttled() => return Ok(Verdict::Wrong),
            Known::Nothing | Known::WasGood => {}
        }
        let found = store
            .find(hash)
            .await?
            .map(|key| (Caller::stored(&key), key));
        Ok(self
            .cache
            .put(hash, found)
            .map_or(Verdict::Wrong, Verdict::Known))
    }
}

/// The digest under which a key is stored.
#[must_use]
pub fn hash_key(key: &[u8]) -> KeyHash {
    Sha256::digest(key).into()
}
