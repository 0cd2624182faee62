//! Leases across an orderly end, and a lease that cannot be renewed.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::fake_service::{FakeService, Fault};
use crate::worker_kit::Worker;

#[tokio::test]
async fn stopping_worker_finishes_what_runs_and_takes_nothing_new() {
    let service = FakeService::start().await;
    let running = service.submit("1");
    let worker = Worker::start(&service, "sleep $(cat); echo ok", |_| {});
    service
        .until("a start", |state| state.task(running).status == "running")
        .await;
    worker.shutdown.request();
    let waiting = service.submit("0");
    let summary = worker.stop().await;
    assert_eq!((summary.completed, summary.released), (1, 0));
    assert_eq!(service.completion(running).await["output"], json!("ok\n"));
    assert_eq!(service.state().task(waiting).status, "queued");
}

#[tokio::test]
async fn past_the_grace_running_tasks_go_back_unburned() {
    let service = FakeService::start().await;
    let id = service.submit("60");
    let worker = Worker::start(&service, "sleep $(cat)", |options| {
        options.shutdown_grace = Duration::from_millis(300);
    });
    service
        .until("a start", |state| state.task(id).status == "running")
        .await;
    let summary = worker.stop().await;
    assert_eq!((summary.completed, summary.released), (0, 1));
    let mut state = service.state();
    assert_eq!(
        (state.task(id).status, state.task(id).attempts),
        ("queued", 0)
    );
    assert_eq!(
        state.task(id).releases[0]["reason"],
        json!("the worker is stopping")
    );
}

#[tokio::test]
async fn second_signal_releases_at_once() {
    let service = FakeService::start().await;
    let id = service.submit("x");
    let mut worker = Worker::start(&service, "trap '' TERM; sleep 60 & wait; wait", |options| {
        options.kill_grace = Duration::from_secs(60);
        options.shutdown_grace = Duration::from_secs(60);
    });
    service
        .until("a start", |state| state.task(id).status == "running")
        .await;
    let asked = Instant::now();
    worker.shutdown.request();
    worker.at_once.cancel();
    assert_eq!(worker.ended().await.released, 1);
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn lease_granted_to_an_abandoned_request_is_given_back() {
    let service = FakeService::start().await;
    service.fault("/leases", 1, Fault::DropAnswer);
    let id = service.submit("x");
    let worker = Worker::start(&service, "cat", |_| {});
    service
        .until("a lease", |state| state.task(id).status == "leased")
        .await;
    let summary = worker.stop().await;
    assert_eq!(summary.completed, 0);
    let mut state = service.state();
    assert_eq!(
        (state.task(id).status, state.task(id).attempts),
        ("queued", 0)
    );
}

#[tokio::test]
async fn work_that_cannot_be_renewed_ends_before_its_lease() {
    let service = FakeService::start().await;
    let file = std::env::temp_dir().join(format!("bloom-it-pids-{}", uuid::Uuid::new_v4()));
    let exec = format!(
        "trap '' TERM; echo $$ > {}; while :; do sleep 1; done",
        file.display()
    );
    let id = service.submit("x");
    let worker = Worker::start(&service, &exec, |_| {});
    let tree = crate::worker_kit::pids(&file, 1).await;
    // Nothing gets through from now on.
    service.fault("", u32::MAX, Fault::Hang);
    let last = {
        let state = service.state();
        let renewed = |call: &&crate::fake_service::Call| {
            call.path.ends_with("/beat") || call.path.ends_with("/heartbeat")
        };
        state.calls.iter().rfind(renewed).unwrap().at
    };
    crate::worker_kit::all_dead(&tree, Duration::from_secs(5)).await;
    let lived = last.elapsed();
    // The beat that was under way may have been counted, or not: its lease is 3 s either way.
    assert!(
        lived < Duration::from_secs(3),
        "it lived {lived:?} past the last renewal"
    );
    assert!(
        lived > Duration::from_secs(1),
        "it was killed early, after {lived:?}"
    );
    service.heal();
    let summary = worker.stop().await;
    assert_eq!((summary.lost, summary.completed), (1, 0));
    assert!(service.state().task(id).completions.is_empty());
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn announced_start_renews_a_lease_that_was_granted_long_ago() {
    let service = FakeService::start().await;
    service.fault("/beat", u32::MAX, Fault::Status(503));
    // With the pauses between them, five refusals take 1.5 to 3.1 s of the 4 s.
    service.fault("/heartbeat", 5, Fault::Status(503));
    let id = service.submit("2");
    let worker = Worker::start(&service, "sleep $(cat); echo ok", |options| {
        options.ttl = Duration::from_secs(4);
    });
    assert_eq!(service.completion(id).await["output"], json!("ok\n"));
    worker.stop().await;
}
