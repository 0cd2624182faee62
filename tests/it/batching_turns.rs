//! Callers take turns on their way to the database: somebody who sends hundreds of calls does not
//! keep another one waiting for all of them.
//!
//! While all flights stand still, a greedy caller queues up, and a modest one comes last. The next
//! flight is too small for all of them. In order of arrival it would be full of the greedy one's
//! calls, and the modest one would travel with the rest.
//!
//! Service and test share one thread, as in `batching_kit`.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::batching_beats::heartbeat;
use crate::batching_hazards::HELD_LANES;
use crate::batching_kit::{Ask, Hold, patient_with, send_as, until_read};
use crate::batching_leases::report;
use crate::contract_keys::create_named_key;
use crate::http_toy::Raw;
use crate::runtime::{Api, KEY, Runtime, task};
use crate::sql_kit::{self, one};

/// A service with a connection to spare: reports take all that are kept for them, and keys are
/// looked up on these, too.
async fn roomy() -> Runtime {
    patient_with(|options| options.pools.reserved += 1).await
}

/// Makes calls, and waits until they are in the queue.
async fn enqueue(api: &Api, key: &str, asks: &[Ask]) -> Vec<Raw> {
    let mut sent = Vec::new();
    for ask in asks {
        sent.push(send_as(api, key, ask).await);
    }
    until_read(api).await;
    sent
}

/// Stops a flight with each group of `leaders` at what `blocker` locks, until no more may leave.
/// Then the others queue up, the modest one last and with a key of its own, and all go on.
async fn flood(runtime: &Runtime, blocker: &str, leaders: &[&[Ask]], greedy: &[Ask], modest: Ask) {
    let api = &runtime.api;
    let (_, key) = create_named_key(&runtime.db().url(), "modest", "admin");
    let hold = Hold::of(runtime.db(), blocker).await;
    let mut sent = Vec::new();
    for (at, group) in leaders.iter().enumerate() {
        sent.extend(enqueue(api, KEY, group).await);
        hold.until_stopped(at + 1).await;
    }
    sent.extend(enqueue(api, KEY, greedy).await);
    // From now on its key is known, and nobody asks the database whose it is.
    let known = api.with_key(Some(&key)).get("/workers").await;
    assert_eq!(known.status, 200, "{known:?}");
    sent.extend(enqueue(api, &key, &[modest]).await);
    hold.end().await;
    for mut caller in sent {
        let answer = caller.answer().await;
        assert!(answer.status < 300, "{answer:?}");
    }
}

/// How many calls travelled with the modest one and itself, by a query for all calls: whether it is
/// the modest one, and in which transaction it was made.
async fn flight_of_modest(runtime: &Runtime, calls: &str) -> String {
    let client = runtime.db().connect().await;
    let sql = format!(
        "with call (is_modest, flight) as ({calls})
         select count(*) from call where flight = (select flight from call where is_modest)"
    );
    one(&client, &sql).await
}

/// A lane of its own for the tasks of leaders, so that only they are held up.
fn submission(priority: usize) -> Ask {
    let mut body = task("c");
    body["priority"] = json!(priority);
    ("/llm-tasks".to_owned(), body)
}

#[tokio::test]
async fn a_submission_does_not_wait_behind_all_of_another_producers() {
    let runtime = roomy().await;
    runtime.api.submit(task("c")).await;
    let leaders = [0, 1].map(submission);
    let [first, second] = leaders.each_ref().map(std::slice::from_ref);
    let greedy = vec![submission(2); 300];
    let blocker = HELD_LANES[0];
    flood(&runtime, blocker, &[first, second], &greedy, submission(2)).await;
    let calls = "select actor = 'modest', xmin from bloom_private.event where cause = 'submitted'";
    assert_eq!(flight_of_modest(&runtime, calls).await, "256");
}

