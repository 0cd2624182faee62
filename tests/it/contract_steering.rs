//! What operators do to many tasks, and how they find them: bulk calls, priorities, filters.

use serde_json::{Value, json};

use crate::runtime::{Api, Runtime, task};

fn with(context: &str, more: &Value) -> Value {
    let mut body = task(context);
    let fields = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body
}

/// The contexts of a list's tasks.
async fn contexts(api: &Api, query: &str) -> Vec<String> {
    let reply = api.get(&format!("/llm-tasks?{query}")).await;
    let items = reply.items().iter();
    items
        .map(|task| task["context_id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn each_id_of_a_bulk_call_has_its_answer_and_a_bad_one_fails_none() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 5).await;
    let done = api.submit(task("done")).await;
    api.lease(&done).await;
    let reply = api.complete(&done, json!({ "status": "success" })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let runs = api.submit(task("runs")).await;
    api.lease(&runs).await;
    let waits = api.submit(task("waits")).await;
    let ids = json!([
        waits,
        "no-uuid",
        done,
        runs,
        "01900000-0000-7000-8000-000000000000"
    ]);
    let body = json!({ "ids": ids, "reason": "not needed" });
    for _ in 0..2 {
        let reply = api.post("/llm-tasks/cancel", body.clone()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let expected = json!({ "tasks": [
            { "id": waits, "status": "cancelled" },
            { "id": "no-uuid", "status": null, "error": "Task not found", "code": "task_not_found" },
            { "id": done, "status": "completed",
              "error": "Cannot cancel task with status 'completed'", "code": "wrong_status" },
            { "id": runs, "status": "leased" },
            { "id": "01900000-0000-7000-8000-000000000000", "status": null,
              "error": "Task not found", "code": "task_not_found" },
        ]});
        assert_eq!(reply.body, expected);
    }
    assert_eq!(api.task(&waits).await["reason"], "not needed");
    let reply = api.post("/llm-tasks/requeue", json!({ "ids": ids })).await;
    let answers: Vec<_> = reply.body["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["status"].as_str(), one["code"].as_str()))
        .collect();
    let expected = [
        (Some("queued"), None),
        (None, Some("task_not_found")),
        (Some("completed"), Some("wrong_status")),
        (Some("leased"), Some("wrong_status")),
        (None, Some("task_not_found")),
    ];
    assert_eq!(answers, expected);
}

#[tokio::test]
async fn a_bulk_call_takes_a_thousand_ids_and_no_more() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let ids = |count: usize| json!({ "ids": vec!["x"; count] });
    for verb in ["cancel", "requeue"] {
        let path = format!("/llm-tasks/{verb}");
        let reply = api.post(&path, ids(1000)).await;
        assert_eq!(reply.body["tasks"].as_array().map(Vec::len), Some(1000));
        assert_eq!(api.post(&path, ids(0)).await.body, json!({ "tasks": [] }));
        assert_eq!(api.post(&path, ids(1001)).await.status, 400);
        assert_eq!(api.post(&path, json!({})).await.status, 400);
        assert_eq!(api.post(&path, json!({ "ids": [3] })).await.status, 400);
    }
}

#[tokio::test]
async fn a_changed_priority_decides_what_is_leased_next_and_is_in_the_trail() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 5).await;
    let first = api.submit(task("first")).await;
    let second = api.submit(task("second")).await;
    let path = format!("/llm-tasks/{second}/priority");
    let reply = api.post(&path, json!({ "priority": 0 })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        (&reply.body["priority"], &reply.body["ver"]),
        (&json!(0), &json!(2))
    );
    let granted = api.pull("w", 0).await;
    assert_eq!(granted.leases()[0]["task"]["id"], *second);
    let reply = api.post(&path, json!({ "priority": 1 })).await;
    assert_eq!(
        (reply.status, &reply.body["code"]),
        (409, &json!("wrong_status"))
    );
    let path = format!("/llm-tasks/{first}/priority");
    for bad in [
        json!({}),
        json!({ "priority": 10 }),
        json!({ "priority": "1" }),
    ] {
        assert_eq!(api.post(&path, bad).await.status, 400);
    }
    let reply = api
        .post("/llm-tasks/none/priority", json!({ "priority": 1 }))
        .await;
    assert_eq!(reply.status, 404);
    let trail = api.get("/audit?action=task_prioritized").await;
    assert_eq!(trail.items().len(), 1);
    assert_eq!(trail.items()[0]["entity_id"], *second);
}

#[tokio::test]
async fn every_filter_of_the_task_list_narrows_it() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 5).await;
    let id = api
        .submit(with(
            "Shop/1",
            &json!({ "queue": "q1", "agent_slug": "painter" }),
        ))
        .await;
    api.submit(with("shop/2", &json!({ "requires": ["gpu", "big"] })))
        .await;
    api.submit(with("shop/3", &json!({ "prompt": "Find the RED box" })))
        .await;
    api.lease(&id).await;
    for (query, expected) in [
        ("queue=q1", &["Shop/1"][..]),
        ("agent=painter", &["Shop/1"]),
        ("agent_slug=painter", &["Shop/1"]),
        ("worker=w", &["Shop/1"]),
        ("worker_id=w", &["Shop/1"]),
        ("worker=nobody", &[]),
        ("context_id=shop/2", &["shop/2"]),
        ("label=gpu", &["shop/2"]),
        ("label=gp", &[]),
        ("q=red+BOX", &["shop/3"]),
        ("q=shop", &["shop/3", "shop/2", "Shop/1"]),
        ("q=PAINT", &["Shop/1"]),
        ("q=100%25", &[]),
        ("q=_", &[]),
        ("status=queued&q=shop", &["shop/3", "shop/2"]),
        ("status=leased&worker=w&queue=q1", &["Shop/1"]),
    ] {
        assert_eq!(contexts(api, query).await, expected, "{query}");
    }
    let by_id = contexts(api, &format!("q={id}")).await;
    assert_eq!(by_id, ["Shop/1"]);
    // Pages of a narrow list join without loss.
    let first = api.get("/llm-tasks?q=shop&limit=2").await;
    let cursor = first.header("x-next-cursor").unwrap().to_owned();
    assert_eq!(
        contexts(api, &format!("q=shop&limit=2&cursor={cursor}")).await,
        ["Shop/1"]
    );
    let long = "x".repeat(201);
    assert_eq!(api.get(&format!("/llm-tasks?q={long}")).await.status, 400);
}

