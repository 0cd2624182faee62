//! One throwaway Postgres server.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bloom_runtime::db::Endpoint;
use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::Client;

/// Longest wait for a server to accept connections, crash recovery included.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Runs the server beside a pipe from the test process. When the pipe closes, whatever the reason
/// (even kill -9 of the tests), the server is stopped; and unless the last word was "keep", its
/// directory goes too. Arguments: directory of the binaries, directory, settings…
const KEEPER: &str = r#"
bin=$1 dir=$2; shift 2
[ -d "$dir/data" ] ||
    "$bin/initdb" -A trust -U postgres -E UTF8 --no-locale --no-sync -D "$dir/data" >>"$dir/log" 2>&1
"$bin/postgres" -D "$dir/data" "$@" >>"$dir/log" 2>&1 &
server=$!
word=$(cat)
# A server that has only just started does not heed signals yet.
while kill -QUIT $server 2>/dev/null; do sleep 0.1; done
# Its children may write a moment longer than it lives.
[ "$word" = keep ] || until rm -rf "$dir"; do sleep 0.1; done
"#;

/// How to stop a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Orderly: sessions are ended, everything is written.
    Fast,
    /// Without writing: the next start recovers.
    Immediate,
    /// kill -9 of the server and all its children.
    Kill,
}

/// A server of a test's own. Stopped and deleted when dropped, or when the test process ends.
pub struct Cluster {
    dir: PathBuf,
    bin: PathBuf,
    settings: Vec<String>,
    port: String,
    keeper: Mutex<Option<Child>>,
}

