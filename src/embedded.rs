//! A private Postgres cluster, for those who have no server of their own at hand.
//!
//! `bloom serve` without a `DATABASE_URL` keeps one in its data directory. It consists of the
//! machine's own PostgreSQL programs, runs with full durability, and is reached through a socket
//! that no other user can open. It lives as long as the service:
//!
//! - The service ends in order: [`Cluster::stop`] stops Postgres fast and cleanly.
//! - The service is killed: a guard process sees that and stops Postgres; the next start waits
//!   for it, clears what is left, and Postgres recovers from its log.
//! - Postgres is killed: [`Cluster::supervise`] starts it again, and the service goes on.

mod binaries;
mod error;
mod guard;
mod init;
mod layout;
mod leftover;
mod lock;
mod logs;
mod owner;
mod postmaster;
mod process;
mod settings;
mod supervise;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_util::sync::CancellationToken;

pub use self::binaries::OLDEST_MAJOR;
pub use self::error::Error;

use self::binaries::Binaries;
use self::guard::Guard;
use self::layout::Layout;
use self::lock::Lock;
use self::owner::Owner;
use self::postmaster::Postmaster;
use crate::db::bootstrap;
use crate::shutdown::Shutdown;

/// The role that `initdb` makes, and that the service installs its schema as.
pub const SUPERUSER: &str = "bloom";

/// The number in the socket's name when there is no TCP port.
const SOCKET_PORT: u16 = 5432;

/// How long to wait for a connection to a local socket.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The database that every cluster has.
const FIRST_DATABASE: &str = "postgres";

/// What to run, and where.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The service's data directory; made where it is missing.
    pub data_dir: PathBuf,
    /// Where the server programs are (`BLOOM_PG_BIN`); searched for if absent.
    pub bin_dir: Option<PathBuf>,
    /// Further settings of Postgres. Those that durability rests on are refused.
    pub extra_settings: Vec<(String, String)>,
    /// Listen on this port of 127.0.0.1 too. Without it there is only the socket.
    pub tcp_port: Option<u16>,
}

impl Options {
    /// The defaults, with everything in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            ..Self::default()
        }
    }
}

/// A handle on the running cluster; clones are the same cluster.
///
/// When the last one is dropped without [`Cluster::stop`], the guard stops Postgres.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    layout: Layout,
    binaries: Binaries,
    owner: Owner,
    settings: Vec<String>,
    password: SecretString,
    port: u16,
    stopping: CancellationToken,
    /// One start or stop at a time.
    transition: tokio::sync::Mutex<()>,
    processes: Mutex<Processes>,
}

/// What runs. Fields drop in order: the guard's pipe closes before the lock does.
#[derive(Debug)]
struct Processes {
    postmaster: Option<Postmaster>,
    guard: Option<Guard>,
    lock: Option<Lock>,
}

impl Cluster {
    /// Makes the cluster if need be, starts it, and returns once it accepts connections.
    ///
    /// # Errors
    /// Each has a text that says what to do: no server programs, too old ones, the directory in
    /// use, not reachable for Postgres' user, or Postgres' own reason.
    pub async fn start(options: Options) -> Result<Self, Error> {
        settings::check(&options.extra_settings)?;
        let layout = Layout::create(&options.data_dir)?;
        let lock = Lock::take(layout.root(), &layout.lock()).await?;
        let data = layout.data();
        let wanted = layout.cluster_major()?.map(|major| (major, data.as_path()));
        let binaries = Binaries::find(options.bin_dir.as_deref(), wanted).await?;
        let owner = Owner::resolve(&layout).await?;
        owner.require_reach(layout.root()).await?;
        owner.require_reach(binaries.dir()).await?;
        layout.create_cluster_dirs(&owner)?;
        owner.require_reach(&layout.sockets()).await?;
        let password = layout.password(wanted.is_none())?;
        init::ensure(&layout, &binaries, &owner, &password).await?;
        let inner = Inner {
            settings: settings::all(&layout, options.tcp_port, &options.extra_settings),
            port: options.tcp_port.unwrap_or(SOCKET_PORT),
            stopping: CancellationToken::new(),
            transition: tokio::sync::Mutex::new(()),
            processes: Mutex::new(Processes {
                postmaster: None,
                guard: None,
                lock: Some(lock),
            }),
            layout,
            binaries,
            owner,
            password,
        };
        let cluster = Self {
            inner: Arc::new(inner),
        };
        if let Err(error) = cluster.restart().await {
            cluster.stop().await;
            return Err(error);
        }
        tracing::info!(
            version = cluster.version(),
            dir = %cluster.data_dir().display(),
            "the embedded Postgres accepts connections"
        );
        Ok(cluster)
    }

    /// How a program of ours connects to a database of the cluster, password included.
    #[must_use]
    pub fn config(&self, dbname: &str) -> Config {
        let inner = &self.inner;
        connect_config(&inner.layout, inner.port, &inner.password, dbname)
    }

    /// How a person connects: `psql '<this>'`. It names the file that holds the password rather
    /// than the password, so it may be shown and logged. (`passfile` is libpq's; our own programs
    /// use [`Cluster::config`].)
    #[must_use]
    pub fn url(&self, dbname: &str) -> String {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        format!(
            "postgresql://{SUPERUSER}@/{}?host={}&port={}&passfile={}",
            encoded(dbname),
            encoded(&self.inner.layout.sockets().to_string_lossy()),
            self.inner.port,
            encoded(&self.inner.layout.pgpass().to_string_lossy()),
        )
    }

