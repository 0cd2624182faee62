//! The real `bloom worker` process: its signals, and its death.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::fake_service::FakeService;
use crate::worker_kit::{alive, all_dead, pids};

struct Process {
    child: Child,
    dir: PathBuf,
}

impl Process {
    fn start(service: &FakeService, exec: &str, more: &[&str]) -> Self {
        let dir = std::env::temp_dir().join(format!("bloom-it-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&dir).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_bloom"))
            .args([
                "worker",
                "--name",
                "w1",
                "--server",
                &service.url,
                "--exec",
                exec,
            ])
            .args([
                "--kill-grace",
                "1",
                "--ttl",
                "3",
                "--work-dir",
                dir.to_str().unwrap(),
            ])
            .args(more)
            .env("BLOOM_API_KEY", "very-secret")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended; whether it did so with status 0.
    async fn ended(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < deadline, "the worker did not end");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

fn empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[tokio::test]
async fn sigterm_lets_the_running_task_finish() {
    let service = FakeService::start().await;
    let id = service.submit("1");
    let mut worker = Process::start(&service, "sleep $(cat); echo ok", &[]);
    service
        .until("a start", |state| state.task(id).status == "running")
        .await;
    worker.signal(Signal::TERM);
    assert!(worker.ended().await);
    assert_eq!(service.completion(id).await["output"], json!("ok\n"));
    assert!(empty(&worker.dir));
}

#[tokio::test]
async fn second_sigterm_gives_the_task_back() {
    let service = FakeService::start().await;
    let id = service.submit("x");
    let mut worker = Process::start(&service, "trap '' TERM; sleep 60", &[]);
    service
        .until("a start", |state| state.task(id).status == "running")
        .await;
    worker.signal(Signal::TERM);
    // The first one is acted upon before the second one is sent, or they would be one.
    sleep(Duration::from_millis(100)).await;
    worker.signal(Signal::TERM);
    assert!(worker.ended().await);
    let mut state = service.state();
    assert_eq!(
        (state.task(id).status, state.task(id).releases.len()),
        ("queued", 1)
    );
}

#[tokio::test]
async fn kill_nine_of_the_worker_kills_every_process_of_its_programs() {
    let service = FakeService::start().await;
    service.submit("x");
    let file = std::env::temp_dir().join(format!("bloom-it-pids-{}", uuid::Uuid::new_v4()));
    let exec = format!(
        "trap '' TERM; echo $$ >> {0}; sleep 311 & echo $! >> {0}; \
         setsid sh -c 'echo $$ >> {0}; exec sleep 312' & wait",
        file.display()
    );
    let worker = Process::start(&service, &exec, &[]);
    let tree = pids(&file, 3).await;
    assert!(tree.iter().all(|pid| alive(*pid)));
    worker.signal(Signal::KILL);
    all_dead(&tree, Duration::from_secs(5)).await;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !empty(&worker.dir) {
        assert!(Instant::now() < deadline, "the working directory is left");
        sleep(Duration::from_millis(10)).await;
    }
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn paused_worker_ends_its_work_before_anything_else() {
    let service = FakeService::start().await;
    let id = service.submit("x");
    let file = std::env::temp_dir().join(format!("bloom-it-pids-{}", uuid::Uuid::new_v4()));
    let exec = format!("echo $$ > {}; sleep 5; echo late", file.display());
    let worker = Process::start(&service, &exec, &[]);
    let tree = pids(&file, 1).await;
    worker.signal(Signal::STOP);
    sleep(Duration::from_millis(3_200)).await;
    service.lose(id);
    worker.signal(Signal::CONT);
    all_dead(&tree, Duration::from_millis(1_500)).await;
    assert!(service.state().task(id).completions.is_empty());
    std::fs::remove_file(file).unwrap();
}
