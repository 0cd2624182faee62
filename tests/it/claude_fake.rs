//! A CLI that misbehaves on purpose: what the worker makes of it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use bloom_runtime::worker::claude::Setup;
use bloom_runtime::worker::claude::flags::Permits;
use bloom_runtime::worker::job::Executor;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fake_service::FakeService;
use crate::worker_kit::{Worker, alive};

const SESSION: &str = "11111111-1111-4111-8111-111111111111";

/// A script that stands in for the CLI; removed when dropped.
struct Fake(PathBuf);

impl Drop for Fake {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Fake {
    fn new(script: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("bloom-fake-{}", Uuid::new_v4()));
        std::fs::create_dir(&dir).unwrap();
        let bin = dir.join("claude");
        let script =
            format!("#!/bin/sh\n[ \"$1\" = --version ] && {{ echo 9.9; exit; }}\n{script}\n");
        std::fs::write(&bin, script.replace("%DIR", &dir.display().to_string())).unwrap();
        std::fs::set_permissions(&bin, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A worker that runs it, and another change of its options.
    fn worker(
        &self,
        service: &FakeService,
        change: impl FnOnce(&mut bloom_runtime::worker::Options),
    ) -> Worker {
        Worker::start(service, "unused", |options| {
            options.executor = Executor::Claude(Setup {
                bin: self.file("claude"),
                agents_dir: Some(self.0.clone()),
                permits: Permits::default(),
            });
            // The kit looks for left-over directories of attempts; contexts stay.
            options.scope = Some(bloom_runtime::worker::workspace::Scope::Attempt);
            options
                .environment
                .push(("HOME".to_owned(), self.0.clone().into()));
            change(options);
        })
    }
}

fn result(more: &Value) -> String {
    let mut result = json!({"type": "result", "subtype": "success", "is_error": false,
        "result": "done", "session_id": SESSION});
    for (name, value) in more.as_object().unwrap() {
        result[name] = value.clone();
    }
    format!("printf '%s\\n' '{result}'")
}

#[tokio::test]
async fn noise_does_not_cost_the_result() {
    let noise = r"printf 'not json\n\000\000\n{broken\n[1]\n\377\376\n{}\n'; echo oops >&2";
    let fake = Fake::new(&format!("{noise}; {}", result(&json!({}))));
    let service = FakeService::start().await;
    let id = service.submit("x");
    let worker = fake.worker(&service, |_| ());
    let done = service.completion(id).await;
    assert_eq!(
        (&done["status"], &done["output"]),
        (&json!("success"), &json!("done")),
        "{done}"
    );
    worker.stop().await;
}

#[tokio::test]
async fn an_error_that_looks_like_a_success_is_an_error() {
    for (script, message) in [
        (
            result(&json!({"is_error": true, "result": "API Error: 500"})),
            "API Error: 500",
        ),
        (
            result(&json!({"subtype": "error_max_turns", "result": null, "errors": ["too many"]})),
            "too many",
        ),
        (
            "echo nothing to say".to_owned(),
            "the CLI ended without a result",
        ),
        (
            "echo cannot >&2; exit 3".to_owned(),
            "exit status 3: cannot",
        ),
    ] {
        let fake = Fake::new(&script);
        let service = FakeService::start().await;
        let id = service.submit("x");
        let worker = fake.worker(&service, |_| ());
        let done = service.completion(id).await;
        assert_eq!(
            (&done["status"], &done["error_message"]),
            (&json!("error"), &json!(message))
        );
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_flood_of_output_is_ended() {
    let fake = Fake::new("yes 0123456789abcdef | head -c 100000000");
    let service = FakeService::start().await;
    let id = service.submit("x");
    let worker = fake.worker(&service, |options| options.max_output_bytes = 1 << 20);
    let done = service.completion(id).await;
    let error = done["error_message"].as_str().unwrap();
    assert_eq!(error, "the program printed more than 1048576 bytes");
    assert_eq!(done["stopped"]["tree_gone"], true, "{done}");
    worker.stop().await;
}

#[tokio::test]
async fn a_tree_that_forks_twice_and_ignores_sigterm_is_gone_in_the_end() {
    let script = "trap '' TERM; (trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > %DIR/orphan; \
        sleep 300' & ) ; echo $$ > %DIR/leader; sleep 300 & wait; sleep 300";
    let fake = Fake::new(script);
    let service = FakeService::start().await;
    let id = service.submit_with(json!({ "prompt": "x", "policy": { "timeout_sec": 2 } }));
    let worker = fake.worker(&service, |options| {
        options.kill_grace = Duration::from_millis(300);
    });
    let done = service.completion(id).await;
    assert_eq!(done["error_message"], "timeout exceeded", "{done}");
    let stopped = &done["stopped"];
    assert_eq!(
        (&stopped["tree_gone"], &stopped["signal"]),
        (&json!(true), &json!("SIGKILL"))
    );
    assert!(stopped["processes"].as_u64() >= Some(2), "{stopped}");
    for name in ["orphan", "leader"] {
        let pid = std::fs::read_to_string(fake.file(name)).unwrap();
        assert!(!alive(pid.trim().parse().unwrap()), "{name}");
    }
    worker.stop().await;
}

#[tokio::test]
async fn one_that_does_not_leave_after_its_last_word_is_ended_and_its_result_counts() {
    let fake = Fake::new(&format!("{}; sleep 300", result(&json!({}))));
    let service = FakeService::start().await;
    let id = service.submit("x");
    let worker = fake.worker(&service, |_| ());
    let done = service.completion(id).await;
    assert_eq!(
        (&done["status"], &done["output"]),
        (&json!("success"), &json!("done")),
        "{done}"
    );
    worker.stop().await;
}

#[tokio::test]
async fn the_command_line_holds_nothing_of_a_task_but_checked_flags() {
    let script = format!(
        "printf '%s\\n' \"$@\" > %DIR/argv; cat > %DIR/stdin; env > %DIR/env; {}",
        result(&json!({}))
    );
    let fake = Fake::new(&script);
    let service = FakeService::start().await;
    let prompt = format!(
        "--dangerously-skip-permissions --mcp-config x {}",
        "p".repeat(200_000)
    );
    let id = service.submit_with(json!({
        "prompt": prompt, "context_id": "../../etc", "agent_slug": "../../../etc/passwd",
        "policy": { "timeout_sec": 60, "model": "m-1", "max_turns": 3,
            "allowed_tools": ["Read", "Bash(git log:*)"], "append_system_prompt": "--be brief" },
    }));
    let worker = fake.worker(&service, |options| {
        options.api_key = Some("key-canary".to_owned().into());
    });
    let done = service.completion(id).await;
    assert_eq!(done["status"], "success", "{done}");
    let read = |name: &str| std::fs::read_to_string(fake.file(name)).unwrap();
    let argv = read("argv");
    let expected = [
        "-p",
        "--output-format=stream-json",
        "--verbose",
        "--include-partial-messages",
        "--setting-sources=user",
        "--strict-mcp-config",
        "--model=m-1",
        "--max-turns=3",
        "--allowed-tools=Read",
        "--allowed-tools=Bash(git log:*)",
    ];
    let lines: Vec<_> = argv.lines().collect();
    assert_eq!(lines[..expected.len()], expected);
    assert_eq!(lines.len(), expected.len() + 1, "{argv}");
    assert!(
        lines[expected.len()].starts_with("--append-system-prompt-file=/"),
        "{argv}"
    );
    assert_eq!(read("stdin"), prompt);
    assert!(!read("env").contains("key-canary"));
    worker.stop().await;
}
