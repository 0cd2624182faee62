//! kill -9 of everything that can be killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use bloom_runtime::embedded::{Cluster, Options};
use bloom_runtime::shutdown::Shutdown;

use super::{TempDir, client, kill, process_exists, read_row, until, write_row};

/// Tells the helper process which directory to serve.
const HELPER_DIR: &str = "BLOOM_TEST_HELPER_DIR";

#[tokio::test]
async fn a_killed_postgres_comes_back_with_everything_committed() {
    let dir = TempDir::new();
    let shutdown = Shutdown::new();
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    shutdown.spawn(cluster.clone().supervise(shutdown.clone()));
    write_row(&cluster).await;
    for _ in 0..2 {
        let killed = cluster.pid().unwrap();
        kill(killed);
        until("another server answers", || async {
            cluster.pid().is_some_and(|pid| pid != killed) && client(&cluster).await.is_ok()
        })
        .await;
        assert_eq!(read_row(&cluster).await, 7);
    }
    shutdown.request();
    shutdown.finished().await;
    assert!(cluster.is_alive(), "requests under way still need it");
    cluster.stop().await;
}

#[tokio::test]
async fn a_stop_while_postgres_comes_back_leaves_nothing_running() {
    let dir = TempDir::new();
    let shutdown = Shutdown::new();
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    shutdown.spawn(cluster.clone().supervise(shutdown.clone()));
    let killed = cluster.pid().unwrap();
    kill(killed);
    until("another server starts", || async {
        cluster.pid() != Some(killed)
    })
    .await;
    let starting = cluster.pid().unwrap();
    cluster.stop().await;
    assert!(!process_exists(starting));
    assert_eq!(cluster.pid(), None);
    shutdown.request();
    shutdown.finished().await;
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn a_killed_service_takes_its_postgres_with_it_and_the_next_one_recovers() {
    let dir = TempDir::new();
    let (service, server) = start_helper(dir.path()).await;
    drop(service);
    // At once: the start has to wait for the guard by itself.
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    assert!(!process_exists(server));
    assert_eq!(read_row(&cluster).await, 7);
    cluster.stop().await;
}

#[tokio::test]
async fn a_killed_service_leaves_no_postgres_even_if_nobody_starts_again() {
    let dir = TempDir::new();
    let (service, server) = start_helper(dir.path()).await;
    drop(service);
    until("the server has ended", || async { !process_exists(server) }).await;
}

#[tokio::test]
async fn a_postgres_left_without_service_and_guard_is_stopped_by_the_next_start() {
    let dir = TempDir::new();
    let (service, server) = start_helper(dir.path()).await;
    for guard in children(service.0.id())
        .into_iter()
        .filter(|pid| *pid != server)
    {
        kill(guard);
    }
    drop(service);
    assert!(process_exists(server));
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    assert!(!process_exists(server));
    assert_eq!(read_row(&cluster).await, 7);
    cluster.stop().await;
}

#[tokio::test]
async fn a_stale_process_number_that_is_in_use_again_harms_nobody() {
    let dir = TempDir::new();
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    write_row(&cluster).await;
    cluster.stop().await;
    let mut innocent = Command::new("sleep").arg("600").spawn().unwrap();
    let data = dir.path().join("postgres/data");
    let stale = format!("{}\n{}\n1700000000\n5432\n", innocent.id(), data.display());
    std::fs::write(data.join("postmaster.pid"), stale).unwrap();

    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    assert_eq!(read_row(&cluster).await, 7);
    assert_eq!(innocent.try_wait().unwrap(), None);
    cluster.stop().await;
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

#[tokio::test]
async fn an_interrupted_initdb_is_begun_anew() {
    let dir = TempDir::new();
    let unfinished = dir.path().join("postgres/data.unfinished");
    std::fs::create_dir_all(&unfinished).unwrap();
    std::fs::write(unfinished.join("PG_VERSION"), "15\n").unwrap();
    std::fs::write(dir.path().join("initdb-password"), "left over").unwrap();
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    write_row(&cluster).await;
    assert!(!unfinished.exists());
    assert!(!dir.path().join("initdb-password").exists());
    cluster.stop().await;
}

#[tokio::test]
async fn a_killed_guard_is_replaced() {
    let dir = TempDir::new();
    let (service, server) = start_helper(dir.path()).await;
    let guard = || {
        children(service.0.id())
            .into_iter()
            .find(|pid| *pid != server)
    };
    let first = guard().unwrap();
    kill(first);
    until("another guard", || async {
        guard().is_some_and(|pid| pid != first)
    })
    .await;
    drop(service);
    until("the server has ended", || async { !process_exists(server) }).await;
}

/// A service in a process of its own, whose end is always `kill -9`.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Starts this test program again as a service on `dir`, waits until it has committed a row, and
/// returns it with the number of its server's process.
async fn start_helper(dir: &Path) -> (Service, u32) {
    let service = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded::crash::helper_service", "--nocapture"])
        .env(HELPER_DIR, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map(Service)
        .unwrap();
    let ready = dir.join("ready");
    until("the service has committed a row", || async {
        ready.exists()
    })
    .await;
    (
        service,
        std::fs::read_to_string(ready).unwrap().parse().unwrap(),
    )
}

/// Not a promise but the body of the process that [`start_helper`] starts; else it does nothing.
#[tokio::test]
async fn helper_service() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how a test speaks to its own second process"
    )]
    let Some(dir) = std::env::var_os(HELPER_DIR) else {
        return;
    };
    let dir = Path::new(&dir);
    let shutdown = Shutdown::new();
    let cluster = Cluster::start(Options::new(dir)).await.unwrap();
    shutdown.spawn(cluster.clone().supervise(shutdown.clone()));
    write_row(&cluster).await;
    let pid = cluster.pid().unwrap().to_string();
    std::fs::write(dir.join("ready.new"), pid).unwrap();
    std::fs::rename(dir.join("ready.new"), dir.join("ready")).unwrap();
    std::future::pending::<()>().await;
}

/// The live children of a process.
fn children(parent: u32) -> Vec<u32> {
    let entries = Path::new("/proc").read_dir().unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let mut fields = fields.split(' ');
        fields.next() != Some("Z") && fields.next() == Some(&parent.to_string())
    })
    .collect()
}
