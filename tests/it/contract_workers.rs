//! The contract's routes of workers.

use hyper::Method;
use serde_json::json;
use uuid::Uuid;

use crate::runtime::entity::{LEASE, assert_shape, assert_worker, names};
use crate::runtime::{Api, Reply, Runtime, task};

#[tokio::test]
async fn a_worker_registers_with_the_defaults_of_the_contract() {
    let runtime = Runtime::start().await;
    let reply = runtime.api.post("/workers", json!({ "name": "w" })).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_worker(&reply.body);
    let expected = json!({
        "id": "w", "node_id": "w", "url": "", "status": "online",
        "capabilities": { "claude_cli": true, "max_concurrency": 1, "labels": [] },
        "ip_addrs": [], "obs_count": 0, "db_sha": "", "active_leases": 0,
        "agent_version": "unknown", "os_info": "", "install_method": "manual",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(reply.body[name], *value, "{name}");
    }
    assert_eq!(
        names(&reply.body["capabilities"]),
        ["claude_cli", "max_concurrency", "labels"]
    );
}

#[tokio::test]
async fn a_second_registration_updates() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let first = json!({
        "name": "w", "url": "http://h:1", "capabilities": { "max_concurrency": 5, "labels": ["gpu"] },
        "agent_version": "1",
    });
    assert_eq!(api.post("/workers", first).await.status, 201);
    let second = json!({ "name": "w", "status": "syncing", "agent_version": "2" });
    let reply = api.post("/workers", second).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.body["status"], "syncing");
    assert_eq!(reply.body["agent_version"], "2");
    assert_eq!(reply.body["url"], "http://h:1", "what was not said stays");
    assert_eq!(reply.body["capabilities"]["max_concurrency"], 5);
    assert_eq!(reply.body["capabilities"]["labels"], json!(["gpu"]));
    assert_eq!(api.get("/workers").await.items().len(), 1);
}

#[tokio::test]
async fn slots_win_over_the_contracts_bound_of_concurrency() {
    let runtime = Runtime::start().await;
    let capabilities = json!({ "max_concurrency": 32, "slots": 500 });
    let pool = json!({ "name": "pool", "capabilities": capabilities });
    let reply = runtime.api.post("/workers", pool).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(reply.body["capabilities"]["max_concurrency"], 500);
}

#[tokio::test]
async fn a_worker_shows_its_active_leases_and_no_others() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    for worker in ["w", "other"] {
        api.register(worker, 3).await;
    }
    let (mine, done, others) = (
        api.submit(task("1")).await,
        api.submit(task("2")).await,
        api.submit(task("3")).await,
    );
    for (id, worker) in [(&mine, "w"), (&done, "w"), (&others, "other")] {
        let path = format!("/llm-tasks/{id}/lease");
        let reply = api.post(&path, json!({ "worker_id": worker })).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    api.complete(&done, json!({ "status": "success" })).await;
    let reply = api.get("/workers/w").await;
    assert_worker(&reply.body);
    assert_eq!(reply.body["active_leases"], 1);
    let leases = reply.body["leases"].as_array().unwrap();
    assert_eq!(leases.len(), 1);
    assert_shape(&leases[0], LEASE);
    assert_eq!(leases[0]["task_id"], mine.as_str());
    let listed = api.get("/workers").await;
    for worker in listed.items() {
        assert_worker(worker);
        assert_eq!(worker["active_leases"], 1, "{worker}");
    }
    assert_eq!(listed.items()[0]["id"], "other", "newest first");
}

#[tokio::test]
async fn a_removed_worker_gives_its_tasks_back_at_once() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    let id = api.submit(task("c")).await;
    api.lease(&id).await;
    let reply = api.delete("/workers/w").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(names(&reply.body)[..2], ["removed", "id"]);
    assert_eq!(
        (&reply.body["removed"], &reply.body["id"]),
        (&json!(true), &json!("w"))
    );
    let task = api.task(&id).await;
    assert_eq!(
        (&task["status"], &task["attempts"]),
        (&json!("queued"), &json!(0))
    );
    for reply in [api.get("/workers/w").await, api.delete("/workers/w").await] {
        assert_missing(&reply);
    }
}