#[tokio::test]
async fn what_a_worker_failed_last_is_found_under_its_name() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 5).await;
    let failed = api.submit(task("failed")).await;
    api.lease(&failed).await;
    let report = json!({ "status": "error", "error_message": "broken" });
    api.complete(&failed, report).await;
    assert_eq!(api.task(&failed).await["status"], "failed");
    assert_eq!(contexts(api, "worker=w").await, ["failed"]);
    assert_eq!(contexts(api, "worker=w&status=failed").await, ["failed"]);
}

/// The actions of a list of the audit trail.
async fn actions(api: &Api, query: &str) -> Vec<String> {
    let reply = api.get(&format!("/audit?{query}")).await;
    let items = reply.items().iter();
    items
        .map(|row| row["action"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_audit_trail_is_narrowed_by_entity_actor_and_action() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 5).await;
    let id = api.submit(task("a")).await;
    let lease = api.lease(&id).await;
    api.complete(&id, json!({ "status": "success", "lease_id": lease }))
        .await;
    api.submit(task("b")).await;
    api.post("/queues/default/pause", json!({})).await;
    for (query, expected) in [
        (
            format!("entity_id={id}"),
            &["task_completed", "task_leased", "task_created"][..],
        ),
        (
            format!("entity_type=llm_task&entity_id={id}&action=task_created"),
            &["task_created"],
        ),
        (
            format!("entity_type=lease&entity_id={lease}"),
            &["task_leased"],
        ),
        ("entity_type=lease".to_owned(), &["task_leased"]),
        ("entity_type=lease&entity_id=x".to_owned(), &[]),
        (
            "entity_type=llm_task".to_owned(),
            &["task_created", "task_completed", "task_created"],
        ),
        ("entity_type=worker".to_owned(), &["worker_registered"]),
        (
            "entity_type=worker&entity_id=w".to_owned(),
            &["worker_registered"],
        ),
        ("entity_type=queue".to_owned(), &["queue_paused"]),
        ("entity_type=queue&entity_id=other".to_owned(), &[]),
        ("entity_type=nonsense".to_owned(), &[]),
        ("action=queue_paused".to_owned(), &["queue_paused"]),
        (
            "action=submitted".to_owned(),
            &["task_created", "task_created"],
        ),
        (
            "action=queue_paused,task_leased".to_owned(),
            &["queue_paused", "task_leased"],
        ),
        ("actor=nobody".to_owned(), &[]),
    ] {
        assert_eq!(actions(api, &query).await, expected, "{query}");
    }
    let all = api.get("/audit").await;
    let actor = all.items()[0]["actor"].as_str().unwrap().to_owned();
    let by_actor = actions(api, &format!("actor={actor}&limit=1000")).await;
    assert!(
        by_actor.contains(&"queue_paused".to_owned()),
        "{by_actor:?}"
    );
}

#[tokio::test]
async fn narrow_pages_of_the_audit_trail_join_without_loss() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let id = api.submit(task("a")).await;
    for _ in 0..3 {
        api.post(&format!("/llm-tasks/{id}/cancel"), json!({}))
            .await;
        api.post(&format!("/llm-tasks/{id}/requeue"), json!({}))
            .await;
    }
    for query in [
        format!("entity_id={id}"),
        "entity_type=llm_task".to_owned(),
        "action=task_cancelled,task_requeued".to_owned(),
    ] {
        let all: Vec<_> = api
            .get(&format!("/audit?{query}"))
            .await
            .body
            .as_array()
            .unwrap()
            .clone();
        assert!(all.len() >= 6);
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let reply = api.get(&format!("/audit?{query}&limit=2{cursor}")).await;
            seen.extend(reply.items().to_vec());
            match reply.header("x-next-cursor") {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, all, "{query}");
    }
}

