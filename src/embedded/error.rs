//! What can go wrong with the private cluster, each with a text that says what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::binaries::OLDEST_MAJOR;

/// A failure to find, make, start or reach the private cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation and the path.
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// There are no PostgreSQL server programs on this machine.
    #[error(
        "no PostgreSQL server programs (version {OLDEST_MAJOR} or newer) were found. Install them: \
         Debian/Ubuntu `apt-get install postgresql`, Fedora/RHEL `dnf install postgresql-server`, \
         Alpine `apk add postgresql`, Arch `pacman -S postgresql`, \
         macOS `brew install postgresql@18`; or set BLOOM_PG_BIN to the directory that holds \
         `postgres`, `initdb` and `pg_ctl`; or set DATABASE_URL to use a server that runs already"
    )]
    NoBinaries,
    /// `BLOOM_PG_BIN` was given and does not hold the programs.
    #[error(
        "BLOOM_PG_BIN names {}, which does not hold {missing}; it must be the directory with \
         `postgres`, `initdb` and `pg_ctl`", bin_dir.display()
    )]
    BadBinDir {
        /// The directory as given.
        bin_dir: PathBuf,
        /// The first missing program.
        missing: &'static str,
    },
    /// Only too old programs were found.
    #[error(
        "the PostgreSQL in {} is version {version}; version {OLDEST_MAJOR} or newer is needed \
         (install the package `postgresql`, or set BLOOM_PG_BIN)", bin_dir.display()
    )]
    TooOld {
        /// Where they are.
        bin_dir: PathBuf,
        /// What they say they are.
        version: String,
    },
    /// A program answered something that is no version.
    #[error("{} did not tell its version: {answer}", program.display())]
    NoVersion {
        /// The program.
        program: PathBuf,
        /// What it said instead.
        answer: String,
    },
    /// The cluster was made by another major version, whose programs are not here.
    #[error(
        "{} was made by PostgreSQL {made_by}, but only version {found} is installed; install \
         PostgreSQL {made_by} (or set BLOOM_PG_BIN to it), or move the data with pg_upgrade",
        data.display()
    )]
    OtherMajor {
        /// The cluster's data.
        data: PathBuf,
        /// Its major version.
        made_by: u32,
        /// The version that would be used.
        found: u32,
    },
    /// The data directory is there but is no cluster.
    #[error("{} exists but is not a Postgres cluster (no PG_VERSION); move it away", .0.display())]
    NotACluster(PathBuf),
    /// Another service holds the directory.
    #[error("the data directory {} is in use by another bloom service{}; stop that one, or give \
         this one its own --data-dir", dir.display(), holder(*.pid))]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The process that holds it, if it left its number.
        pid: Option<u32>,
    },
    /// Started by root, and nobody to run Postgres as.
    #[error(
        "PostgreSQL does not run as root, and there is no user `postgres` to run it as; create one \
         (`useradd --system postgres`), or start bloom as an ordinary user"
    )]
    NoUser,
    /// The user that Postgres runs as cannot enter a directory.
    #[error(
        "PostgreSQL runs as user {user}, who may not enter {}; use a --data-dir outside of it (for \
         example /var/lib/bloom), or allow it with `chmod o+x {}`",
        blocked.display(), blocked.display()
    )]
    Unreachable {
        /// Who.
        user: String,
        /// The outermost directory that is closed.
        blocked: PathBuf,
    },
    /// The cluster belongs to somebody else.
    #[error(
        "{} belongs to uid {uid}; start bloom as that user or as root, or use another --data-dir",
        dir.display()
    )]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// The password file is gone or damaged while the cluster exists.
    #[error(
        "{} is missing or damaged; it holds the password of the cluster beside it. Restore it, or \
         move the data directory away to begin an empty one", .0.display()
    )]
    PasswordFile(PathBuf),
    /// A setting that would weaken what the service promises.
    #[error("the setting {0} is fixed for the embedded Postgres")]
    FixedSetting(String),
    /// A name that is no plain database name.
    #[error("`{0}` is no database name: use a-z, 0-9 and _, at most 63")]
    DatabaseName(String),
    /// `initdb` failed.
    #[error("initdb could not make the cluster: {0}")]
    Init(String),
    /// A program did not end in time.
    #[error("{program} did not end within {} s", limit.as_secs())]
    Slow {
        /// Its name.
        program: String,
        /// The limit.
        limit: Duration,
    },
    /// The postmaster ended while it started.
    #[error("Postgres ended while starting: {0}")]
    Died(String),
    /// The postmaster did not accept connections in time.
    #[error("Postgres did not accept connections within {} s: {last}", limit.as_secs())]
    NotReady {
        /// The limit.
        limit: Duration,
        /// The last answer.
        last: String,
    },
    /// A postmaster of an earlier service is still there and does not end.
    #[error(
        "a Postgres of an earlier service (pid {pid}) still runs in the data directory and \
         does not stop; end it with `kill -QUIT {pid}`"
    )]
    Leftover {
        /// Its process.
        pid: u32,
    },
    /// The cluster is being stopped.
    #[error("the embedded Postgres is stopping")]
    Stopping,
    /// The database refused.
    #[error("the embedded Postgres refused: {0}")]
    Database(#[from] tokio_postgres::Error),
}

impl Error {
    /// Makes an adapter for `map_err` that says what was attempted.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// The holder of the lock, for the text.
fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}
