//! Heartbeats and beats that meet on their way to the database, and what becomes of callers whose
//! connection, answer or patience is lost in the middle of a batch.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::batching::post_at_once;
use crate::batching_leases::{at_once, leased};
use crate::runtime::{Runtime, eventually, task};
use crate::sql_kit::{one, run, until_blocked};

/// Transitions to running so far.
const BEGUN: &str = "select count(*) from bloom_private.event where cause = 'running'";

/// A heartbeat for a lease as `pull` answered it.
fn heartbeat(lease: &Value) -> (String, Value) {
    let task = lease["task"]["id"].as_str().unwrap();
    let body = json!({ "lease_id": lease["lease"]["id"], "worker_id": "w" });
    (format!("/llm-tasks/{task}/heartbeat"), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_at_once_are_each_answered_for_themselves() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 32).await;
    let leases = leased(api, "w", 20).await;
    let calls = leases.iter().enumerate().map(|(at, lease)| {
        let (path, mut body) = heartbeat(lease);
        match at {
            3 => body["lease_id"] = json!(Uuid::new_v4()),
            4 => body["worker_id"] = json!("somebody else"),
            5 => body["ttl_seconds"] = json!(1000),
            6 => body["ttl_seconds"] = json!(0),
            _ => {}
        }
        let path = if at == 7 {
            format!("/llm-tasks/{}/heartbeat", Uuid::new_v4())
        } else {
            path
        };
        (path, body)
    });
    // One lease twice.
    let calls: Vec<_> = calls.chain([heartbeat(&leases[19])]).collect();
    let replies = at_once(api, calls).await;
    for (at, reply) in replies.iter().enumerate() {
        let expected = match at {
            3 | 4 => 409,
            6 => 400,
            7 => 404,
            _ => 200,
        };
        assert_eq!(reply.status, expected, "{at}: {reply:?}");
        if expected == 200 {
            let lease = &leases[at.min(19)]["lease"]["id"];
            assert_eq!(&reply.body["lease"]["id"], lease, "{at}: {reply:?}");
        }
    }
    assert_eq!(replies[5].body["lease"]["ttl_seconds"], 1000);
    let client = runtime.db().connect().await;
    assert_eq!(one(&client, BEGUN).await, "16");
    let named = "select count(*) from bloom_private.lease where status = 'running' and actor <> ''";
    assert_eq!(one(&client, named).await, "16");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_whose_answer_is_lost_may_be_repeated() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 8).await;
    let leases = leased(api, "w", 6).await;
    let client = runtime.db().connect().await;
    let holder = runtime.db().connect().await;
    let held = leases[0]["task"]["id"].as_str().unwrap();
    let lock =
        format!("begin; select from bloom_private.lease where task_id = '{held}' for update");
    run(&holder, &lock).await;
    let beating = tokio::spawn({
        let (api, calls) = (api.clone(), leases.iter().map(heartbeat).collect());
        async move { at_once(&api, calls).await }
    });
    // The connection breaks while the batch waits; one of the callers has gone by then.
    until_blocked(&client).await;
    let impatient = tokio::spawn({
        let (api, (path, body)) = (api.clone(), heartbeat(&leases[1]));
        async move { api.post(&path, body).await }
    });
    impatient.abort();
    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                 where wait_event_type = 'Lock' and datname = current_database()";
    one(&client, kill).await;
    run(&holder, "rollback").await;
    for (lease, reply) in leases.iter().zip(beating.await.unwrap()) {
        assert!(matches!(reply.status, 200 | 503), "{reply:?}");
        eventually("it is renewed, now or before", async || {
            let (path, body) = heartbeat(lease);
            (api.post(&path, body).await.status == 200).then_some(())
        })
        .await;
    }
    assert_eq!(one(&client, BEGUN).await, "6");
}

#[tokio::test(flavor = "multi_thread")]
async fn beats_at_once_are_each_answered_for_themselves() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let mut calls = Vec::new();
    let mut expected = Vec::new();
    for at in 0..30 {
        let worker = format!("w{at}");
        let session = Uuid::new_v4();
        if at % 5 != 4 {
            api.register(&worker, 1).await;
        }
        if at % 5 == 3 {
            // Its session is another worker's.
            let other = json!({ "session_id": session, "leases": [] });
            assert_eq!(api.post("/workers/w0/beat", other).await.status, 200);
        }
        let lost = Uuid::new_v4();
        let body = json!({ "session_id": session, "leases": [{ "lease_id": lost }] });
        calls.push((format!("/workers/{worker}/beat"), body));
        expected.push(match at % 5 {
            4 => (404, None),
            3 => (409, None),
            _ => (200, Some(lost)),
        });
    }
    let replies = at_once(api, calls).await;
    for (reply, (status, lost)) in replies.iter().zip(expected) {
        assert_eq!(reply.status, status, "{reply:?}");
        if let Some(lost) = lost {
            let state = &reply.body["leases"][0];
            assert_eq!(state, &json!({ "lease_id": lost, "state": "lost" }));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn submissions_whose_connection_breaks_in_mid_batch_are_there_once() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    assert_eq!(api.post("/llm-tasks", task("c")).await.status, 201);
    let client = runtime.db().connect().await;
    let holder = runtime.db().connect().await;
    run(
        &holder,
        "begin; lock table bloom_private.task in share mode",
    )
    .await;
    let bodies: Vec<_> = (0..20)
        .map(|at| {
            let mut body = task("c");
            body["idempotency_key"] = json!(format!("key-{at}"));
            body
        })
        .collect();
    let posting = tokio::spawn({
        let (api, bodies) = (api.clone(), bodies.clone());
        async move { post_at_once(&api, bodies).await }
    });
    until_blocked(&client).await;
    // Somebody who does not wait for the answer, and comes again.
    let gone = tokio::spawn({
        let (api, body) = (api.clone(), bodies[0].clone());
        async move { api.post("/llm-tasks", body).await }
    });
    gone.abort();
    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                 where wait_event_type = 'Lock' and datname = current_database()";
    one(&client, kill).await;
    run(&holder, "rollback").await;
    for (body, reply) in bodies.iter().zip(posting.await.unwrap()) {
        assert!(matches!(reply.status, 200 | 201 | 503), "{reply:?}");
        let again = eventually("it is stored, now or before", async || {
            let again = api.post("/llm-tasks", body.clone()).await;
            (again.status < 300).then_some(again)
        })
        .await;
        if reply.status < 300 {
            assert_eq!(again.id(), reply.id());
        }
    }
    let rows = "select count(*) from bloom_private.task";
    assert_eq!(one(&client, rows).await, "21");
}
