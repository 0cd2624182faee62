//! The database: one server, or one and its standby, and which of them is the primary now.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, ensure};
use tokio_postgres::Client;

use super::link::Link;
use super::postgres::{Server, Stop, server_dir, url};

/// The database of the run.
pub const DATABASE: &str = "bloom";

/// Whether there is a standby, and whether commits wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Replica {
    /// None.
    #[default]
    None,
    /// One that may be behind.
    Async,
    /// One that commits wait for.
    Sync,
}

/// How the database is made.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// Server programs.
    pub bin: PathBuf,
    /// The standby.
    pub replica: Replica,
    /// Below which the data go, if not beside everything else.
    pub data: Option<PathBuf>,
    /// Below which the write-ahead logs go, if not with the data.
    pub wal: Option<PathBuf>,
    /// Settings beside the usual ones.
    pub settings: Vec<(String, String)>,
    /// Variables of the server.
    pub env: Vec<(String, String)>,
}

/// The servers.
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    dir: PathBuf,
    servers: Mutex<Vec<Arc<Server>>>,
    /// Between primary and standby.
    pub replication: Option<Link>,
    /// Whoever stops, starts, fills or promotes servers holds this.
    pub surgery: tokio::sync::Mutex<()>,
    made: AtomicUsize,
}

impl Cluster {
    /// Makes and starts the primary, and the standby if one is wanted.
    ///
    /// # Errors
    /// When a server does not come up.
    pub async fn start(dir: &Path, options: ClusterOptions) -> anyhow::Result<Self> {
        for volume in [&options.data, &options.wal].into_iter().flatten() {
            server_dir(volume)?;
        }
        let (data, wal) = places(&options, dir, 0);
        let settings = as_pairs(&options.settings);
        let server = Server::create(dir, &options.bin, &data, wal.as_deref(), &settings).await?;
        server
            .proc
            .relaunch(|launch| launch.env.clone_from(&options.env));
        server.start().await?;
        let admin = server.connect("postgres").await?;
        admin
            .batch_execute(&format!("create database {DATABASE}"))
            .await?;
        let cluster = Self {
            replication: match options.replica {
                Replica::None => None,
                _ => Some(Link::open("replication", server.port).await?),
            },
            options,
            dir: dir.to_owned(),
            servers: Mutex::new(vec![Arc::new(server)]),
            surgery: tokio::sync::Mutex::new(()),
            made: AtomicUsize::new(1),
        };
        if cluster.options.replica != Replica::None {
            cluster.add_standby().await?;
        }
        Ok(cluster)
    }

    /// The server that takes writes.
    ///
    /// # Panics
    /// Never: there is always one.
    #[must_use]
    pub fn primary(&self) -> Arc<Server> {
        let servers = self.servers.lock().expect("not poisoned");
        Arc::clone(servers.first().expect("there is a primary"))
    }

    /// The one that follows it, if there is one.
    #[must_use]
    pub fn follower(&self) -> Option<Arc<Server>> {
        let servers = self.servers.lock().ok()?;
        servers.get(1).cloned()
    }

    /// Copies the primary and lets the copy follow it; commits wait for it if they are meant to.
    ///
    /// # Errors
    /// When it does not follow.
    pub async fn add_standby(&self) -> anyhow::Result<()> {
        let link = self.replication.as_ref().context("no replication")?;
        let primary = self.primary();
        link.heal();
        link.aim(primary.port);
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let (data, wal) = places(&self.options, &self.dir, number);
        let settings = as_pairs(&self.options.settings);
        let places = (data.as_path(), wal.as_deref());
        let standby = primary
            .standby(&self.dir, places, link.port(), &settings)
            .await?;
        standby
            .proc
            .relaunch(|launch| launch.env.clone_from(&self.options.env));
        standby.start().await?;
        let admin = primary.connect("postgres").await?;
        let follows = super::proc::until(std::time::Duration::from_secs(60), async || {
            let sql = "select count(*) from pg_stat_replication where state = 'streaming'";
            let row = admin.query_one(sql, &[]).await;
            row.is_ok_and(|row| row.get::<_, i64>(0) > 0)
        });
        ensure!(follows.await, "the standby does not follow");
        if self.options.replica == Replica::Sync {
            set(&admin, "synchronous_standby_names", "standby").await?;
        }
        let mut servers = self
            .servers
            .lock()
            .map_err(|_| anyhow::anyhow!("poisoned"))?;
        servers.push(Arc::new(standby));
        Ok(())
    }

    /// Lets the standby take over from a primary that is gone. Returns the old one.
    ///
    /// # Errors
    /// When there is none, or it does not.
    pub async fn fail_over(&self) -> anyhow::Result<Arc<Server>> {
        let standby = self.follower().context("no standby")?;
        standby.promote().await?;
        let admin = standby.connect("postgres").await?;
        // Or commits would wait for a standby that is not there yet.
        set(&admin, "synchronous_standby_names", "").await?;
        let mut servers = self
            .servers
            .lock()
            .map_err(|_| anyhow::anyhow!("poisoned"))?;
        Ok(servers.remove(0))
    }

    /// A superuser's session of the run's database.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn admin(&self) -> anyhow::Result<Client> {
        self.primary().connect(DATABASE).await
    }

    /// Everything that runs, killed.
    pub async fn end(&self) {
        let servers = self.servers.lock().map(|s| s.clone()).unwrap_or_default();
        for server in servers {
            server.stop(Stop::Immediate).await;
        }
    }
}

/// Where the data and, if apart, the write-ahead log of server `number` go.
fn places(options: &ClusterOptions, dir: &Path, number: usize) -> (PathBuf, Option<PathBuf>) {
    let data = options.data.as_deref().unwrap_or(dir);
    let wal = options.wal.as_ref();
    (
        data.join(format!("pg-{number}")),
        wal.map(|wal| wal.join(format!("wal-{number}"))),
    )
}

fn as_pairs(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// Changes a setting of the server for all sessions.
///
/// # Errors
/// Those of the server.
pub async fn set(admin: &Client, name: &str, value: &str) -> anyhow::Result<()> {
    admin
        .batch_execute(&format!("alter system set {name} = '{value}'"))
        .await?;
    admin.batch_execute("select pg_reload_conf()").await?;
    Ok(())
}

/// Address of the run's database through a link.
#[must_use]
pub fn through(link: &Link, user: &str) -> String {
    url(link.port(), user, DATABASE)
}
