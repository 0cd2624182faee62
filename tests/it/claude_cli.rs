//! The unmodified Claude CLI, from a task's submission to its artifact.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::claude_kit::Model;
use crate::runtime::{Api, Runtime};

/// The CLI takes a second or so to start, and longer on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

fn ask(context: &str, prompt: &str) -> Value {
    json!({ "context_id": context, "agent_slug": "writer", "prompt": prompt })
}

async fn until(api: &Api, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let task = api.task(id).await;
        if is_so(&task) {
            return task;
        }
        assert!(Instant::now() < deadline, "not in time: {what}: {task}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Submits and waits for the end: the task and its result.
async fn run(api: &Api, body: Value) -> (Value, Value) {
    let id = api.submit(body).await;
    let over = |task: &Value| {
        matches!(
            task["status"].as_str(),
            Some("completed" | "dead" | "cancelled" | "failed")
        )
    };
    let task = until(api, &id, "it is over", over).await;
    let result = api.get(&format!("/llm-tasks/{id}/result")).await.body;
    (task, result)
}

fn session_of(events: &str) -> Option<String> {
    let rest = events.split("\"session_id\":\"").nth(1)?;
    Some(rest.split('"').next()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_goes_through_the_real_cli_and_a_context_goes_on() {
    let (model, runtime) = (Model::start().await, Runtime::behind_nginx().await);
    let worker = model.worker(&runtime, "w1", |_| ());
    let api = &runtime.api;
    let (task, result) = run(api, ask("c", "--help is the first word MODE:echo")).await;
    assert_eq!(task["status"], "completed", "{result}");
    let output = result["output"].as_str().unwrap();
    assert!(
        output.ends_with("--help is the first word MODE:echo"),
        "{output}"
    );
    let metrics = &result["metrics"];
    assert_eq!(
        (&metrics["tokens_used"], &metrics["input_tokens"]),
        (&json!(18), &json!(11))
    );
    assert!(
        metrics["cost_usd"].is_number() && metrics["turns"] == 1,
        "{metrics}"
    );
    assert_eq!(metrics["session"], "new");
    let path = format!("/artifacts?task_id={}", result["task_id"].as_str().unwrap());
    let artifacts = api.get(&path).await;
    assert_eq!(artifacts.items()[0]["content"], result["output"]);
    let log = api
        .get(&format!(
            "/llm-tasks/{}/log",
            result["task_id"].as_str().unwrap()
        ))
        .await;
    assert!(log.text.contains("--help is the first word"), "{log:?}");
    // The worker tells what it found out about itself.
    let shown = api.get("/workers/w1").await.body;
    let labels = shown["capabilities"]["labels"].to_string();
    assert!(
        labels.contains("\"claude\"") && labels.contains("\"claude-2."),
        "{shown}"
    );

    let (_, second) = run(api, ask("c", "/model is no command MODE:echo")).await;
    assert_eq!(second["metrics"]["session"], "resumed", "{second}");
    assert!(
        second["output"]
            .as_str()
            .unwrap()
            .contains("/model is no command"),
        "{second}"
    );
    let asked = model.record.requests();
    let last = asked.last().unwrap()["messages"].to_string();
    assert!(
        last.contains("the first word") && last.contains("no command"),
        "{last}"
    );
    // The CLI leaves without flushing what it prints; nothing of it is lost.
    let (_, story) = run(api, ask("e", "a long story MODE:long")).await;
    assert!(
        story["output"]
            .as_str()
            .is_some_and(|text| text.len() > 1_000_000),
        "{}",
        story["status"]
    );
    let (_, other) = run(api, ask("d", "elsewhere")).await;
    assert_eq!(other["metrics"]["session"], "new");
    assert!(worker.stop().await.completed >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_checked_and_a_tool_makes_its_round() {
    let (model, runtime) = (Model::start().await, Runtime::behind_nginx().await);
    let worker = model.worker(&runtime, "w1", |_| ());
    let api = &runtime.api;
    let mut body = ask("c", "as JSON MODE:json");
    body["desired_format"] = json!("json");
    let (_, result) = run(api, body.clone()).await;
    let output: Value = serde_json::from_str(result["output"].as_str().unwrap()).unwrap();
    assert!(output["messages"].is_number(), "{result}");
    body["prompt"] = json!("as prose MODE:echo");
    body["max_attempts"] = json!(1);
    let (task, result) = run(api, body).await;
    assert_eq!(task["status"], "dead");
    let error = result["error_message"].as_str().unwrap();
    assert!(error.starts_with("output is not valid JSON"), "{error}");

    let mut body = ask("t", "count MODE:tool");
    body["policy"] = json!({ "allowed_tools": ["Bash"], "max_turns": 5 });
    let (task, result) = run(api, body).await;
    assert_eq!(task["status"], "completed", "{result}");
    assert_eq!(result["metrics"]["turns"], 2);
    assert!(
        model
            .record
            .requests()
            .iter()
            .any(|asked| asked.to_string().contains("tool-42"))
    );
    let log = api
        .get(&format!("/llm-tasks/{}/log", task["id"].as_str().unwrap()))
        .await
        .text;
    assert!(log.contains("> Bash") && log.contains("tool-42"), "{log}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_and_tokens_are_limits_and_a_cancel_ends_every_process() {
    let (model, runtime) = (Model::start().await, Runtime::behind_nginx().await);
    let worker = model.worker(&runtime, "w1", |options| options.concurrency = 3);
    let api = &runtime.api;
    let mut late = ask("late", "never done MODE:hang");
    late["policy"] = json!({ "timeout_sec": 5 });
    late["max_attempts"] = json!(1);
    let mut costly = ask("costly", "again and again MODE:loop");
    costly["policy"] = json!({ "budget": 60, "allowed_tools": ["Bash"] });
    let hung = api.submit(ask("hung", "stop me MODE:hang")).await;
    let (late, costly) = tokio::join!(run(api, late), run(api, costly));
    assert_eq!(late.1["error_message"], "timeout exceeded", "{late:?}");
    let error = costly.1["error_message"].as_str().unwrap();
    assert!(
        error.starts_with("token budget exceeded: used ") && error.ends_with("of 60"),
        "{error}"
    );
    // Another try would cost as much again.
    assert_eq!(costly.0["status"], "dead");

    let speaks = |task: &Value| task["usage"]["input_tokens"] == 11;
    let running = until(api, &hung, "it has begun to answer", speaks).await;
    assert_eq!(running["status"], "running");
    assert_eq!(
        api.post_empty(&format!("/llm-tasks/{hung}/cancel"))
            .await
            .status,
        200
    );
    let over = until(api, &hung, "it is cancelled", |task| {
        task["status"] == "cancelled"
    })
    .await;
    let at = |name: &str| {
        over[name]
            .as_i64()
            .unwrap_or_else(|| panic!("{name}: {over}"))
    };
    assert!(at("cancel_requested_at") <= at("cancel_delivered_at"));
    assert!(at("cancel_delivered_at") <= at("cancel_stopped_at"));
    assert!(at("cancel_stopped_at") <= at("finished_at"));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_refuses_is_a_failure_and_what_passes_is_waited_for() {
    let (model, runtime) = (Model::start().await, Runtime::behind_nginx().await);
    let worker = model.worker(&runtime, "w1", |options| {
        options.concurrency = 4;
        // The CLI's own patience would take minutes.
        let retries = ("CLAUDE_CODE_MAX_RETRIES".to_owned(), "1".into());
        options.environment.push(retries);
    });
    let api = &runtime.api;
    let once = |context: &str, mode: &str| {
        let mut body = ask(context, &format!("please MODE:{mode}"));
        body["max_attempts"] = json!(1);
        body
    };
    let (busy, overloaded, broken, patient) = tokio::join!(
        run(api, once("a", "busy")),
        run(api, once("b", "overloaded")),
        run(api, once("c", "drop")),
        run(api, once("d", "busyonce")),
    );
    for (refused, word) in [(busy, "429"), (overloaded, "529"), (broken, "API Error")] {
        assert_eq!(refused.0["status"], "dead", "{refused:?}");
        let error = refused.1["error_message"].as_str().unwrap();
        assert!(error.contains(word), "{error}");
    }
    assert_eq!(patient.0["status"], "completed", "{patient:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_usage_limit_gives_the_task_back_and_work_resumes_when_it_is_over() {
    let (model, runtime) = (Model::start().await, Runtime::behind_nginx().await);
    let worker = model.worker(&runtime, "w1", |options| {
        options.credential = Some("account".to_owned());
        let retries = ("CLAUDE_CODE_MAX_RETRIES".to_owned(), "0".into());
        options.environment.push(retries);
    });
    let api = &runtime.api;
    let mut body = ask("c", "more MODE:limit");
    body["max_attempts"] = json!(1);
    let (task, result) = run(api, body).await;
    // With a single attempt allowed, it got through although the first try met the limit.
    assert_eq!(
        (&task["status"], &task["attempts"]),
        (&json!("completed"), &json!(1)),
        "{result}"
    );
    let events = api
        .get(&format!(
            "/llm-tasks/{}/events",
            task["id"].as_str().unwrap()
        ))
        .await
        .text;
    assert!(events.contains("usage limit"), "{events}");
    let audit = api.get("/audit?limit=1000").await.text;
    assert!(
        audit.contains("credential_exhausted") && audit.contains("account"),
        "{audit}"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_stay_apart_fork_and_move() {
    let (model, runtime) = (Model::start().await, Runtime::behind_nginx().await);
    let api = &runtime.api;
    let first = model.worker(&runtime, "w1", |options| options.concurrency = 2);
    run(api, ask("c", "the beginning")).await;
    // Two at once never share a session: one resumes, the other forks.
    let slow = api.submit(ask("c", "slow MODE:hang")).await;
    until(api, &slow, "it runs", |task| task["usage"]["turns"] == 1).await;
    let (_, forked) = run(api, ask("c", "meanwhile")).await;
    assert_eq!(forked["metrics"]["session"], "forked", "{forked}");
    assert_eq!(
        api.post_empty(&format!("/llm-tasks/{slow}/cancel"))
            .await
            .status,
        200
    );
    until(api, &slow, "it is cancelled", |task| {
        task["status"] == "cancelled"
    })
    .await;
    first.stop().await;
    assert_eq!(api.delete("/workers/w1").await.status, 200);
    // Another worker has not got the session; it begins anew, and the events say so.
    let second = model.worker(&runtime, "w2", |_| ());
    let (task, moved) = run(api, ask("c", "elsewhere now")).await;
    assert_eq!(moved["metrics"]["session"], "moved", "{moved}");
    let events = api
        .get(&format!(
            "/llm-tasks/{}/events",
            task["id"].as_str().unwrap()
        ))
        .await
        .text;
    assert!(
        events.contains("context_moved_from") && session_of(&events).is_some(),
        "{events}"
    );
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_and_agents_reach_the_model_and_nothing_else_does() {
    let (model, runtime) = (Model::start().await, Runtime::behind_nginx().await);
    std::fs::write(
        model.dir().join("writer.md"),
        "---\ndescription: writes\n---\nYou are WRITER-CANARY.\n",
    )
    .unwrap();
    let worker = model.worker(&runtime, "w1", |_| ());
    let api = &runtime.api;
    run(api, ask("c", "make a directory")).await;
    let contexts = model.work_root("w1").join("contexts");
    let dir = std::fs::read_dir(contexts)
        .unwrap()
        .flatten()
        .find(|entry| entry.path().is_dir());
    std::fs::write(dir.unwrap().path().join("notes.txt"), "NOTE-CANARY").unwrap();
    let mut body = ask(
        "c",
        &format!("read\0 {}", "x".repeat(200_000)).replace('\0', " "),
    );
    body["context_hints"] = json!(["notes.txt", "../../../etc/passwd", "gone.txt"]);
    let (task, result) = run(api, body).await;
    assert_eq!(task["status"], "completed", "{result}");
    assert_eq!(result["metrics"]["context_hints_missing"], 2);
    let asked = model.record.requests().last().unwrap().to_string();
    assert!(asked.contains("NOTE-CANARY") && asked.contains("WRITER-CANARY"));
    assert!(!asked.contains("root:x:0"));
    let mut hostile = ask("c", "who am I");
    hostile["agent_slug"] = json!("../writer");
    hostile["policy"] = json!({ "permission_mode": "bypassPermissions" });
    let (task, result) = run(api, hostile).await;
    assert_eq!(task["status"], "dead", "{result}");
    assert!(
        result["error_message"]
            .as_str()
            .unwrap()
            .contains("not permitted"),
        "{result}"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_pieces_and_answers_in_one_piece_are_taken() {
    let (model, runtime) = (Model::start().await, Runtime::behind_nginx().await);
    let worker = model.worker(&runtime, "w1", |options| options.concurrency = 2);
    let api = &runtime.api;
    let (slow, plain) = tokio::join!(
        run(api, ask("a", "no hurry MODE:slow")),
        run(api, ask("b", "no stream MODE:plain")),
    );
    for ((task, result), said) in [(slow, "no hurry"), (plain, "no stream")] {
        assert_eq!(task["status"], "completed", "{result}");
        assert!(
            result["output"].as_str().unwrap().contains(said),
            "{result}"
        );
    }
    let asked = model.record.requests();
    let is_plain =
        |asked: &&Value| asked["stream"] != true && asked.to_string().contains("no stream");
    assert!(
        asked.iter().any(|asked| is_plain(&asked)),
        "the CLI asked for one piece"
    );
    worker.stop().await;
}
