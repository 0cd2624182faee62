//! Random verbs against a small model of the queue, one call at a time; and random verbs from many
//! connections at once, judged by the history that they leave.

mod machine;
mod ops;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::history::{Bounds, assert_clean_within};
use crate::pg::TestDb;
use crate::verbs::{self, Grant};
use machine::{Machine, Place};
use ops::{Given, Op, QUEUES, WORKERS, op, perform, pick};

/// Cases of each kind, unless `BLOOM_TEST_MODEL_CASES` says otherwise.
const CASES: u32 = 16;
/// Most calls of a case, or of one connection.
const MAX_CALLS: usize = 120;
/// Connections at once.
const CONNECTIONS: usize = 6;

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration to read this through"
)]
fn config() -> Config {
    let cases = std::env::var("BLOOM_TEST_MODEL_CASES").ok();
    Config {
        cases: cases.map_or(CASES, |cases| cases.parse().expect("a number of cases")),
        max_shrink_iters: 300,
        max_shrink_time: 20_000,
        failure_persistence: None,
        ..Config::default()
    }
}

/// A database in which nothing depends on how fast the calls follow each other.
async fn timeless() -> (TestDb, Client) {
    let db = TestDb::new().await;
    let client = db.connect().await;
    for queue in QUEUES {
        let options = json!({"pin_wait_ms": 0, "aging_seconds": 86400});
        verbs::configure(&client, queue, options).await.unwrap();
    }
    (db, client)
}

/// Every retry is hurried, and a worker never had more than three slots.
fn bounds() -> Bounds {
    let workers = WORKERS.iter().map(|name| ((*name).to_owned(), 3));
    Bounds {
        workers: workers.collect(),
        hurried: true,
        ..Bounds::default()
    }
}

