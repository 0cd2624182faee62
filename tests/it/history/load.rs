//! Reads what the checker judges.

use std::collections::HashMap;

use tokio_postgres::{Client, Row};
use uuid::Uuid;

/// One transition.
#[derive(Debug, Clone)]
pub struct Event {
    pub task: Uuid,
    pub ver: i32,
    /// Microseconds since 1970, by Postgres' clock.
    pub at: i64,
    /// The transaction that wrote it, as the row's header has it.
    pub xid: i64,
    pub seq: i64,
    pub cause: String,
    pub queue: String,
    pub prior: Option<String>,
    pub status: String,
    pub epoch: i32,
    pub fence: i32,
    pub attempts: i16,
    pub crashes: i16,
    pub lease: Option<Uuid>,
    pub worker: Option<String>,
    /// How the lease ended, where the task went on to a terminal state because of it.
    pub after: Option<String>,
}

/// What was submitted.
#[derive(Debug)]
pub struct Task {
    pub context: String,
    pub serial: bool,
    pub max_attempts: i16,
    pub max_crashes: i16,
    /// Least wait after a failed attempt, microseconds.
    pub backoff: i64,
}

/// A row of a state table.
#[derive(Debug)]
pub struct State {
    pub task: Uuid,
    pub place: String,
    pub queue: String,
    pub status: String,
    pub ver: i32,
    pub epoch: i32,
    pub fence: i32,
    pub attempts: i16,
    pub crashes: i16,
    /// Transaction that wrote this version of the row (32 bits).
    pub xmin: i64,
    pub lease: Option<Uuid>,
    pub worker: Option<String>,
}

/// A lease that ended.
#[derive(Debug)]
pub struct Attempt {
    pub lease: Uuid,
    pub worker: String,
    pub epoch: i32,
    pub number: i16,
    pub outcome: String,
    pub ended_at: i64,
    pub expires_at: i64,
    pub has_result: bool,
    pub cancelled: bool,
}

/// Everything that happened to tasks, and where they stand.
#[derive(Debug)]
pub struct History {
    /// By task, then ver.
    pub events: Vec<Event>,
    pub tasks: HashMap<Uuid, Task>,
    pub states: Vec<State>,
    /// By task and fence.
    pub attempts: HashMap<(Uuid, i32), Attempt>,
    /// Slots that each worker has now.
    pub slots: HashMap<String, i64>,
}

impl History {
    /// The events of each task, in the order of ver.
    pub fn by_task(&self) -> impl Iterator<Item = &[Event]> {
        self.events.chunk_by(|a, b| a.task == b.task)
    }
}

/// Microseconds of a column, as SQL.
fn micros(column: &str) -> String {
    format!("(extract(epoch from {column}) * 1000000)::bigint")
}

/// Reads the whole history.
pub async fn load(client: &Client) -> History {
    History {
        events: events(client).await,
        tasks: tasks(client).await,
        states: states(client).await,
        attempts: attempts(client).await,
        slots: slots(client).await,
    }
}

async fn rows(client: &Client, sql: &str) -> Vec<Row> {
    client.query(sql, &[]).await.expect("history is readable")
}

async fn events(client: &Client) -> Vec<Event> {
    let at = micros("at");
    let sql = format!(
        "select task_id, ver, {at}, xmin::text::bigint, seq, cause, queue, prior, status, epoch, \
         fence, attempts, crashes, lease_id, worker_id, detail ->> 'after' \
         from bloom_private.event where task_id is not null order by task_id, ver, seq"
    );
    let read = |row: &Row| Event {
        task: row.get(0),
        ver: row.get(1),
        at: row.get(2),
        xid: row.get(3),
        seq: row.get(4),
        cause: row.get(5),
        queue: row.get(6),
        prior: row.get(7),
        status: row.get(8),
        epoch: row.get(9),
        fence: row.get(10),
        attempts: row.get(11),
        crashes: row.get(12),
        lease: row.get(13),
        worker: row.get(14),
        after: row.get(15),
    };
    rows(client, &sql).await.iter().map(read).collect()
}

async fn tasks(client: &Client) -> HashMap<Uuid, Task> {
    let sql = "select task_id, context_id, serial, max_attempts, max_crashes, \
               (policy ->> 'backoff_base_sec')::bigint * 1000000 from bloom_private.task";
    let read = |row: &Row| {
        let task = Task {
            context: row.get(1),
            serial: row.get(2),
            max_attempts: row.get(3),
            max_crashes: row.get(4),
            backoff: row.get(5),
        };
        (row.get(0), task)
    };
    rows(client, sql).await.iter().map(read).collect()
}

async fn states(client: &Client) -> Vec<State> {
    let tables = ["ready", "deferred", "parked", "lease", "finished"];
    let selects: Vec<String> = tables
        .iter()
        .map(|table| {
            format!(
                "select task_id, '{table}', queue, status, ver, epoch, fence, attempts, crashes, \
                 xmin::text::bigint, lease_id, worker_id from bloom_private.{table}"
            )
        })
        .collect();
    let read = |row: &Row| State {
        task: row.get(0),
        place: row.get(1),
        queue: row.get(2),
        status: row.get(3),
        ver: row.get(4),
        epoch: row.get(5),
        fence: row.get(6),
        attempts: row.get(7),
        crashes: row.get(8),
        xmin: row.get(9),
        lease: row.get(10),
        worker: row.get(11),
    };
    let sql = selects.join(" union all ");
    rows(client, &sql).await.iter().map(read).collect()
}

async fn attempts(client: &Client) -> HashMap<(Uuid, i32), Attempt> {
    let sql = format!(
        "select task_id, fence, lease_id, worker_id, epoch, attempt, outcome, {}, {}, \
         result_status is not null, cancel_requested_at is not null from bloom_private.attempt",
        micros("ended_at"),
        micros("expires_at")
    );
    let read = |row: &Row| {
        let attempt = Attempt {
            lease: row.get(2),
            worker: row.get(3),
            epoch: row.get(4),
            number: row.get(5),
            outcome: row.get(6),
            ended_at: row.get(7),
            expires_at: row.get(8),
            has_result: row.get(9),
            cancelled: row.get(10),
        };
        ((row.get(0), row.get(1)), attempt)
    };
    rows(client, &sql).await.iter().map(read).collect()
}

async fn slots(client: &Client) -> HashMap<String, i64> {
    let sql = "select worker_id, max_concurrency::bigint from bloom_private.worker_slot";
    let read = |row: &Row| (row.get(0), row.get(1));
    rows(client, sql).await.iter().map(read).collect()
}
