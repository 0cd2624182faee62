//! The calls that the model makes, how they are made up, and how they are made.

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::verbs::{self, Grant};

/// Names that the calls choose from.
pub const WORKERS: [&str; 3] = ["w0", "w1", "w2"];
pub const QUEUES: [&str; 2] = ["q0", "q1"];
pub const CONTEXTS: [&str; 3] = ["c0", "c1", "c2"];

/// What is submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    pub context: usize,
    pub queue: usize,
    pub serial: bool,
    pub gpu: bool,
    pub later: bool,
    pub priority: i32,
    pub max_attempts: i16,
    pub max_crashes: i16,
}

impl Body {
    fn options(&self, key: Option<u8>) -> Value {
        let mut options = json!({
            "queue": QUEUES[self.queue],
            "policy": {"serial": self.serial, "backoff_base_sec": 3600, "backoff_cap_sec": 3600},
            "priority": self.priority,
            "max_attempts": self.max_attempts,
            "max_crashes": self.max_crashes,
        });
        if self.gpu {
            options["requires"] = json!(["gpu"]);
        }
        if self.later {
            options["run_at"] = json!("2031-01-01T00:00:00Z");
        }
        if let Some(key) = key {
            options["idempotency_key"] = json!(format!("k{key}"));
        }
        options
    }
}

/// One call. Tasks and grants are numbers into what there has been so far, stale ones included.
#[derive(Debug, Clone)]
pub enum Op {
    Submit {
        body: Body,
        key: Option<u8>,
    },
    LeaseNext {
        worker: usize,
        max: i32,
        in_session: bool,
    },
    LeaseTask {
        task: usize,
        worker: usize,
    },
    Heartbeat(usize),
    Extend(usize),
    Complete {
        grant: usize,
        status: &'static str,
        retryable: bool,
    },
    Release(usize),
    Cancel(usize),
    Requeue(usize),
    Prioritize {
        task: usize,
        priority: i32,
    },
    RequeueDead(usize),
    Beat {
        worker: usize,
        listed: Vec<usize>,
    },
    RunOut,
    Expire,
    Register {
        worker: usize,
        slots: i32,
        gpu: bool,
    },
    Drain {
        worker: usize,
        draining: bool,
    },
    Remove(usize),
    Pause {
        queue: usize,
        paused: bool,
    },
    Limit {
        queue: usize,
        limit: Option<i32>,
    },
    ComeDue,
    Promote,
    Fold,
    Advance,
}

/// What a call gave.
#[derive(Debug)]
pub enum Given {
    Nothing,
    Task(Uuid),
    Grants(Vec<Grant>),
    Status(String),
    Count(i64),
    Tasks(Vec<Uuid>),
}

fn body() -> impl Strategy<Value = Body> {
    let numbers = (0..3_usize, 0..2_usize, 0..3_i32, 1..6_i16, 1..4_i16);
    let facts = (
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
    );
    (numbers, facts).prop_map(
        |((context, queue, priority, max_attempts, max_crashes), facts)| {
            let (serial, gpu, later) = facts;
            Body {
                context,
                queue,
                serial,
                gpu,
                later,
                priority,
                max_attempts,
                max_crashes,
            }
        },
    )
}

/// Makes up one call.
pub fn op() -> impl Strategy<Value = Op> {
    let any_one = 0..64_usize;
    let key = prop::option::weighted(0.15, 0..2_u8);
    let status = prop_oneof![Just("success"), Just("error")];
    prop_oneof![
        5 => (body(), key).prop_map(|(body, key)| Op::Submit { body, key }),
        14 => (0..3_usize, 1..4_i32, any::<bool>())
            .prop_map(|(worker, max, in_session)| Op::LeaseNext { worker, max, in_session }),
        4 => (any_one.clone(), 0..3_usize)
            .prop_map(|(task, worker)| Op::LeaseTask { task, worker }),
        4 => any_one.clone().prop_map(Op::Heartbeat),
        1 => any_one.clone().prop_map(Op::Extend),
        10 => (any_one.clone(), status, prop::bool::weighted(0.8))
            .prop_map(|(grant, status, retryable)| Op::Complete { grant, status, retryable }),
        3 => any_one.clone().prop_map(Op::Release),
        4 => any_one.clone().prop_map(Op::Cancel),
        4 => any_one.clone().prop_map(Op::Requeue),
        1 => (0..2_usize).prop_map(Op::RequeueDead),
        3 => (0..64_usize, 0..3_i32)
            .prop_map(|(task, priority)| Op::Prioritize { task, priority }),
        3 => (0..3_usize, prop::collection::vec(any_one, 0..4))
            .prop_map(|(worker, listed)| Op::Beat { worker, listed }),
        4 => Just(Op::RunOut),
        5 => Just(Op::Expire),
        4 => (0..3_usize, 1..4_i32, any::<bool>())
            .prop_map(|(worker, slots, gpu)| Op::Register { worker, slots, gpu }),
        1 => (0..3_usize, prop::bool::weighted(0.3))
            .prop_map(|(worker, draining)| Op::Drain { worker, draining }),
        1 => (0..3_usize).prop_map(Op::Remove),
        1 => (0..2_usize, prop::bool::weighted(0.3))
            .prop_map(|(queue, paused)| Op::Pause { queue, paused }),
        1 => (0..2_usize, prop::option::of(1..3_i32))
            .prop_map(|(queue, limit)| Op::Limit { queue, limit }),
        1 => Just(Op::ComeDue),
        3 => Just(Op::Promote),
        1 => Just(Op::Fold),
        1 => Just(Op::Advance),
    ]
}

