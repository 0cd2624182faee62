//! What callers may count on when their batch is interrupted: one of them hangs up before the
//! flight leaves, one hangs up while it is out, or its connection to Postgres is cut.

use bloom_runtime::db::listen::{Event, Listener, Options};
use bloom_runtime::shutdown::Shutdown;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::batching_kit::{Ask, Crowd, again, patient};
use crate::batching_leases::leaked;
use crate::pg::TestDb;
use crate::runtime::{Api, DEADLINE, Runtime, task};
use crate::sql_kit::{self, column, one, run};

/// A submission that waits for whoever has its idempotency key.
pub fn keyed(at: usize) -> Ask {
    let mut body = task(&format!("c{at}"));
    body["idempotency_key"] = json!(format!("key-{at}"));
    ("/llm-tasks".to_owned(), body)
}

pub const HELD_KEYS: [&str; 2] = [
    "insert into bloom_private.idempotency (key, task_id, digest, created_at)
     select 'key-' || n, gen_random_uuid(), ''::bytea, now() from unnest(array[0, 1]) n",
    "insert into bloom_private.idempotency (key, task_id, digest, created_at)
     values ('key-3', gen_random_uuid(), ''::bytea, now())",
];

/// A submission that waits for whoever makes its lane.
pub fn laned(at: usize) -> Ask {
    let mut body = task(&format!("c{at}"));
    body["priority"] = json!(at);
    ("/llm-tasks".to_owned(), body)
}

pub const HELD_LANES: [&str; 2] = [
    "insert into bloom_private.lane (queue, requires, priority, returned)
     select 'default', '{}'::text[], n, false from unnest(array[0, 1]) n",
    "insert into bloom_private.lane (queue, requires, priority, returned)
     values ('default', '{}'::text[], 3, false)",
];

/// The contexts of all tasks that were submitted here, once for each task.
pub async fn stored(client: &Client) -> String {
    let sql = "select context_id from bloom_private.task where context_id <> 'first' order by 1";
    column(client, sql).await.join(" ")
}

/// Seven submissions: the first two lead, since there are two flights for them.
async fn submissions_hang_up(kind: &'static str, holds: [&str; 2], asks: &[Ask]) -> Runtime {
    let runtime = patient().await;
    runtime.api.submit(task("first")).await;
    let mut crowd = Crowd::gather(&runtime, kind, holds, &asks[..2], &asks[2..]).await;
    crowd.hang_up(4).await;
    crowd.depart().await;
    crowd.hang_up(0).await;
    let answers = crowd.land().await;
    assert_eq!(answers.len(), 3);
    for (at, answer) in (3..).zip(answers) {
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.json()["context_id"], format!("c{at}"));
    }
    let client = runtime.db().connect().await;
    assert_eq!(stored(&client).await, "c0 c1 c2 c3 c4 c5");
    runtime
}

async fn submissions_crash(kind: &'static str, holds: [&str; 2], asks: &[Ask]) -> Runtime {
    let runtime = patient().await;
    runtime.api.submit(task("first")).await;
    let mut crowd = Crowd::gather(&runtime, kind, holds, &asks[..2], &asks[2..]).await;
    crowd.depart().await;
    crowd.crash().await;
    let client = runtime.db().connect().await;
    assert_eq!(stored(&client).await, "c0 c1");
    for ask in &asks[2..] {
        assert_eq!(again(&runtime.api, ask).await.status, 201);
    }
    assert_eq!(stored(&client).await, "c0 c1 c2 c3 c4 c5 c6");
    runtime
}

#[tokio::test]
async fn a_submission_whose_caller_hangs_up_is_stored_once_or_not_at_all() {
    let asks: Vec<_> = (0..7).map(laned).collect();
    submissions_hang_up("submit", HELD_LANES, &asks).await;
}

#[tokio::test]
async fn a_submission_with_a_key_whose_caller_hangs_up_is_the_same_when_repeated() {
    let asks: Vec<_> = (0..7).map(keyed).collect();
    let runtime = submissions_hang_up("tied", HELD_KEYS, &asks).await;
    for (ask, status) in asks[2..].iter().zip([200, 200, 200, 200, 201]) {
        assert_eq!(again(&runtime.api, ask).await.status, status, "{ask:?}");
    }
    let client = runtime.db().connect().await;
    assert_eq!(stored(&client).await, "c0 c1 c2 c3 c4 c5 c6");
}

#[tokio::test]
async fn submissions_whose_connection_breaks_in_mid_batch_may_be_repeated() {
    let asks: Vec<_> = (0..7).map(laned).collect();
    submissions_crash("submit", HELD_LANES, &asks).await;
}

#[tokio::test]
async fn submissions_with_keys_whose_connection_breaks_in_mid_batch_are_there_once() {
    let asks: Vec<_> = (0..7).map(keyed).collect();
    let runtime = submissions_crash("tied", HELD_KEYS, &asks).await;
    for ask in &asks {
        assert_eq!(again(&runtime.api, ask).await.status, 200, "{ask:?}");
    }
    let client = runtime.db().connect().await;
    assert_eq!(stored(&client).await, "c0 c1 c2 c3 c4 c5 c6");
}

pub const HELD_SLOTS: [&str; 2] = [
    "select from bloom_private.worker_slot where worker_id = 'w0' for update",
    "select from bloom_private.worker_slot where worker_id = 'w3' for update",
];

/// The workers that have a lease, once for each.
pub const LEASED: &str = "select worker_id from bloom_private.lease order by 1";

