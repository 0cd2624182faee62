//! Heartbeats and beats that meet on their way to the database, and what becomes of callers whose
//! connection, answer or patience is lost in the middle of a batch.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::batching_kit::{Ask, Crowd, again, patient};
use crate::batching_leases::{at_once, held, leased};
use crate::http_toy::Answer;
use crate::runtime::{Api, Runtime, task};
use crate::sql_kit::one;

/// Transitions to running so far.
pub const BEGUN: &str = "select count(*) from bloom_private.event where cause = 'running'";

/// A heartbeat for a lease as `pull` answered it.
pub fn heartbeat(lease: &Value) -> (String, Value) {
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

#[tokio::test]
async fn a_heartbeat_whose_worker_hangs_up_counts_once_or_not_at_all() {
    let runtime = patient().await;
    let api = &runtime.api;
    api.register("w", 8).await;
    let leases = leased(api, "w", 6).await;
    let calls: Vec<_> = leases.iter().map(heartbeat).collect();
    let [first, second] = held(&leases);
    let holds = [first.as_str(), &second];
    let mut crowd = Crowd::gather(&runtime, "heartbeat", holds, &calls[..1], &calls[1..]).await;
    crowd.hang_up(4).await;
    crowd.depart().await;
    crowd.hang_up(0).await;
    let answers = crowd.land().await;
    assert_eq!(answers.len(), 3);
    for (lease, answer) in leases[2..].iter().zip(answers) {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["lease"]["id"], lease["lease"]["id"]);
    }
    let client = runtime.db().connect().await;
    let idle = "select lease_id from bloom_private.lease where status = 'leased'";
    assert_eq!(leases[5]["lease"]["id"], one(&client, idle).await);
    assert_eq!(one(&client, BEGUN).await, "5");
    for call in &calls {
        assert_eq!(again(api, call).await.status, 200);
    }
    assert_eq!(one(&client, BEGUN).await, "6");
}

#[tokio::test]
async fn heartbeats_whose_connection_breaks_in_mid_batch_may_be_repeated() {
    let runtime = patient().await;
    let api = &runtime.api;
    api.register("w", 8).await;
    let leases = leased(api, "w", 6).await;
    let calls: Vec<_> = leases.iter().map(heartbeat).collect();
    let [first, second] = held(&leases);
    let holds = [first.as_str(), &second];
    let mut crowd = Crowd::gather(&runtime, "heartbeat", holds, &calls[..1], &calls[1..]).await;
    crowd.depart().await;
    crowd.crash().await;
    let client = runtime.db().connect().await;
    assert_eq!(one(&client, BEGUN).await, "1");
    for call in calls.iter().chain(&calls) {
        assert_eq!(again(api, call).await.status, 200);
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

pub const DELIVERED: &str =
    "select count(*) from bloom_private.event where cause = 'cancel_delivered'";

/// Holds the sessions of the first worker and of the third.
pub const HELD_SESSIONS: [&str; 2] = [
    "select from bloom_private.worker_session where worker_id = 'w0' for update",
    "select from bloom_private.worker_session where worker_id = 'w2' for update",
];

/// Six workers with a task each, and how they beat. The tasks of those with an odd number are to be
/// cancelled.
pub async fn busy(api: &Api) -> Vec<Ask> {
    let mut beats = Vec::new();
    for at in 0..6 {
        let worker = format!("w{at}");
        // In order: a flight takes the sessions by their ids.
        let session = format!("00000000-0000-4000-8000-{at:012}");
        api.register(&worker, 1).await;
        let id = api.submit(task(&worker)).await;
        let ask = json!({ "worker_id": worker, "session_id": session });
        let lease = api.post("/leases", ask).await.leases()[0]["lease"].clone();
        assert_eq!(lease["task_id"], id);
        if at % 2 == 1 {
            let cancel = api.post_empty(&format!("/llm-tasks/{id}/cancel")).await;
            assert_eq!(cancel.status, 200, "{cancel:?}");
        }
        let body = json!({ "session_id": session, "leases": [{ "lease_id": lease["id"] }] });
        beats.push((format!("/workers/{worker}/beat"), body));
    }
    beats
}

/// What each of these workers, of which the first has the number `from`, must be told.
pub fn assert_told<'b>(from: usize, answers: impl IntoIterator<Item = &'b Value>) {
    for (at, answer) in (from..).zip(answers) {
        let state = if at % 2 == 1 { "cancel" } else { "ok" };
        assert_eq!(answer["leases"][0]["state"], state, "w{at}: {answer}");
    }
}

/// Everybody beats once more, and is told the same as before.
pub async fn beat_again(api: &Api, beats: &[Ask]) {
    for (at, beat) in beats.iter().enumerate() {
        let reply = again(api, beat).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_told(at, [&reply.body]);
    }
}

#[tokio::test]
async fn a_beat_whose_answer_is_lost_says_the_same_when_repeated() {
    let runtime = patient().await;
    let api = &runtime.api;
    let beats = busy(api).await;
    let mut crowd = Crowd::gather(&runtime, "beat", HELD_SESSIONS, &beats[..1], &beats[1..]).await;
    crowd.hang_up(4).await;
    crowd.depart().await;
    crowd.hang_up(0).await;
    let answers: Vec<_> = crowd.land().await.iter().map(Answer::json).collect();
    assert_eq!(answers.len(), 3);
    assert_told(2, &answers);
    let client = runtime.db().connect().await;
    // Of three that were asked for, without the one whose worker left in time.
    assert_eq!(one(&client, DELIVERED).await, "2");
    for _ in 0..2 {
        beat_again(api, &beats).await;
        assert_eq!(one(&client, DELIVERED).await, "3");
    }
}

#[tokio::test]
async fn beats_whose_connection_breaks_in_mid_batch_may_be_repeated() {
    let runtime = patient().await;
    let api = &runtime.api;
    let beats = busy(api).await;
    let mut crowd = Crowd::gather(&runtime, "beat", HELD_SESSIONS, &beats[..1], &beats[1..]).await;
    crowd.depart().await;
    crowd.crash().await;
    let client = runtime.db().connect().await;
    assert_eq!(one(&client, DELIVERED).await, "0");
    for _ in 0..2 {
        beat_again(api, &beats).await;
        assert_eq!(one(&client, DELIVERED).await, "3");
    }
}
