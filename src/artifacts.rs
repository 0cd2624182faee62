//! Outputs in object storage: S3, MinIO and what speaks the same protocol.
//!
//! An output that is large enough is put there *before* its completion is told to the database, under
//! a key that names its task, its lease and its digest. The completion then stores the address in
//! place of the text. Where the store does not take it in time, the text goes to Postgres as always:
//! a completion never fails or waits long because of the store. An object whose completion was not
//! accepted, or whose artifact has gone with retention, is nobody's and is removed by the sweep.

mod breaker;
mod doctor;
mod place;
mod store;
mod sweep;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;
use tracing::{error, info, warn};
use url::Url;
use uuid::Uuid;

use crate::db::Db;
use crate::db::calls::artifact::artifact_place;
use crate::error::{Error, Kind, Result};
use crate::secrets::to_hex;
use crate::shutdown::Shutdown;
use breaker::Breaker;
pub use doctor::examine;
pub use place::Place;
use store::{Store, Trouble};

/// How many outputs may be on their way to the store at the same time.
const UPLOADS: usize = 32;
/// How many outputs may be read from it at the same time, each of them whole in memory.
const READS: usize = 8;
/// How long reading one may take altogether.
const READ_LIMIT: Duration = Duration::from_secs(30);
/// The largest object that is read.
const READ_MAX: u64 = 256 << 20;

/// Whose protocol it is; what an artifact's `url` begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `minio://`
    Minio,
    /// `s3://`
    S3,
}

impl Scheme {
    /// As it stands in a `url`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Minio => "minio",
            Self::S3 => "s3",
        }
    }
}

/// How `GET /artifacts/:id/content` answers for an output in object storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Download {
    /// The service reads it, checks its digest, and passes it on.
    Proxy,
    /// 302 to an address in the store that is valid for a short while.
    Redirect,
}

/// When nobody's objects are removed.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// From one sweep to the next.
    pub every: Duration,
    /// Only objects older than this.
    pub older_than: Duration,
}

/// Where outputs go, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose protocol it is.
    pub scheme: Scheme,
    /// `http://host:port`; none for AWS itself.
    pub endpoint: Option<String>,
    /// The address at which clients reach the store, if it is another one.
    pub public_endpoint: Option<String>,
    /// The bucket, which must exist.
    pub bucket: String,
    /// The region.
    pub region: String,
    /// The name of the key.
    pub access_key: String,
    /// The key.
    pub secret_key: SecretString,
    /// Whether the bucket stands in the path rather than in the host name.
    pub path_style: bool,
    /// What all keys begin with.
    pub prefix: String,
    /// Outputs of so many bytes and more go to the store.
    pub threshold: usize,
    /// How long a completion may wait for the store.
    pub timeout: Duration,
    /// How downloads are answered.
    pub download: Download,
    /// How long an address that is handed out is valid.
    pub link_life: Duration,
    /// When nobody's objects are removed; none: never.
    pub sweep: Option<Sweep>,
}

/// An output that is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// `minio://BUCKET/KEY` or `s3://BUCKET/KEY`.
    pub url: String,
    /// Its digest, 64 hexadecimal digits.
    pub sha256: String,
    /// Its length.
    pub size_bytes: usize,
}

impl Stored {
    /// As `bloom.lease_complete_stored` takes it.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({ "url": self.url, "sha256": self.sha256, "size_bytes": self.size_bytes })
    }
}

/// Why an output in object storage cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// This service knows no object storage.
    #[error("The output is in object storage, which this service is not set up for")]
    NotSetUp,
    /// Its address is none of ours.
    #[error("The output is at an address that this service does not know")]
    Elsewhere,
    /// There is no such object.
    #[error("The output is missing in object storage")]
    Missing,
    /// It is not what was stored.
    #[error("The output in object storage is not what was stored")]
    Corrupt,
    /// The store does not answer, or refuses.
    #[error("Object storage does not answer, please try again")]
    Away,
}

impl From<Unreadable> for Error {
    fn from(why: Unreadable) -> Self {
        let text = why.to_string();
        match why {
            Unreadable::NotSetUp => Self::refused(Kind::Busy, "object_storage_not_set_up", text),
            Unreadable::Elsewhere => Self::refused(Kind::BadGateway, "object_elsewhere", text),
            Unreadable::Missing => Self::refused(Kind::BadGateway, "object_missing", text),
            Unreadable::Corrupt => Self::refused(Kind::BadGateway, "object_corrupt", text),
            Unreadable::Away => Self::refused(Kind::Busy, "object_storage_away", text),
        }
    }
}

