//! A program ends as a whole: every process of it, whatever it does to survive.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::fake_service::FakeService;
use crate::worker_kit::{Worker, alive, all_dead, pids};

/// A program that writes the pids of itself, a child and a grandchild to `file`, all of which
/// ignore SIGTERM, and then waits.
fn stubborn(file: &std::path::Path) -> String {
    let file = file.display();
    format!(
        "trap '' TERM; echo $$ >> {file}; \
         sh -c 'trap \"\" TERM; echo $$ >> {file}; sleep 301 & echo $! >> {file}; wait' & \
         sleep 302"
    )
}

fn pid_file() -> PathBuf {
    std::env::temp_dir().join(format!("bloom-it-pids-{}", uuid::Uuid::new_v4()))
}

#[tokio::test]
async fn timeout_kills_the_whole_tree() {
    let service = FakeService::start().await;
    let file = pid_file();
    let body = json!({ "prompt": "x", "policy": { "timeout_sec": 1, "budget": 0 } });
    let id = service.submit_with(body);
    let worker = Worker::start(&service, &stubborn(&file), |_| {});
    let tree = pids(&file, 3).await;
    let done = service.completion(id).await;
    assert!(
        !tree.iter().any(|pid| alive(*pid)),
        "reported before {tree:?} was dead"
    );
    assert_eq!(done["error_message"], json!("timeout exceeded"));
    worker.stop().await;
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn cancel_kills_a_tree_that_ignores_sigterm_and_then_reports() {
    let service = FakeService::start().await;
    let file = pid_file();
    let id = service.submit("x");
    let worker = Worker::start(&service, &stubborn(&file), |_| {});
    let tree = pids(&file, 3).await;
    service.state().task(id).cancel = true;
    let done = service.completion(id).await;
    assert!(
        !tree.iter().any(|pid| alive(*pid)),
        "reported before {tree:?} was dead"
    );
    assert_eq!(
        (&done["status"], &done["error_message"]),
        (&json!("error"), &json!("cancelled"))
    );
    assert_eq!(done["retryable"], json!(false));
    worker.stop().await;
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn cancelled_program_may_clean_up() {
    let service = FakeService::start().await;
    let file = pid_file();
    let id = service.submit("x");
    // The clean-up is done by a child whose parent shell is gone at once.
    let exec = format!(
        "sh -c 'trap \"sleep 0.2; echo 2 >> {0}; exit\" TERM; echo 1 >> {0}; while :; do sleep 0.05; done'; :",
        file.display()
    );
    let worker = Worker::start(&service, &exec, |options| {
        options.kill_grace = Duration::from_secs(10);
    });
    pids(&file, 1).await;
    service.state().task(id).cancel = true;
    service.completion(id).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "1\n2\n");
    worker.stop().await;
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn lost_lease_kills_and_reports_nothing() {
    let service = FakeService::start().await;
    let file = pid_file();
    let id = service.submit("x");
    let worker = Worker::start(&service, &stubborn(&file), |_| {});
    let tree = pids(&file, 3).await;
    service.lose(id);
    all_dead(&tree, Duration::from_secs(5)).await;
    let summary = worker.stop().await;
    assert_eq!(
        (summary.lost, summary.completed, summary.released),
        (1, 0, 0)
    );
    assert!(service.state().calls_to("/complete").is_empty());
    assert!(service.state().calls_to("/release").is_empty());
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn orphan_that_holds_stdout_open_does_not_hang_the_worker() {
    let service = FakeService::start().await;
    let file = pid_file();
    let id = service.submit("x");
    let exec = format!("echo out; (sleep 303 & echo $! >> {}) ", file.display());
    let worker = Worker::start(&service, &exec, |_| {});
    let begun = Instant::now();
    let done = service.completion(id).await;
    assert_eq!(
        (&done["status"], &done["output"]),
        (&json!("success"), &json!("out\n"))
    );
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    all_dead(&pids(&file, 1).await, Duration::ZERO).await;
    worker.stop().await;
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn orphan_in_a_session_of_its_own_is_killed_too() {
    let service = FakeService::start().await;
    let file = pid_file();
    let id = service.submit("x");
    let exec = format!(
        "setsid sh -c 'echo $$ >> {}; exec sleep 304' & echo out",
        file.display()
    );
    let worker = Worker::start(&service, &format!("{exec}; sleep 0.3"), |_| {});
    service.completion(id).await;
    all_dead(&pids(&file, 1).await, Duration::ZERO).await;
    worker.stop().await;
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn tree_dies_with_a_worker_that_vanishes() {
    let service = FakeService::start().await;
    let file = pid_file();
    service.submit("x");
    let mut worker = Worker::start(&service, &stubborn(&file), |_| {});
    let tree = pids(&file, 3).await;
    worker.vanish();
    all_dead(&tree, Duration::from_secs(5)).await;
    std::fs::remove_file(file).unwrap();
}
