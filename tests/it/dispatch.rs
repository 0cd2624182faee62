//! Pushing tasks to the agent 0.4.0 of a worker.

use bloom_runtime::dispatch::AgentKeys;
use serde_json::{Value, json};

use crate::fake_agent::{FakeAgent, Manner};
use crate::runtime::{Runtime, eventually, task};

/// A service with one worker, whose agent has this manner, and a queued task.
async fn ready(manner: Manner) -> (Runtime, FakeAgent, String) {
    let runtime = Runtime::behind_nginx().await;
    let agent = FakeAgent::start(&runtime.api.base, manner).await;
    register(&runtime, &agent.url).await;
    let id = runtime.api.submit(task("c")).await;
    (runtime, agent, id)
}

async fn register(runtime: &Runtime, url: &str) {
    let agent = json!({
        "name": "node-1", "url": url, "status": "online", "ip_addrs": ["127.0.0.1"],
        "capabilities": {"claude_cli": true, "max_concurrency": 2, "labels": ["systemd", "x86_64"]},
        "agent_version": "0.4.0", "os_info": "Linux", "install_method": "manual",
    });
    assert_eq!(runtime.api.post("/workers", agent).await.status, 201);
}

async fn active(runtime: &Runtime) -> Value {
    runtime.api.get("/workers/node-1").await.body["active_leases"].clone()
}

#[tokio::test]
async fn a_dispatched_task_is_run_by_the_agent_and_completed_by_its_callback() {
    let (runtime, agent, id) = ready(Manner::Good).await;
    let reply = runtime
        .api
        .post_empty(&format!("/llm-tasks/{id}/dispatch"))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.body["dispatched"], true);
    assert_eq!(
        (&reply.body["task_id"], &reply.body["worker_id"]),
        (&json!(id), &json!("node-1"))
    );
    assert!(reply.body["lease_id"].is_string());
    let execution = json!({
        "ok": true, "task_id": id, "output": "hello from claude", "duration_ms": 39, "returncode": 0,
    });
    assert_eq!(reply.body["execution"], execution);
    let (head, body) = agent.seen.lock().unwrap()[0].clone();
    let expected = json!({
        "task_id": id, "prompt": "do it", "context_id": "c", "agent_slug": "a",
        "desired_format": "text", "context_hints": [], "policy": body["policy"],
        "runtime_url": "http://runtime.test",
    });
    assert_eq!(body, expected);
    assert_eq!(body["policy"]["timeout_sec"], 120);
    assert!(
        !head.contains("x-membridge-agent") && !head.contains("x-runtime-api-key"),
        "{head}"
    );
    let done = runtime.api.task(&id).await;
    assert_eq!(
        (&done["status"], &done["attempts"]),
        (&json!("completed"), &json!(1))
    );
    let result = runtime
        .api
        .get(&format!("/llm-tasks/{id}/result"))
        .await
        .body;
    assert_eq!(result["output"], "hello from claude");
    assert_eq!(result["metrics"]["tokens_used"], Value::Null);
    assert_eq!(active(&runtime).await, 0);
    let statuses: Vec<_> = runtime
        .api
        .get(&format!("/llm-tasks/{id}/events"))
        .await
        .items()
        .iter()
        .map(|event| event["action"].clone())
        .collect();
    assert_eq!(statuses.len(), 4, "{statuses:?}");
}

#[tokio::test]
async fn a_result_whose_callback_got_lost_is_taken_from_the_answer() {
    let (runtime, _agent, id) = ready(Manner::Mute).await;
    let reply = runtime
        .api
        .post_empty(&format!("/llm-tasks/{id}/dispatch"))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(runtime.api.task(&id).await["status"], "completed");
    let result = runtime
        .api
        .get(&format!("/llm-tasks/{id}/result"))
        .await
        .body;
    assert_eq!(
        (&result["output"], &result["metrics"]["duration_ms"]),
        (&json!("hello from claude"), &json!(39))
    );
}

