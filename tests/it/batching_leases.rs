//! Requests for work and reports that meet on their way to the database.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::batching_kit::{Crowd, again, patient};
use crate::pg::TestDb;
use crate::runtime::{Api, Reply, Runtime, eventually, task};
use crate::sql_kit::{one, run, until_blocked};

async fn pull(api: &Api, worker: &str, most: u32) -> Reply {
    let ask = json!({ "worker_id": worker, "session_id": Uuid::new_v4(), "max_tasks": most });
    api.post("/leases", ask).await
}

/// Leases `count` tasks to `worker`, each of a context of its own.
pub async fn leased(api: &Api, worker: &str, count: usize) -> Vec<Value> {
    for at in 0..count {
        api.submit(task(&format!("c{at}"))).await;
    }
    let reply = pull(api, worker, 32).await;
    assert_eq!(reply.leases().len(), count, "{reply:?}");
    reply.leases().to_vec()
}

/// Makes all calls at the same time; the answers in order.
pub async fn at_once(api: &Api, calls: Vec<(String, Value)>) -> Vec<Reply> {
    let mut posts = JoinSet::new();
    for (at, (path, body)) in calls.into_iter().enumerate() {
        let api = api.clone();
        posts.spawn(async move { (at, api.post(&path, body).await) });
    }
    let mut replies = posts.join_all().await;
    replies.sort_by_key(|(at, _)| *at);
    replies.into_iter().map(|(_, reply)| reply).collect()
}

