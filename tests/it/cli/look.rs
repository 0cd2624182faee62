//! Submitting one task and looking at it.

use serde_json::json;

use super::{ask, ask_with, command, run};
use crate::runtime::{KEY, Runtime, task};

#[tokio::test]
async fn a_task_is_submitted_found_explained_and_shown() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let args = [
        "task",
        "submit",
        "--context",
        "shop/1",
        "--agent",
        "painter",
        "--queue",
        "q",
        "--priority",
        "2",
        "--requires",
        "gpu,big",
        "--timeout",
        "30",
        "--max-attempts",
        "2",
        "--format",
        "json",
        "--idempotency-key",
        "k",
        "Count the red boxes.",
    ];
    let id = ask(&runtime, &args).await.ends(0).out.trim().to_owned();
    let again = ask(&runtime, &args).await.ends(0);
    assert_eq!(again.out.trim(), id, "the same key gives the same task");
    let stored = api.task(&id).await;
    for (name, value) in [
        ("context_id", json!("shop/1")),
        ("agent_slug", json!("painter")),
        ("queue", json!("q")),
        ("priority", json!(2)),
        ("requires", json!(["big", "gpu"])),
        ("max_attempts", json!(2)),
        ("desired_format", json!("json")),
        ("prompt", json!("Count the red boxes.")),
    ] {
        let mut found = stored[name].clone();
        if let Some(list) = found.as_array_mut() {
            list.sort_by_key(ToString::to_string);
        }
        assert_eq!(found, value, "{name}");
    }
    assert_eq!(stored["policy"]["timeout_sec"], 30);
    let from_stdin = ask_with(&runtime, &["task", "submit", "-"], "from stdin")
        .await
        .ends(0);
    assert_eq!(
        api.task(from_stdin.out.trim()).await["prompt"],
        "from stdin"
    );

    let list = ask(&runtime, &["task", "list", "--search", "RED BOX"])
        .await
        .ends(0);
    assert!(
        list.out.contains(&id) && list.out.contains("painter"),
        "{list:?}"
    );
    assert!(!list.out.contains("from stdin"), "{list:?}");
    for filter in [
        ["--status", "queued"],
        ["--queue", "q"],
        ["--agent", "painter"],
        ["--context", "shop/1"],
        ["--label", "gpu"],
    ] {
        let args = [&["task", "list", "--json"][..], &filter].concat();
        let found = ask(&runtime, &args).await.ends(0).json();
        assert_eq!(
            found.as_array().unwrap().last().unwrap()["id"],
            *id,
            "{filter:?}"
        );
    }
    let none = ask(&runtime, &["task", "list", "--worker", "nobody", "--json"])
        .await
        .ends(0);
    assert_eq!(none.json(), json!([]));
    let limited = ask(&runtime, &["task", "list", "--limit", "1", "--json"])
        .await
        .ends(0);
    assert_eq!(limited.json().as_array().unwrap().len(), 1);

    let why = ask(&runtime, &["task", "explain", &id]).await.ends(0);
    assert_eq!(why.out.trim(), "queued: No worker is online");
    let why = ask(&runtime, &["task", "explain", &id, "--json"])
        .await
        .ends(0)
        .json();
    assert_eq!(why["reason"], "no_worker");
    let shown = ask(&runtime, &["task", "show", &id]).await.ends(0);
    for part in ["No worker is online", "shop/1", "big, gpu", "0/2", " ago)"] {
        assert!(shown.out.contains(part), "{part}: {shown:?}");
    }
    let shown = ask(&runtime, &["task", "show", &id, "--json"])
        .await
        .ends(0)
        .json();
    assert_eq!(shown, stored);
}

#[tokio::test]
async fn more_tasks_than_a_page_holds_are_listed_once_each() {
    let runtime = Runtime::start().await;
    let items: Vec<_> = (0..1203).map(|n| task(&format!("c{n}"))).collect();
    let reply = runtime
        .api
        .post("/llm-tasks/batch", json!({ "tasks": items }))
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let args = ["task", "list", "--limit", "1000000", "--json"];
    let list = ask(&runtime, &args).await.ends(0).json();
    let mut ids: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1203);
}

#[tokio::test]
async fn times_are_local_and_spans_are_for_people() {
    let runtime = Runtime::start().await;
    let id = runtime.api.submit(task("c")).await;
    let created = runtime.api.task(&id).await["created_at"].as_i64().unwrap();
    let shown = async |zone: &str| {
        let mut command = command(&runtime.api.base, Some(KEY), &["task", "show", &id]);
        command.env("TZ", zone);
        let shown = run(command, "").await.ends(0).out;
        let line = shown.lines().find(|line| line.contains("created")).unwrap();
        let hour = line.split(':').next().unwrap();
        hour[hour.len() - 2..].parse::<i64>().unwrap()
    };
    let utc = created / 3_600_000 % 24;
    assert_eq!(shown("UTC").await, utc);
    assert_eq!(
        shown("TST-3").await,
        (utc + 3) % 24,
        "three hours east of Greenwich"
    );
}