#[tokio::test]
async fn a_failure_of_the_cli_is_a_failed_attempt_and_no_failed_dispatch() {
    let (runtime, _agent, id) = ready(Manner::Failing).await;
    let reply = runtime
        .api
        .post_empty(&format!("/llm-tasks/{id}/dispatch"))
        .await;
    assert_eq!(
        (reply.status, &reply.body["execution"]["returncode"]),
        (200, &json!(3)),
        "{reply:?}"
    );
    let failed = runtime.api.task(&id).await;
    assert_eq!(
        (&failed["status"], &failed["attempts"]),
        (&json!("failed"), &json!(1))
    );
    assert!(failed["retry_at"].is_i64());
}

#[tokio::test]
async fn a_dispatch_that_failed_gives_slot_and_attempt_back_at_once() {
    for manner in [Manner::WithoutCli, Manner::Breaking, Manner::Redirecting] {
        let (runtime, _agent, id) = ready(manner).await;
        let reply = runtime
            .api
            .post_empty(&format!("/llm-tasks/{id}/dispatch"))
            .await;
        assert_eq!(reply.status, 502, "{manner:?} {reply:?}");
        assert_eq!(reply.body["dispatched"], false);
        assert_eq!(
            (&reply.body["task_id"], &reply.body["worker_id"]),
            (&json!(id), &json!("node-1"))
        );
        assert!(reply.body["error"].is_string(), "{reply:?}");
        let back = runtime.api.task(&id).await;
        assert_eq!(
            (&back["status"], &back["attempts"]),
            (&json!("queued"), &json!(0)),
            "{manner:?}"
        );
        assert_eq!(active(&runtime).await, 0);
    }
}

#[tokio::test]
async fn a_worker_that_cannot_be_reached_or_may_not_be_is_a_failed_dispatch() {
    for url in [
        "http://127.0.0.1:1",
        "http://10.0.0.1:8001",
        "http://169.254.169.254/",
    ] {
        let runtime = Runtime::behind_nginx().await;
        register(&runtime, url).await;
        let id = runtime.api.submit(task("c")).await;
        let reply = runtime
            .api
            .post_empty(&format!("/llm-tasks/{id}/dispatch"))
            .await;
        assert_eq!(reply.status, 502, "{url} {reply:?}");
        assert_eq!(runtime.api.task(&id).await["attempts"], 0);
        let health = runtime.api.get("/workers/node-1/agent-health").await;
        assert_eq!(
            (health.status, &health.body["reachable"]),
            (200, &json!(false)),
            "{health:?}"
        );
        assert!(health.body["error"].is_string());
    }
}

