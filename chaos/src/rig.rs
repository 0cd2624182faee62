//! The real parts of a run, put together: PostgreSQL, two services, nginx, workers with programs,
//! and a link on every way between them.

pub mod cluster;
pub mod control_plane;
pub mod launch;
pub mod link;
pub mod machine;
pub mod nginx;
pub mod postgres;
pub mod proc;
pub mod volume;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use tokio::process::Command;

use crate::clients::api::Api;
use cluster::{Cluster, ClusterOptions, through};
use control_plane::ControlPlane;
use link::Link;
use machine::free_port;
use postgres::Stop;
use proc::{Proc, until};

/// How long a service may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// The login of SQL clients.
pub const SQL_USER: &str = "chaos_sql";
/// After an outage nothing is taken back for so long, seconds.
pub const GRACE_SECONDS: i64 = 2;

/// How a rig is made.
#[derive(Debug, Clone)]
pub struct RigOptions {
    /// The program under test.
    pub bloom: PathBuf,
    /// Where it runs: data, sockets, logs.
    pub dir: PathBuf,
    /// How many workers with programs there are.
    pub workers: usize,
    /// Time to live of their leases, seconds.
    pub worker_ttl: u64,
    /// The database.
    pub cluster: ClusterOptions,
    /// Volumes that can be filled.
    pub volumes: Volumes,
    /// From which file the database takes its time, if not from the machine.
    pub clock: Option<PathBuf>,
}

/// Volumes of their own, where this machine lets us make them.
#[derive(Debug, Clone, Default)]
pub struct Volumes {
    /// For the data.
    pub data: Option<PathBuf>,
    /// For the write-ahead log.
    pub wal: Option<PathBuf>,
    /// For the logs of services and workers.
    pub logs: Option<PathBuf>,
}

/// Keys by scope. All of them are canaries: none may stand in a log or in the database.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Everything.
    pub root: String,
    /// Submits.
    pub producer: String,
    /// Works.
    pub worker: String,
    /// Operates.
    pub operator: String,
}

/// The ways.
#[derive(Debug)]
pub struct Links {
    /// Producers and operators to nginx.
    pub front: Link,
    /// Workers with programs to nginx.
    pub work: Link,
    /// Clients that pull, to nginx.
    pub pull: Link,
    /// nginx to each service.
    pub web: [Link; 2],
    /// Each service to PostgreSQL.
    pub pg: [Link; 2],
    /// SQL clients to PostgreSQL.
    pub sql: Link,
}

impl Links {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<&Link> {
        let [web_a, web_b] = &self.web;
        let [pg_a, pg_b] = &self.pg;
        vec![
            &self.front,
            &self.work,
            &self.pull,
            web_a,
            web_b,
            pg_a,
            pg_b,
            &self.sql,
        ]
    }

    /// Those to PostgreSQL.
    #[must_use]
    pub fn to_postgres(&self) -> [&Link; 3] {
        [&self.pg[0], &self.pg[1], &self.sql]
    }
}

/// A running rig.
#[derive(Debug)]
pub struct Rig {
    /// How it was made.
    pub options: RigOptions,
    /// The database.
    pub cluster: Cluster,
    /// The services.
    pub services: [Proc; 2],
    /// Where they listen.
    pub service_ports: [u16; 2],
    /// In front of them.
    pub nginx: Proc,
    /// Workers with programs.
    pub workers: Vec<Proc>,
    /// The ways.
    pub links: Links,
    /// The keys.
    pub keys: Keys,
    /// What the services ask for agents.
    pub control_plane: ControlPlane,
}

