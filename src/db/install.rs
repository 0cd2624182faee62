//! Installs and upgrades the queue inside a database.
//!
//! Everything happens in **one transaction**: Postgres' DDL is transactional, so an installation
//! is either complete or has not happened, whatever kills it. An advisory *transaction* lock lets
//! one installer work at a time; session locks would break behind transaction poolers. Functions
//! are replaced in place, never dropped, so callers of the running service notice nothing.

mod bundle;
mod plan;
mod roles;

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

pub use bundle::{Bundle, Migration, Script};
pub use plan::SchemaStatus;

use plan::Stamp;

/// Key of the advisory lock: "bloom" in ASCII, then 1.
pub const INSTALL_LOCK: i64 = 0x62_6c_6f_6f_6d_01;
/// The oldest server that we promise to work with, as `server_version_num`.
pub const MIN_SERVER_VERSION: i32 = 140_000;
/// How long to wait for another installer to finish.
const INSTALLER_WAIT: &str = "120s";
/// How long one statement of a migration may wait for a table's lock. While it waits, everyone
/// else queues up behind it, so it gives up soon and the whole installation starts again.
const TABLE_LOCK_WAIT: &str = "3s";
/// How often an installation is started again after losing such a wait, or a race with an
/// installer in another database of the cluster.
const MAX_TRIES: u32 = 5;
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// How to install.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Reload the functions although the stamped bundle is the same, or belongs to a newer
    /// program with the same schema version.
    pub force: bool,
}

/// What an installation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The version before; `None` when nothing was installed.
    pub from: Option<i32>,
    /// The version now.
    pub to: i32,
    /// Paths of the migrations that ran.
    pub migrations: Vec<String>,
    /// What happened to the functions.
    pub functions: Functions,
}

/// What an installation did to the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Functions {
    /// So many files were loaded.
    Loaded(usize),
    /// The same bundle is already there.
    Unchanged,
    /// A newer program with the same schema version has loaded its own; during a rolling upgrade
    /// an old one that restarts must not bring the old ones back.
    KeptNewer,
}

