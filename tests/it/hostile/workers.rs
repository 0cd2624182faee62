//! Programs that print the corpus, and tasks whose names are it: each task ends in the way that its
//! program ended, with every byte that can be kept, and the worker goes on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use bloom_runtime::shutdown::Shutdown;
use bloom_runtime::worker::claude::{Setup, flags::Permits};
use bloom_runtime::worker::job::Executor;
use bloom_runtime::worker::workspace::Scope;
use bloom_runtime::worker::{self, Options, Summary};
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::corpus::{Input, Kind, all};
use crate::history::assert_clean;
use crate::runtime::process::Scratch;
use crate::runtime::{Api, KEY, Runtime, eventually};

/// How many programs run at the same time.
const TOGETHER: u32 = 8;
/// What a program that fails leaves with.
const FAILED: &str = "exit status 3";

struct Worker {
    shutdown: Shutdown,
    running: JoinHandle<Result<Summary, worker::Error>>,
}

impl Worker {
    fn start(runtime: &Runtime, scratch: &Scratch, executor: Executor) -> Self {
        let mut options = Options::new(&runtime.api.base, "w", "unused");
        options.executor = executor;
        options.api_key = Some(KEY.to_owned().into());
        options.concurrency = TOGETHER;
        options.scope = Some(Scope::Attempt);
        options.work_root = scratch.path().join("work");
        options.environment = vec![
            ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".into()),
            ("HOME".to_owned(), scratch.path().into()),
        ];
        std::fs::create_dir(&options.work_root).unwrap();
        let shutdown = Shutdown::new();
        let running = worker::run(options, shutdown.clone(), CancellationToken::new());
        Self {
            shutdown,
            running: tokio::spawn(running),
        }
    }

    /// Asks it to stop; how many tasks it reported on.
    async fn stop(self) -> usize {
        self.shutdown.request();
        let ended = tokio::time::timeout(Duration::from_secs(60), self.running).await;
        let summary = ended.expect("it ends").unwrap().unwrap();
        assert_eq!((summary.released, summary.lost), (0, 0));
        usize::try_from(summary.completed).unwrap()
    }
}

/// Runs a task to its end: itself, and its result.
async fn run(api: &Api, body: Value) -> (Value, Value) {
    let id = api.submit(body).await;
    let task = eventually(&format!("{id} ends"), || async {
        let task = api.task(&id).await;
        let is_over = matches!(task["status"].as_str(), Some("completed" | "dead"));
        is_over.then_some(task)
    })
    .await;
    let log = api.get(&format!("/llm-tasks/{id}/log")).await;
    assert_eq!(log.status, 200, "{log:?}");
    (task, api.get(&format!("/llm-tasks/{id}/result")).await.body)
}

/// Writes every input into a file of its own.
fn lay_out(dir: &Path, inputs: &[Input], after: &str) {
    for (number, input) in inputs.iter().enumerate() {
        let bytes = [&input.bytes, after.as_bytes()].concat();
        std::fs::write(dir.join(number.to_string()), bytes).unwrap();
    }
}

/// A submission that is called what the input says, where a name may be that.
fn named(input: &Input, number: usize) -> Value {
    let text = std::str::from_utf8(&input.bytes).unwrap_or_default();
    let legal = |most: usize, other: String| {
        let length = text.chars().count();
        if (1..=most).contains(&length) && !text.contains('\0') {
            text.to_owned()
        } else {
            other
        }
    };
    json!({
        "context_id": legal(512, number.to_string()), "agent_slug": legal(255, "a".to_owned()),
        "prompt": number.to_string(), "max_attempts": 1,
    })
}

/// What can be kept of bytes.
fn kept(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{FFFD}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_program_prints_its_task_ends_and_the_worker_goes_on() {
    let (runtime, scratch) = (Runtime::start().await, Scratch::new());
    let api = &runtime.api;
    let mut inputs = all(Kind::Bytes);
    inputs.extend(all(Kind::Text));
    lay_out(scratch.path(), &inputs, "");
    // Every third one fails.
    let exec = format!(
        "n=$(cat); cat {0}/$n >&2; cat {0}/$n; [ $((n % 3)) != 1 ] || exit 3",
        scratch.path().display()
    );
    let worker = Worker::start(&runtime, &scratch, Executor::Exec(exec));
    let runs = stream::iter(inputs.iter().enumerate()).map(|(number, input)| async move {
        (number, input, run(api, named(input, number)).await)
    });
    let mut runs = runs.buffer_unordered(2 * TOGETHER as usize);
    let mut wrong = Vec::new();
    while let Some((number, input, (task, result))) = runs.next().await {
        let is_right = if number % 3 == 1 {
            let why = result["error_message"].as_str().unwrap_or_default();
            task["status"] == "dead" && why.starts_with(FAILED) && !why.contains('\0')
        } else {
            task["status"] == "completed" && result["output"] == kept(&input.bytes)
        };
        if !is_right {
            wrong.push(format!(
                "{}: {} {:.300}",
                input.name,
                task["status"],
                result.to_string()
            ));
        }
    }
    drop(runs);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(worker.stop().await, inputs.len());
    assert_clean(&runtime.db().connect().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_stands_in_stream_json_the_result_counts_and_the_worker_goes_on() {
    let (runtime, scratch) = (Runtime::start().await, Scratch::new());
    let api = &runtime.api;
    let results = all(Kind::Result);
    let mut inputs = results.clone();
    inputs.extend(all(Kind::Stream));
    inputs.extend(all(Kind::Bytes));
    let last =
        "\n{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"done\"}\n";
    lay_out(scratch.path(), &inputs, last);
    // Of these, what the input says is the last word.
    lay_out(scratch.path(), &results, "\n");
    let bin = scratch.path().join("claude");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo 9.9; exit; }}\nn=$(cat)\n\
         cat {0}/$n >&2\nexec cat {0}/$n\n",
        scratch.path().display()
    );
    std::fs::write(&bin, script).unwrap();
    std::fs::set_permissions(&bin, std::fs::Permissions::from_mode(0o755)).unwrap();
    let setup = Setup {
        bin,
        agents_dir: None,
        permits: Permits::default(),
    };
    let worker = Worker::start(&runtime, &scratch, Executor::Claude(setup));
    let runs = stream::iter(inputs.iter().enumerate()).map(|(number, input)| async move {
        let body = json!({ "context_id": number.to_string(), "agent_slug": "a",
            "prompt": number.to_string(), "max_attempts": 1 });
        (number, input, run(api, body).await)
    });
    let mut runs = runs.buffer_unordered(2 * TOGETHER as usize);
    let mut wrong = Vec::new();
    while let Some((number, input, (task, result))) = runs.next().await {
        let is_right = if number < results.len() {
            result["error_message"].is_string() || task["status"] == "completed"
        } else {
            task["status"] == "completed" && result["output"] == "done"
        };
        if !is_right {
            wrong.push(format!(
                "{}: {} {:.300}",
                input.name,
                task["status"],
                result.to_string()
            ));
        }
    }
    drop(runs);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(worker.stop().await, inputs.len());
    assert_clean(&runtime.db().connect().await).await;
}