#[tokio::test]
async fn verifying_passes_a_sound_trail_and_names_the_first_bad_row() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let first = api.submit(task("a")).await;
    let second = api.submit(task("b")).await;
    api.post(&format!("/llm-tasks/{second}/cancel"), json!({}))
        .await;
    let reply = api.get("/audit/verify?limit=1").await;
    let expected =
        json!({ "ok": true, "tasks": 1, "events": 1, "next_cursor": first, "bad": null });
    assert_eq!(reply.body, expected);
    let next = api.get(&format!("/audit/verify?cursor={first}")).await;
    let expected = json!({ "ok": true, "tasks": 1, "events": 2, "next_cursor": null, "bad": null });
    assert_eq!(next.body, expected);
    let client = runtime.db().connect().await;
    let tampering = format!(
        "alter table bloom_private.event disable trigger all;
         delete from bloom_private.event where task_id = '{second}' and ver = 2"
    );
    client.batch_execute(&tampering).await.unwrap();
    let reply = api.get("/audit/verify").await;
    assert_eq!((reply.status, &reply.body["ok"]), (200, &json!(false)));
    let bad = &reply.body["bad"];
    assert_eq!(
        (&bad["task_id"], &bad["code"]),
        (&json!(second), &json!("last_version"))
    );
    assert_eq!(api.get("/audit/verify?limit=10001").await.status, 400);
    assert_eq!(api.get("/audit/verify?cursor=x").await.status, 400);
}
