//! Starting workers in tests, and looking at processes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;
use std::time::Duration;

use bloom_runtime::shutdown::Shutdown;
use bloom_runtime::worker::{self, Options, Summary};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::fake_service::FakeService;

/// A worker in this process.
pub struct Worker {
    pub shutdown: Shutdown,
    pub at_once: CancellationToken,
    pub dir: PathBuf,
    task: Option<JoinHandle<Result<Summary, worker::Error>>>,
}

impl Worker {
    /// A worker on `exec` with short times; `change` has the last word.
    pub fn start(service: &FakeService, exec: &str, change: impl FnOnce(&mut Options)) -> Self {
        let dir = std::env::temp_dir().join(format!("bloom-it-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&dir).unwrap();
        let mut options = Options::new(&service.url, "w1", exec);
        options.ttl = Duration::from_secs(3);
        options.poll_wait = Duration::from_secs(5);
        options.kill_grace = Duration::from_millis(400);
        options.work_root.clone_from(&dir);
        options.environment = vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".into())];
        change(&mut options);
        let (shutdown, at_once) = (Shutdown::new(), CancellationToken::new());
        let task = tokio::spawn(worker::run(options, shutdown.clone(), at_once.clone()));
        Self {
            shutdown,
            at_once,
            dir,
            task: Some(task),
        }
    }

    /// Asks it to stop and waits until it has.
    pub async fn stop(mut self) -> Summary {
        self.shutdown.request();
        self.ended().await
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> Summary {
        let task = self.task.take().unwrap();
        let summary = timeout(Duration::from_secs(60), task)
            .await
            .expect("the worker ends");
        let left: Vec<_> = std::fs::read_dir(&self.dir).unwrap().collect();
        assert!(left.is_empty(), "working directories are left: {left:?}");
        summary.unwrap().unwrap()
    }

    /// Ends it as a crash would: nothing is cleaned up by the worker itself.
    pub fn vanish(&mut self) {
        self.task.take().unwrap().abort();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// Whether the process lives (a zombie does not).
pub fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with(['Z', 'X']))
}

/// Waits until the program has written `count` pids, one a line, to `file`.
pub async fn pids(file: &std::path::Path, count: usize) -> Vec<u32> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if pids.len() >= count {
            return pids;
        }
        assert!(
            Instant::now() < deadline,
            "the program never wrote {count} pids: {text:?}"
        );
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until none of the processes lives, at most `limit`.
pub async fn all_dead(pids: &[u32], limit: Duration) {
    let deadline = Instant::now() + limit;
    while let Some(pid) = pids.iter().find(|pid| alive(**pid)) {
        assert!(Instant::now() < deadline, "process {pid} still lives");
        sleep(Duration::from_millis(10)).await;
    }
}