#[test]
fn every_verb_does_what_the_model_says() {
    let runtime = Runtime::new().unwrap();
    let calls = prop::collection::vec(op(), MAX_CALLS / 2..MAX_CALLS);
    let result = TestRunner::new(config()).run(&calls, |calls| {
        runtime.block_on(follow(calls));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

async fn follow(calls: Vec<Op>) {
    let (_db, client) = timeless().await;
    let mut machine = Machine::default();
    let mut tasks: Vec<Uuid> = Vec::new();
    let mut grants: Vec<Grant> = Vec::new();
    let first = (0..2).map(|worker| Op::Register {
        worker,
        slots: 2,
        gpu: worker == 0,
    });
    for call in first.chain(calls) {
        let Some(result) = perform(&client, &call, &tasks, &grants).await else {
            continue;
        };
        let (task, grant, listed) = subjects(&call, &tasks, &grants);
        let given = result.as_ref().ok();
        let expected = machine.follow(&call, task, grant.as_ref(), &listed, given);
        match (&result, expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(code)) if verbs::code(error) == code => {}
            (result, expected) => panic!("{call:?}: {result:?}, expected {expected:?}"),
        }
        if let Ok(Given::Status(status)) = &result {
            let id = task.or(grant.map(|grant| grant.task)).unwrap();
            assert_eq!(*status, machine.tasks[&id].status, "{call:?}");
        }
        match result {
            Ok(Given::Task(id)) if !tasks.contains(&id) => tasks.push(id),
            Ok(Given::Grants(more)) => grants.extend(more),
            _ => {}
        }
        assert_eq!(shown(&client).await, modelled(&machine), "after {call:?}");
    }
    assert_clean_within(&client, &bounds()).await;
}

/// The task, the grant and the listed grants that a call is about.
fn subjects(
    call: &Op,
    tasks: &[Uuid],
    grants: &[Grant],
) -> (Option<Uuid>, Option<Grant>, Vec<Grant>) {
    match call {
        Op::LeaseTask { task: n, .. }
        | Op::Prioritize { task: n, .. }
        | Op::Cancel(n)
        | Op::Requeue(n) => (pick(tasks, *n), None, Vec::new()),
        Op::Heartbeat(n) | Op::Extend(n) | Op::Release(n) | Op::Complete { grant: n, .. } => {
            (None, pick(grants, *n), Vec::new())
        }
        Op::Beat { listed, .. } => {
            let listed = listed.iter().filter_map(|n| pick(grants, *n));
            (None, None, listed.collect())
        }
        _ => (None, None, Vec::new()),
    }
}

/// Place, status, ver, epoch, fence, attempts and crashes of every task.
type Shown = BTreeMap<Uuid, (String, String, i32, i32, i32, i16, i16)>;

async fn shown(client: &Client) -> Shown {
    let selects = ["ready", "deferred", "parked", "lease", "finished"].map(|table| {
        format!(
            "select task_id, '{table}', status, ver, epoch, fence, attempts, crashes \
             from bloom_private.{table}"
        )
    });
    let rows = client
        .query(&selects.join(" union all "), &[])
        .await
        .unwrap();
    rows.iter()
        .map(|row| {
            let counters = (row.get(3), row.get(4), row.get(5), row.get(6), row.get(7));
            let (ver, epoch, fence, attempts, crashes) = counters;
            let task = (row.get(1), row.get(2), ver, epoch, fence, attempts, crashes);
            (row.get(0), task)
        })
        .collect()
}

fn modelled(machine: &Machine) -> Shown {
    let place = |place: &Place| match place {
        Place::Ready => "ready",
        Place::Deferred { .. } => "deferred",
        Place::Parked => "parked",
        Place::Lease(_) => "lease",
        Place::Finished => "finished",
    };
    let tasks = machine.tasks.iter();
    tasks
        .map(|(id, t)| {
            let names = (place(&t.place).to_owned(), t.status.to_owned());
            let task = (
                names.0, names.1, t.ver, t.epoch, t.fence, t.attempts, t.crashes,
            );
            (*id, task)
        })
        .collect()
}

#[test]
fn whatever_many_connections_do_the_history_is_clean() {
    let runtime = Runtime::new().unwrap();
    let step = prop_oneof![
        8 => op().prop_map(Step::Call),
        1 => Just(Step::Begin),
        1 => Just(Step::Commit),
        1 => Just(Step::Rollback),
    ];
    let calls = prop::collection::vec(step, MAX_CALLS / 2..MAX_CALLS);
    let level = prop_oneof![
        3 => Just("read committed"),
        1 => Just("repeatable read"),
        1 => Just("serializable"),
    ];
    let all = prop::collection::vec((level, calls), CONNECTIONS);
    let config = Config {
        // What depends on timing does not shrink well.
        max_shrink_iters: 0,
        ..config()
    };
    let result = TestRunner::new(config).run(&all, |all| {
        runtime.block_on(all_at_once(all));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// What a connection does: calls, some of them in one transaction.
#[derive(Debug, Clone)]
enum Step {
    Begin,
    Call(Op),
    Commit,
    Rollback,
}

/// What the connections know of each other's doings.
type Known<T> = Arc<Mutex<Vec<T>>>;

async fn all_at_once(all: Vec<(&'static str, Vec<Step>)>) {
    let (db, client) = timeless().await;
    for worker in WORKERS {
        verbs::register(&client, worker, 2).await.unwrap();
    }
    let tasks: Known<Uuid> = Known::default();
    let grants: Known<Grant> = Known::default();
    let mut running = Vec::new();
    for (level, calls) in all {
        let own = db.connect().await;
        // Transactions of several calls do wait for each other; that is to be found out soon.
        let sql =
            format!("set default_transaction_isolation = '{level}'; set deadlock_timeout = '30ms'");
        own.batch_execute(&sql).await.unwrap();
        let (tasks, grants) = (Arc::clone(&tasks), Arc::clone(&grants));
        running.push(tokio::spawn(run(own, calls, tasks, grants)));
    }
    for connection in running {
        connection.await.expect("only refusals and retries");
    }
    assert_clean_within(&client, &bounds()).await;
}

async fn run(client: Client, steps: Vec<Step>, tasks: Known<Uuid>, grants: Known<Grant>) {
    let mut open = false;
    for step in steps {
        let (sql, opens) = match step {
            Step::Call(call) => {
                // Time passes in a transaction of its own.
                let goes = !open || !matches!(call, Op::RunOut);
                if goes && !make(&client, &call, &tasks, &grants).await && open {
                    client.batch_execute("rollback").await.unwrap();
                    open = false;
                }
                continue;
            }
            Step::Begin => ("begin", true),
            Step::Commit => ("commit", false),
            Step::Rollback => ("rollback", false),
        };
        if open == opens {
            continue;
        }
        match client.batch_execute(sql).await {
            Ok(()) => {}
            Err(error) => assert!(verbs::is_retryable(&error), "{sql}: {error:?}"),
        }
        open = opens;
    }
}

/// Makes a call; whether it was obeyed.
async fn make(client: &Client, call: &Op, tasks: &Known<Uuid>, grants: &Known<Grant>) -> bool {
    let known = (
        tasks.lock().unwrap().clone(),
        grants.lock().unwrap().clone(),
    );
    match perform(client, call, &known.0, &known.1).await {
        Some(Ok(Given::Task(id))) => tasks.lock().unwrap().push(id),
        Some(Ok(Given::Grants(more))) => grants.lock().unwrap().extend(more),
        None | Some(Ok(_)) => {}
        Some(Err(error)) => {
            assert!(
                verbs::is_refusal(&error) || verbs::is_retryable(&error),
                "{call:?}: {error:?}"
            );
            return false;
        }
    }
    true
}