/// Why an installation did not happen. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The server is too old.
    #[error("PostgreSQL {found} is too old; 14 or newer is needed")]
    Server {
        /// Its version, as it calls itself.
        found: String,
    },
    /// The database's encoding cannot hold every text.
    #[error(
        "the database's encoding is {found}; it must be UTF8 (create database … encoding 'UTF8' template template0)"
    )]
    Encoding {
        /// The encoding.
        found: String,
    },
    /// A newer program has upgraded the schema.
    #[error(
        "the database has schema version {installed}, this program knows {supported}: use the newer program"
    )]
    Newer {
        /// In the database.
        installed: i32,
        /// In the bundle.
        supported: i32,
    },
    /// There is a schema of our name that is not ours.
    #[error("schema {0} exists, but BLOOM did not create it; rename it or use another database")]
    Foreign(&'static str),
    /// The connecting role may not do what is needed.
    #[error("{need}; run as a superuser: {grant}")]
    Privilege {
        /// What is missing.
        need: String,
        /// The statement that provides it.
        grant: String,
    },
    /// A file of the bundle failed.
    #[error("{path}{}: {message}", line.map(|line| format!(":{line}")).unwrap_or_default())]
    Script {
        /// The file.
        path: String,
        /// Where in the file, when the server said so.
        line: Option<usize>,
        /// The server's message.
        message: String,
        /// The whole error.
        #[source]
        source: tokio_postgres::Error,
    },
    /// A file of the bundle ended the installer's transaction.
    #[error("a file of the bundle commits or rolls back by itself; none may")]
    Escaped,
    /// The bundle contradicts itself.
    #[error("the bundle is inconsistent: {0}")]
    Bundle(String),
    /// The database failed.
    #[error("the database refused: {}", plan::text(.0))]
    Postgres(#[from] tokio_postgres::Error),
}

impl InstallError {
    /// Whether the same installation may succeed when started again: it lost a wait or a race.
    fn is_transient(&self) -> bool {
        let (Self::Script { source: error, .. } | Self::Postgres(error)) = self else {
            return false;
        };
        let Some(error) = error.as_db_error() else {
            return false;
        };
        // Role grants of another database's installer are invisible to our lock, and collide as
        // "tuple concurrently updated".
        let collided = *error.code() == SqlState::INTERNAL_ERROR
            && error.message().contains("concurrently updated");
        collided
            || [
                SqlState::LOCK_NOT_AVAILABLE,
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::T_R_SERIALIZATION_FAILURE,
            ]
            .contains(error.code())
    }
}

/// Compares what is installed with `bundle`, changing nothing.
pub async fn status(client: &Client, bundle: &Bundle) -> Result<SchemaStatus, InstallError> {
    plan::check_server(client).await?;
    Ok(plan::compare(
        plan::read_stamp(client).await?.as_ref(),
        bundle,
    ))
}

/// Installs `bundle`, or upgrades to it. Safe to call at any time, from many programs at once.
///
/// `client` must be outside a transaction, and should have no short `statement_timeout` of its
/// own role (ours is lifted for the transaction).
pub async fn install(
    client: &mut Client,
    bundle: &Bundle,
    options: Options,
) -> Result<Report, InstallError> {
    plan::check_server(&*client).await?;
    let mut tries = 1;
    loop {
        match install_once(client, bundle, options).await {
            Err(error) if error.is_transient() && tries < MAX_TRIES => {
                tracing::warn!(tries, error = %error, "installation starts again");
                let pause = Duration::from_millis(100 << tries).min(MAX_PAUSE);
                tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                tries += 1;
            }
            result => return result,
        }
    }
}

async fn install_once(
    client: &mut Client,
    bundle: &Bundle,
    options: Options,
) -> Result<Report, InstallError> {
    let transaction = client.transaction().await?;
    lock(&transaction).await?;
    let stamp = plan::read_stamp(transaction.client()).await?;
    let report = match &stamp {
        None => bootstrap(&transaction, bundle).await?,
        Some(stamp) if stamp.version > bundle.version() => {
            let (installed, supported) = (stamp.version, bundle.version());
            return Err(InstallError::Newer {
                installed,
                supported,
            });
        }
        Some(stamp) => upgrade(&transaction, bundle, stamp, options).await?,
    };
    if !matches!(report.functions, Functions::Loaded(_)) {
        // Nothing was written; the transaction ends with its lock when it is dropped.
        return Ok(report);
    }
    plan::write_stamp(&transaction, bundle).await?;
    transaction.commit().await?;
    Ok(report)
}

/// Becomes the only installer, with limits fit for the work.
async fn lock(transaction: &Transaction<'_>) -> Result<(), InstallError> {
    let text = format!(
        "set transaction isolation level read committed; \
         set local statement_timeout = 0; \
         set local idle_in_transaction_session_timeout = 0; \
         set local lock_timeout = '{INSTALLER_WAIT}'; \
         set local client_min_messages = warning; \
         set local search_path = pg_catalog, bloom_private, pg_temp; \
         select pg_advisory_xact_lock({INSTALL_LOCK}); \
         set local lock_timeout = '{TABLE_LOCK_WAIT}'"
    );
    Ok(transaction.batch_execute(&text).await?)
}

async fn bootstrap(transaction: &Transaction<'_>, bundle: &Bundle) -> Result<Report, InstallError> {
    plan::check_foreign(transaction).await?;
    roles::create(transaction).await?;
    roles::create_schemas(transaction).await?;
    roles::become_owner(transaction).await?;
    run(transaction, bundle.schema()).await?;
    let functions = load_functions(transaction, bundle).await?;
    Ok(Report {
        from: None,
        to: bundle.version(),
        migrations: Vec::new(),
        functions,
    })
}

async fn upgrade(
    transaction: &Transaction<'_>,
    bundle: &Bundle,
    stamp: &Stamp,
    options: Options,
) -> Result<Report, InstallError> {
    let mut report = Report {
        from: Some(stamp.version),
        to: bundle.version(),
        migrations: Vec::new(),
        functions: Functions::Unchanged,
    };
    if stamp.version == bundle.version() && !options.force {
        if stamp.bundle_hash == bundle.hash() {
            return Ok(report);
        }
        if plan::is_newer(&stamp.app_version, bundle.app_version()) {
            report.functions = Functions::KeptNewer;
            return Ok(report);
        }
    }
    // A role that a newer bundle introduces is created here too.
    roles::create(transaction).await?;
    roles::become_owner(transaction).await?;
    for migration in bundle.migrations_after(stamp.version) {
        run(transaction, &migration.script).await?;
        report.migrations.push(migration.script.path.clone());
    }
    report.functions = load_functions(transaction, bundle).await?;
    Ok(report)
}

async fn load_functions(
    transaction: &Transaction<'_>,
    bundle: &Bundle,
) -> Result<Functions, InstallError> {
    for script in bundle.functions() {
        run(transaction, script).await?;
    }
    Ok(Functions::Loaded(bundle.functions().len()))
}

/// Runs one file. An empty one is fine.
async fn run(transaction: &Transaction<'_>, script: &Script) -> Result<(), InstallError> {
    let result = transaction.batch_execute(&script.text).await;
    result.map_err(|source| plan::script_error(script, source))
}
