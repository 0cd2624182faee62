//! What workers report besides results: conversations, usage limits, the end of cancelled processes,
//! usage, live logs.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::runtime::process::bloom;
use crate::runtime::{Api, KEY, Runtime, task};

async fn register(api: &Api, name: &str, credential: Option<&str>) {
    let worker = json!({
        "name": name, "credential": credential, "capabilities": { "max_concurrency": 4 },
    });
    assert_eq!(api.post("/workers", worker).await.status, 201);
}

async fn pull(api: &Api, worker: &str, wait: u32) -> Vec<Value> {
    let ask = json!({
        "worker_id": worker, "session_id": Uuid::new_v4(), "wait_seconds": wait,
        "request_id": Uuid::new_v4(),
    });
    let reply = api.post("/leases", ask).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.leases().to_vec()
}

/// Leases one task to the worker.
async fn take(api: &Api, worker: &str) -> Value {
    let mut leases = pull(api, worker, 20).await;
    assert_eq!(leases.len(), 1);
    leases.remove(0)
}

fn route(grant: &Value, verb: &str) -> String {
    format!(
        "/llm-tasks/{}/{verb}",
        grant["task"]["id"].as_str().unwrap()
    )
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
async fn a_success_leaves_its_conversation_to_the_next_task_of_its_context() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    register(api, "a", None).await;
    register(api, "b", None).await;
    api.submit(task("c")).await;
    let first = take(api, "a").await;
    assert_eq!(first["conversation"], Value::Null);
    let mut report = json!({
        "lease_id": first["lease"]["id"], "status": "error", "retryable": false,
        "conversation": { "session_id": "s-failed", "how": "new" },
    });
    assert_eq!(
        api.post(&route(&first, "complete"), report.clone())
            .await
            .status,
        200
    );
    // A failure leaves nothing.
    api.submit(task("c")).await;
    let second = take(api, "a").await;
    assert_eq!(second["conversation"], Value::Null);
    report["lease_id"] = second["lease"]["id"].clone();
    report["status"] = json!("success");
    report["conversation"] = json!({ "session_id": "s-1", "how": "new" });
    for _ in 0..2 {
        assert_eq!(
            api.post(&route(&second, "complete"), report.clone())
                .await
                .status,
            200
        );
    }
    report["conversation"] = json!({ "session_id": "s-2", "how": "new" });
    assert_eq!(
        api.post(&route(&second, "complete"), report).await.status,
        409
    );
    let events = api.get(&route(&second, "events")).await;
    let last = events.items().last().unwrap();
    let detail = json!({ "session_id": "s-1", "how": "new" });
    assert!(
        last.to_string().contains(&detail.to_string()) || last.to_string().contains("s-1"),
        "{last}"
    );
    // Its worker gets it at once; another one after a while, and is told that it moved.
    let id = api.submit(task("c")).await;
    let third = take(api, "b").await;
    assert_eq!(third["task"]["id"], id);
    let conversation = &third["conversation"];
    assert_eq!(
        (&conversation["session_id"], &conversation["worker_id"]),
        (&json!("s-1"), &json!("a"))
    );
    assert_eq!(conversation["task_id"], second["task"]["id"]);
    let events = api.get(&route(&third, "events")).await.text;
    assert!(events.contains("context_moved_from"), "{events}");
}

