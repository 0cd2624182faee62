//! The Membridge control plane: where its address and admin key are kept, how it is asked, and the
//! sync of its agents into the worker table.
//!
//! It is somebody else's program on somebody else's machine. Its answers are parsed into what we
//! expect or refused, they are bounded in size and time, and nothing that it does or does not do
//! reaches the queue: without it workers keep registering and leasing.

mod client;
mod settings;
mod state;
mod sync;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::RwLock;

pub use client::{Call, Upstream};
pub use settings::{Change, Settings};
pub use state::Status;

use crate::db::Db;
use crate::error::{Error, Kind, Result};
use crate::outbound::Guard;
use crate::secrets::Keyring;
use crate::shutdown::Shutdown;
use settings::Stored;
use state::State;

/// What the component has to be told.
pub struct Options {
    /// Through which it talks to the outside.
    pub guard: Guard,
    /// Encrypts the admin key; without one none can be stored.
    pub keyring: Option<Keyring>,
    /// Used while nothing is stored: the address and the key from the configuration.
    pub fallback: Option<(String, Option<SecretString>)>,
    /// From one sync to the next.
    pub interval: Duration,
}

/// A cheap clonable handle on the connection to Membridge.
#[derive(Clone)]
pub struct Membridge {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    options: Options,
    state: State,
    /// What was read last, so that an outage of the database does not end proxying. Another process
    /// may have changed it meanwhile, so it is read again where the database answers.
    known: RwLock<Option<Stored>>,
    /// Rounds of the sync that succeeded and that failed.
    rounds: [AtomicU64; 2],
}

/// What a test of the connection found.
#[derive(Debug)]
pub enum Tested {
    /// It answers and takes the key: its health.
    Connected(Value),
    /// Why it does not.
    Failed(String),
}

impl Membridge {
    /// The handle; asks nobody yet.
    #[must_use]
    pub fn new(db: Db, options: Options) -> Self {
        Self {
            inner: Arc::new(Inner {
                db,
                options,
                state: State::default(),
                known: RwLock::default(),
                rounds: Default::default(),
            }),
        }
    }

    /// Syncs until `shutdown`.
    pub fn start(&self, shutdown: &Shutdown) {
        shutdown.spawn(sync::run(self.clone(), shutdown.clone()));
    }

    /// How the connection does.
    #[must_use]
    pub fn status(&self) -> Status {
        self.inner.state.status()
    }

    /// How many rounds of the sync succeeded and how many failed.
    #[must_use]
    pub fn rounds(&self) -> (u64, u64) {
        let [ok, failed] = &self.inner.rounds;
        (ok.load(Relaxed), failed.load(Relaxed))
    }

    /// The stored settings, without the key.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn settings(&self) -> Result<Settings> {
        Ok(self.stored().await?.shown())
    }

    /// Stores an address and, perhaps, a key.
    ///
    /// # Errors
    /// [`Error::Fields`] for an address that is not allowed, 503 without a way to encrypt a key.
    pub async fn configure(&self, change: Change, actor: &str) -> Result<Settings> {
        let refuse = |why: String| Error::field("membridge_server_url", why);
        // The text that clients know; what is wrong with a URL that is one, the guard says.
        Url::parse(&change.url).map_err(|_| refuse("Invalid url".to_owned()))?;
        let url = self.inner.options.guard.check(&change.url);
        let url = url.map_err(refuse)?;
        let old = self.stored().await?;
        let next = old.changed(url, change.key, self.keyring())?;
        next.save(&self.inner.db, actor).await?;
        let shown = next.shown();
        *self.inner.known.write().await = Some(next);
        self.inner.state.forget();
        Ok(shown)
    }

    /// Asks Membridge for its health and, with the key, for its agents: its health needs no key, so
    /// it alone would prove nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn test(&self, actor: &str) -> Result<Tested> {
        let stored = self.stored().await?;
        let tested = match self.ask_twice().await {
            Ok(health) => Tested::Connected(health),
            Err(error) => Tested::Failed(error.to_string()),
        };
        let is_connected = matches!(tested, Tested::Connected(_));
        // The settings may have been changed while Membridge was asked: then this says nothing of
        // them.
        let now = self.stored().await?;
        if now.shown().url != stored.shown().url {
            return Ok(tested);
        }
        now.note_test(&self.inner.db, is_connected, actor).await?;
        Ok(tested)
    }

    async fn ask_twice(&self) -> Result<Value> {
        let health = self.call(Call::Health).await?;
        self.call(Call::Agents).await?;
        Ok(health.body)
    }

    /// Makes one call.
    ///
    /// # Errors
    /// 502 with a text for people: unreachable, an error status, or an answer of another shape.
    pub async fn call(&self, call: Call) -> Result<Upstream> {
        let target = self.target().await?;
        client::call(&self.inner.options.guard, &self.inner.state, &target, call).await
    }

    /// Where to, with the key in clear.
    async fn target(&self) -> Result<client::Target> {
        let stored = self.stored().await?;
        let Some(url) = stored.url.clone() else {
            return Err(gateway("Membridge is not configured"));
        };
        let key = stored.open_key(self.keyring()).map_err(|error| {
            tracing::error!(error = %crate::error::chain(&error), "the admin key cannot be read");
            let text = "The stored admin key cannot be read: see the service's log";
            self.inner.state.refused(text);
            gateway(text)
        })?;
        Ok(client::Target { url, key })
    }

    fn keyring(&self) -> Option<&Keyring> {
        self.inner.options.keyring.as_ref()
    }

    /// What is stored, else what was known last, else what is configured.
    async fn stored(&self) -> Result<Stored> {
        let read = Stored::load(&self.inner.db, &self.inner.options).await;
        match read {
            Ok(stored) => {
                *self.inner.known.write().await = Some(stored.clone());
                Ok(stored)
            }
            Err(error) => self.inner.known.read().await.clone().ok_or(error),
        }
    }
}

/// A 502.
fn gateway(message: impl Into<String>) -> Error {
    Error::refused(Kind::BadGateway, "membridge_failed", message)
}
