//! Reads what the checker judges.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

/// One transition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Whose.
    pub task: Uuid,
    /// 1, 2, 3 … without a gap.
    pub ver: i32,
    /// Microseconds since 1970, by Postgres' clock.
    pub at: i64,
    /// The transaction that wrote it, as the row's header has it.
    pub xid: i64,
    /// A serial number over all tasks.
    pub seq: i64,
    /// The name of the transition.
    pub cause: String,
    /// The task's queue.
    pub queue: String,
    /// The status before; none for a submission.
    pub prior: Option<String>,
    /// The status after.
    pub status: String,
    /// How often it was requeued.
    pub epoch: i32,
    /// How often it was leased.
    pub fence: i32,
    /// Leases begun in this epoch, less those given back.
    pub attempts: i16,
    /// Leases that ran out in this epoch.
    pub crashes: i16,
    /// The lease concerned.
    pub lease: Option<Uuid>,
    /// The worker concerned.
    pub worker: Option<String>,
    /// Who asked for it.
    pub actor: String,
    /// How the lease ended, where the task went on to a terminal state because of it.
    pub after: Option<String>,
}

/// What was submitted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// Its context.
    pub context: String,
    /// Whether its context takes one task at a time.
    pub serial: bool,
    /// The most attempts of an epoch.
    pub max_attempts: i16,
    /// The most leases of an epoch that may run out.
    pub max_crashes: i16,
    /// Least wait after a failed attempt, microseconds.
    pub backoff: i64,
}

/// A row of a state table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// Whose.
    pub task: Uuid,
    /// The table.
    pub place: String,
    /// As in [`Event`].
    pub queue: String,
    /// As in [`Event`].
    pub status: String,
    /// As in [`Event`].
    pub ver: i32,
    /// As in [`Event`].
    pub epoch: i32,
    /// As in [`Event`].
    pub fence: i32,
    /// As in [`Event`].
    pub attempts: i16,
    /// As in [`Event`].
    pub crashes: i16,
    /// Transaction that wrote this version of the row (32 bits).
    pub xmin: i64,
    /// As in [`Event`].
    pub lease: Option<Uuid>,
    /// As in [`Event`].
    pub worker: Option<String>,
}

/// A lease that ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    /// Its id.
    pub lease: Uuid,
    /// Who had it.
    pub worker: String,
    /// The task's epoch.
    pub epoch: i32,
    /// Which attempt of the epoch it was.
    pub number: i16,
    /// How it ended.
    pub outcome: String,
    /// When, microseconds.
    pub ended_at: i64,
    /// Its own date, microseconds; beats of its session may have carried it further.
    pub expires_at: i64,
    /// Whether it ended with a report.
    pub has_result: bool,
    /// Whether its cancel was asked for.
    pub cancelled: bool,
}

/// Everything that happened to tasks, and where they stand.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// By task, then ver.
    pub events: Vec<Event>,
    /// What was submitted, by id.
    pub tasks: HashMap<Uuid, Task>,
    /// Every row of every state table.
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
///
/// # Errors
/// Those of the database.
pub async fn load(client: &Client) -> Result<History, Error> {
    Ok(History {
        events: events(client).await?,
        tasks: tasks(client).await?,
        states: states(client).await?,
        attempts: attempts(client).await?,
        slots: slots(client).await?,
    })
}

async fn rows(client: &Client, sql: &str) -> Result<Vec<Row>, Error> {
    client.query(sql, &[]).await
}

async fn events(client: &Client) -> Result<Vec<Event>, Error> {
    let at = micros("at");
    let sql = format!(
        "select task_id, ver, {at}, xmin::text::bigint, seq, cause, queue, prior, status, epoch, \
         fence, attempts, crashes, lease_id, worker_id, detail ->> 'after', actor \
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
        actor: row.get(16),
    };
    Ok(rows(client, &sql).await?.iter().map(read).collect())
}

async fn tasks(client: &Client) -> Result<HashMap<Uuid, Task>, Error> {
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
    Ok(rows(client, sql).await?.iter().map(read).collect())
}

async fn states(client: &Client) -> Result<Vec<State>, Error> {
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
    Ok(rows(client, &sql).await?.iter().map(read).collect())
}

async fn attempts(client: &Client) -> Result<HashMap<(Uuid, i32), Attempt>, Error> {
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
    Ok(rows(client, &sql).await?.iter().map(read).collect())
}

async fn slots(client: &Client) -> Result<HashMap<String, i64>, Error> {
    let sql = "select worker_id, max_concurrency::bigint from bloom_private.worker_slot";
    let read = |row: &Row| (row.get(0), row.get(1));
    Ok(rows(client, sql).await?.iter().map(read).collect())
}