#[tokio::test]
async fn a_usage_limit_burns_no_attempt_and_rests_the_credential_for_the_whole_fleet() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    register(api, "a", Some("shared")).await;
    register(api, "b", Some("shared")).await;
    let id = api.submit(task("c")).await;
    let grant = take(api, "a").await;
    let until = now() + 600_000;
    let release = json!({
        "lease_id": grant["lease"]["id"], "reason": "usage limit", "limited_until": until,
    });
    let reply = api.post(&route(&grant, "release"), release).await;
    assert_eq!(
        (reply.status, &reply.body["status"]),
        (200, &json!("queued")),
        "{reply:?}"
    );
    assert_eq!(reply.body["attempts"], 0);
    for worker in ["a", "b"] {
        assert_eq!(pull(api, worker, 0).await, Vec::<Value>::new());
        let shown = api.get(&format!("/workers/{worker}")).await.body;
        assert_eq!(shown["credential"], "shared");
        assert_eq!(shown["credential_exhausted_until"], until);
    }
    let explained = api.get(&format!("/llm-tasks/{id}/explain")).await;
    assert!(explained.text.contains("shared"), "{explained:?}");
    let refused = api.post(&format!("/llm-tasks/{id}/lease"), json!({})).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.body["reason"], "credential_exhausted");
    let sentence = refused.body["sentence"].as_str().unwrap();
    assert!(sentence.contains("Credential shared"), "{sentence}");
    let audit = api.get("/audit").await.body;
    assert_eq!(audit[0]["action"], "credential_exhausted", "{audit}");
    assert_eq!(
        (&audit[0]["entity_type"], &audit[0]["entity_id"]),
        (&json!("credential"), &json!("shared"))
    );
    // A worker with another credential is not concerned.
    register(api, "c", None).await;
    assert_eq!(take(api, "c").await["task"]["id"], id);
    let listed = api.get("/credentials").await;
    let shared = listed
        .items()
        .iter()
        .find(|row| row["name"] == "shared")
        .unwrap();
    assert_eq!(
        (&shared["exhausted_until"], &shared["workers"]),
        (&json!(until), &json!(["a", "b"]))
    );
    // An administrator may know better: those who wait get work at once.
    api.submit(task("d")).await;
    let waiting = tokio::spawn({
        let api = api.clone();
        async move { pull(&api, "b", 50).await }
    });
    assert_eq!(api.delete("/credentials/shared").await.status, 200);
    assert_eq!(waiting.await.unwrap().len(), 1);
    assert_eq!(api.delete("/credentials/shared").await.status, 404);
}

#[tokio::test]
async fn work_resumes_by_itself_when_the_usage_limit_is_over() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    register(api, "a", None).await;
    let id = api.submit(task("c")).await;
    let grant = take(api, "a").await;
    let release = json!({ "lease_id": grant["lease"]["id"], "limited_until": now() + 8000 });
    assert_eq!(
        api.post(&route(&grant, "release"), release).await.status,
        200
    );
    assert_eq!(pull(api, "a", 0).await, Vec::<Value>::new());
    // One request that waits longer than the limit: nothing happens meanwhile but time.
    let leases = pull(api, "a", 60).await;
    assert_eq!(leases[0]["task"]["id"], id);
    assert_eq!(leases[0]["task"]["attempts"], 1);
}

#[tokio::test]
async fn a_cancel_is_proven_step_by_step() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    register(api, "a", None).await;
    for proof in [true, false] {
        let id = api.submit(task(if proof { "p" } else { "q" })).await;
        let session = Uuid::new_v4();
        let ask = json!({ "worker_id": "a", "session_id": session });
        let grant = api.post("/leases", ask).await.leases()[0].clone();
        let lease = &grant["lease"]["id"];
        assert_eq!(
            api.post_empty(&format!("/llm-tasks/{id}/cancel"))
                .await
                .status,
            200
        );
        let beat = json!({ "session_id": session, "leases": [{ "lease_id": lease }] });
        let told = api.post("/workers/a/beat", beat).await;
        assert_eq!(told.body["leases"][0]["state"], "cancel", "{told:?}");
        let stopped = json!({ "tree_gone": proof, "signal": "SIGKILL", "processes": 3 });
        let report = json!({ "lease_id": lease, "status": "error", "stopped": stopped });
        assert_eq!(
            api.post(&route(&grant, "complete"), report).await.status,
            200
        );
        let over = api.task(&id).await;
        assert_eq!(over["status"], "cancelled");
        let at = |name: &str| over[name].as_i64();
        assert!(
            at("cancel_requested_at") <= at("cancel_delivered_at"),
            "{over}"
        );
        assert_eq!(at("cancel_stopped_at").is_some(), proof, "{over}");
        if proof {
            assert!(
                at("cancel_delivered_at") <= at("cancel_stopped_at"),
                "{over}"
            );
            assert!(at("cancel_stopped_at") <= at("finished_at"), "{over}");
        }
        let explained = api.get(&format!("/llm-tasks/{id}/explain")).await.text;
        assert_eq!(explained.contains("not proven"), !proof, "{explained}");
        let attempts = api.get(&format!("/llm-tasks/{id}/attempts")).await;
        assert_eq!(attempts.items()[0]["cancel_stopped_at"].is_i64(), proof);
        assert!(
            api.get(&format!("/llm-tasks/{id}/events"))
                .await
                .text
                .contains("SIGKILL")
        );
    }
}