#[tokio::test]
async fn a_dispatch_whose_client_went_away_still_ends_properly() {
    let (runtime, agent, id) = ready(Manner::Good).await;
    agent.gate.forget_permits(usize::MAX);
    let dispatching = tokio::spawn({
        let (api, path) = (runtime.api.clone(), format!("/llm-tasks/{id}/dispatch"));
        async move { api.post_empty(&path).await }
    });
    runtime.api.until_status(&id, "running").await;
    dispatching.abort();
    assert!(dispatching.await.is_err());
    agent.gate.add_permits(1);
    runtime.api.until_status(&id, "completed").await;
    eventually("the slot is free", async || {
        (active(&runtime).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_dispatched_task_may_take_an_hour() {
    let (runtime, agent, _) = ready(Manner::Good).await;
    agent.gate.forget_permits(usize::MAX);
    let mut long = task("long");
    long["policy"] = json!({ "timeout_sec": 3600 });
    let id = runtime.api.submit(long).await;
    let dispatching = tokio::spawn({
        let (api, path) = (runtime.api.clone(), format!("/llm-tasks/{id}/dispatch"));
        async move { api.post_empty(&path).await }
    });
    runtime.api.until_status(&id, "running").await;
    // As if the agent's one heartbeat had been an hour ago.
    let client = runtime.db().connect().await;
    let hour = format!(
        "update bloom_private.lease
            set expires_at = expires_at - interval '3600 s', running_at = running_at - interval '3600 s'
          where task_id = '{id}' returning expires_at > clock_timestamp()"
    );
    assert_eq!(crate::sql_kit::one(&client, &hour).await, "t");
    crate::sql_kit::run(&client, "select bloom.lease_expire(1000)").await;
    agent.gate.add_permits(1);
    assert_eq!(dispatching.await.unwrap().status, 200);
    assert_eq!(runtime.api.task(&id).await["status"], "completed");
}

#[tokio::test]
async fn a_task_is_dispatched_once_and_only_to_workers_with_an_address() {
    let (runtime, agent, id) = ready(Manner::Good).await;
    agent.gate.forget_permits(usize::MAX);
    let first = tokio::spawn({
        let (api, path) = (runtime.api.clone(), format!("/llm-tasks/{id}/dispatch"));
        async move { api.post_empty(&path).await }
    });
    runtime.api.until_status(&id, "running").await;
    let second = runtime
        .api
        .post_empty(&format!("/llm-tasks/{id}/dispatch"))
        .await;
    assert_eq!(second.status, 409, "{second:?}");
    agent.gate.add_permits(1);
    assert_eq!(first.await.unwrap().status, 200);
    let missing = format!("/llm-tasks/{}/dispatch", uuid::Uuid::new_v4());
    assert_eq!(runtime.api.post_empty(&missing).await.status, 404);

    let other = Runtime::behind_nginx().await;
    register(&other, "").await;
    let id = other.api.submit(task("c")).await;
    let reply = other
        .api
        .post_empty(&format!("/llm-tasks/{id}/dispatch"))
        .await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert_eq!(
        reply.body["error"],
        "Worker \"node-1\" has no URL configured"
    );
    assert_eq!(other.api.task(&id).await["attempts"], 0);
    let health = other.api.get("/workers/node-1/agent-health").await;
    assert_eq!(
        (health.status, &health.body["error"]),
        (400, &json!("Worker has no URL configured"))
    );
}

#[tokio::test]
async fn an_agents_key_goes_only_to_the_address_that_it_was_bound_to() {
    let (bound, other) = (Runtime::behind_nginx().await, Runtime::behind_nginx().await);
    let agent = FakeAgent::start(&bound.api.base, Manner::Good).await;
    let stranger = FakeAgent::start(&other.api.base, Manner::Good).await;
    for (url, expected) in [(&agent.url, true), (&stranger.url, false)] {
        let key = (agent.url.clone(), "agent-canary".to_owned().into());
        let runtime = Runtime::behind_nginx_with(|options| {
            options.dispatch.keys = AgentKeys::new(vec![key]).unwrap();
        })
        .await;
        register(&runtime, url).await;
        let id = runtime.api.submit(task("c")).await;
        runtime
            .api
            .post_empty(&format!("/llm-tasks/{id}/dispatch"))
            .await;
        let seen = if expected {
            &agent.seen
        } else {
            &stranger.seen
        };
        let heads: String = seen
            .lock()
            .unwrap()
            .iter()
            .map(|(head, _)| head.clone())
            .collect();
        assert_eq!(
            heads.contains("x-membridge-agent: agent-canary"),
            expected,
            "{heads}"
        );
        assert!(heads.contains("/execute-task"), "{heads}");
    }
}

#[tokio::test]
async fn an_agents_health_is_shown() {
    let (runtime, agent, _) = ready(Manner::Good).await;
    let reply = runtime.api.get("/workers/node-1/agent-health").await;
    let expected = json!({
        "reachable": true, "status": "ok", "version": "0.4.0", "claude_cli": true,
    });
    assert_eq!((reply.status, reply.body), (200, expected));
    let (head, _) = agent.seen.lock().unwrap()[0].clone();
    assert!(
        !head.contains("x-membridge") && !head.contains("x-runtime"),
        "{head}"
    );
    assert_eq!(
        runtime.api.get("/workers/nobody/agent-health").await.status,
        404
    );
}

#[tokio::test]
async fn without_an_address_for_callbacks_nothing_is_dispatched() {
    let runtime = Runtime::behind_nginx_with(|options| options.dispatch.public_url = None).await;
    let agent = FakeAgent::start(&runtime.api.base, Manner::Good).await;
    register(&runtime, &agent.url).await;
    let id = runtime.api.submit(task("c")).await;
    let reply = runtime
        .api
        .post_empty(&format!("/llm-tasks/{id}/dispatch"))
        .await;
    assert_eq!(
        (reply.status, &reply.body["code"]),
        (503, &json!("no_public_url")),
        "{reply:?}"
    );
    assert!(agent.seen.lock().unwrap().is_empty());
}
