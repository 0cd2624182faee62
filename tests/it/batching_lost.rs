//! What callers may count on when Postgres commits their batch and the answer is lost on its way
//! to the service, together with the connection. The service cannot know that it was committed: it
//! says so to everybody at once and repeats nothing. Whoever asks again finds what is there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::batching_beats::{BEGUN, DELIVERED, HELD_SESSIONS, beat_again, busy, heartbeat};
use crate::batching_hazards::{
    HELD_KEYS, HELD_LANES, HELD_SLOTS, LEASED, hungry, keyed, laned, stored,
};
use crate::batching_kit::{Ask, Crowd, Hold, again, assert_away, linked, send};
use crate::batching_leases::{COMPLETED, RESULTS, held, leaked, leased, report};
use crate::batching_link::Link;
use crate::runtime::{Runtime, task};
use crate::sql_kit::{column, one};

/// Submissions of which the first two lead, since there are two flights for them.
async fn submissions_unheard(kind: &'static str, holds: [&str; 2], asks: &[Ask]) -> Runtime {
    let (runtime, link) = linked().await;
    runtime.api.submit(task("first")).await;
    let mut crowd = Crowd::gather(&runtime, kind, holds, &asks[..2], &asks[2..]).await;
    crowd.depart().await;
    crowd.lose(&link).await;
    let client = runtime.db().connect().await;
    assert_eq!(stored(&client).await, "c0 c1 c2 c3 c4 c5 c6");
    runtime
}

#[tokio::test]
async fn submissions_whose_answer_is_lost_are_not_repeated_by_the_service() {
    let asks: Vec<_> = (0..7).map(laned).collect();
    submissions_unheard("submit", HELD_LANES, &asks).await;
}

#[tokio::test]
async fn submissions_with_keys_whose_answer_is_lost_are_found_when_repeated() {
    let asks: Vec<_> = (0..7).map(keyed).collect();
    let runtime = submissions_unheard("tied", HELD_KEYS, &asks).await;
    assert_found(&runtime, &asks).await;
}

/// Each of these submissions is stored once, and whoever repeats it is told which task it is.
async fn assert_found(runtime: &Runtime, asks: &[Ask]) {
    let client = runtime.db().connect().await;
    for _ in 0..2 {
        for (at, ask) in asks.iter().enumerate() {
            let reply = again(&runtime.api, ask).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let kept = format!("select task_id from bloom_private.task where context_id = 'c{at}'");
            assert_eq!(reply.id(), one(&client, &kept).await);
        }
    }
    assert_eq!(stored(&client).await, "c0 c1 c2 c3 c4 c5 c6");
}

#[tokio::test]
async fn submissions_that_are_stored_and_cannot_be_read_are_found_when_repeated() {
    let (runtime, link) = linked().await;
    runtime.api.submit(task("first")).await;
    let asks: Vec<_> = (0..7).map(keyed).collect();
    let mut crowd = Crowd::gather(&runtime, "tied", HELD_KEYS, &asks[..2], &asks[2..]).await;
    crowd.depart().await;
    // Submitting does not touch it, reading does.
    let unread = "lock table bloom_private.progress in access exclusive mode";
    let unread = Hold::of(runtime.db(), unread).await;
    crowd.lose_later(&unread, &link).await;
    assert_found(&runtime, &asks).await;
}