pub fn report(lease: &Value, more: &Value) -> (String, Value) {
    let path = format!(
        "/llm-tasks/{}/complete",
        lease["task"]["id"].as_str().unwrap()
    );
    let mut body = json!({ "lease_id": lease["lease"]["id"], "status": "success", "output": "x" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    (path, body)
}

/// How much more workers are charged with than they have leases.
pub async fn leaked(db: &TestDb) -> String {
    let client = db.connect().await;
    let sql = "select sum(active) - (select count(*) from bloom_private.lease)
                 from bloom_private.worker_slot";
    one(&client, sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_work_at_once_get_tasks_of_their_own() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    for at in 0..40 {
        api.register(&format!("w{at}"), 2).await;
    }
    for at in 0..60 {
        api.submit(task(&format!("c{at}"))).await;
    }
    let ask = |at: usize| {
        let body = json!({
            "worker_id": format!("w{at}"), "session_id": Uuid::new_v4(), "max_tasks": 5,
        });
        ("/leases".to_owned(), body)
    };
    let mut calls: Vec<_> = (0..40).map(ask).collect();
    // Some of them cannot be served at all.
    calls.extend((40..45).map(ask));
    let replies = at_once(api, calls).await;
    let mut tasks = BTreeSet::new();
    for (at, reply) in replies[..40].iter().enumerate() {
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.leases().len() <= 2, "{reply:?}");
        for lease in reply.leases() {
            assert_eq!(lease["lease"]["worker_id"], format!("w{at}"));
            assert!(tasks.insert(lease["task"]["id"].to_string()), "twice");
        }
    }
    assert_eq!(tasks.len(), 60);
    for reply in &replies[40..] {
        assert_eq!(
            (reply.status, &reply.body["code"]),
            (404, &json!("worker_not_found")),
            "{reply:?}"
        );
    }
    assert_eq!(leaked(runtime.db()).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_at_once_is_one_and_several_of_a_worker_share_its_room() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 8).await;
    for at in 0..20 {
        api.submit(task(&format!("c{at}"))).await;
    }
    let same = json!({
        "worker_id": "w", "session_id": Uuid::new_v4(), "max_tasks": 2, "request_id": Uuid::new_v4(),
    });
    let other = || json!({ "worker_id": "w", "session_id": Uuid::new_v4(), "max_tasks": 3 });
    let path = || "/leases".to_owned();
    let mut calls: Vec<_> = (0..6).map(|_| (path(), same.clone())).collect();
    calls.extend((0..6).map(|_| (path(), other())));
    let replies = at_once(api, calls).await;
    let ids = |reply: &Reply| -> BTreeSet<String> {
        let leases = reply.leases().iter();
        leases
            .map(|lease| lease["lease"]["id"].to_string())
            .collect()
    };
    let all: BTreeSet<_> = replies.iter().flat_map(&ids).collect();
    assert_eq!(all.len(), 8, "as many as the worker has room for");
    let of_same: BTreeSet<_> = replies[..6].iter().map(&ids).collect();
    assert_eq!(of_same.len(), 1, "one request, one answer: {of_same:?}");
    assert_eq!(leaked(runtime.db()).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_at_once_are_each_answered_for_themselves() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 32).await;
    let leases = leased(api, "w", 20).await;
    let mut calls: Vec<_> = leases
        .iter()
        .map(|lease| report(lease, &json!({})))
        .collect();
    // The same again, another result for a lease, a lease that never was, a task that never was.
    calls.push(report(&leases[0], &json!({})));
    calls.push(report(&leases[1], &json!({ "output": "another" })));
    calls.push(report(&leases[2], &json!({ "lease_id": Uuid::new_v4() })));
    let (_, body) = report(&leases[3], &json!({}));
    calls.push((format!("/llm-tasks/{}/complete", Uuid::new_v4()), body));
    let replies = at_once(api, calls).await;
    for reply in replies[2..21].iter().chain([&replies[0]]) {
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.body["task"]["status"], "completed");
    }
    assert_eq!(replies[0].body["artifact"], replies[20].body["artifact"]);
    // One of the two that differ was first; the other is refused.
    let mut differing = [replies[1].status, replies[21].status];
    differing.sort_unstable();
    assert_eq!(differing, [200, 409]);
    assert_eq!(
        (replies[22].status, &replies[22].body["code"]),
        (409, &json!("lease_lost"))
    );
    assert_eq!(replies[23].status, 404, "{:?}", replies[23]);
    assert_eq!(leaked(runtime.db()).await, "0");
    let client = runtime.db().connect().await;
    let rows = "select count(*) from bloom_private.artifact";
    assert_eq!(one(&client, rows).await, "20");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_go_on_holds_nobody_else_back_for_good() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 32).await;
    let leases = leased(api, "w", 12).await;
    let talks = json!({ "conversation": { "session_id": "s", "how": "new" } });
    // Somebody's open transaction holds the conversation of a context.
    let holder = runtime.db().connect().await;
    let context = leases[5]["task"]["context_id"].as_str().unwrap();
    run(
        &holder,
        &format!(
            "begin; insert into bloom_private.context_session
                 (context_id, session_id, worker_id, task_id, lease_id, fence, updated_at)
             values ('{context}', 'x', 'w', gen_random_uuid(), gen_random_uuid(), 1, now())"
        ),
    )
    .await;
    let nothing = json!({});
    let calls = leases
        .iter()
        .enumerate()
        .map(|(at, lease)| match at {
            5 => report(lease, &talks),
            _ => report(lease, &nothing),
        })
        .collect();
    let replies = at_once(api, calls).await;
    for (at, reply) in replies.iter().enumerate() {
        assert_eq!(reply.status, if at == 5 { 503 } else { 200 }, "{reply:?}");
    }
    run(&holder, "rollback").await;
    let (path, body) = report(&leases[5], &talks);
    assert_eq!(api.post(&path, body).await.status, 200);
    assert_eq!(leaked(runtime.db()).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_row_is_held_travels_apart_from_the_others() {
    let patience = std::time::Duration::from_secs(6);
    let runtime = Runtime::start_with(|options| options.pools.lock_timeout = patience).await;
    let api = &runtime.api;
    for worker in ["held", "free"] {
        api.register(worker, 32).await;
    }
    for _ in 0..4 {
        api.submit(task("c")).await;
    }
    let holder = runtime.db().connect().await;
    let lock = "begin; select from bloom_private.worker_slot where worker_id = 'held' for update";
    run(&holder, lock).await;
    assert_eq!(pull(api, "held", 1).await.status, 503);
    // From now on it waits alone: many of its requests do not keep another's from the database.
    let asking = (0..4).map(|_| {
        let api = api.clone();
        tokio::spawn(async move { pull(&api, "held", 1).await })
    });
    let asking: Vec<_> = asking.collect();
    let db = runtime.db().connect().await;
    until_blocked(&db).await;
    assert_eq!(pull(api, "free", 1).await.leases().len(), 1);
    // Behind them it would have been served only after the first of them had given up.
    assert!(asking.iter().all(|one| !one.is_finished()));
    run(&holder, "rollback").await;
    for one in asking {
        one.await.unwrap();
    }
    assert_eq!(pull(api, "held", 1).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_for_a_worker_that_went_away_are_given_back_unburned() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 4).await;
    let id = api.submit(task("c")).await;
    let holder = runtime.db().connect().await;
    run(
        &holder,
        "begin; select from bloom_private.worker_slot where worker_id = 'w' for update",
    )
    .await;
    let asking = tokio::spawn({
        let api = api.clone();
        async move { pull(&api, "w", 1).await }
    });
    until_blocked(&runtime.db().connect().await).await;
    asking.abort();
    assert!(asking.await.is_err());
    run(&holder, "rollback").await;
    let path = format!("/llm-tasks/{id}/events");
    eventually("it was leased and given back", async || {
        api.get(&path).await.text.contains("released").then_some(())
    })
    .await;
    let back = api.task(&id).await;
    assert_eq!(
        (&back["status"], &back["attempts"]),
        (&json!("queued"), &json!(0))
    );
    assert_eq!(pull(api, "w", 1).await.leases()[0]["task"]["id"], id);
}

/// Statements that hold the lease of the first call and of the third.
pub fn held(leases: &[Value]) -> [String; 2] {
    [0, 2].map(|at| {
        let task = leases[at]["task"]["id"].as_str().unwrap();
        format!("select from bloom_private.lease where task_id = '{task}' for update")
    })
}

pub const RESULTS: &str = "select count(*) from bloom_private.artifact";
pub const COMPLETED: &str = "select count(*) from bloom_private.event where cause = 'completed'";

#[tokio::test]
async fn a_report_whose_worker_hangs_up_is_stored_once_or_not_at_all() {
    let runtime = patient().await;
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
    crowd.hang_up(4).await;
    crowd.depart().await;
    crowd.hang_up(0).await;
    let answers = crowd.land().await;
    assert_eq!(answers.len(), 3);
    for (lease, answer) in leases[2..].iter().zip(answers) {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["task"]["id"], lease["task"]["id"]);
        assert_eq!(answer.json()["task"]["status"], "completed");
    }
    let client = runtime.db().connect().await;
    // Of the one who left in time nothing is there.
    let live = "select lease_id from bloom_private.lease";
    assert_eq!(leases[5]["lease"]["id"], one(&client, live).await);
    assert_eq!(one(&client, RESULTS).await, "5");
    assert_eq!(leaked(runtime.db()).await, "0");
    let id = leases[1]["task"]["id"].as_str().unwrap();
    let kept = format!("select artifact_id from bloom_private.artifact where task_id = '{id}'");
    let repeated = again(api, &calls[1]).await;
    assert_eq!(repeated.status, 200, "{repeated:?}");
    assert_eq!(
        repeated.body["artifact"]["id"],
        one(&client, &kept).await,
        "{repeated:?}"
    );
    assert_eq!(again(api, &calls[5]).await.status, 200);
    assert_eq!(one(&client, RESULTS).await, "6");
    assert_eq!(one(&client, COMPLETED).await, "6");
    assert_eq!(leaked(runtime.db()).await, "0");
}

#[tokio::test]
async fn reports_whose_connection_breaks_in_mid_batch_are_stored_once() {
    let runtime = patient().await;
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
    crowd.crash().await;
    let client = runtime.db().connect().await;
    assert_eq!(one(&client, RESULTS).await, "1");
    assert_eq!(leaked(runtime.db()).await, "0");
    for call in &calls {
        let reply = again(api, call).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.body["task"]["status"], "completed");
    }
    assert_eq!(one(&client, RESULTS).await, "6");
    assert_eq!(one(&client, COMPLETED).await, "6");
    assert_eq!(leaked(runtime.db()).await, "0");
}