/// How object storage does.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// Whose protocol it is.
    pub scheme: Scheme,
    /// Whether outputs are brought to it now.
    pub is_available: bool,
    /// How many outputs it has taken since the start.
    pub stored: u64,
    /// How many it should have taken, which stayed in Postgres.
    pub kept: u64,
}

/// A cheap clonable handle on the object storage, or on none.
#[derive(Clone)]
pub struct Artifacts(Option<Arc<Inner>>);

struct Inner {
    db: Db,
    options: Options,
    store: Store,
    breaker: Breaker,
    /// This database's place in the bucket, once it is known.
    place: OnceCell<Place>,
    uploads: Semaphore,
    reads: Semaphore,
    stored: AtomicU64,
    kept_back: AtomicU64,
}

impl fmt::Debug for Artifacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.0.as_ref().map(|inner| &inner.options);
        formatter.debug_tuple("Artifacts").field(&options).finish()
    }
}

impl Artifacts {
    /// The object storage that is described, or none. Nothing is asked of it yet.
    ///
    /// # Errors
    /// When the description makes no sense.
    pub fn new(db: &Db, options: Option<Options>) -> Result<Self, SetupError> {
        let Some(options) = options else {
            return Ok(Self(None));
        };
        Ok(Self(Some(Arc::new(Inner {
            db: db.clone(),
            store: Store::new(&options)?,
            breaker: Breaker::default(),
            place: OnceCell::new(),
            uploads: Semaphore::new(UPLOADS),
            reads: Semaphore::new(READS),
            stored: AtomicU64::new(0),
            kept_back: AtomicU64::new(0),
            options,
        }))))
    }

    /// Starts the sweep; it ends with `shutdown`.
    pub fn start(&self, shutdown: &Shutdown) {
        if let Some(inner) = &self.0 {
            info!(
                store = format!("{}://{}", inner.options.scheme.name(), inner.options.bucket),
                "outputs go to object storage"
            );
            if let Some(sweep) = inner.options.sweep {
                shutdown.spawn(sweep::run(Arc::clone(inner), sweep, shutdown.clone()));
            }
        }
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        self.0.is_some()
    }

    /// How it does; `None` where there is none.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        let inner = self.0.as_ref()?;
        Some(State {
            scheme: inner.options.scheme,
            is_available: !inner.breaker.is_open(Instant::now()),
            stored: inner.stored.load(Ordering::Relaxed),
            kept: inner.kept_back.load(Ordering::Relaxed),
        })
    }

    /// Whether an output belongs into object storage.
    #[must_use]
    pub fn wants(&self, output: Option<&str>) -> bool {
        let wants = |inner: &Arc<Inner>, output: &str| output.len() >= inner.options.threshold;
        matches!((&self.0, output), (Some(inner), Some(output)) if wants(inner, output))
    }

    /// Puts an output into the store if it belongs there. `None`: it goes to Postgres, because it is
    /// small, because there is no store, or because the store did not take it in time.
    pub async fn put(&self, task: Uuid, lease: Uuid, output: Option<&str>) -> Option<Stored> {
        let (inner, output) = (self.0.as_ref()?, output?);
        if !self.wants(Some(output)) {
            return None;
        }
        let stored = inner.put(task, lease, output).await;
        let counter = match &stored {
            Some(_) => &inner.stored,
            None => &inner.kept_back,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        stored
    }

    /// The whole output at `url`, which is what was stored or nothing.
    ///
    /// # Errors
    /// As [`Unreadable`] says.
    pub async fn read(&self, url: &str, sha256: &str, size: i64) -> Result<Bytes, Unreadable> {
        let inner = self.0.as_ref().ok_or(Unreadable::NotSetUp)?;
        let found = timeout(READ_LIMIT, inner.read(url, size)).await;
        let bytes = found.unwrap_or(Err(Unreadable::Away))?;
        let (bytes, found) = digest(bytes).await.ok_or(Unreadable::Away)?;
        if found != sha256 {
            error!(url, "an output in object storage is not what was stored");
            return Err(Unreadable::Corrupt);
        }
        Ok(bytes)
    }

    /// An address in the store from which `url` can be had for a short while without a key.
    ///
    /// # Errors
    /// As [`Unreadable`] says. Whether the object is there is not looked at.
    pub async fn link(&self, url: &str) -> Result<Link, Unreadable> {
        let inner = self.0.as_ref().ok_or(Unreadable::NotSetUp)?;
        let (bucket, key) = store::parts(url).ok_or(Unreadable::Elsewhere)?;
        let life = inner.options.link_life;
        let link = inner.store.link(bucket, key, life).await;
        let url = link.map_err(|trouble| {
            warn!(error = %trouble, "an address in object storage cannot be signed");
            Unreadable::Away
        })?;
        Ok(Link { url, life })
    }

    /// Whether downloads are answered with such an address.
    #[must_use]
    pub fn redirects(&self) -> bool {
        let is_redirect = |inner: &Arc<Inner>| inner.options.download == Download::Redirect;
        self.0.as_ref().is_some_and(is_redirect)
    }
}

