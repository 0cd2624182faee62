//! `bloom task`, `bloom worker` and `bloom demo`, against the service in memory.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::ExitCode;

use bloom_runtime::cli::{demo, task, worker};
use clap::Parser;
use serde_json::json;

use crate::fake_service::FakeService;
use crate::worker_kit::Worker;

#[derive(Parser)]
enum Cli {
    Task(task::Args),
    Demo(demo::Args),
    Worker(Box<worker::Args>),
}

async fn bloom(server: &str, args: &[&str]) -> ExitCode {
    let line = [&["bloom"], args, &["--server", server]].concat();
    match Cli::try_parse_from(line).unwrap() {
        Cli::Task(args) => task::run(args).await.unwrap(),
        Cli::Demo(args) => demo::run(args).await.unwrap(),
        Cli::Worker(args) => worker::run(*args).await.unwrap(),
    }
}

fn last_task(service: &FakeService) -> String {
    service.state().tasks.last().unwrap().id.to_string()
}

#[tokio::test]
async fn submitted_task_carries_every_option() {
    let service = FakeService::start().await;
    let line = [
        "task",
        "submit",
        "hello",
        "--context",
        "c",
        "--agent",
        "a",
        "--priority",
        "7",
        "--queue",
        "q",
        "--requires",
        "gpu,big",
        "--run-at",
        "1700000000000",
        "--idempotency-key",
        "k",
        "--timeout",
        "30",
        "--max-attempts",
        "2",
        "--format",
        "json",
    ];
    assert_eq!(bloom(&service.url, &line).await, ExitCode::SUCCESS);
    let body = service.state().tasks[0].body.clone();
    let expected = json!({
        "prompt": "hello", "context_id": "c", "agent_slug": "a", "priority": 7, "queue": "q",
        "requires": ["gpu", "big"], "run_at": 1_700_000_000_000_u64, "idempotency_key": "k",
        "policy": { "timeout_sec": 30 }, "max_attempts": 2, "desired_format": "json",
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn lines_of_a_file_become_tasks() {
    let service = FakeService::start().await;
    let file = std::env::temp_dir().join(format!("bloom-it-{}.jsonl", uuid::Uuid::new_v4()));
    std::fs::write(
        &file,
        "\"one\"\n\n{\"prompt\":\"two\",\"context_id\":\"own\"}\n",
    )
    .unwrap();
    let line = [
        "task",
        "submit",
        "--file",
        file.to_str().unwrap(),
        "--idempotency-key",
        "k",
    ];
    assert_eq!(bloom(&service.url, &line).await, ExitCode::SUCCESS);
    let mut bodies: Vec<_> = service
        .state()
        .tasks
        .iter()
        .map(|t| t.body.clone())
        .collect();
    bodies.sort_by_key(|body| body["prompt"].to_string());
    assert_eq!(
        (&bodies[0]["prompt"], &bodies[0]["idempotency_key"]),
        (&json!("one"), &json!("k-1"))
    );
    assert_eq!(
        (&bodies[1]["context_id"], &bodies[1]["idempotency_key"]),
        (&json!("own"), &json!("k-3"))
    );
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn exit_status_tells_how_it_went() {
    let service = FakeService::start().await;
    let url = service.url.clone();
    bloom(&url, &["task", "submit", "x"]).await;
    let id = last_task(&service);
    for verb in ["show", "explain"] {
        assert_eq!(
            bloom(&url, &["task", verb, &id]).await,
            ExitCode::SUCCESS,
            "{verb}"
        );
    }
    assert_eq!(
        bloom(&url, &["task", "list", "--status", "queued"]).await,
        ExitCode::SUCCESS
    );
    assert_eq!(
        bloom(&url, &["task", "requeue", &id]).await,
        ExitCode::from(1)
    );
    assert_eq!(
        bloom(&url, &["task", "result", &id]).await,
        ExitCode::from(1)
    );
    let unknown = uuid::Uuid::new_v4().to_string();
    assert_eq!(
        bloom(&url, &["task", "show", &unknown]).await,
        ExitCode::from(1)
    );
    assert_eq!(
        bloom("http://127.0.0.1:9", &["task", "show", &id]).await,
        ExitCode::from(3)
    );
    assert_eq!(
        bloom(&url, &["task", "cancel", &id]).await,
        ExitCode::SUCCESS
    );
    assert_eq!(
        bloom(&url, &["task", "watch", &id]).await,
        ExitCode::from(5)
    );
    assert_eq!(
        bloom(&url, &["task", "requeue", &id]).await,
        ExitCode::SUCCESS
    );
    let worker = Worker::start(&service, "tr a-z A-Z", |_| {});
    assert_eq!(
        bloom(&url, &["task", "watch", &id]).await,
        ExitCode::SUCCESS
    );
    assert_eq!(
        bloom(&url, &["task", "result", &id, "--json"]).await,
        ExitCode::SUCCESS
    );
    worker.stop().await;
    bloom(&url, &["task", "submit", "y"]).await;
    let id = last_task(&service);
    let worker = Worker::start(&service, "exit 1", |_| {});
    assert_eq!(
        bloom(&url, &["task", "watch", &id]).await,
        ExitCode::from(4)
    );
    worker.stop().await;
}

#[test]
fn wrong_usage_is_refused_before_anything_is_sent() {
    for line in [
        &["bloom", "task", "show", "../../etc"][..],
        &["bloom", "task", "submit"],
        &["bloom", "task", "submit", "x", "--priority", "10"],
        &[
            "bloom",
            "worker",
            "--name",
            "n",
            "--exec",
            "cat",
            "--concurrency",
            "0",
        ],
    ] {
        assert!(Cli::try_parse_from(line).is_err(), "{line:?}");
    }
}

#[tokio::test]
async fn demo_processes_every_text_and_proves_it() {
    let service = FakeService::start().await;
    assert_eq!(bloom(&service.url, &["demo"]).await, ExitCode::SUCCESS);
    let state = service.state();
    assert!(state.tasks.len() >= 3);
    for task in &state.tasks {
        let output = task.completions[0]["output"].as_str().unwrap();
        assert!((1..=5).contains(&output.lines().count()), "{output}");
        let first = output.lines().next().unwrap().split_once(' ').unwrap();
        assert!(
            first.0.len() >= 5 && first.1.parse::<u32>().is_ok(),
            "{output}"
        );
    }
}

#[tokio::test]
async fn demo_fails_when_a_text_is_not_processed() {
    let service = FakeService::start().await;
    assert_eq!(
        bloom(&service.url, &["demo", "--exec", "exit 1"]).await,
        ExitCode::FAILURE
    );
}
