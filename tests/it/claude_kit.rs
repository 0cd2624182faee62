//! The real Claude CLI in tests: in a network namespace of its own that has loopback only, beside a
//! stand-in for the model, so that it can reach nothing else.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bloom_runtime::model_stub::{self, Record};
use bloom_runtime::shutdown::Shutdown;
use bloom_runtime::worker::claude::Setup;
use bloom_runtime::worker::claude::flags::Permits;
use bloom_runtime::worker::job::Executor;
use bloom_runtime::worker::{self, Options, Summary};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::runtime::{KEY, Runtime};

/// A namespace with a model in it, and a home for the CLI.
pub struct Model {
    /// What the model was asked.
    pub record: Record,
    dir: PathBuf,
    port: u16,
    holder: Child,
    serving: JoinHandle<()>,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.serving.abort();
        drop(self.holder.kill());
        drop(self.holder.wait());
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// The CLI, fetched once.
pub fn cli() -> PathBuf {
    static CLI: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let fetch = || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/claude-cli.sh");
        let output = Command::new(script)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "the Claude CLI cannot be fetched");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    };
    CLI.get_or_init(fetch).clone()
}

impl Model {
    /// Makes the namespace. Needs root, as CI has.
    pub async fn start() -> Self {
        let dir = std::env::temp_dir().join(format!("bloom-claude-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(dir.join("home")).unwrap();
        let holder = Command::new("unshare")
            .args([
                "--net",
                "sh",
                "-c",
                "ip link set lo up && echo up > \"$0\" && exec sleep 3600",
            ])
            .arg(dir.join("up"))
            .spawn()
            .unwrap();
        let up = dir.join("up");
        crate::runtime::eventually("the namespace is there (needs root and iproute2)", || {
            let is_up = std::fs::read(&up).is_ok_and(|text| !text.is_empty());
            async move { is_up.then_some(()) }
        })
        .await;
        let namespace = PathBuf::from(format!("/proc/{}/ns/net", holder.id()));
        // A socket belongs to the namespace of the thread that makes it.
        let listener = std::thread::spawn(move || {
            let file = File::open(namespace).unwrap();
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        })
        .join()
        .unwrap();
        let port = listener.local_addr().unwrap().port();
        let record = Record::default();
        let serving = {
            let listener = TcpListener::from_std(listener).unwrap();
            tokio::spawn(model_stub::serve(listener, record.clone()))
        };
        let wrapper = dir.join("claude");
        let script = format!(
            "#!/bin/sh\nexec nsenter --net=/proc/{}/ns/net -- '{}' \"$@\"\n",
            holder.id(),
            cli().display()
        );
        std::fs::write(&wrapper, script).unwrap();
        std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self {
            record,
            dir,
            port,
            holder,
            serving,
        }
    }

    /// The CLI, and what tasks may ask of it.
    pub fn setup(&self) -> Setup {
        Setup {
            bin: self.dir.join("claude"),
            agents_dir: Some(self.dir.clone()),
            permits: Permits::default(),
        }
    }

    /// Where definitions of agents are looked for.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory below which the worker called `name` works.
    pub fn work_root(&self, name: &str) -> PathBuf {
        self.dir.join(format!("work-{name}"))
    }

    /// A worker for `runtime` with short times; `change` has the last word.
    pub fn worker(
        &self,
        runtime: &Runtime,
        name: &str,
        change: impl FnOnce(&mut Options),
    ) -> ClaudeWorker {
        let home = self.dir.join(format!("home-{name}"));
        let root = self.work_root(name);
        std::fs::create_dir_all(&home).unwrap();
        std::fs::create_dir_all(&root).unwrap();
        let mut options = Options::new(&runtime.api.base, name, "");
        options.executor = Executor::Claude(self.setup());
        options.api_key = Some(KEY.to_owned().into());
        options.ttl = Duration::from_secs(6);
        options.poll_wait = Duration::from_secs(5);
        options.kill_grace = Duration::from_secs(2);
        options.work_root = root;
        options.environment = [
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            ),
            ("HOME", home.display().to_string()),
            (
                "ANTHROPIC_BASE_URL",
                format!("http://127.0.0.1:{}", self.port),
            ),
            ("ANTHROPIC_API_KEY", "of-nobody".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value.into()))
        .to_vec();
        change(&mut options);
        let (shutdown, at_once) = (Shutdown::new(), CancellationToken::new());
        let running = tokio::spawn(worker::run(options, shutdown.clone(), at_once));
        ClaudeWorker {
            shutdown,
            running: Some(running),
        }
    }
}

/// A worker in this process.
pub struct ClaudeWorker {
    pub shutdown: Shutdown,
    running: Option<JoinHandle<Result<Summary, worker::Error>>>,
}

impl ClaudeWorker {
    /// Asks it to stop and waits until it has.
    pub async fn stop(mut self) -> Summary {
        self.shutdown.request();
        let running = self.running.take().unwrap();
        let summary = timeout(Duration::from_secs(60), running).await;
        summary.expect("the worker ends").unwrap().unwrap()
    }
}

impl Drop for ClaudeWorker {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}