/// So many tasks, leased to one worker.
async fn leases(runtime: &Runtime, count: usize) -> Vec<Value> {
    let api = &runtime.api;
    let client = runtime.db().connect().await;
    sql_kit::register(&client, "w", r#"{"max_concurrency": 1000}"#).await;
    let mut leases = Vec::new();
    while leases.len() < count {
        let tasks = vec![task("c"); 100.min(count - leases.len())];
        let reply = api
            .post("/llm-tasks/batch", json!({ "tasks": tasks }))
            .await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let (path, mut body) = pull("w");
        body["max_tasks"] = json!(100);
        leases.extend(api.post(&path, body).await.leases().to_vec());
    }
    leases
}

fn pull(worker: &str) -> Ask {
    let body = json!({ "worker_id": worker, "session_id": Uuid::new_v4() });
    ("/leases".to_owned(), body)
}

/// Holds these leases.
fn held(leases: &[Value]) -> String {
    let tasks: Vec<_> = leases
        .iter()
        .map(|lease| lease["task"]["id"].as_str().unwrap())
        .collect();
    let tasks = tasks.join(",");
    format!("select from bloom_private.lease where task_id = any ('{{{tasks}}}') for update")
}

#[tokio::test]
async fn a_report_does_not_wait_behind_all_of_another_workers() {
    let runtime = roomy().await;
    let leases = leases(&runtime, 234).await;
    let reports: Vec<_> = leases
        .iter()
        .map(|lease| report(lease, &json!({})))
        .collect();
    let leaders = [&reports[..1], &reports[1..33]];
    let (greedy, modest) = (&reports[33..233], reports[233].clone());
    flood(&runtime, &held(&leases[..2]), &leaders, greedy, modest).await;
    let task = leases[233]["task"]["id"].as_str().unwrap();
    let calls = format!(
        "select task_id = '{task}', xmin from bloom_private.event where cause = 'completed'"
    );
    assert_eq!(flight_of_modest(&runtime, &calls).await, "128");
}

#[tokio::test]
async fn a_heartbeat_does_not_wait_behind_all_of_another_workers() {
    let runtime = roomy().await;
    let leases = leases(&runtime, 202).await;
    let beats: Vec<_> = leases.iter().map(heartbeat).collect();
    let (greedy, modest) = (&beats[1..201], beats[201].clone());
    flood(
        &runtime,
        &held(&leases[..1]),
        &[&beats[..1]],
        greedy,
        modest,
    )
    .await;
    let calls = "select actor = 'modest', xmin from bloom_private.event where cause = 'running'";
    assert_eq!(flight_of_modest(&runtime, calls).await, "128");
}

#[tokio::test]
async fn a_request_for_work_does_not_wait_behind_all_of_another_workers() {
    let runtime = roomy().await;
    let client = runtime.db().connect().await;
    for worker in ["one", "many", "greedy", "modest"] {
        sql_kit::register(&client, worker, r#"{"max_concurrency": 1000}"#).await;
    }
    // More than are asked for, since flights at the same time leave each other's alone; and each of
    // a context of its own, since the next tasks of a context are kept for who has the first.
    let tasks: Vec<_> = (0..500).map(|at| task(&format!("c{at}"))).collect();
    let tasks = json!({ "tasks": tasks });
    let reply = runtime.api.post("/llm-tasks/batch", tasks).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let one = [pull("one")];
    let many: Vec<_> = (0..32).map(|_| pull("many")).collect();
    let greedy: Vec<_> = (0..200).map(|_| pull("greedy")).collect();
    let blocker =
        "select from bloom_private.worker_slot where worker_id in ('one', 'many') for update";
    flood(&runtime, blocker, &[&one, &many], &greedy, pull("modest")).await;
    let calls = "select l.worker_id = 'modest', e.xmin
          from bloom_private.event e join bloom_private.lease l using (task_id)
         where e.cause = 'leased'";
    assert_eq!(flight_of_modest(&runtime, calls).await, "128");
}

#[tokio::test]
async fn a_beat_does_not_wait_behind_all_of_another_workers() {
    let runtime = roomy().await;
    let api = &runtime.api;
    for worker in ["leader", "greedy", "modest"] {
        api.register(worker, 1).await;
    }
    // Each of a process of its own, so that each leaves a row.
    let beat = |worker: &str, session: Uuid| {
        let body = json!({ "session_id": session, "leases": [] });
        (format!("/workers/{worker}/beat"), body)
    };
    let leader = [beat("leader", Uuid::new_v4())];
    let (path, body) = &leader[0];
    assert_eq!(api.post(path, body.clone()).await.status, 200);
    let greedy: Vec<_> = (0..200).map(|_| beat("greedy", Uuid::new_v4())).collect();
    // The last one of its flight, which takes them by their sessions.
    let modest = beat("modest", Uuid::max());
    let blocker = "select from bloom_private.worker_session where worker_id = 'leader' for update";
    flood(&runtime, blocker, &[&leader], &greedy, modest).await;
    let before = "select count(*) from bloom_private.worker_session
         where worker_id = 'greedy' and started_at < (
             select started_at from bloom_private.worker_session where worker_id = 'modest')";
    let client = runtime.db().connect().await;
    assert_eq!(one(&client, before).await, "127");
}