#[tokio::test]
async fn watching_ends_with_the_task_and_its_status_says_how() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 5).await;
    let good = api.submit(task("good")).await;
    let bad = api
        .submit(json!({
            "context_id": "bad", "agent_slug": "a", "prompt": "p", "max_attempts": 1
        }))
        .await;
    let gone = api.submit(task("gone")).await;
    let base = api.base.clone();
    let watch = |id: &str, more: &[&str]| {
        let args = [&["task", "watch", id][..], more].concat();
        tokio::spawn(run(command(&base, Some(KEY), &args), ""))
    };
    let (watching, as_json) = (watch(&good, &[]), watch(&good, &["--json"]));
    api.lease(&good).await;
    let report =
        json!({ "status": "success", "output": "three\n", "metrics": { "duration_ms": 1 } });
    api.complete(&good, report).await;
    let seen = watching.await.unwrap().ends(0);
    assert_eq!(seen.out.lines().last(), Some("completed (attempt 1) on w"));
    let seen = as_json.await.unwrap().ends(0).lines();
    assert_eq!(seen.last().unwrap()["status"], "completed");

    api.lease(&bad).await;
    api.complete(
        &bad,
        json!({ "status": "error", "error_message": "broken" }),
    )
    .await;
    assert_eq!(api.task(&bad).await["status"], "dead");
    watch(&bad, &[]).await.unwrap().ends(1);
    api.post(&format!("/llm-tasks/{gone}/cancel"), json!({}))
        .await;
    watch(&gone, &[]).await.unwrap().ends(7);

    // Of several, the ids come along; one failure is what is told.
    let all = watch(&good, &[&gone, &bad]).await.unwrap().ends(1);
    assert!(
        all.out.contains(&format!("{bad} dead (attempt 1) on w")),
        "{all:?}"
    );
    watch(&good, &[&gone]).await.unwrap().ends(7);
    let ids = format!("{good}\n{{\"line\":1,\"id\":\"{good}\"}}\n\n");
    let from_stdin = ask_with(&runtime, &["task", "watch", "-"], &ids)
        .await
        .ends(0);
    assert_eq!(
        from_stdin.out.lines().count(),
        1,
        "twice the same: {from_stdin:?}"
    );

    let result = ask(&runtime, &["task", "result", &good]).await.ends(0);
    assert_eq!(result.out, "three\n");
    let result = ask(&runtime, &["task", "result", &good, "--json"])
        .await
        .ends(0)
        .json();
    assert_eq!(
        (&result["status"], &result["output"]),
        (&json!("success"), &json!("three\n"))
    );
    let result = ask(&runtime, &["task", "result", &bad]).await.ends(1);
    assert!(
        result.out.is_empty() && result.err.contains("broken"),
        "{result:?}"
    );
    let shown = ask(&runtime, &["task", "show", &bad]).await.ends(0);
    assert!(
        shown.out.contains("broken") && shown.out.contains("failed"),
        "{shown:?}"
    );
}

#[tokio::test]
async fn logs_are_printed_and_followed_to_the_end() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 5).await;
    let id = api.submit(task("c")).await;
    let lease = api.lease(&id).await;
    let say = async |offset: usize, text: &str| {
        let body = json!({ "lease_id": lease, "offset": offset, "text": text });
        let reply = api.post(&format!("/llm-tasks/{id}/log"), body).await;
        assert!(reply.status < 300, "{reply:?}");
    };
    say(0, "one\n").await;
    let printed = ask(&runtime, &["task", "logs", &id]).await.ends(0);
    assert_eq!(printed.out, "one\n");
    let args = ["task", "logs", &id, "--follow"];
    let following = tokio::spawn(run(command(&api.base, Some(KEY), &args), ""));
    say(4, "two\n").await;
    api.complete(&id, json!({ "status": "success", "lease_id": lease }))
        .await;
    assert_eq!(following.await.unwrap().ends(0).out, "one\ntwo\n");
}

#[tokio::test]
async fn many_tasks_are_cancelled_requeued_and_put_first() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 5).await;
    let first = api.submit(task("first")).await;
    let second = api.submit(task("second")).await;
    let put = ask(&runtime, &["task", "priority", &second, "0"])
        .await
        .ends(0);
    assert_eq!(put.out.trim(), format!("{second} queued priority 0"));
    assert_eq!(api.task(&second).await["priority"], 0);

    let list = ask(&runtime, &["task", "list", "--json"])
        .await
        .ends(0)
        .json();
    let ids: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    let args = ["task", "cancel", "-", "--reason", "not needed"];
    let cancelled = ask_with(&runtime, &args, &ids.join("\n")).await.ends(0);
    assert_eq!(
        cancelled.out,
        format!("{second} cancelled\n{first} cancelled\n")
    );
    assert_eq!(api.task(&first).await["reason"], "not needed");
    let args = ["task", "requeue", &first, &second, "--json"];
    let requeued = ask(&runtime, &args).await.ends(0).lines();
    assert_eq!(requeued[0], json!({ "id": first, "status": "queued" }));

    // One bad one is told, and fails none of the others.
    let unknown = uuid::Uuid::new_v4().to_string();
    let args = ["task", "cancel", &unknown, &first];
    let mixed = ask(&runtime, &args).await.ends(3);
    assert_eq!(mixed.out, format!("{first} cancelled\n"));
    assert_eq!(mixed.err, format!("error: {unknown}: Task not found\n"));
    ask(&runtime, &["task", "requeue", &second]).await.ends(4);
    ask(&runtime, &["task", "priority", &first, "1"])
        .await
        .ends(4);
}
