//! `bloom audit`.

use serde_json::json;

use super::ask;
use crate::runtime::{Runtime, task};

#[tokio::test]
async fn the_tail_shows_the_last_rows_oldest_first_and_narrows_them() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let id = api.submit(task("a")).await;
    api.submit(task("b")).await;
    api.post(
        &format!("/llm-tasks/{id}/cancel"),
        json!({ "reason": "why\u{1b}[31m" }),
    )
    .await;
    api.post("/queues/q/pause", json!({})).await;
    let all = ask(&runtime, &["audit", "tail"]).await.ends(0);
    let words: Vec<_> = all
        .out
        .lines()
        .map(|line| line.split_whitespace().nth(2))
        .collect();
    let expected = [
        "task_created",
        "task_created",
        "task_cancelled",
        "queue_paused",
    ]
    .map(Some);
    assert_eq!(words, expected, "{all:?}");
    assert!(
        !all.out.contains('\u{1b}'),
        "what others wrote drives no terminal: {all:?}"
    );
    let count = async |args: &[&str]| {
        let args = [&["audit", "tail", "--json"][..], args].concat();
        ask(&runtime, &args).await.ends(0).lines().len()
    };
    assert_eq!(count(&["--limit", "2"]).await, 2);
    assert_eq!(count(&["--task", &id]).await, 2);
    assert_eq!(count(&["--action", "task_created,queue_paused"]).await, 3);
    assert_eq!(count(&["--entity-type", "queue"]).await, 1);
    assert_eq!(
        count(&["--entity-type", "queue", "--entity-id", "x"]).await,
        0
    );
    assert_eq!(count(&["--actor", "nobody"]).await, 0);
}

#[tokio::test]
async fn verifying_says_that_all_is_well_or_names_the_first_bad_row() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let id = api.submit(task("a")).await;
    for verb in ["cancel", "requeue"] {
        let reply = api
            .post(&format!("/llm-tasks/{id}/{verb}"), json!({}))
            .await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    api.submit(task("b")).await;
    let well = ask(&runtime, &["audit", "verify"]).await.ends(0);
    assert_eq!(well.out, "2 tasks, 4 events: all is as it should be\n");
    let well = ask(&runtime, &["audit", "verify", "--json"])
        .await
        .ends(0)
        .json();
    assert_eq!(
        well,
        json!({ "ok": true, "tasks": 2, "events": 4, "bad": null })
    );
    let client = runtime.db().connect().await;
    let tampering = format!(
        "alter table bloom_private.event disable trigger all;
         delete from bloom_private.event where task_id = '{id}' and ver = 2"
    );
    client.batch_execute(&tampering).await.unwrap();
    let bad = ask(&runtime, &["audit", "verify"]).await.ends(1);
    let line = format!("task {id} ver 3: version 3 follows version 1 (version_gap)\n");
    assert_eq!(bad.out, line);
    let bad = ask(&runtime, &["audit", "verify", "--json"])
        .await
        .ends(1)
        .json();
    assert_eq!(
        (&bad["ok"], &bad["bad"]["code"]),
        (&json!(false), &json!("version_gap"))
    );
}
