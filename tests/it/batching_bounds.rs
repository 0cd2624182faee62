//! What callers may count on when the database stands still for so long that the calls which wait
//! for it have filled their room: whoever comes then is told at once to come again, and those who
//! wait are served as soon as it goes on, each once.
//!
//! Heartbeats, and requests for work of workers that travel together, have room for more calls
//! than a process has connections for: of these nobody is refused.
//!
//! Service and test share one thread, as in `batching_kit`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use crate::batching_hazards::{HELD_KEYS, keyed};
use crate::batching_kit::{Ask, Hold, assert_away, flown, patient_with, send, until_read};
use crate::batching_leases::leaked;
use crate::http_toy::Raw;
use crate::runtime::{Api, Runtime, task};
use crate::sql_kit::{self, column, run};

/// How many bytes of submissions, and of beats, may wait.
const ROOM: usize = 64 << 20;

/// Longer than a busy machine takes to fill the room and to empty it again.
const UNHURRIED: Duration = Duration::from_secs(600);

/// A service in which nothing runs out meanwhile: neither the waits for a lock, nor those for the
/// bytes that go to and fro.
async fn unhurried() -> Runtime {
    patient_with(|options| {
        options.pools.lock_timeout = UNHURRIED;
        options.pools.statement_timeout = UNHURRIED;
        options.pools.checkout_wait = UNHURRIED;
        options.server.body_timeout = UNHURRIED;
        options.server.write_timeout = UNHURRIED;
    })
    .await
}

async fn send_all(api: &Api, asks: impl IntoIterator<Item = Ask>) -> Vec<Raw> {
    let mut sent = Vec::new();
    for ask in asks {
        sent.push(send(api, &ask).await);
    }
    until_read(api).await;
    sent
}

/// While nothing goes on: there is no room for this call, however often it is made.
async fn assert_full(api: &Api, ask: &Ask) {
    for _ in 0..3 {
        assert_away(&send(api, ask).await.answer().await);
    }
}

/// What those who waited are answered, in order.
async fn served(callers: Vec<Raw>) -> Vec<Value> {
    let mut answers = Vec::new();
    for mut caller in callers {
        let answer = timeout(UNHURRIED, caller.try_answer(false)).await;
        let answer = answer.expect("in time").expect("a whole answer");
        assert!(answer.status < 300, "{}", answer.status);
        answers.push(answer.json());
    }
    answers
}

/// Prompts that fill the room to the last byte; a submission counts 1 KiB beside its prompt.
fn filling_prompts() -> Vec<String> {
    const BESIDE: usize = 1024;
    const LONGEST: usize = 4 << 20;
    let mut prompts = Vec::new();
    let mut left = ROOM;
    while left > BESIDE {
        let prompt = "x".repeat((left - BESIDE).min(LONGEST));
        left -= BESIDE + prompt.len();
        prompts.push(prompt);
    }
    prompts
}

#[tokio::test]
async fn submissions_for_which_there_is_no_room_are_refused_at_once() {
    let runtime = unhurried().await;
    let api = &runtime.api;
    api.submit(task("first")).await;
    let hold = Hold::of(runtime.db(), HELD_KEYS[0]).await;
    let mut callers = Vec::new();
    for leader in 0..2 {
        callers.push(send(api, &keyed(leader)).await);
        hold.until_stopped(leader + 1).await;
    }
    let filling = (2..).zip(filling_prompts()).map(|(at, prompt)| {
        let (path, mut body) = keyed(at);
        body["prompt"] = json!(prompt);
        (path, body)
    });
    callers.extend(send_all(api, filling).await);
    let one_more = keyed(callers.len());
    assert_full(api, &one_more).await;
    // Those without a key travel, and wait, apart.
    api.submit(task("free")).await;
    hold.end().await;
    let all: Vec<_> = (0..callers.len()).map(|at| format!("c{at}")).collect();
    let told = served(callers).await;
    assert_eq!(told.iter().map(context).collect::<Vec<_>>(), all);
    let client = runtime.db().connect().await;
    let kept = "select context_id from bloom_private.task where idempotency_key is not null
                 order by substr(context_id, 2)::integer";
    assert_eq!(column(&client, kept).await, all);
    assert_eq!(send(api, &one_more).await.answer().await.status, 201);
}