impl Cluster {
    /// Makes a cluster and starts its server, with `settings` beside the defaults
    /// (full durability, `max_connections` 400, Unix socket only, trust, superuser `postgres`).
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_prepared(settings, |_| ()).await
    }

    /// The same, where `prepare` puts `data` into its directory, or leaves that to initdb.
    pub async fn start_prepared(settings: &[(&str, &str)], prepare: impl FnOnce(&Self)) -> Self {
        let bin = bin_dir();
        let dir = make_dir();
        let defaults = [
            ("listen_addresses", ""),
            (
                "unix_socket_directories",
                dir.to_str().expect("path is UTF-8"),
            ),
            ("max_connections", "400"),
            ("max_prepared_transactions", "10"),
            ("wal_level", "logical"),
            ("timezone", "UTC"),
        ];
        let port = settings.iter().find(|(name, _)| *name == "port");
        let port = port.map_or("5432", |(_, port)| port).to_owned();
        let settings = defaults.iter().chain(settings);
        let settings = settings
            .map(|(name, value)| format!("--{name}={value}"))
            .collect();
        let cluster = Self {
            dir,
            bin,
            settings,
            port,
            keeper: Mutex::new(None),
        };
        prepare(&cluster);
        cluster.restart().await;
        cluster
    }

    /// Runs one of Postgres' own programs as the server's user, and shows what it printed.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> String {
        let answer = as_server_user(&self.bin.join(name))
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        let answer = answer.expect("it runs");
        assert!(answer.status.success(), "{name} {arguments:?}: {answer:?}");
        String::from_utf8_lossy(&answer.stdout).into_owned()
    }

    /// Starts the server again after [`Cluster::stop`].
    pub async fn restart(&self) {
        let mut read = self.log().len();
        self.launch();
        let deadline = Instant::now() + START_LIMIT;
        while let Err(error) = self.endpoint("postgres").connect().await {
            let log = self.log();
            assert!(Instant::now() < deadline, "no server: {error:?}\n{log}");
            // A child that was born while its server was killed may live a moment longer: then the
            // new one does not start.
            if log[read..].contains("is still in use") {
                read = log.len();
                self.end_keeper("keep");
                self.launch();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn launch(&self) {
        let keeper = as_server_user(Path::new("/bin/sh"))
            .args(["-c", KEEPER, "keeper"])
            .arg(&self.bin)
            .arg(&self.dir)
            .args(&self.settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in the terminal ends the tests; the keeper must outlive them.
            .process_group(0)
            .spawn()
            .expect("sh runs");
        *self.keeper.lock().expect("not poisoned") = Some(keeper);
    }

    /// Stops the server and waits until it is gone; its data stay for [`Cluster::restart`].
    pub fn stop(&self, how: Stop) {
        if let Some(server) = self.server_pid() {
            match how {
                Stop::Fast => kill(server, Signal::INT),
                Stop::Immediate => kill(server, Signal::QUIT),
                Stop::Kill => {
                    let children = children_of(server);
                    kill(server, Signal::KILL);
                    for child in children {
                        kill(child, Signal::KILL);
                    }
                }
            }
            while is_running(server) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.end_keeper("keep");
    }

    /// Process id of the server, while it runs.
    pub fn server_pid(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.dir.join("data/postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Its directory: `data` (PGDATA), `log`, the socket.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a file into the data directory, as the server's own and private.
    pub fn write_data_file(&self, name: &str, text: &str) {
        let path = self.dir.join("data").join(name);
        std::fs::write(&path, text).expect("file is written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("file is ours");
        if let Some((uid, gid)) = server_user() {
            chown(&path, Some(uid), Some(gid)).expect("file is handed over");
        }
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Address of one of its databases, as superuser, through the Unix socket.
    pub fn url(&self, database: &str) -> String {
        let dir = self
            .dir
            .to_str()
            .expect("path is UTF-8")
            .replace('/', "%2F");
        format!("postgres://postgres@{dir}:{}/{database}", self.port)
    }

    /// The same as the product knows it.
    pub fn endpoint(&self, database: &str) -> Endpoint {
        Endpoint::parse(&self.url(database), None).expect("own address is valid")
    }

    /// A superuser's connection.
    pub async fn connect(&self, database: &str) -> Client {
        self.endpoint(database).connect().await.expect("connects")
    }

    fn end_keeper(&self, word: &str) {
        let Some(mut keeper) = self.keeper.lock().expect("not poisoned").take() else {
            return;
        };
        if let Some(mut pipe) = keeper.stdin.take() {
            // The keeper may be gone already; then there is nobody to tell.
            pipe.write_all(word.as_bytes()).ok();
        }
        keeper.wait().expect("keeper ends");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end_keeper("");
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

/// Server binaries: `BLOOM_TEST_PG_BIN`, or the newest that is installed in a usual place.
#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration to read this through"
)]
fn bin_dir() -> PathBuf {
    if let Ok(dir) = std::env::var("BLOOM_TEST_PG_BIN") {
        return PathBuf::from(dir);
    }
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<(u32, PathBuf)> = debian
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .map(|(version, path)| (version, path.join("bin")))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    if let Some((_, bin)) = found.pop() {
        return bin;
    }
    let output = Command::new("pg_config").arg("--bindir").output();
    let output = output.expect("PostgreSQL's server binaries are needed; set BLOOM_TEST_PG_BIN");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// A command that runs as the unprivileged user who owns clusters when we are root: Postgres
/// refuses to be root.
fn as_server_user(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env("LC_ALL", "C");
    if let Some((uid, gid)) = server_user() {
        command.uid(uid).gid(gid);
    }
    command
}

fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("users are readable");
    let find = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2);
        Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
    };
    Some(
        find("postgres")
            .or_else(|| find("nobody"))
            .expect("root needs a user to run Postgres as"),
    )
}

fn make_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("bloom-it-{}-{number}", std::process::id()));
    std::fs::create_dir(&dir).expect("directory is created");
    if let Some((uid, gid)) = server_user() {
        chown(&dir, Some(uid), Some(gid)).expect("directory is handed over");
    }
    dir
}

fn kill(pid: i32, signal: Signal) {
    // It may have ended by itself meanwhile.
    Pid::from_raw(pid).map(|pid| kill_process(pid, signal).ok());
}

fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // "pid (name) state …": a zombie waits for its parent only.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn children_of(parent: i32) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").expect("procfs").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat
            .rsplit_once(") ")
            .map(|(_, rest)| rest.to_owned())
            .unwrap_or_default();
        rest.split(' ').nth(1).and_then(|ppid| ppid.parse().ok()) == Some(parent)
    })
    .collect()
}