    /// The data directory, absolute.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.inner.layout.root()
    }

    /// The version of the server programs, e.g. `15.18`.
    #[must_use]
    pub fn version(&self) -> &str {
        self.inner.binaries.version()
    }

    /// The number of the server's process while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.processes().postmaster.as_ref().map(Postmaster::pid)
    }

    /// Whether the server's process runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.processes()
            .postmaster
            .as_mut()
            .is_some_and(Postmaster::is_alive)
    }

    /// Makes the database `name` unless it is there.
    ///
    /// # Errors
    /// When the name is no plain name, or Postgres refuses.
    pub async fn ensure_database(&self, name: &str) -> Result<(), Error> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(plain) {
            return Err(Error::DatabaseName(name.to_owned()));
        }
        Ok(bootstrap::ensure_database(&self.config(FIRST_DATABASE), name).await?)
    }

    /// Starts Postgres again whenever it ends by itself, pausing longer after each failure.
    ///
    /// Ends with the service's shutdown or with [`Cluster::stop`], whichever comes first; it does
    /// not stop Postgres, because requests under way still need it then.
    pub async fn supervise(self, shutdown: Shutdown) {
        supervise::run(self, shutdown).await;
    }

    /// Stops Postgres in order (fast, then immediate, each bounded) and frees the directory.
    /// Call it last, when nobody uses the database any more.
    pub async fn stop(&self) {
        self.inner.stopping.cancel();
        let _one_at_a_time = self.inner.transition.lock().await;
        let (postmaster, guard, lock) = {
            let mut processes = self.processes();
            (
                processes.postmaster.take(),
                processes.guard.take(),
                processes.lock.take(),
            )
        };
        if let Some(mut postmaster) = postmaster {
            postmaster.stop().await;
            self.inner.layout.remove_short_sockets();
            tracing::info!("the embedded Postgres has stopped");
        }
        if let Some(guard) = guard {
            guard.dismiss().await;
        }
        if let Some(lock) = lock {
            lock.release();
        }
    }

    /// Starts a server process in a cleared directory and waits until it is ready.
    async fn restart(&self) -> Result<(), Error> {
        let Inner {
            layout,
            binaries,
            owner,
            ..
        } = &*self.inner;
        let _one_at_a_time = self.inner.transition.lock().await;
        if self.inner.stopping.is_cancelled() {
            return Err(Error::Stopping);
        }
        leftover::clear(layout, binaries, owner).await?;
        logs::prune(layout);
        self.start_guard()?;
        let postmaster = Postmaster::spawn(layout, binaries, owner, &self.inner.settings)?;
        // Noted before the wait: whoever drops this future half-way leaves it to `stop`.
        self.processes().postmaster = Some(postmaster);
        let config = self.config(FIRST_DATABASE);
        let ready = postmaster::ready(layout, &config, || self.is_alive()).await;
        if ready.is_err() {
            let failed = self.processes().postmaster.take();
            if let Some(mut failed) = failed {
                failed.stop().await;
            }
        }
        ready
    }

    /// Starts the guard unless it is there.
    fn start_guard(&self) -> Result<(), Error> {
        let Inner {
            layout,
            binaries,
            owner,
            ..
        } = &*self.inner;
        let mut processes = self.processes();
        if processes.guard.as_mut().is_some_and(Guard::is_alive) {
            return Ok(());
        }
        if let Some(lock) = &processes.lock {
            let guard = Guard::start(owner, binaries, &layout.data(), lock)?;
            processes.guard = Some(guard);
        }
        Ok(())
    }

    /// Replaces a guard that somebody has killed.
    fn mend_guard(&self) {
        if let Err(error) = self.start_guard() {
            tracing::warn!(%error, "cannot start the guard of Postgres");
        }
    }

    fn prune_logs(&self) {
        logs::prune(&self.inner.layout);
    }

    fn stopping(&self) -> &CancellationToken {
        &self.inner.stopping
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        // Every change to it is one assignment, so a panic cannot leave it half done.
        self.inner
            .processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a cluster was ever made in `data_dir`. Makes nothing.
#[must_use]
pub fn exists(data_dir: &Path) -> bool {
    Layout::of(data_dir).is_some_and(|layout| matches!(layout.cluster_major(), Ok(Some(_))))
}

/// How to connect to a database of the cluster that another program of ours runs in `data_dir`.
/// Says nothing of whether it does run.
///
/// # Errors
/// When there is no cluster, or its password cannot be read.
pub fn attach(data_dir: &Path, dbname: &str) -> Result<Config, Error> {
    let layout = Layout::create(data_dir)?;
    let password = layout.password(false)?;
    Ok(connect_config(&layout, SOCKET_PORT, &password, dbname))
}

fn connect_config(layout: &Layout, port: u16, password: &SecretString, dbname: &str) -> Config {
    let mut config = Config::new();
    config
        .host_path(layout.sockets())
        .port(port)
        .user(SUPERUSER)
        .password(password.expose_secret())
        .dbname(dbname)
        .connect_timeout(CONNECT_LIMIT);
    config
}