#[tokio::test]
async fn progress_and_usage_are_shown_while_a_task_runs_and_end_in_its_metrics() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    register(api, "a", None).await;
    let id = api.submit(task("c")).await;
    let session = Uuid::new_v4();
    let ask = json!({ "worker_id": "a", "session_id": session });
    let grant = api.post("/leases", ask).await.leases()[0].clone();
    assert_eq!(grant["task"]["usage"], Value::Null);
    let usage = json!({ "turns": 2, "input_tokens": 11, "cost_usd": 0.25, "model": "m" });
    let progress = json!({ "text": "halfway" });
    let beat = json!({ "session_id": session, "leases": [
        { "lease_id": grant["lease"]["id"], "progress": progress, "usage": usage },
    ]});
    assert_eq!(api.post("/workers/a/beat", beat).await.status, 200);
    let running = api.task(&id).await;
    assert_eq!(
        (&running["usage"], &running["progress"]),
        (&usage, &progress)
    );
    let report = json!({
        "lease_id": grant["lease"]["id"], "status": "success", "output": "done",
        "metrics": { "duration_ms": 5, "tokens_used": 18, "turns": 2, "cost_usd": 0.25 },
    });
    assert_eq!(
        api.post(&route(&grant, "complete"), report).await.status,
        200
    );
    assert_eq!(api.task(&id).await["usage"], Value::Null);
    let result = api.get(&format!("/llm-tasks/{id}/result")).await.body;
    let metrics = json!({ "duration_ms": 5, "tokens_used": 18, "turns": 2, "cost_usd": 0.25 });
    assert_eq!(result["metrics"], metrics);
}

#[tokio::test]
async fn a_live_log_is_kept_once_can_be_followed_and_ends_with_its_task() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    register(api, "a", None).await;
    let id = api.submit(task("c")).await;
    let path = format!("/llm-tasks/{id}/log");
    let grant = take(api, "a").await;
    let piece = |offset: usize, text: &str| json!({ "lease_id": grant["lease"]["id"], "offset": offset, "text": text });
    let add = async |offset: usize, text: &str| {
        let reply = api.post(&path, piece(offset, text)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["next_offset"].as_u64().unwrap()
    };
    let empty = api.get(&path).await.body;
    assert_eq!(
        (&empty["chunks"], &empty["end"]),
        (&json!([]), &json!(false))
    );
    assert_eq!(add(0, "eins\n").await, 5);
    // A lost answer, an overlap, a gap.
    assert_eq!(add(0, "eins\n").await, 5);
    assert_eq!(add(0, "eins\nzwei ü\n").await, 13);
    assert_eq!(add(20, "later\n").await, 13);
    let follower = tokio::spawn({
        let (api, path) = (api.clone(), path.clone());
        async move {
            let (mut text, mut after) = (String::new(), String::new());
            loop {
                let page = api
                    .get(&format!("{path}?after={after}&wait_seconds=30"))
                    .await
                    .body;
                for chunk in page["chunks"].as_array().unwrap() {
                    text.push_str(chunk["text"].as_str().unwrap());
                }
                after = page["next_cursor"].as_str().unwrap().to_owned();
                if page["end"] == true {
                    return text;
                }
            }
        }
    });
    assert_eq!(add(13, "drei\n").await, 18);
    let report = json!({ "lease_id": grant["lease"]["id"], "status": "success", "output": "x" });
    assert_eq!(
        api.post(&route(&grant, "complete"), report).await.status,
        200
    );
    assert_eq!(follower.await.unwrap(), "eins\nzwei ü\ndrei\n");
    let printed = tokio::task::spawn_blocking({
        let (base, id) = (runtime.api.base.clone(), id.clone());
        move || {
            bloom()
                .args(["task", "--server", &base, "logs", &id, "--follow"])
                .env("BLOOM_API_KEY", KEY)
                .output()
                .unwrap()
        }
    });
    let printed = printed.await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&printed.stdout),
        "eins\nzwei ü\ndrei\n",
        "{printed:?}"
    );
    // The lease is over: its log is closed.
    let late = api.post(&path, piece(18, "late\n")).await;
    assert_eq!(
        (late.status, &late.body["code"]),
        (409, &json!("lease_lost"))
    );
    let whole = api.get(&format!("{path}?limit=2")).await.body;
    assert_eq!(whole["chunks"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&whole["chunks"][0]["attempt"], &whole["end"]),
        (&json!(1), &json!(false))
    );
    for wrong in ["x", "1", "1.2.3", "a.b"] {
        assert_eq!(api.get(&format!("{path}?after={wrong}")).await.status, 400);
    }
    let missing = format!("/llm-tasks/{}/log", Uuid::new_v4());
    assert_eq!(api.get(&missing).await.status, 404);
}