/// Six workers that each ask for one task; there are eight. Those with an odd number can ask again
/// for what they were given.
pub async fn hungry(api: &Api) -> Vec<Ask> {
    for at in 0..8 {
        api.submit(task(&format!("c{at}"))).await;
    }
    let mut asks = Vec::new();
    for at in 0..6 {
        let worker = format!("w{at}");
        api.register(&worker, 2).await;
        let mut body = json!({ "worker_id": worker, "session_id": Uuid::new_v4() });
        if at % 2 == 1 {
            body["request_id"] = json!(Uuid::new_v4());
        }
        asks.push(("/leases".to_owned(), body));
    }
    asks
}

#[tokio::test]
async fn leases_whose_worker_hangs_up_come_back_or_can_be_asked_for_again() {
    let runtime = patient().await;
    let api = &runtime.api;
    let asks = hungry(api).await;
    let mut crowd = Crowd::gather(&runtime, "lease", HELD_SLOTS, &asks[..1], &asks[1..]).await;
    crowd.hang_up(4).await;
    crowd.depart().await;
    crowd.hang_up(0).await;
    crowd.hang_up(1).await;
    let answers = crowd.land().await;
    assert_eq!(answers.len(), 2);
    for (worker, answer) in ["w3", "w4"].iter().zip(answers) {
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        assert_eq!(answer["leases"].as_array().map(Vec::len), Some(1));
        assert_eq!(answer["leases"][0]["lease"]["worker_id"], *worker);
    }
    let client = runtime.db().connect().await;
    // Only the worker without a request_id cannot come for its lease.
    let released = "select count(*) from bloom_private.event where cause = 'released'";
    sql_kit::eventually(&client, released, "1").await;
    assert_eq!(column(&client, LEASED).await, ["w0", "w1", "w3", "w4"]);
    assert_eq!(leaked(runtime.db()).await, "0");
    let kept = "select lease_id from bloom_private.lease where worker_id = 'w1'";
    let replayed = again(api, &asks[1]).await;
    assert_eq!(
        replayed.leases()[0]["lease"]["id"],
        one(&client, kept).await
    );
    for ask in [&asks[2], &asks[5]] {
        assert_eq!(again(api, ask).await.leases().len(), 1);
    }
    let attempts = "select count(*), max(attempts) from bloom_private.lease";
    let row = client.query_one(attempts, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i16>(1)), (6, 1));
    assert_eq!(one(&client, released).await, "1");
    assert_eq!(leaked(runtime.db()).await, "0");
}

#[tokio::test]
async fn leases_whose_connection_breaks_in_mid_batch_are_given_once() {
    let runtime = patient().await;
    let api = &runtime.api;
    let asks = hungry(api).await;
    let mut crowd = Crowd::gather(&runtime, "lease", HELD_SLOTS, &asks[..1], &asks[1..]).await;
    crowd.depart().await;
    crowd.crash().await;
    let client = runtime.db().connect().await;
    assert_eq!(column(&client, LEASED).await, ["w0"]);
    assert_eq!(leaked(runtime.db()).await, "0");
    for ask in &asks[1..] {
        let reply = again(api, ask).await;
        assert_eq!(reply.leases().len(), 1, "{reply:?}");
        if !ask.1["request_id"].is_null() {
            let replayed = again(api, ask).await;
            let id = &reply.leases()[0]["lease"]["id"];
            assert_eq!(&replayed.leases()[0]["lease"]["id"], id);
        }
    }
    let all = ["w0", "w1", "w2", "w3", "w4", "w5"];
    assert_eq!(column(&client, LEASED).await, all);
    let events = "select count(*) from bloom_private.event where cause in ('leased', 'released')";
    assert_eq!(one(&client, events).await, "6");
    assert_eq!(leaked(runtime.db()).await, "0");
}

/// Not of a batch, but of what its callers hear: submissions from SQL announce themselves, and a
/// notification that nobody waits for would only make all commits queue up for the one lock that
/// Postgres has for them.
#[tokio::test]
async fn a_submission_from_sql_notifies_only_while_a_service_waits() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let options = Options::new(vec!["bloom_ready".to_owned()]);
    let (listener, handle) = Listener::new(&db.endpoint(), options);
    let mut events = handle.subscribe();
    let shutdown = Shutdown::new();
    shutdown.spawn(listener.run(shutdown.clone()));
    let mut next = async || match timeout(DEADLINE, events.next()).await {
        Ok(Some(Event::Notified { payload, .. })) => serde_json::from_str(&payload).unwrap(),
        Ok(Some(Event::Resync)) => Value::Null,
        other => panic!("no event: {other:?}"),
    };
    assert_eq!(next().await, Value::Null);
    let mark = |seconds: u32| {
        let service = Uuid::from_u128(1);
        format!("select bloom.waiting_mark('{service}', {seconds})")
    };
    let ran_out = "update bloom_private.waiting set until = now() - interval '1 second'";
    for (change, is_waiting) in [
        (mark(0), false),
        (mark(600), true),
        (ran_out.to_owned(), false),
        (mark(600), true),
        (mark(0), false),
    ] {
        run(&client, &change).await;
        sql_kit::submit(&client, "c", "{}").await;
        // Notifications keep their order: what comes before this one is the submission's.
        run(&client, "select pg_notify('bloom_ready', '\"end\"')").await;
        if is_waiting {
            let told = json!({ "queue": "default", "requires": [], "tasks": 1 });
            assert_eq!(next().await, told, "{change}");
        }
        assert_eq!(next().await, json!("end"), "{change}");
    }
    shutdown.request();
    shutdown.finished().await;
}