/// An address in the store that needs no key. Whoever has it may read that one object.
#[derive(Debug)]
pub struct Link {
    /// The address.
    pub url: Url,
    /// For how long it is valid.
    pub life: Duration,
}

/// The description of an object storage makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("object storage cannot be set up: {0}")]
pub struct SetupError(pub(crate) String);

impl Inner {
    async fn place(&self) -> Result<&Place> {
        let make = async || {
            let name = artifact_place(&self.db).await?;
            Ok(Place::new(&self.options.prefix, name))
        };
        self.place.get_or_try_init(make).await
    }

    async fn put(&self, task: Uuid, lease: Uuid, output: &str) -> Option<Stored> {
        if !self.breaker.may_try(Instant::now()) {
            return None;
        }
        // Without the database there is no completion either, and it is not the store's fault.
        let place = self.place().await.ok()?;
        let size_bytes = output.len();
        let (bytes, sha256) = digest(Bytes::copy_from_slice(output.as_bytes())).await?;
        let key = place.key(task, lease, &sha256);
        let upload = async {
            let Ok(_permit) = self.uploads.acquire().await else {
                return Err(Trouble::busy());
            };
            self.store.put(&key, bytes, task).await
        };
        let outcome = timeout(self.options.timeout, upload).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Trouble::late(self.options.timeout)));
        match &outcome {
            Ok(()) if self.breaker.succeeded() => info!("object storage works again"),
            Ok(()) => {}
            Err(trouble) => {
                if self.breaker.failed(Instant::now()) {
                    warn!(
                        error = %trouble,
                        "object storage does not take an output; outputs stay in Postgres meanwhile"
                    );
                }
            }
        }
        outcome.ok()?;
        Some(Stored {
            url: self.url(&key),
            sha256,
            size_bytes,
        })
    }

    /// What an artifact says of where its output is.
    fn url(&self, key: &str) -> String {
        let (scheme, bucket) = (self.options.scheme.name(), &self.options.bucket);
        format!("{scheme}://{bucket}/{key}")
    }

    async fn read(&self, url: &str, size: i64) -> Result<Bytes, Unreadable> {
        let (bucket, key) = store::parts(url).ok_or(Unreadable::Elsewhere)?;
        let size = u64::try_from(size).unwrap_or(READ_MAX).min(READ_MAX);
        let permit = self.reads.acquire().await;
        let _permit = permit.map_err(|_| Unreadable::Away)?;
        match self.store.get(bucket, key, size).await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => {
                error!(url, "an output in object storage has another size");
                Err(Unreadable::Corrupt)
            }
            Err(trouble) if trouble.is_missing() => {
                error!(url, error = %trouble, "an output is missing in object storage");
                Err(Unreadable::Missing)
            }
            Err(trouble) => {
                warn!(url, error = %trouble, "an output cannot be read from object storage");
                Err(Unreadable::Away)
            }
        }
    }
}

/// The bytes and their digest, found where it holds up nobody else.
async fn digest(bytes: Bytes) -> Option<(Bytes, String)> {
    let work = move || {
        let digits = to_hex(&Sha256::digest(&bytes));
        (bytes, digits)
    };
    tokio::task::spawn_blocking(work).await.ok()
}
