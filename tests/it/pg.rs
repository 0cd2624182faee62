//! Real Postgres for tests: throwaway servers, and databases cloned from an installed template.
//!
//! Most tests want only this:
//! ```ignore
//! let db = TestDb::new().await;           // a fresh database with the real bundle installed
//! let client = db.connect().await;        // as superuser
//! let worker = db.connect_as("bloom_worker").await;
//! ```
//! All of them share one server per test process (fsync off). Tests that stop, kill or
//! reconfigure a server start their own with [`Cluster::start`].

mod cluster;

use std::sync::atomic::{AtomicU32, Ordering};

use bloom_runtime::db::Endpoint;
use bloom_runtime::db::install::{self, Bundle};
use tokio::sync::OnceCell;
use tokio_postgres::{Client, Config};

pub use cluster::{Cluster, Stop};

/// Database that [`TestDb::new`] clones.
const TEMPLATE: &str = "bloom_template";

/// Settings of the shared server: fast, and in need of no durability.
const SHARED_SETTINGS: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "on"),
];

/// The server that most tests share, started once per test process.
pub async fn shared() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED.get_or_init(|| Cluster::start(SHARED_SETTINGS)).await
}

/// A database of one test's own, dropped with this value.
pub struct TestDb {
    cluster: &'static Cluster,
    name: String,
}

impl TestDb {
    /// A database with the real bundle installed.
    pub async fn new() -> Self {
        static TEMPLATE_MADE: OnceCell<()> = OnceCell::const_new();
        let cluster = shared().await;
        TEMPLATE_MADE.get_or_init(|| make_template(cluster)).await;
        Self::create(cluster, TEMPLATE).await
    }

    /// A database with nothing in it.
    pub async fn empty() -> Self {
        Self::create(shared().await, "template0").await
    }

    async fn create(cluster: &'static Cluster, template: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let admin = cluster.connect("postgres").await;
        let sql = format!("create database {name} template {template}");
        admin
            .batch_execute(&sql)
            .await
            .expect("database is created");
        Self { cluster, name }
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address, as superuser, through the Unix socket.
    pub fn url(&self) -> String {
        self.cluster.url(&self.name)
    }

    /// Its address as a bare driver configuration.
    pub fn config(&self) -> Config {
        self.url().parse().expect("own address is valid")
    }

    /// Its address as the product knows it.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.config(), None).expect("own address is valid")
    }

    /// A superuser's connection.
    pub async fn connect(&self) -> Client {
        self.endpoint().connect().await.expect("connects")
    }

    /// A connection with the rights of `role`, which may be one that cannot log in.
    pub async fn connect_as(&self, role: &str) -> Client {
        let client = self.connect().await;
        let sql = format!("set session authorization \"{role}\"");
        client.batch_execute(&sql).await.expect("role exists");
        client
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let endpoint = self.cluster.endpoint("postgres");
        let sql = format!("drop database if exists {} with (force)", self.name);
        // A thread of its own: dropping happens inside a runtime that must not be blocked on.
        let dropper = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.expect("runtime").block_on(async {
                let admin = endpoint.connect().await?;
                admin.batch_execute(&sql).await?;
                anyhow::Ok(())
            })
        });
        let result = dropper.join().expect("dropper does not panic");
        if !std::thread::panicking() {
            result.expect("test database is dropped");
        }
    }
}

async fn make_template(cluster: &Cluster) {
    let admin = cluster.connect("postgres").await;
    let sql = format!("create database {TEMPLATE} template template0");
    admin
        .batch_execute(&sql)
        .await
        .expect("template is created");
    let mut client = cluster.connect(TEMPLATE).await;
    let bundle = Bundle::embedded().expect("the bundle is consistent");
    let options = install::Options::default();
    install::install(&mut client, &bundle, options)
        .await
        .expect("the bundle installs");
    drop(client);
    // A template with a session cannot be cloned, and ours may take a moment to go away.
    let sql = format!(
        "alter database {TEMPLATE} is_template true allow_connections false; \
         select pg_terminate_backend(pid) from pg_stat_activity where datname = '{TEMPLATE}'"
    );
    admin.batch_execute(&sql).await.expect("template is sealed");
}
