//! Lost answers and refusals between the worker and the service.

use std::time::Duration;

use serde_json::json;

use crate::fake_service::{FakeService, Fault};
use crate::worker_kit::Worker;

#[tokio::test]
async fn lost_lease_answer_is_asked_for_again_with_the_same_id() {
    let service = FakeService::start().await;
    service.fault("/leases", 2, Fault::DropAnswer);
    let id = service.submit("x");
    let worker = Worker::start(&service, "cat", |_| {});
    service.completion(id).await;
    service
        .until("the next request", |state| {
            state.calls_to("/leases").len() >= 4
        })
        .await;
    worker.stop().await;
    let calls = service.state().calls_to("/leases");
    assert_eq!(calls[0].body["request_id"], calls[1].body["request_id"]);
    assert_eq!(calls[1].body["request_id"], calls[2].body["request_id"]);
    assert_ne!(
        calls[2].body["request_id"],
        calls.last().unwrap().body["request_id"]
    );
    assert_eq!(service.state().task(id).attempts, 1);
}

#[tokio::test]
async fn busy_service_is_asked_again_with_the_same_id() {
    let service = FakeService::start().await;
    service.fault("/leases", 2, Fault::Status(503));
    let id = service.submit("x");
    let worker = Worker::start(&service, "cat", |_| {});
    service.completion(id).await;
    worker.stop().await;
    let calls = service.state().calls_to("/leases");
    assert_eq!(calls[0].body["request_id"], calls[2].body["request_id"]);
}

#[tokio::test]
async fn lost_completion_answer_is_repeated_and_counts_once() {
    let service = FakeService::start().await;
    service.fault("/complete", 1, Fault::DropAnswer);
    service.fault("/heartbeat", 1, Fault::DropAnswer);
    let id = service.submit("x");
    let worker = Worker::start(&service, "cat", |_| {});
    service
        .until("a repetition", |state| {
            state.calls_to("/complete").len() == 2
        })
        .await;
    assert_eq!(worker.stop().await.completed, 1);
    let mut state = service.state();
    assert_eq!(state.task(id).completions.len(), 1);
    assert_eq!(state.calls_to("/complete").len(), 2);
    assert_eq!(state.task(id).attempts, 1);
}

#[tokio::test]
async fn completion_outlasts_an_outage_while_the_lease_lives() {
    let service = FakeService::start().await;
    service.fault("/complete", 6, Fault::Status(503));
    let id = service.submit("x");
    let worker = Worker::start(&service, "cat", |_| {});
    assert_eq!(service.completion(id).await["output"], json!("x"));
    assert_eq!(worker.stop().await.completed, 1);
}

#[tokio::test]
async fn superseded_completion_is_dropped() {
    let service = FakeService::start().await;
    service.fault("/beat", u32::MAX, Fault::Status(503));
    let id = service.submit("x");
    let worker = Worker::start(&service, "sleep 0.5", |_| {});
    service
        .until("a start", |state| state.task(id).status == "running")
        .await;
    service.lose(id);
    service
        .until("a report", |state| !state.calls_to("/complete").is_empty())
        .await;
    let summary = worker.stop().await;
    assert_eq!((summary.lost, summary.completed), (1, 0));
    assert_eq!(service.state().calls_to("/complete").len(), 1);
}

#[tokio::test]
async fn output_too_large_for_the_service_becomes_an_error() {
    let service = FakeService::start().await;
    service.state().max_body = Some(50_000);
    let worker = Worker::start(&service, "seq 1 20000", |_| {});
    let done = service.completion(service.submit("x")).await;
    assert_eq!(done["status"], json!("error"));
    let message = done["error_message"].as_str().unwrap();
    assert_eq!(
        message,
        "the output (108894 bytes) was too large for the service"
    );
    worker.stop().await;
}

#[tokio::test]
async fn forgotten_worker_registers_again() {
    let service = FakeService::start().await;
    let worker = Worker::start(&service, "cat", |options| {
        options.ttl = Duration::from_secs(1);
    });
    service
        .until("a registration", |state| state.workers.len() == 1)
        .await;
    service.state().workers.clear();
    service
        .until("another registration", |state| state.workers.len() == 1)
        .await;
    service.completion(service.submit("x")).await;
    worker.stop().await;
}

#[tokio::test]
async fn worker_waits_for_a_service_that_is_not_ready() {
    let service = FakeService::start().await;
    service.fault("/workers", 2, Fault::Status(503));
    let worker = Worker::start(&service, "cat", |_| {});
    service.completion(service.submit("x")).await;
    worker.stop().await;
}

#[tokio::test]
async fn lease_that_is_gone_before_the_start_starts_nothing() {
    let service = FakeService::start().await;
    service.fault("/heartbeat", 1, Fault::Status(409));
    let id = service.submit("x");
    let worker = Worker::start(&service, "cat", |_| {});
    service
        .until("a refusal", |state| state.calls_to("/heartbeat").len() == 1)
        .await;
    let summary = worker.stop().await;
    assert_eq!((summary.lost, summary.completed), (1, 0));
    assert!(service.state().task(id).completions.is_empty());
}
