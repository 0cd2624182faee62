//! Verbs that lock the same rows lock them in the same order: who waits for whom ends well for both.
//! Each test holds a row in the middle until both have come to it, or past it.

use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::Session;
use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::sql_kit::{run, try_rows};
use crate::verbs;

const SESSION: &str = "01900000-0000-7000-8000-000000000001";

/// Three sessions, of which the first holds what `held` selects, and the others call `first`, then
/// `second`. Neither may fail.
async fn neither_fails(db: &TestDb, held: &str, first: &str, second: &str) {
    let witness = db.connect().await;
    let holder = Session::new(db).await;
    holder.begin("read committed").await;
    run(&holder, held).await;
    let mut calls = Vec::new();
    for call in [first, second] {
        let caller = Session::new(db).await;
        let (session, call) = (caller.clone(), call.to_owned());
        let waiting = caller
            .blocked(&witness, async move { try_rows(&session, &call).await })
            .await;
        calls.push(waiting);
    }
    holder.commit().await;
    for call in calls {
        call.await.unwrap().expect("no deadlock");
    }
    assert_clean(&witness).await;
}

/// The same, but the second call waits for nobody.
async fn only_one_waits(db: &TestDb, held: &str, first: &str, second: &str) {
    let witness = db.connect().await;
    let (holder, caller) = (Session::new(db).await, Session::new(db).await);
    holder.begin("read committed").await;
    run(&holder, held).await;
    let (session, call) = (caller.clone(), first.to_owned());
    let waiting = caller
        .blocked(&witness, async move { try_rows(&session, &call).await })
        .await;
    run(&witness, second).await;
    holder.commit().await;
    waiting.await.unwrap().expect("no deadlock");
    assert_clean(&witness).await;
}

async fn three(client: &Client, options: Value) -> Vec<Uuid> {
    let mut tasks = Vec::new();
    for context in ["c", "d", "e"] {
        let task = verbs::submit(client, context, options.clone()).await;
        tasks.push(task.unwrap());
    }
    tasks
}

fn array(ids: &[Uuid]) -> String {
    let ids: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
    format!("array[{}]::uuid[]", ids.join(", "))
}

fn complete_all(tasks: &[Uuid], leases: &[Uuid]) -> String {
    format!(
        "select * from bloom.lease_complete_many({}, {}, array_fill('success'::text, array[{n}]),
             array_fill(''::text, array[{n}]), '[{}]')",
        array(tasks),
        array(leases),
        vec!["{}"; tasks.len()].join(", "),
        n = tasks.len()
    )
}

/// The leases of these tasks, which each of these workers gets, the last task first.
async fn lease_backwards(client: &Client, tasks: &[Uuid], workers: [&str; 3]) -> Vec<Uuid> {
    let mut leases = Vec::new();
    for (task, worker) in tasks.iter().zip(workers).rev() {
        let sql = format!(
            "select lease_id from bloom.lease_task('{task}', array['{worker}'], 300,
                 '{{\"session_id\": \"{SESSION}\"}}')"
        );
        let sql = if worker == "w" {
            sql
        } else {
            sql.replace(SESSION, "01900000-0000-7000-8000-000000000002")
        };
        leases.push(client.query_one(&sql, &[]).await.unwrap().get(0));
    }
    leases.reverse();
    leases
}

#[tokio::test]
async fn many_cancels_and_many_completions() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    verbs::register(&client, "w", 5).await.unwrap();
    let tasks = three(&client, json!({})).await;
    let leases = lease_backwards(&client, &tasks, ["w"; 3]).await;
    let held = format!(
        "select 1 from bloom_private.lease where task_id = '{}' for update",
        tasks[1]
    );
    let cancel = format!(
        "select * from bloom.task_cancel_many({})",
        array(&[tasks[0], tasks[2]])
    );
    neither_fails(&db, &held, &complete_all(&tasks, &leases), &cancel).await;
}

#[tokio::test]
async fn a_beat_that_delivers_cancels_and_many_completions() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    verbs::register(&client, "w", 5).await.unwrap();
    let tasks = three(&client, json!({})).await;
    let leases = lease_backwards(&client, &tasks, ["w"; 3]).await;
    for task in [tasks[0], tasks[2]] {
        verbs::cancel(&client, task).await.unwrap();
    }
    let held = format!(
        "select 1 from bloom_private.lease where task_id = '{}' for update",
        tasks[1]
    );
    let listed: Vec<_> = leases
        .iter()
        .map(|lease| format!("{{\"lease_id\": \"{lease}\"}}"))
        .collect();
    let beat = format!(
        "select bloom.worker_beat('w', '{SESSION}', '[{}]')",
        listed.join(", ")
    );
    only_one_waits(&db, &held, &complete_all(&tasks, &leases), &beat).await;
}

#[tokio::test]
async fn the_removal_of_a_worker_and_many_completions() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    for worker in ["v", "w"] {
        verbs::register(&client, worker, 5).await.unwrap();
    }
    let tasks = three(&client, json!({})).await;
    let leases = lease_backwards(&client, &tasks, ["w", "v", "w"]).await;
    let held = format!(
        "select 1 from bloom_private.lease where task_id = '{}' for update",
        tasks[1]
    );
    let remove = "select bloom.worker_remove('w')";
    neither_fails(&db, &held, &complete_all(&tasks, &leases), remove).await;
}

#[tokio::test]
async fn the_removal_of_a_worker_and_its_beat() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    verbs::register(&client, "w", 5).await.unwrap();
    let tasks = three(&client, json!({})).await;
    let leases = lease_backwards(&client, &tasks, ["w"; 3]).await;
    verbs::cancel(&client, tasks[0]).await.unwrap();
    let held = "select 1 from bloom_private.worker_slot for update";
    let remove = "select bloom.worker_remove('w')";
    let beat = format!(
        "select bloom.worker_beat('w', '{SESSION}', '[{{\"lease_id\": \"{}\"}}]')",
        leases[0]
    );
    only_one_waits(&db, held, remove, &beat).await;
}

