//! The routes beside those of the contract: cancel, looks into a task, batches, queues, probes, and
//! what is not built yet.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::runtime::entity::{ARTIFACT, HEALTH, MEMBRIDGE, assert_shape, names};
use crate::runtime::{Reply, Runtime, eventually, task};

#[tokio::test]
async fn cancelling_ends_what_waits_and_refuses_what_is_over() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    let id = api.submit(task("c")).await;
    let reply = api.post_empty(&format!("/llm-tasks/{id}/cancel")).await;
    assert_eq!(
        (reply.status, &reply.body["status"]),
        (200, &json!("cancelled")),
        "{reply:?}"
    );
    let id = api.submit(task("c")).await;
    api.lease(&id).await;
    api.complete(&id, json!({ "status": "success" })).await;
    let reply = api.post_empty(&format!("/llm-tasks/{id}/cancel")).await;
    assert_eq!(reply.status, 409, "{reply:?}");
    assert_eq!(
        reply.body["error"],
        "Cannot cancel task with status 'completed'"
    );
    let reply = api
        .post(
            &format!("/llm-tasks/{id}/cancel"),
            json!({ "grace_seconds": 0 }),
        )
        .await;
    assert_eq!(reply.status, 400, "{reply:?}");
}

#[tokio::test]
async fn a_task_explains_itself_and_shows_its_attempts_events_and_result() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let id = api.submit(task("c")).await;
    let explain = api.get(&format!("/llm-tasks/{id}/explain")).await;
    assert_eq!(explain.status, 200, "{explain:?}");
    assert_eq!(explain.body["task_id"], id.as_str());
    assert_eq!(explain.body["status"], "queued");
    assert!(explain.body["reason"].is_string() && explain.body["sentence"].is_string());
    assert!(explain.body["data"].is_object());
    let reply = api.get(&format!("/llm-tasks/{id}/attempts")).await;
    assert_eq!(reply.items(), [] as [Value; 0]);

    api.register("w", 1).await;
    let lease = api.lease(&id).await;
    api.complete(&id, json!({ "status": "success", "output": "out" }))
        .await;
    let attempts = api.get(&format!("/llm-tasks/{id}/attempts")).await;
    assert_eq!(attempts.items().len(), 1);
    let attempt = &attempts.items()[0];
    assert_eq!(
        (&attempt["lease_id"], &attempt["outcome"]),
        (&json!(lease), &json!("completed"))
    );
    assert_eq!(
        (&attempt["attempt"], &attempt["worker_id"]),
        (&json!(1), &json!("w"))
    );
    let events = api.get(&format!("/llm-tasks/{id}/events")).await;
    let vers: Vec<_> = events
        .items()
        .iter()
        .map(|event| event["ver"].as_i64().unwrap())
        .collect();
    assert_eq!(vers, [1, 2, 3]);
    let after = api.get(&format!("/llm-tasks/{id}/events?after=2")).await;
    assert_eq!(after.items(), &events.items()[2..]);
    assert_eq!(
        api.get(&format!("/llm-tasks/{id}/events?after=x"))
            .await
            .status,
        400
    );

    let artifacts = api.get("/artifacts").await;
    let artifact = &artifacts.items()[0];
    let one = api
        .get(&format!("/artifacts/{}", artifact["id"].as_str().unwrap()))
        .await;
    assert_shape(&one.body, ARTIFACT);
    assert_eq!(one.body, *artifact);
}

#[tokio::test]
async fn the_content_of_an_artifact_is_a_download_that_no_browser_runs() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 2).await;
    let output = "<script>alert(1)</script>\u{1F980}";
    let mut ids = Vec::new();
    for output in [json!(output), json!(null), json!("")] {
        let id = api.submit(task("c")).await;
        api.lease(&id).await;
        let done = api
            .complete(&id, json!({ "status": "success", "output": output }))
            .await;
        ids.push(done.body["artifact"]["id"].as_str().unwrap().to_owned());
    }
    let reply = api.get(&format!("/artifacts/{}/content", ids[0])).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, output));
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert!(
        reply
            .header("content-disposition")
            .unwrap()
            .starts_with("attachment")
    );
    assert_eq!(
        api.get(&format!("/artifacts/{}/content", ids[1]))
            .await
            .status,
        404
    );
    assert_eq!(
        api.get(&format!("/artifacts/{}/content", ids[2]))
            .await
            .text,
        ""
    );
    for id in ["nonsense", &Uuid::new_v4().to_string()] {
        for path in [
            format!("/artifacts/{id}"),
            format!("/artifacts/{id}/content"),
        ] {
            let reply = api.get(&path).await;
            assert_eq!(
                (reply.status, &reply.body["error"]),
                (404, &json!("Artifact not found"))
            );
        }
    }
}

