//! The contract's routes of tasks and leases: what succeeds, and each refusal.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::runtime::entity::{
    ARTIFACT, LEASE, assert_result, assert_shape, assert_task, assert_worker, names,
};
use crate::runtime::{Runtime, task};

#[tokio::test]
async fn a_task_is_created_with_the_defaults_of_the_contract() {
    let runtime = Runtime::start().await;
    let reply = runtime.api.post("/llm-tasks", task("c")).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(
        reply.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_task(&reply.body);
    let expected = json!({
        "context_id": "c", "agent_slug": "a", "prompt": "do it", "context_hints": [],
        "desired_format": "text",
        "status": "queued", "lease_id": null, "worker_id": null, "attempts": 0, "max_attempts": 3,
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(reply.body[name], *value, "{name}");
    }
    assert_policy(&reply.body, 120, 0.0);
    assert_eq!(runtime.api.task(&reply.id()).await, reply.body);
}

#[tokio::test]
async fn every_field_of_a_task_comes_back_as_it_was_sent() {
    let runtime = Runtime::start().await;
    let sent = json!({
        "context_id": "käse/1", "agent_slug": "writer", "prompt": "  \u{1F980} \" \\ \n",
        "context_hints": ["a", "b"], "desired_format": "json", "max_attempts": 10,
    });
    let mut body = sent.clone();
    body["policy"] = json!({ "timeout_sec": 3600, "budget": 0.25, "unknown": 1 });
    body["unknown"] = json!({ "is": "ignored" });
    let reply = runtime.api.post("/llm-tasks", body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    for (name, value) in sent.as_object().unwrap() {
        assert_eq!(reply.body[name], *value, "{name}");
    }
    assert_policy(&reply.body, 3600, 0.25);
    assert!(!reply.text.contains("unknown"), "{reply:?}");
}

fn assert_policy(task: &Value, timeout: u32, budget: f64) {
    let policy = &task["policy"];
    assert_eq!(policy["timeout_sec"], timeout);
    assert_eq!(policy["budget"].as_f64(), Some(budget));
}

#[tokio::test]
async fn the_cycle_of_a_task_answers_as_the_contract_has_it() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 2).await;
    let id = api.submit(task("c")).await;

    let leased = api.post_empty(&format!("/llm-tasks/{id}/lease")).await;
    assert_eq!(leased.status, 201, "{leased:?}");
    assert_eq!(names(&leased.body), ["lease", "worker"]);
    assert_shape(&leased.body["lease"], LEASE);
    assert_worker(&leased.body["worker"]);
    let lease = &leased.body["lease"];
    assert_eq!(lease["status"], "active");
    assert_eq!(lease["ttl_seconds"], 300);
    assert_eq!(lease["task_id"], id.as_str());
    assert_eq!(lease["context_id"], "c");
    let lived = lease["expires_at"].as_i64().unwrap() - lease["started_at"].as_i64().unwrap();
    assert_eq!(lived, 300_000);
    assert_eq!(leased.body["worker"]["active_leases"], 1);
    let seen = api.task(&id).await;
    assert_eq!(
        (
            &seen["status"],
            &seen["attempts"],
            &seen["worker_id"],
            &seen["lease_id"]
        ),
        (&json!("leased"), &json!(1), &json!("w"), &lease["id"])
    );

    let beat = api.post_empty(&format!("/llm-tasks/{id}/heartbeat")).await;
    assert_eq!(beat.status, 200, "{beat:?}");
    assert_eq!(names(&beat.body), ["lease", "expires_at"]);
    assert_shape(&beat.body["lease"], LEASE);
    assert_eq!(beat.body["expires_at"], beat.body["lease"]["expires_at"]);
    assert_eq!(api.task(&id).await["status"], "running");

    let report = json!({
        "status": "success", "output": "done", "error_message": null,
        "metrics": { "duration_ms": 39.0, "tokens_used": null }, "artifact_tags": ["x"],
    });
    let done = api.complete(&id, report).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert_eq!(names(&done.body), ["task", "artifact", "result"]);
    assert_task(&done.body["task"]);
    assert_shape(&done.body["artifact"], ARTIFACT);
    assert_result(&done.body["result"]);
    assert_eq!(done.body["task"]["status"], "completed");
    assert_eq!(done.body["artifact"]["content"], "done");
    assert_eq!(done.body["artifact"]["type"], "LLM_RESULT");
    assert_eq!(done.body["artifact"]["tags"], json!(["x"]));
    assert_eq!(
        done.body["result"]["metrics"],
        json!({ "duration_ms": 39, "tokens_used": null })
    );
    assert_eq!(
        done.body["result"]["artifact_id"],
        done.body["artifact"]["id"]
    );

    let result = api.get(&format!("/llm-tasks/{id}/result")).await;
    assert_eq!(
        result.body, done.body["result"],
        "the same as the completion said"
    );
    let listed = api.get(&format!("/artifacts?task_id={id}")).await;
    assert_eq!(listed.items(), [done.body["artifact"].clone()]);
    assert_eq!(api.task(&id).await, done.body["task"]);
}

#[tokio::test]
async fn a_task_that_is_not_there_is_404_whatever_is_asked_of_it() {
    let runtime = Runtime::start().await;
    let success = json!({ "status": "success" });
    for id in [
        Uuid::new_v4().to_string(),
        "42".into(),
        "%00".into(),
        "a%2Fb".into(),
    ] {
        let gets = ["", "/explain", "/result", "/attempts", "/events"];
        for path in gets.map(|path| format!("/llm-tasks/{id}{path}")) {
            assert_missing(&runtime.api.get(&path).await, &path, "Task not found");
        }
        for verb in ["lease", "complete", "requeue", "cancel"] {
            let path = format!("/llm-tasks/{id}/{verb}");
            assert_missing(
                &runtime.api.post(&path, success.clone()).await,
                &path,
                "Task not found",
            );
        }
        let path = format!("/llm-tasks/{id}/heartbeat");
        let reply = runtime.api.post_empty(&path).await;
        assert_missing(&reply, &path, "Task or lease not found");
        // What is wrong with the task comes before what is wrong with the report.
        let path = format!("/llm-tasks/{id}/complete");
        let reply = runtime.api.post(&path, json!({ "status": 3 })).await;
        assert_missing(&reply, &path, "Task not found");
    }
}

fn assert_missing(reply: &crate::runtime::Reply, path: &str, text: &str) {
    assert_eq!(reply.status, 404, "{path} {reply:?}");
    // A path that is no path at all is not found either, in the router's words.
    let is_path = !path.contains("%00");
    if is_path {
        assert_eq!(reply.body["error"], text, "{path}");
    }
    assert!(reply.body["error"].is_string(), "{path}");
}

#[tokio::test]
async fn what_the_status_of_a_task_forbids_is_409_with_the_text_of_the_contract() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    let id = api.submit(task("c")).await;
    let success = json!({ "status": "success", "output": "x" });

    let reply = api.complete(&id, success.clone()).await;
    assert_refused(
        &reply,
        409,
        "Task status is 'queued', expected 'leased' or 'running'",
    );
    let reply = api.complete(&id, json!({ "status": "neither" })).await;
    assert_refused(
        &reply,
        409,
        "Task status is 'queued', expected 'leased' or 'running'",
    );
    let reply = api.post_empty(&format!("/llm-tasks/{id}/heartbeat")).await;
    assert_refused(&reply, 404, "Lease not found or already expired");
    let reply = api.post_empty(&format!("/llm-tasks/{id}/requeue")).await;
    assert_refused(&reply, 409, "Cannot requeue task with status 'queued'");
    let reply = api.get(&format!("/llm-tasks/{id}/result")).await;
    assert_eq!(reply.status, 404, "{reply:?}");

    api.lease(&id).await;
    let reply = api.post(&format!("/llm-tasks/{id}/lease"), json!({})).await;
    assert_refused(&reply, 409, "Task status is 'leased', expected 'queued'");
    api.post_empty(&format!("/llm-tasks/{id}/heartbeat")).await;
    let reply = api.post_empty(&format!("/llm-tasks/{id}/lease")).await;
    assert_refused(&reply, 409, "Task status is 'running', expected 'queued'");
    let reply = api.post_empty(&format!("/llm-tasks/{id}/requeue")).await;
    assert_refused(&reply, 409, "Cannot requeue task with status 'running'");

    // The only slot is taken.
    let other = api.submit(task("d")).await;
    let reply = api.post_empty(&format!("/llm-tasks/{other}/lease")).await;
    assert_refused(&reply, 503, "No available worker with free capacity");
    assert!(reply.header("retry-after").is_some());

    let reply = api.complete(&id, json!({ "status": "neither" })).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert_eq!(api.complete(&id, success.clone()).await.status, 200);
    let reply = api.complete(&id, success).await;
    assert_refused(
        &reply,
        409,
        "Task status is 'completed', expected 'leased' or 'running'",
    );
    let reply = api.post_empty(&format!("/llm-tasks/{id}/requeue")).await;
    assert_refused(&reply, 409, "Cannot requeue task with status 'completed'");
}