#[tokio::test]
async fn a_lease_with_a_new_session_and_the_removal_of_its_worker() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    verbs::register(&client, "w", 5).await.unwrap();
    let limit = json!({"max_running": 5});
    verbs::configure(&client, "default", limit).await.unwrap();
    let task = verbs::submit(&client, "c", json!({})).await.unwrap();
    let held = "select 1 from bloom_private.queue_slot for update";
    let lease = format!(
        "select * from bloom.lease_task('{task}', array['w'], 300,
             '{{\"session_id\": \"{SESSION}\"}}')"
    );
    neither_fails(&db, held, &lease, "select bloom.worker_remove('w')").await;
}

#[tokio::test]
async fn another_priority_for_a_parked_task_and_its_cancel_with_its_holders() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let serial = json!({"policy": {"serial": true}});
    let holder = verbs::submit(&client, "c", serial.clone()).await.unwrap();
    let parked = verbs::submit(&client, "c", serial).await.unwrap();
    let held = format!("select 1 from bloom_private.ready where task_id = '{holder}' for update");
    let cancel = format!(
        "select * from bloom.task_cancel_many({})",
        array(&[holder, parked])
    );
    let prioritize = format!("select bloom.task_prioritize('{parked}', 1)");
    only_one_waits(&db, &held, &cancel, &prioritize).await;
}

#[tokio::test]
async fn many_requeues_and_many_submissions_of_serial_contexts() {
    // Whichever task is the older one: who submits comes by context.
    for contexts in [["c", "e"], ["e", "c"]] {
        let db = TestDb::new().await;
        let client = db.connect().await;
        let serial = json!({"policy": {"serial": true}});
        let mut tasks = Vec::new();
        for context in contexts {
            let task = verbs::submit(&client, context, serial.clone()).await;
            tasks.push(task.unwrap());
        }
        for task in &tasks {
            verbs::cancel(&client, *task).await.unwrap();
        }
        verbs::submit(&client, "d", serial).await.unwrap();
        let held = "select 1 from bloom_private.context_slot where context_id = 'd' for update";
        let items: Vec<_> = ["c", "d", "e"]
            .iter()
            .map(|context| {
                json!({"context_id": context, "agent_slug": "a", "prompt": "p",
                       "policy": {"serial": true}})
            })
            .collect();
        let submit = format!(
            "select * from bloom.task_submit_many('{}')",
            Value::from(items)
        );
        let requeue = format!("select * from bloom.task_requeue_many({})", array(&tasks));
        neither_fails(&db, held, &submit, &requeue).await;
    }
}

#[tokio::test]
async fn many_beats_and_many_completions() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    for worker in ["v", "w"] {
        verbs::register(&client, worker, 5).await.unwrap();
    }
    let tasks = three(&client, json!({})).await;
    // The sessions come in the other order than the tasks.
    let leases = lease_backwards(&client, &tasks, ["v", "v", "w"]).await;
    for task in [tasks[0], tasks[2]] {
        verbs::cancel(&client, task).await.unwrap();
    }
    let held = format!(
        "select 1 from bloom_private.lease where task_id = '{}' for update",
        tasks[1]
    );
    let beats = format!(
        "select * from bloom.worker_beat_many(array['w', 'v'],
             array['{SESSION}', '01900000-0000-7000-8000-000000000002']::uuid[],
             '[[{{\"lease_id\": \"{}\", \"progress\": 1}}], [{{\"lease_id\": \"{}\"}}]]')",
        leases[2], leases[0]
    );
    only_one_waits(&db, &held, &complete_all(&tasks, &leases), &beats).await;
}

#[tokio::test]
async fn a_lease_that_passes_from_worker_to_worker_and_many_claims() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    for worker in ["v", "w"] {
        verbs::register(&client, worker, 2).await.unwrap();
    }
    verbs::submit(&client, "c", json!({})).await.unwrap();
    let grant = verbs::lease_next(&client, "w", 1).await.unwrap().remove(0);
    let tasks = three(&client, json!({})).await;
    let limited = format!(
        "select bloom.lease_release('{}', '{}', jsonb_build_object('limited_until',
             ((extract(epoch from now()) + 3600) * 1000)::bigint))",
        grant.task, grant.lease
    );
    let lease = format!(
        "select * from bloom.lease_task('{}', array['w', 'v'])",
        tasks[0]
    );
    let claim = "select * from bloom.lease_next_many(array['v', 'w'],
        array[null, null]::uuid[], array[1, 1], array[60, 60], array[null, null]::uuid[])";
    // The claim holds v and waits for w; the lease waits for w, which is used up, and then wants v.
    let witness = db.connect().await;
    let holder = Session::new(&db).await;
    holder.begin("read committed").await;
    run(&holder, &limited).await;
    let mut calls = Vec::new();
    for call in [lease.as_str(), claim] {
        let caller = Session::new(&db).await;
        let (session, call) = (caller.clone(), call.to_owned());
        let waiting = caller
            .blocked(&witness, async move { try_rows(&session, &call).await })
            .await;
        calls.push(waiting);
    }
    holder.commit().await;
    let claimed = calls.pop().unwrap().await.unwrap();
    assert_eq!(claimed.expect("no deadlock").len(), 1);
    // v was in use just then, or free again.
    if let Err(refusal) = calls.pop().unwrap().await.unwrap() {
        assert_eq!(refusal, "RT503 no_available_worker");
    }
    assert_clean(&witness).await;
}