impl Rig {
    /// Starts everything.
    ///
    /// # Errors
    /// When a part does not come up.
    pub async fn start(options: RigOptions) -> anyhow::Result<Self> {
        let dir = options.dir.clone();
        std::fs::create_dir_all(dir.join("program/sink"))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(&dir, mode)?;
        let cluster = Cluster::start(&dir, options.cluster.clone()).await?;
        let db = cluster.primary().port;
        let pg = [Link::open("pg-a", db).await?, Link::open("pg-b", db).await?];
        let service_ports = [free_port()?, free_port()?];
        let web = [
            Link::open("web-a", service_ports[0]).await?,
            Link::open("web-b", service_ports[1]).await?,
        ];
        let nginx_port = free_port()?;
        let links = Links {
            front: Link::open("front", nginx_port).await?,
            work: Link::open("work", nginx_port).await?,
            pull: Link::open("pull", nginx_port).await?,
            web,
            pg,
            sql: Link::open("sql", db).await?,
        };
        let root = format!("root-{}", uuid::Uuid::new_v4().simple());
        let control_plane = ControlPlane::start().await?;
        let logs = options.volumes.logs.clone().unwrap_or_else(|| dir.clone());
        let service = |index: usize, name: &str| {
            let (port, plane) = (service_ports[index], control_plane.url());
            let url = through(&links.pg[index], "postgres");
            let launch = launch::service(&options, port, &url, &root, &plane);
            Proc::new(&logs, name, launch)
        };
        let services = [service(0, "service-a"), service(1, "service-b")];
        let ports: Vec<u16> = links.web.iter().map(Link::port).collect();
        let nginx = nginx::prepare(&dir, &dir.join("nginx"), nginx_port, &ports)?;
        services[0].start().await?;
        ready(service_ports[0], &root).await?;
        services[1].start().await?;
        ready(service_ports[1], &root).await?;
        nginx.start().await?;
        let admin_url = cluster.primary().url(cluster::DATABASE);
        let key = |scopes: &'static str| make_key(&options.bloom, &admin_url, scopes);
        let keys = Keys {
            producer: key("producer").await?,
            worker: key("worker").await?,
            operator: key("admin").await?,
            root,
        };
        let user = format!("create role {SQL_USER} login; grant bloom_producer to {SQL_USER}");
        cluster.admin().await?.batch_execute(&user).await?;
        let workers = (0..options.workers)
            .map(|n| {
                let name = format!("worker-{n}");
                let launch = launch::worker(&options, &links.work, &keys.worker, &name)?;
                Ok(Proc::new(&logs, &name, launch))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        for worker in &workers {
            worker.start().await?;
        }
        Ok(Self {
            options,
            cluster,
            services,
            service_ports,
            nginx,
            workers,
            links,
            keys,
            control_plane,
        })
    }

    /// A client that goes to one of the services past nginx and all links.
    ///
    /// # Errors
    /// When none can be made.
    pub fn direct(&self, index: usize) -> anyhow::Result<Api> {
        Api::new(self.service_ports[index], &self.keys.root)
    }

    /// Every process but PostgreSQL.
    pub fn procs(&self) -> Vec<&Proc> {
        let mut all: Vec<&Proc> = self.services.iter().collect();
        all.push(&self.nginx);
        all.extend(&self.workers);
        all
    }

    /// Starts what has ended by itself, as an operating system's supervisor would.
    pub async fn supervise(self: Arc<Self>) {
        loop {
            tokio::time::sleep(Duration::from_millis(150)).await;
            for proc in self.procs() {
                // What cannot be started now may be later.
                let _tried = proc.revive();
            }
            if let Ok(_free) = self.cluster.surgery.try_lock() {
                let _tried = self.cluster.primary().proc.revive();
                if let Some(standby) = self.cluster.follower() {
                    let _tried = standby.proc.revive();
                }
            }
        }
    }

    /// Nothing is wrong any more, and everything is up again.
    ///
    /// # Errors
    /// When something does not come up.
    pub async fn heal(&self) -> anyhow::Result<()> {
        for link in self
            .links
            .all()
            .into_iter()
            .chain(&self.cluster.replication)
        {
            link.heal();
        }
        self.control_plane.heal();
        let primary = self.cluster.primary();
        primary.start().await?;
        let admin = self.cluster.admin().await?;
        admin
            .batch_execute("alter system reset default_transaction_read_only")
            .await?;
        admin.batch_execute("select pg_reload_conf()").await?;
        for proc in self.procs() {
            proc.signal_tree(Signal::CONT);
            proc.start().await?;
        }
        for port in self.service_ports {
            ready(port, &self.keys.root).await?;
        }
        Ok(())
    }

    /// Ends everything. Workers and services first, so that they can say goodbye.
    pub async fn end(&self) {
        let limit = Duration::from_secs(15);
        for worker in &self.workers {
            worker.hold().await.stop(Signal::TERM, limit).await;
        }
        for proc in [&self.nginx, &self.services[0], &self.services[1]] {
            proc.hold().await.stop(Signal::TERM, limit).await;
        }
        self.cluster.end().await;
    }

    /// kill -9 of the database and of everything that it had, at once.
    pub async fn kill_database(&self, how: Stop) {
        self.cluster.primary().stop(how).await;
    }
}

/// Waits until a service is ready.
///
/// # Errors
/// When it is not in time.
pub async fn ready(port: u16, key: &str) -> anyhow::Result<()> {
    let api = Api::new(port, key)?;
    let is_ready = until(READY_LIMIT, async || {
        let reply = api.get("//readyz", Duration::from_secs(3)).await;
        reply.http == Some(200)
    });
    ensure!(
        is_ready.await,
        "the service on port {port} does not become ready"
    );
    Ok(())
}

async fn make_key(bloom: &Path, url: &str, scope: &str) -> anyhow::Result<String> {
    let mut command = Command::new(bloom);
    command.args(["key", "create", "--json", "--scope", scope, "--name"]);
    command
        .arg(format!("chaos-{scope}"))
        .env("DATABASE_URL", url);
    let output = command.output().await.context("bloom key create")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "bloom key create failed: {text}");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let key = answer["key"].as_str().context("no key")?;
    Ok(key.to_owned())
}