fn context(answer: &Value) -> &str {
    answer["context_id"].as_str().unwrap()
}

#[tokio::test]
async fn beats_for_which_there_is_no_room_are_refused_at_once() {
    const LEASES: usize = 100;
    // What a beat counts, for itself and for each lease.
    const WAITING: usize = ROOM / (256 * (1 + LEASES));
    let runtime = unhurried().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    let session = Uuid::new_v4();
    let leases: Vec<_> = (0..LEASES)
        .map(|_| json!({ "lease_id": Uuid::new_v4() }))
        .collect();
    let body = json!({ "session_id": session, "leases": leases });
    let beat = ("/workers/w/beat".to_owned(), body);
    assert_eq!(send(api, &beat).await.answer().await.status, 200);
    let blocker = format!(
        "select from bloom_private.worker_session where session_id = '{session}' for update"
    );
    let hold = Hold::of(runtime.db(), &blocker).await;
    let before = flown(api, "beat").await;
    let mut callers = vec![send(api, &beat).await];
    hold.until_stopped(1).await;
    callers.extend(send_all(api, vec![beat.clone(); WAITING]).await);
    assert_full(api, &beat).await;
    hold.end().await;
    for answer in served(callers).await {
        assert_eq!(answer["leases"].as_array().map(Vec::len), Some(LEASES));
    }
    assert_eq!(flown(api, "beat").await[1] - before[1], 1 + WAITING);
    assert_eq!(send(api, &beat).await.answer().await.status, 200);
}

/// Has a worker's requests travel apart: as if somebody's open transaction had held its row for
/// longer than a request waits.
async fn set_apart(runtime: &Runtime, ask: &Ask) {
    let client = runtime.db().connect().await;
    let refuse = "create function bloom_private.refuse_slot() returns trigger language plpgsql
             as $$ begin raise 'held' using errcode = 'lock_not_available'; end $$;
         create trigger refuse_slot before update on bloom_private.worker_slot
             for each row execute function bloom_private.refuse_slot()";
    run(&client, refuse).await;
    assert_away(&send(&runtime.api, ask).await.answer().await);
    run(&client, "drop function bloom_private.refuse_slot cascade").await;
}

#[tokio::test]
async fn requests_of_a_worker_apart_for_which_there_is_no_room_are_refused_at_once() {
    // How many of them are out at the same time, and how many may wait.
    const OUT: usize = 2;
    const WAITING: usize = 2000;
    let runtime = unhurried().await;
    let api = &runtime.api;
    api.register("w", 3).await;
    for at in 0..5 {
        api.submit(task(&format!("c{at}"))).await;
    }
    let body = json!({ "worker_id": "w", "session_id": Uuid::new_v4() });
    let ask = ("/leases".to_owned(), body);
    set_apart(&runtime, &ask).await;
    let blocker = "select from bloom_private.worker_slot where worker_id = 'w' for update";
    let hold = Hold::of(runtime.db(), blocker).await;
    let client = runtime.db().connect().await;
    let mut callers = send_all(api, vec![ask.clone(); OUT]).await;
    let waiting = "select count(*) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock'";
    sql_kit::eventually(&client, waiting, &OUT.to_string()).await;
    callers.extend(send_all(api, vec![ask.clone(); WAITING]).await);
    assert_full(api, &ask).await;
    hold.end().await;
    let mut told = Vec::new();
    for answer in served(callers).await {
        let leases = answer["leases"].as_array().unwrap();
        told.extend(leases.iter().map(|lease| lease["lease"]["id"].clone()));
    }
    told.sort_by_key(Value::to_string);
    let kept = "select lease_id from bloom_private.lease order by lease_id";
    assert_eq!(told, column(&client, kept).await);
    assert_eq!(told.len(), 3, "as many as the worker has room for");
    assert_eq!(leaked(runtime.db()).await, "0");
    assert_eq!(send(api, &ask).await.answer().await.status, 200);
}