#[tokio::test]
async fn many_leases_end_in_one_request_each_with_an_answer() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 32).await;
    let leases = leased(api, "w", 3).await;
    let item = |lease: &Value, more: Value| {
        let (_, mut body) = report(lease, &more);
        body["task_id"] = lease["task"]["id"].clone();
        body
    };
    let items = json!([
        item(&leases[0], json!({})),
        item(
            &leases[1],
            json!({ "status": "error", "error_message": "no disk" })
        ),
        item(&leases[2], json!({ "lease_id": Uuid::new_v4() })),
        item(&leases[0], json!({})),
        item(&leases[2], json!({ "status": "perhaps" })),
        7,
    ]);
    let reply = api
        .post("/leases/complete", json!({ "items": items }))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let items = reply.body["items"].as_array().unwrap();
    assert_eq!(
        (&items[0]["task_status"], &items[0]["replayed"]),
        (&json!("completed"), &json!(false))
    );
    assert_eq!(items[1]["task_status"], "failed");
    assert_eq!(
        (&items[2]["status"], &items[2]["code"]),
        (&json!(409), &json!("lease_lost"))
    );
    assert_eq!(
        (&items[3]["replayed"], &items[3]["artifact_id"]),
        (&json!(true), &items[0]["artifact_id"])
    );
    assert_eq!(items[4]["status"], 400);
    assert!(
        items[4]["error"]["fieldErrors"]["status"].is_array(),
        "{reply:?}"
    );
    assert_eq!(items[5]["status"], 400);
    for wrong in [
        json!({}),
        json!({ "items": [] }),
        json!({ "items": vec![0; 101] }),
    ] {
        assert_eq!(api.post("/leases/complete", wrong).await.status, 400);
    }
    // A single report may ask for the short answer, too.
    let (path, body) = report(&leases[2], &json!({}));
    let request = api
        .request(reqwest::Method::POST, &path)
        .header("Prefer", "return=minimal")
        .json(&body);
    let reply = api.send(request).await;
    assert_eq!(
        (reply.status, &reply.body["task_status"]),
        (200, &json!("completed")),
        "{reply:?}"
    );
    assert!(reply.body["task"].is_null());
    assert_eq!(leaked(runtime.db()).await, "0");
}