fn assert_refused(reply: &crate::runtime::Reply, status: u16, text: &str) {
    assert_eq!(
        (reply.status, &reply.body["error"]),
        (status, &json!(text)),
        "{reply:?}"
    );
}

#[tokio::test]
async fn a_requeued_task_starts_anew() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    let mut body = task("c");
    body["max_attempts"] = json!(1);
    let id = api.submit(body).await;
    api.lease(&id).await;
    let report = json!({ "status": "error", "output": null, "error_message": "no" });
    let done = api.complete(&id, report).await;
    assert_eq!(done.body["task"]["status"], "dead", "{done:?}");
    assert_eq!(done.body["artifact"]["content"], Value::Null);
    assert_eq!(done.body["result"]["status"], "error");
    assert_eq!(done.body["result"]["error_message"], "no");

    let reply = api.post_empty(&format!("/llm-tasks/{id}/requeue")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_task(&reply.body);
    assert_eq!(reply.body["status"], "queued");
    assert_eq!(reply.body["attempts"], 0);
    assert_eq!(reply.body["lease_id"], Value::Null);
}

#[tokio::test]
async fn the_trail_of_a_task_is_in_the_audit_newest_first() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    api.register("w", 2).await;
    let id = api.submit(task("c")).await;
    let lease = api.lease(&id).await;
    api.post_empty(&format!("/llm-tasks/{id}/heartbeat")).await;
    api.complete(&id, json!({ "status": "success" })).await;
    api.delete("/workers/w").await;

    let reply = api.get("/audit").await;
    for row in reply.items() {
        assert_shape(row, crate::runtime::entity::AUDIT);
    }
    let rows: Vec<_> = reply.items().iter().map(audit_row).collect();
    let expected = [
        ["worker_removed", "worker", "w", "api"],
        ["task_completed", "llm_task", &id, "w"],
        ["task_started", "llm_task", &id, "api"],
        ["task_leased", "lease", &lease, "router"],
        ["task_created", "llm_task", &id, "api"],
        ["worker_updated", "worker", "w", "api"],
        ["worker_registered", "worker", "w", "api"],
    ];
    assert_eq!(rows, expected);
    let own = api.get(&format!("/audit?entity_id={id}")).await;
    assert_eq!(own.items().len(), 4);
    let two = api.get(&format!("/audit?entity_id={id}&limit=2")).await;
    assert_eq!(two.items(), &own.items()[..2]);
}

fn audit_row(row: &Value) -> [&str; 4] {
    ["action", "entity_type", "entity_id", "actor"].map(|name| row[name].as_str().unwrap())
}