#[tokio::test]
async fn leases_whose_answer_is_lost_can_be_asked_for_again() {
    let (runtime, link) = linked().await;
    let api = &runtime.api;
    let asks = hungry(api).await;
    let mut crowd = Crowd::gather(&runtime, "lease", HELD_SLOTS, &asks[..1], &asks[1..]).await;
    crowd.depart().await;
    crowd.lose(&link).await;
    let client = runtime.db().connect().await;
    let all = ["w0", "w1", "w2", "w3", "w4", "w5"];
    assert_eq!(column(&client, LEASED).await, all);
    assert_eq!(leaked(runtime.db()).await, "0");
    for _ in 0..2 {
        for at in [1, 3, 5] {
            let kept =
                format!("select lease_id from bloom_private.lease where worker_id = 'w{at}'");
            let reply = again(api, &asks[at]).await;
            assert_eq!(reply.leases().len(), 1, "{reply:?}");
            let id = &reply.leases()[0]["lease"]["id"];
            assert_eq!(id, &json!(one(&client, &kept).await));
        }
    }
    assert_eq!(column(&client, LEASED).await, all);
    // Without a request_id nobody can say what was meant: they get the tasks that are left.
    for at in [2, 4] {
        let reply = again(api, &asks[at]).await;
        assert_eq!(reply.leases().len(), 1, "{reply:?}");
    }
    let attempts = "select count(*) || ' ' || max(attempts) from bloom_private.lease";
    assert_eq!(one(&client, attempts).await, "8 1");
    assert_eq!(leaked(runtime.db()).await, "0");
}

#[tokio::test]
async fn heartbeats_whose_answer_is_lost_count_once_however_often_repeated() {
    let (runtime, link) = linked().await;
    let api = &runtime.api;
    api.register("w", 8).await;
    let leases = leased(api, "w", 6).await;
    let calls: Vec<_> = leases.iter().map(heartbeat).collect();
    let [first, second] = held(&leases);
    let holds = [first.as_str(), &second];
    let mut crowd = Crowd::gather(&runtime, "heartbeat", holds, &calls[..1], &calls[1..]).await;
    crowd.depart().await;
    crowd.lose(&link).await;
    let client = runtime.db().connect().await;
    assert_eq!(one(&client, BEGUN).await, "6");
    for (call, lease) in calls.iter().zip(&leases) {
        let reply = again(api, call).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.body["lease"]["id"], lease["lease"]["id"]);
    }
    assert_eq!(one(&client, BEGUN).await, "6");
}

#[tokio::test]
async fn beats_whose_answer_is_lost_say_the_same_when_repeated() {
    let (runtime, link) = linked().await;
    let api = &runtime.api;
    let beats = busy(api).await;
    let mut crowd = Crowd::gather(&runtime, "beat", HELD_SESSIONS, &beats[..1], &beats[1..]).await;
    crowd.depart().await;
    crowd.lose(&link).await;
    let client = runtime.db().connect().await;
    assert_eq!(one(&client, DELIVERED).await, "3");
    for _ in 0..2 {
        beat_again(api, &beats).await;
        assert_eq!(one(&client, DELIVERED).await, "3");
    }
}

#[tokio::test]
async fn reports_whose_answer_is_lost_are_stored_once_however_often_repeated() {
    let (runtime, link) = linked().await;
    let api = &runtime.api;
    api.register("w", 8).await;
    let leases = leased(api, "w", 6).await;
    let calls: Vec<_> = leases
        .iter()
        .map(|lease| report(lease, &json!({})))
        .collect();
    let [first, second] = held(&leases);
    let holds = [first.as_str(), &second];
    let mut crowd = Crowd::gather(&runtime, "complete", holds, &calls[..1], &calls[1..]).await;
    crowd.depart().await;
    crowd.lose(&link).await;
    assert_reported(&runtime).await;
    for _ in 0..2 {
        for (call, lease) in calls.iter().zip(&leases) {
            let reply = again(api, call).await;
            assert_eq!(reply.status, 200, "{reply:?}");
            assert_eq!(
                reply.body["artifact"]["id"],
                artifact(&runtime, lease).await
            );
        }
    }
    assert_reported(&runtime).await;
}

/// Six results are there, each of one attempt, and nobody is charged with a lease any more.
async fn assert_reported(runtime: &Runtime) {
    let client = runtime.db().connect().await;
    let attempts = "select count(*) from bloom_private.attempt";
    for count in [RESULTS, COMPLETED, attempts] {
        assert_eq!(one(&client, count).await, "6", "{count}");
    }
    assert_eq!(leaked(runtime.db()).await, "0");
}

