//! What a program gets and what becomes of what it does.

use std::time::Duration;

use serde_json::json;

use crate::fake_service::FakeService;
use crate::worker_kit::Worker;

#[tokio::test]
async fn prompt_goes_in_and_output_comes_out() {
    let service = FakeService::start().await;
    let id = service.submit("b\na\n");
    let worker = Worker::start(&service, "sort", |_| {});
    let done = service.completion(id).await;
    assert_eq!(
        (&done["status"], &done["output"]),
        (&json!("success"), &json!("a\nb\n"))
    );
    assert_eq!(done["metrics"]["tokens_used"], json!(null));
    assert!(done["metrics"]["duration_ms"].is_u64());
    assert_eq!(worker.stop().await.completed, 1);
    let state = service.state();
    assert_eq!(
        state.tasks[0].events.join(" "),
        "task_submitted task_leased task_running task_completed"
    );
    assert_eq!(
        state.workers["w1"]["capabilities"]["claude_cli"],
        json!(true)
    );
}

#[tokio::test]
async fn program_sees_its_ids_and_no_key() {
    let service = FakeService::start().await;
    let id = service.submit_with(json!({ "prompt": "x", "context_id": "c 1", "agent_slug": "a" }));
    let worker = Worker::start(&service, "pwd; exec env", |options| {
        options.api_key = Some("very-secret".to_owned().into());
        options
            .environment
            .push(("EXTRA".to_owned(), "passed on".into()));
    });
    let done = service.completion(id).await;
    let output = done["output"].as_str().unwrap();
    for line in [
        &format!("BLOOM_TASK_ID={id}"),
        &format!("BLOOM_LEASE_ID={}", done["lease_id"].as_str().unwrap()),
        "BLOOM_FENCE=1",
        "BLOOM_ATTEMPT=1",
        "BLOOM_WORKER=w1",
        "BLOOM_CONTEXT_ID=c 1",
        "BLOOM_AGENT_SLUG=a",
        "BLOOM_FORMAT=text",
        "EXTRA=passed on",
    ] {
        assert!(
            output.lines().any(|found| found == line),
            "{line} is not in {output}"
        );
    }
    assert!(
        !output.contains("very-secret") && !output.contains("CARGO"),
        "{output}"
    );
    let dir = worker.dir.canonicalize().unwrap();
    assert!(
        output
            .lines()
            .next()
            .unwrap()
            .starts_with(dir.to_str().unwrap()),
        "{output}"
    );
    assert!(
        service
            .state()
            .calls
            .iter()
            .all(|call| call.key.as_deref() == Some("very-secret"))
    );
    worker.stop().await;
}

#[tokio::test]
async fn failing_program_is_reported_with_its_status_and_complaint() {
    let service = FakeService::start().await;
    let worker = Worker::start(
        &service,
        "cat >&2; if grep -q x; then :; fi; exit 3",
        |_| {},
    );
    let done = service.completion(service.submit("no such thing\n")).await;
    assert_eq!(done["status"], json!("error"));
    assert_eq!(done["output"], json!(null));
    assert_eq!(done["error_message"], json!("exit status 3: no such thing"));
    worker.stop().await;
    let worker = Worker::start(&service, "echo on stdout; exit 1", |_| {});
    let done = service.completion(service.submit("x")).await;
    assert_eq!(done["error_message"], json!("exit status 1: on stdout"));
    worker.stop().await;
    let worker = Worker::start(&service, "kill -9 $$", |_| {});
    let done = service.completion(service.submit("x")).await;
    assert_eq!(done["error_message"], json!("killed by signal 9"));
    worker.stop().await;
}

#[tokio::test]
async fn long_complaint_is_cut_to_its_end() {
    let service = FakeService::start().await;
    let exec = "seq 1 200000 >&2; exit 1";
    let worker = Worker::start(&service, exec, |_| {});
    let done = service.completion(service.submit("x")).await;
    let message = done["error_message"].as_str().unwrap();
    assert!(
        message.ends_with("\n200000") && message.len() < 70_000,
        "{}",
        message.len()
    );
    worker.stop().await;
}

#[tokio::test]
async fn output_past_the_limit_is_an_error() {
    let service = FakeService::start().await;
    let worker = Worker::start(&service, "yes", |options| {
        options.max_output_bytes = 100_000;
    });
    let done = service.completion(service.submit("x")).await;
    assert_eq!(
        done["error_message"],
        json!("the program printed more than 100000 bytes")
    );
    worker.stop().await;
}

#[tokio::test]
async fn nul_and_broken_utf8_are_replaced() {
    let service = FakeService::start().await;
    let worker = Worker::start(&service, r"printf 'a\0b\377c'", |_| {});
    let done = service.completion(service.submit("x")).await;
    assert_eq!(done["output"], json!("a\u{FFFD}b\u{FFFD}c"));
    worker.stop().await;
}

#[tokio::test]
async fn big_prompt_that_nobody_reads_is_fine() {
    let service = FakeService::start().await;
    let id = service.submit(&"x".repeat(5 << 20));
    let worker = Worker::start(&service, "echo done", |_| {});
    assert_eq!(service.completion(id).await["output"], json!("done\n"));
    worker.stop().await;
}

#[tokio::test]
async fn big_prompt_through_a_filter_does_not_deadlock() {
    let service = FakeService::start().await;
    let prompt = "line of text\n".repeat(300_000);
    let id = service.submit(&prompt);
    let worker = Worker::start(&service, "cat", |_| {});
    assert_eq!(
        service.completion(id).await["output"].as_str().unwrap(),
        prompt
    );
    worker.stop().await;
}

#[tokio::test]
async fn slow_task_does_not_hold_up_the_others() {
    let service = FakeService::start().await;
    let slow = service.submit("20");
    let worker = Worker::start(&service, "sleep $(cat)", |options| {
        options.concurrency = 2;
        options.shutdown_grace = Duration::ZERO;
    });
    let quick: Vec<_> = (0..5).map(|_| service.submit("0.05")).collect();
    for id in quick {
        service.completion(id).await;
    }
    assert_eq!(service.state().task(slow).status, "running");
    let summary = worker.stop().await;
    assert_eq!((summary.completed, summary.released), (5, 1));
}

#[tokio::test]
async fn draining_worker_takes_nothing_until_told_otherwise() {
    let service = FakeService::start().await;
    service.state().drain = true;
    let worker = Worker::start(&service, "cat", |options| {
        options.ttl = Duration::from_secs(1);
        options.poll_wait = Duration::from_secs(1);
    });
    service
        .until("a beat", |state| state.calls_to("/beat").len() >= 3)
        .await;
    let id = service.submit("x");
    service
        .until("a beat", |state| state.calls_to("/beat").len() >= 6)
        .await;
    assert_eq!(service.state().task(id).status, "queued");
    service.state().drain = false;
    service.completion(id).await;
    worker.stop().await;
}