fn assert_missing(reply: &Reply) {
    assert_eq!(
        (reply.status, &reply.body["error"]),
        (404, &json!("Worker not found"))
    );
}

#[tokio::test]
async fn names_in_paths_are_decoded_exactly_once() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    for (name, path) in [
        ("a b", "a%20b"),
        ("a%20b", "a%2520b"),
        ("a/b", "a%2Fb"),
        ("käse", "k%C3%A4se"),
        ("a+b", "a+b"),
    ] {
        api.register(name, 1).await;
        let reply = get_verbatim(api, path).await;
        assert_eq!(reply.0, 200, "{path}");
        assert!(
            reply.1.contains(&json!(name).to_string()),
            "{path}: {}",
            reply.1
        );
    }
}

/// GET of a worker, with the path sent as it stands.
async fn get_verbatim(api: &Api, path: &str) -> (u16, String) {
    let request = api.request(Method::GET, &format!("/workers/{path}"));
    let reply = api.send(request).await;
    (reply.status, reply.text)
}

#[tokio::test]
async fn a_worker_that_is_named_must_be_online_able_and_free() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let refusals = [
        (json!({ "status": "offline" }), "is offline"),
        (
            json!({ "capabilities": { "claude_cli": false } }),
            "cannot run tasks",
        ),
        (
            json!({ "capabilities": { "labels": ["cpu"] } }),
            "lacks a required label",
        ),
    ];
    let mut body = task("c");
    body["requires"] = json!(["gpu"]);
    let id = api.submit(body).await;
    let path = format!("/llm-tasks/{id}/lease");
    for (more, reason) in refusals {
        let mut worker = json!({ "name": "w" });
        worker
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        api.delete("/workers/w").await;
        api.post("/workers", worker).await;
        let reply = api.post(&path, json!({ "worker_id": "w" })).await;
        let text = reply.body["error"].as_str().unwrap_or_default();
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(
            text.starts_with("No available worker with free capacity"),
            "{text}"
        );
        assert!(text.ends_with(reason), "{text}");
    }
    let reply = api.post(&path, json!({ "worker_id": "nobody" })).await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(api.task(&id).await["status"], "queued");
    assert_eq!(api.task(&id).await["attempts"], 0);
}

#[tokio::test]
async fn an_automatic_pick_needs_a_worker_that_is_online_able_and_free() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let id = api.submit(task("c")).await;
    let path = format!("/llm-tasks/{id}/lease");
    for worker in [
        json!({ "name": "off", "status": "offline" }),
        json!({ "name": "unable", "capabilities": { "claude_cli": false } }),
    ] {
        api.post("/workers", worker).await;
        let reply = api.post_empty(&path).await;
        assert_eq!(reply.status, 503, "{reply:?}");
        assert_eq!(
            reply.body["error"],
            "No available worker with free capacity"
        );
    }
    api.register("on", 1).await;
    let reply = api.post_empty(&path).await;
    assert_eq!(
        reply.status, 201,
        "at once, no stale view of the fleet: {reply:?}"
    );
    assert_eq!(reply.body["worker"]["id"], "on");
}

#[tokio::test]
async fn a_worker_shows_its_leases_however_many_others_there_are() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let tasks: Vec<_> = (0..1100)
        .map(|number| task(&format!("c{number}")))
        .collect();
    let reply = api
        .post("/llm-tasks/batch", json!({ "tasks": tasks }))
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
    for number in 0..34 {
        let name = format!("w{number}");
        api.register(&name, 32).await;
        let ask = json!({ "worker_id": name, "session_id": Uuid::new_v4(), "max_tasks": 32 });
        assert!(!api.post("/leases", ask).await.leases().is_empty());
    }
    // Its leases are the oldest of all.
    let first = api.get("/workers/w0").await;
    assert_eq!(first.body["active_leases"], 32);
    assert_eq!(first.body["leases"].as_array().unwrap().len(), 32);
}
