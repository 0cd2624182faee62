//! The private cluster: it keeps what was committed, whatever is killed.

mod crash;
mod refusal;

use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bloom_runtime::embedded::{Cluster, Options};
use tokio_postgres::{Client, NoTls};

/// The longest that a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that ends with the test, in a place that Postgres' user can reach.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("bloom-it-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o711)).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A client of the cluster; its connection is driven until the client is dropped.
async fn client(cluster: &Cluster) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = cluster.config("postgres").connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn write_row(cluster: &Cluster) {
    let client = client(cluster).await.unwrap();
    client
        .batch_execute("create table kept (n int); insert into kept values (7)")
        .await
        .unwrap();
}

async fn read_row(cluster: &Cluster) -> i32 {
    let client = client(cluster).await.unwrap();
    client
        .query_one("select n from kept", &[])
        .await
        .unwrap()
        .get(0)
}

async fn show(client: &Client, name: &str) -> String {
    client
        .query_one(&format!("show {name}"), &[])
        .await
        .unwrap()
        .get(0)
}

/// Waits until `condition` holds.
async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn process_exists(pid: u32) -> bool {
    // A zombie has ended too.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn committed_rows_survive_stop_and_start() {
    let dir = TempDir::new();
    let cluster = Cluster::start(Options::new(dir.path().join("data")))
        .await
        .unwrap();
    write_row(&cluster).await;
    let pid = cluster.pid().unwrap();
    cluster.stop().await;
    assert!(!process_exists(pid));
    assert!(!cluster.is_alive());

    let cluster = Cluster::start(Options::new(dir.path().join("data")))
        .await
        .unwrap();
    assert_eq!(read_row(&cluster).await, 7);
    cluster.stop().await;
}

#[tokio::test]
async fn durability_is_on_whatever_the_files_say() {
    let dir = TempDir::new();
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    let first = client(&cluster).await.unwrap();
    for line in ["fsync", "full_page_writes", "synchronous_commit"] {
        first
            .batch_execute(&format!("alter system set {line} = off"))
            .await
            .unwrap();
    }
    cluster.stop().await;

    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    let client = client(&cluster).await.unwrap();
    for name in [
        "fsync",
        "full_page_writes",
        "synchronous_commit",
        "data_checksums",
    ] {
        assert_eq!(show(&client, name).await, "on", "{name}");
    }
    assert_eq!(show(&client, "listen_addresses").await, "");
    assert_eq!(show(&client, "server_encoding").await, "UTF8");
    cluster.stop().await;
}

#[tokio::test]
async fn databases_are_made_once_and_only_with_plain_names() {
    let dir = TempDir::new();
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    cluster.ensure_database("bloom").await.unwrap();
    cluster.ensure_database("bloom").await.unwrap();
    drop(cluster.config("bloom").connect(NoTls).await.unwrap());
    assert!(
        cluster
            .ensure_database("x\"; drop database bloom; --")
            .await
            .is_err()
    );
    cluster.stop().await;
}

#[tokio::test]
async fn the_url_works_in_psql_and_as_database_url_and_holds_no_password() {
    let dir = TempDir::new();
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    let url = cluster.url("postgres");
    let pgpass = std::fs::read_to_string(dir.path().join("pgpass")).unwrap();
    let password = pgpass.trim().rsplit(':').next().unwrap();
    assert!(!url.contains(password));
    assert!(!format!("{cluster:?}").contains(password));
    let mut psql = tokio::process::Command::new("psql");
    let answer = psql
        .args([&url, "-Atc", "select current_user"])
        .output()
        .await
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&answer.stdout).trim(),
        "bloom",
        "{answer:?}"
    );
    let endpoint = bloom_runtime::db::Endpoint::parse(&url, None).unwrap();
    let row = endpoint.connect().await.unwrap();
    let row = row
        .query_one("select current_user::text", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "bloom");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(dir.path().join("pgpass"), open).unwrap();
    let refused = bloom_runtime::db::Endpoint::parse(&url, None).unwrap_err();
    assert!(refused.to_string().contains("pgpass"), "{refused}");
    cluster.stop().await;
}

#[tokio::test]
async fn wrong_passwords_are_refused_on_socket_and_tcp() {
    let dir = TempDir::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let options = Options {
        tcp_port: Some(port),
        ..Options::new(dir.path())
    };
    let cluster = Cluster::start(options).await.unwrap();
    let mut socket = cluster.config("postgres");
    let mut tcp = tokio_postgres::Config::new();
    tcp.host("127.0.0.1")
        .port(port)
        .user("bloom")
        .dbname("postgres");
    for config in [socket.password("guess"), tcp.password("guess")] {
        let error = config.connect(NoTls).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code().unwrap().code(), "28P01");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn paths_too_long_for_a_socket_work_all_the_same() {
    let dir = TempDir::new();
    let deep = dir.path().join("a".repeat(60)).join("b".repeat(60));
    let cluster = Cluster::start(Options::new(&deep)).await.unwrap();
    write_row(&cluster).await;
    assert_eq!(read_row(&cluster).await, 7);
    let client = client(&cluster).await.unwrap();
    let sockets = show(&client, "unix_socket_directories").await;
    assert!(sockets.starts_with("/tmp/bloom-pg-"), "{sockets}");
    let mode = std::fs::metadata(&sockets).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    cluster.stop().await;
    assert!(
        !Path::new(&sockets).exists(),
        "nothing stays behind outside of the data directory"
    );
}

#[tokio::test]
async fn old_logs_are_removed() {
    let dir = TempDir::new();
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    cluster.stop().await;
    let logs = dir.path().join("postgres/log");
    for day in 10..30 {
        std::fs::write(logs.join(format!("postgres-200001{day}T000000.log")), "old").unwrap();
    }
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    cluster.stop().await;
    assert!(!logs.join("postgres-20000110T000000.log").exists());
    assert!(logs.read_dir().unwrap().count() <= 11);
}