#[tokio::test]
async fn a_live_log_is_capped() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    register(api, "a", None).await;
    let id = api.submit(task("c")).await;
    let path = format!("/llm-tasks/{id}/log");
    let grant = take(api, "a").await;
    let text = "x".repeat(64 << 10);
    let (mut offset, mut is_full) = (0, false);
    while !is_full {
        let piece = json!({ "lease_id": grant["lease"]["id"], "offset": offset, "text": text });
        let reply = api.post(&path, piece).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        offset = reply.body["next_offset"].as_u64().unwrap();
        is_full = reply.body["capped"] == true;
    }
    let capped = offset;
    assert_eq!(capped, 1 << 20);
    let more = json!({ "lease_id": grant["lease"]["id"], "offset": capped, "text": "more" });
    let reply = api.post(&path, more).await;
    assert_eq!(reply.body, json!({ "next_offset": capped, "capped": true }));

    // Characters stay whole: at the cap, and where a piece is sent again.
    let id = api.submit(task("d")).await;
    let path = format!("/llm-tasks/{id}/log");
    let grant = take(api, "a").await;
    let lease = &grant["lease"]["id"];
    let say = async |offset: u64, text: String| {
        let piece = json!({ "lease_id": lease, "offset": offset, "text": text });
        api.post(&path, piece).await
    };
    let reply = say(0, "ї".to_owned()).await;
    assert_eq!(reply.body["next_offset"], 2);
    let within = say(1, "їїї".to_owned()).await;
    assert_eq!(within.status, 400, "{within:?}");
    let fields = &within.body["error"]["fieldErrors"];
    assert!(fields["position"].is_array(), "{within:?}");
    let (mut offset, mut is_full) = (2, false);
    while !is_full {
        let reply = say(offset, "€".repeat(64 << 10)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        offset = reply.body["next_offset"].as_u64().unwrap();
        is_full = reply.body["capped"] == true;
    }
    // 2 + 3n bytes.
    assert_eq!(offset, 1_048_574);
}

#[tokio::test]
async fn a_worker_that_comes_back_under_its_name_neither_keeps_nor_doubles_its_old_work() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    register(api, "a", None).await;
    let id = api.submit(task("c")).await;
    let ask =
        |session: Uuid| json!({ "worker_id": "a", "session_id": session, "wait_seconds": 20 });
    let (before, after) = (Uuid::new_v4(), Uuid::new_v4());
    let old = api.post("/leases", ask(before)).await.leases()[0].clone();
    // The process dies; its successor registers and beats, and knows nothing of the lease.
    register_again(api, "a").await;
    let beat = json!({ "session_id": after, "leases": [{ "lease_id": old["lease"]["id"] }] });
    let told = api.post("/workers/a/beat", beat).await;
    assert_eq!(told.body["leases"][0]["state"], "lost", "{told:?}");
    let client = runtime.db().connect().await;
    let silent = format!(
        "update bloom_private.worker_session set beat_at = beat_at - interval '1 hour'
          where session_id = '{before}' returning 1"
    );
    assert_eq!(crate::sql_kit::one(&client, &silent).await, "1");
    crate::verbs::make_overdue(&client).await.unwrap();
    let new = api.post("/leases", ask(after)).await.leases()[0].clone();
    assert_eq!(new["task"]["id"], id);
    assert_ne!(new["lease"]["id"], old["lease"]["id"]);
    let report = |grant: &Value, output: &str| json!({ "lease_id": grant["lease"]["id"], "status": "success", "output": output });
    let late = api
        .post(&route(&old, "complete"), report(&old, "old"))
        .await;
    assert_eq!(
        (late.status, &late.body["code"]),
        (409, &json!("lease_lost"))
    );
    assert_eq!(
        api.post(&route(&new, "complete"), report(&new, "new"))
            .await
            .status,
        200
    );
    let result = api.get(&format!("/llm-tasks/{id}/result")).await.body;
    assert_eq!(result["output"], "new");
    assert_eq!(api.get("/workers/a").await.body["active_leases"], 0);
}

async fn register_again(api: &Api, name: &str) {
    let worker = json!({ "name": name, "capabilities": { "max_concurrency": 4 } });
    assert_eq!(api.post("/workers", worker).await.status, 200);
}