/// The one session of a worker.
pub fn session(worker: usize) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 + worker as u128)
}

/// One of what there has been so far.
pub fn pick<T: Clone>(list: &[T], number: usize) -> Option<T> {
    (!list.is_empty()).then(|| list[number % list.len()].clone())
}

/// As superuser: time passes for every lease and session.
const RUN_OUT: &str = "begin; set local search_path = pg_catalog, bloom_private; \
    update worker_session set beat_at = beat_at - interval '1 day'; \
    update lease set expires_at = least(started_at, clock_timestamp() - interval '1 ms'); commit";
/// As superuser: time passes for everything deferred.
const COME_DUE: &str = "update bloom_private.deferred set run_at = '2020-01-01'";

/// Makes a call. `None` where there is nothing yet that it could be about.
pub async fn perform(
    client: &Client,
    op: &Op,
    tasks: &[Uuid],
    grants: &[Grant],
) -> Option<verbs::Result<Given>> {
    let status = |result: verbs::Result<String>| result.map(Given::Status);
    let nothing = |result: verbs::Result<()>| result.map(|()| Given::Nothing);
    Some(match op {
        Op::Submit { body, key } => {
            let options = body.options(*key);
            let result = verbs::submit(client, CONTEXTS[body.context], options).await;
            result.map(Given::Task)
        }
        Op::LeaseNext {
            worker,
            max,
            in_session,
        } => {
            let process = in_session.then(|| session(*worker));
            let name = WORKERS[*worker];
            let options = json!({});
            let result = verbs::lease_next_with(client, name, process, *max, 300, options).await;
            result.map(Given::Grants)
        }
        Op::LeaseTask { task, worker } => {
            let task = pick(tasks, *task)?;
            let result = verbs::lease_task(client, task, &[WORKERS[*worker]]).await;
            result.map(|grant| Given::Grants(vec![grant]))
        }
        Op::Heartbeat(grant) => nothing(verbs::heartbeat(client, &pick(grants, *grant)?).await),
        Op::Extend(grant) => nothing(verbs::extend(client, &pick(grants, *grant)?).await),
        Op::Complete {
            grant,
            status: how,
            retryable,
        } => {
            let options = json!({"retryable": retryable});
            let result = verbs::complete(client, &pick(grants, *grant)?, how, options).await;
            result.map(|(status, _)| Given::Status(status))
        }
        Op::Release(grant) => status(verbs::release(client, &pick(grants, *grant)?).await),
        Op::Cancel(task) => status(verbs::cancel(client, pick(tasks, *task)?).await),
        Op::Requeue(task) => status(verbs::requeue(client, pick(tasks, *task)?).await),
        Op::Prioritize { task, priority } => {
            status(verbs::prioritize(client, pick(tasks, *task)?, *priority).await)
        }
        Op::RequeueDead(queue) => {
            let result = verbs::requeue_dead(client, QUEUES[*queue]).await;
            result.map(Given::Tasks)
        }
        Op::Beat { worker, listed } => {
            let listed: Vec<Uuid> = listed
                .iter()
                .filter_map(|number| pick(grants, *number))
                .map(|grant| grant.lease)
                .collect();
            let result = verbs::beat(client, WORKERS[*worker], session(*worker), &listed).await;
            result.map(|_| Given::Nothing)
        }
        Op::Expire => verbs::expire(client).await.map(|n| Given::Count(n.into())),
        Op::Promote => verbs::promote(client).await.map(|n| Given::Count(n.into())),
        Op::Remove(worker) => {
            let result = verbs::remove(client, WORKERS[*worker]).await;
            result.map(|n| Given::Count(n.into()))
        }
        _ => nothing(steer(client, op).await),
    })
}

/// Calls about workers, queues and time, which give nothing that the model looks at.
async fn steer(client: &Client, op: &Op) -> verbs::Result<()> {
    match op {
        Op::Register { worker, slots, gpu } => {
            let labels: &[&str] = if *gpu { &["gpu"] } else { &[] };
            let options = json!({"max_concurrency": slots, "labels": labels});
            verbs::register_with(client, WORKERS[*worker], options).await
        }
        Op::Drain { worker, draining } => {
            verbs::update_worker(client, WORKERS[*worker], json!({"draining": draining})).await
        }
        Op::Pause { queue, paused } => {
            verbs::configure(client, QUEUES[*queue], json!({"paused": paused})).await
        }
        Op::Limit { queue, limit } => {
            verbs::configure(client, QUEUES[*queue], json!({"max_running": limit})).await
        }
        Op::RunOut => rolled_back(client, client.batch_execute(RUN_OUT).await).await,
        Op::ComeDue => client.batch_execute(COME_DUE).await,
        Op::Fold => verbs::fold(client).await.map(drop),
        Op::Advance => verbs::advance(client).await.map(drop),
        other => unreachable!("{other:?} is a task's"),
    }
}

/// Leaves no failed transaction behind.
async fn rolled_back(client: &Client, result: verbs::Result<()>) -> verbs::Result<()> {
    if result.is_err() {
        client.batch_execute("rollback").await?;
    }
    result
}