#[tokio::test]
async fn a_batch_is_all_or_nothing_unless_told_otherwise() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let bad = json!({ "context_id": "c", "agent_slug": "a", "prompt": "" });
    let tasks = json!([task("1"), bad, task("3")]);
    let reply = api
        .post("/llm-tasks/batch", json!({ "tasks": tasks }))
        .await;
    assert_eq!(reply.status, 400, "{reply:?}");
    let text = reply.body["error"]["fieldErrors"]["tasks"][0]
        .as_str()
        .unwrap();
    assert!(
        text.starts_with("[1] prompt: String must contain at least 1"),
        "{text}"
    );
    assert_eq!(api.get("/llm-tasks").await.items().len(), 0);

    let reply = api
        .post(
            "/llm-tasks/batch",
            json!({ "tasks": tasks, "atomic": false }),
        )
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let answers = reply.body["tasks"].as_array().unwrap();
    assert_eq!(answers.len(), 3);
    assert_eq!(
        (&answers[0]["created"], &answers[2]["created"]),
        (&json!(true), &json!(true))
    );
    assert!(answers[1]["error"]["fieldErrors"]["prompt"].is_array());
    assert_eq!(api.get("/llm-tasks").await.items().len(), 2);

    let mut keyed = task("k");
    keyed["idempotency_key"] = json!("k");
    let reply = api
        .post("/llm-tasks/batch", json!({ "tasks": [keyed, keyed] }))
        .await;
    let answers = reply.body["tasks"].as_array().unwrap();
    assert_eq!(answers[0]["id"], answers[1]["id"], "{reply:?}");
    let mut other = keyed.clone();
    other["prompt"] = json!("other");
    let reply = api
        .post("/llm-tasks/batch", json!({ "tasks": [task("x"), other] }))
        .await;
    assert_eq!(reply.status, 409, "{reply:?}");
    for tasks in [json!([]), json!("x"), json!(null)] {
        let reply = api
            .post("/llm-tasks/batch", json!({ "tasks": tasks }))
            .await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert_eq!(names(&reply.body["error"]["fieldErrors"]), ["tasks"]);
    }
}

#[tokio::test]
async fn queues_are_listed_paused_and_resumed() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 4).await;
    let reply = api.post_empty("/queues/default/pause").await;
    assert_eq!(
        (reply.status, &reply.body["paused"]),
        (200, &json!(true)),
        "{reply:?}"
    );
    let id = api.submit(task("c")).await;
    assert_eq!(api.pull("w", 0).await.leases(), [] as [Value; 0]);
    let refused = api.post_empty(&format!("/llm-tasks/{id}/lease")).await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (409, &json!("queue_paused"))
    );
    let queues = api.get("/queues").await;
    assert_eq!(queues.items()[0]["name"], "default");
    eventually("the queue's counts are folded", || async {
        let queues = api.get("/queues").await;
        (queues.items()[0]["tasks"] == json!({ "queued": 1 })).then_some(())
    })
    .await;
    let reply = api.post("/queues/default/resume", json!({})).await;
    assert_eq!((reply.status, &reply.body["paused"]), (200, &json!(false)));
    assert_eq!(api.pull("w", 0).await.leases().len(), 1);

    let limited = api
        .post("/queues/default", json!({ "max_running": 1 }))
        .await;
    assert_eq!(
        (limited.status, &limited.body["max_running"]),
        (200, &json!(1)),
        "{limited:?}"
    );
    let kept = api
        .post("/queues/default", json!({ "pin_wait_ms": 0 }))
        .await;
    assert_eq!(kept.body["max_running"], 1, "{kept:?}");
    let free = api
        .post("/queues/default", json!({ "max_running": null }))
        .await;
    assert_eq!(free.body["max_running"], Value::Null);
    let wrong = api
        .post(
            "/queues/default",
            json!({ "max_running": 0, "aging_seconds": "x" }),
        )
        .await;
    assert_eq!(wrong.status, 400, "{wrong:?}");
    assert_eq!(
        names(&wrong.body["error"]["fieldErrors"]),
        ["max_running", "aging_seconds"]
    );
}

#[tokio::test]
async fn dead_tasks_of_a_queue_are_driven_again() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 4).await;
    let id = api.submit(task("c")).await;
    api.lease(&id).await;
    let report = json!({ "status": "error", "retryable": false });
    let done = api.complete(&id, report).await;
    assert_eq!(done.body["task"]["status"], "dead", "{done:?}");
    let reply = api
        .post("/queues/default/redrive", json!({ "limit": 10 }))
        .await;
    assert_eq!(
        (reply.status, &reply.body["requeued"]),
        (200, &json!([id])),
        "{reply:?}"
    );
    assert_eq!(api.task(&id).await["status"], "queued");
}

#[tokio::test]
async fn probes_and_health_need_no_key() {
    let runtime = Runtime::start().await;
    let api = runtime.api.with_key(None);
    let health = api.get("/health").await;
    assert_eq!(health.status, 200, "{health:?}");
    assert_shape(&health.body, HEALTH);
    assert_shape(&health.body["membridge"], MEMBRIDGE);
    assert_eq!(health.body["status"], "ok");
    assert_eq!(health.body["service"], "bloom-runtime");
    assert_eq!(health.body["storage"], "postgresql");
    assert!(health.body["uptime"].as_f64().unwrap() < 600.0);
    for path in ["//healthz", "//readyz"] {
        let reply: Reply = api.get(path).await;
        assert_eq!(reply.status, 200, "{path} {reply:?}");
        assert!(reply.body["status"].is_string());
    }
}