/// The id of the only artifact of a lease's task.
async fn artifact(runtime: &Runtime, lease: &Value) -> String {
    let client = runtime.db().connect().await;
    let id = lease["task"]["id"].as_str().unwrap();
    let kept = format!("select artifact_id from bloom_private.artifact where task_id = '{id}'");
    let ids = column(&client, &kept).await;
    assert_eq!(ids.len(), 1, "{ids:?}");
    ids[0].clone()
}

/// Requests that carry many items each, and so travel by themselves: all of them stop at what
/// `blocker` locks, and all of their answers are lost.
async fn bulk_unheard(runtime: &Runtime, link: &Link, blocker: &str, asks: &[Ask]) {
    let hold = Hold::of(runtime.db(), blocker).await;
    let mut callers = Vec::new();
    for ask in asks {
        callers.push(send(&runtime.api, ask).await);
    }
    hold.until_stopped(asks.len()).await;
    hold.end_unheard(link).await;
    for caller in &mut callers {
        assert_away(&caller.answer().await);
    }
    assert_eq!(link.lost(), asks.len());
}

#[tokio::test]
async fn many_submissions_in_one_request_whose_answer_is_lost_are_there_once() {
    let (runtime, link) = linked().await;
    let api = &runtime.api;
    api.submit(task("first")).await;
    let asks = [0..2, 2..5].map(|range| {
        let tasks: Vec<_> = range.map(|at| keyed(at).1).collect();
        ("/llm-tasks/batch".to_owned(), json!({ "tasks": tasks }))
    });
    let blocker = "insert into bloom_private.idempotency (key, task_id, digest, created_at)
         select 'key-' || n, gen_random_uuid(), ''::bytea, now() from unnest(array[1, 3]) n";
    bulk_unheard(&runtime, &link, blocker, &asks).await;
    let client = runtime.db().connect().await;
    let ids = "select task_id from bloom_private.task where context_id <> 'first'
                order by context_id";
    let kept = column(&client, ids).await;
    assert_eq!(kept.len(), 5, "{kept:?}");
    let mut told = Vec::new();
    for ask in &asks {
        let reply = again(api, ask).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        for item in reply.body["tasks"].as_array().unwrap() {
            assert_eq!(item["created"], false, "{reply:?}");
            told.push(item["id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(told, kept);
    assert_eq!(column(&client, ids).await, kept);
}

#[tokio::test]
async fn many_reports_in_one_request_whose_answer_is_lost_are_stored_once() {
    let (runtime, link) = linked().await;
    let api = &runtime.api;
    api.register("w", 8).await;
    let leases = leased(api, "w", 6).await;
    let item = |lease: &Value| {
        let (_, mut item) = report(lease, &json!({}));
        item["task_id"] = lease["task"]["id"].clone();
        item
    };
    let asks = [0..3, 3..6].map(|range| {
        let items: Vec<_> = leases[range].iter().map(item).collect();
        ("/leases/complete".to_owned(), json!({ "items": items }))
    });
    let held: Vec<_> = [1, 4]
        .iter()
        .map(|at: &usize| leases[*at]["task"]["id"].as_str().unwrap())
        .collect();
    let blocker = format!(
        "select from bloom_private.lease where task_id = any ('{{{}}}') for update",
        held.join(",")
    );
    bulk_unheard(&runtime, &link, &blocker, &asks).await;
    assert_reported(&runtime).await;
    let mut told = BTreeSet::new();
    for ask in asks.iter().chain(&asks) {
        let reply = again(api, ask).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        for item in reply.body["items"].as_array().unwrap() {
            assert_eq!(item["replayed"], true, "{reply:?}");
            told.insert(item["artifact_id"].as_str().unwrap().to_owned());
        }
    }
    let mut kept = BTreeSet::new();
    for lease in &leases {
        kept.insert(artifact(&runtime, lease).await);
    }
    assert_eq!(told, kept);
    assert_reported(&runtime).await;
}
