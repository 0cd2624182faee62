//! `bloom audit`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use super::{ask, command};
use crate::runtime::{KEY, Runtime, task};

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
async fn following_shows_each_row_once_and_in_the_form_of_the_list() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 5).await;
    let before = api.submit(task("before")).await;
    let args = [
        "audit",
        "tail",
        "--follow",
        "--json",
        "--entity-type",
        "llm_task",
    ];
    let mut child = command(&api.base, Some(KEY), &args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while let Some(Ok(line)) = out.next() {
            if tell
                .send(serde_json::from_str::<Value>(&line).unwrap())
                .is_err()
            {
                break;
            }
        }
    });
    let mut row = async || {
        let row = tokio::time::timeout(crate::runtime::DEADLINE, told.recv());
        row.await.expect("in time").expect("a row")
    };
    assert_eq!(row().await["entity_id"], *before);
    let after = api.submit(task("after")).await;
    api.lease(&after).await;
    api.complete(&after, json!({ "status": "success" })).await;
    for action in ["task_created", "task_completed"] {
        let row = row().await;
        assert_eq!(
            (&row["action"], &row["entity_id"]),
            (&json!(action), &json!(after))
        );
        let list = api
            .get(&format!("/audit?entity_id={after}&action={action}"))
            .await;
        assert_eq!(row, list.items()[0], "as the list has it");
    }
    child.kill().unwrap();
    child.wait().unwrap();
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
    let mut lines = well.out.lines();
    assert_eq!(
        lines.next(),
        Some("2 tasks, 4 events: all is as it should be")
    );
    let sealed = lines.next().unwrap();
    assert!(sealed.ends_with(" events: nothing was changed"), "{sealed}");
    let mut well = ask(&runtime, &["audit", "verify", "--json"])
        .await
        .ends(0)
        .json();
    // How much is sealed by now is a matter of time.
    for member in ["seals", "sealed_events"] {
        assert!(well[member].take().is_u64(), "{member}");
    }
    assert_eq!(
        well,
        json!({
            "ok": true, "tasks": 2, "events": 4, "seals": null, "sealed_events": null,
            "dropped_seals": 0, "compared_seals": 0, "bad": null,
        })
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
