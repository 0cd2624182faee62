//! Verbs about leases.

use serde_json::{Value, json};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Actor, EpochMs, VerbOptions, maybe_time, time};
use crate::db::sqlstate::item_refusal;
use crate::db::{Db, Lane};
use crate::error::{Error, Result};

/// A lease just granted, with what its worker needs to run the task.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.lease_grant, as documented there"
)]
pub struct Grant {
    pub lease_id: Uuid,
    pub task_id: Uuid,
    pub worker_id: String,
    pub session_id: Option<Uuid>,
    pub started_at: EpochMs,
    pub expires_at: EpochMs,
    pub ttl_seconds: i32,
    pub last_heartbeat: EpochMs,
    pub fence: i32,
    pub attempts: i16,
    pub status: String,
    pub context_id: String,
    pub agent_slug: String,
    pub prompt: String,
    pub context_hints: Vec<String>,
    pub policy: Value,
    pub desired_format: String,
    pub created_at: EpochMs,
    pub max_attempts: i16,
    pub queue: String,
    pub priority: i16,
    pub requires: Vec<String>,
    pub crashes: i16,
    pub max_crashes: i16,
    pub ver: i32,
    pub epoch: i32,
    pub conversation: Option<Value>,
    pub replayed: bool,
}

impl From<&Row> for Grant {
    fn from(row: &Row) -> Self {
        Self {
            lease_id: row.get("lease_id"),
            task_id: row.get("task_id"),
            worker_id: row.get("worker_id"),
            session_id: row.get("session_id"),
            started_at: time(row, "started_at"),
            expires_at: time(row, "expires_at"),
            ttl_seconds: row.get("ttl_seconds"),
            last_heartbeat: time(row, "last_heartbeat"),
            fence: row.get("fence"),
            attempts: row.get("attempts"),
            status: row.get("status"),
            context_id: row.get("context_id"),
            agent_slug: row.get("agent_slug"),
            prompt: row.get("prompt"),
            context_hints: row.get("context_hints"),
            policy: row.get("policy"),
            desired_format: row.get("desired_format"),
            created_at: time(row, "created_at"),
            max_attempts: row.get("max_attempts"),
            queue: row.get("queue"),
            priority: row.get("priority"),
            requires: row.get("requires"),
            crashes: row.get("crashes"),
            max_crashes: row.get("max_crashes"),
            ver: row.get("ver"),
            epoch: row.get("epoch"),
            conversation: row.get("conversation"),
            replayed: row.get("replayed"),
        }
    }
}

/// A lease, live (`active`) or ended.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.lease_row, as documented there"
)]
pub struct Lease {
    pub id: Uuid,
    pub task_id: Uuid,
    pub worker_id: String,
    pub session_id: Option<Uuid>,
    pub started_at: EpochMs,
    pub expires_at: EpochMs,
    pub ttl_seconds: i32,
    pub status: String,
    pub last_heartbeat: EpochMs,
    pub context_id: String,
    pub fence: i32,
    pub attempt: i16,
    pub ended_at: Option<EpochMs>,
    pub outcome: Option<String>,
    pub error_message: Option<String>,
}

impl From<&Row> for Lease {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("lease_id"),
            task_id: row.get("task_id"),
            worker_id: row.get("worker_id"),
            session_id: row.get("session_id"),
            started_at: time(row, "started_at"),
            expires_at: time(row, "expires_at"),
            ttl_seconds: row.get("ttl_seconds"),
            status: row.get("status"),
            last_heartbeat: time(row, "last_heartbeat"),
            context_id: row.get("context_id"),
            fence: row.get("fence"),
            attempt: row.get("attempt"),
            ended_at: maybe_time(row, "ended_at"),
            outcome: row.get("outcome"),
            error_message: row.get("error_message"),
        }
    }
}

/// A worker's request for work.
#[derive(Debug, Clone)]
pub struct NextRequest {
    /// The worker's name.
    pub worker_id: String,
    /// Its process.
    pub session_id: Option<Uuid>,
    /// How many tasks at most, 1–100.
    pub max_tasks: i32,
    /// How long a lease lives without a sign of life, 1–86400 seconds.
    pub ttl_seconds: i32,
    /// The same id again returns the same leases.
    pub request_id: Option<Uuid>,
    /// Only from these queues.
    pub queues: Option<Vec<String>>,
}

/// `bloom.lease_next_many`: an answer for each request, in order.
pub async fn lease_next_many(
    db: &Db,
    requests: &[(&NextRequest, Actor<'_>)],
) -> Result<Vec<Result<Vec<Grant>>>> {
    let of = |at: usize| requests[at].0;
    let all = 0..requests.len();
    let workers: Vec<_> = all.clone().map(|at| of(at).worker_id.as_str()).collect();
    let sessions: Vec<_> = all.clone().map(|at| of(at).session_id).collect();
    let most: Vec<_> = all.clone().map(|at| of(at).max_tasks).collect();
    let ttls: Vec<_> = all.clone().map(|at| of(at).ttl_seconds).collect();
    let ids: Vec<_> = all.clone().map(|at| of(at).request_id).collect();
    let actors: Vec<_> = requests.iter().map(|(_, actor)| *actor).collect();
    let queues: Vec<_> = all.map(|at| &of(at).queues).collect();
    let queues = queues
        .iter()
        .any(|queues| queues.is_some())
        .then(|| json!(queues));
    let options = VerbOptions::default()
        .with("actors", actors)
        .maybe("queues", queues);
    let sql = "select n.ordinal, n.error, (n.granted).* \
               from bloom.lease_next_many($1, $2, $3, $4, $5, $6) n";
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
        [&workers, &sessions, &most, &ttls, &ids, &options.json()];
    let rows = db.call(Lane::General, sql, &params).await?;
    let mut answers: Vec<_> = requests.iter().map(|_| Ok(Vec::new())).collect();
    for row in &rows {
        let at = usize::try_from(row.get::<_, i32>("ordinal") - 1).ok();
        let answer = at.and_then(|at| answers.get_mut(at));
        let answer = answer.ok_or_else(|| Error::internal("a lease for nobody"))?;
        match (row.get::<_, Option<Value>>("error"), answer) {
            (Some(error), answer) => *answer = Err(item_refusal(error)),
            (None, Ok(grants)) => grants.push(Grant::from(row)),
            (None, Err(_)) => {}
        }
    }
    Ok(answers)
}

/// `bloom.lease_task`: the first of the ranked `workers` that still has room.
pub async fn lease_task(
    db: &Db,
    task_id: Uuid,
    workers: &[&str],
    ttl_seconds: i32,
    actor: Actor<'_>,
) -> Result<Grant> {
    let options = VerbOptions::of(actor).json();
    let sql = "select * from bloom.lease_task($1, $2, $3, $4)";
    let row = db
        .call_one(
            Lane::General,
            sql,
            &[&task_id, &workers, &ttl_seconds, &options],
        )
        .await?;
    Ok(Grant::from(&row))
}

/// `bloom.lease_heartbeat`: `options` may hold `ttl_seconds` and `worker_id`.
pub async fn lease_heartbeat(
    db: &Db,
    task_id: Uuid,
    lease_id: Option<Uuid>,
    options: VerbOptions,
) -> Result<Lease> {
    let sql = "select * from bloom.lease_heartbeat($1, $2, $3)";
    let row = db
        .call_one(Lane::Reserved, sql, &[&task_id, &lease_id, &options.json()])
        .await?;
    Ok(Lease::from(&row))
}

/// One of many heartbeats.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// The task.
    pub task_id: Uuid,
    /// Its lease.
    pub lease_id: Uuid,
    /// The lease's ttl from now on, in seconds, if it is to change.
    pub ttl_seconds: Option<i32>,
    /// The worker that the lease must be of, if the caller says so.
    pub worker_id: Option<String>,
    /// In whose name.
    pub actor: String,
}

/// `bloom.lease_heartbeat_many`: an answer for each, in order.
pub async fn lease_heartbeat_many(db: &Db, heartbeats: &[Heartbeat]) -> Result<Vec<Result<Lease>>> {
    let tasks: Vec<_> = heartbeats.iter().map(|one| one.task_id).collect();
    let leases: Vec<_> = heartbeats.iter().map(|one| one.lease_id).collect();
    let ttls: Vec<_> = heartbeats.iter().map(|one| one.ttl_seconds).collect();
    let workers: Vec<_> = heartbeats
        .iter()
        .map(|one| one.worker_id.as_deref())
        .collect();
    let actors: Vec<_> = heartbeats.iter().map(|one| one.actor.as_str()).collect();
    let options = VerbOptions::default().with("actors", actors).json();
    let sql = "select error, (shown).* from bloom.lease_heartbeat_many($1, $2, $3, $4, $5) order by ordinal";
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&tasks, &leases, &ttls, &workers, &options];
    let rows = db.call(Lane::Reserved, sql, &params).await?;
    if rows.len() != heartbeats.len() {
        return Err(Error::internal("not one answer for each heartbeat"));
    }
    let read = |row: &Row| match row.get::<_, Option<Value>>("error") {
        Some(error) => Err(item_refusal(error)),
        None => Ok(Lease::from(row)),
    };
    Ok(rows.iter().map(read).collect())
}

/// `bloom.lease_extend`.
pub async fn lease_extend(
    db: &Db,
    task_id: Uuid,
    lease_id: Uuid,
    ttl_seconds: i32,
) -> Result<Lease> {
    let sql = "select * from bloom.lease_extend($1, $2, $3)";
    let row = db
        .call_one(Lane::Reserved, sql, &[&task_id, &lease_id, &ttl_seconds])
        .await?;
    Ok(Lease::from(&row))
}

/// `bloom.lease_check`: fails as a completion would because of the task's state.
pub async fn lease_check(db: &Db, task_id: Uuid, lease_id: Option<Uuid>) -> Result<()> {
    let sql = "select bloom.lease_check($1, $2)";
    db.call_one(Lane::Reserved, sql, &[&task_id, &lease_id])
        .await?;
    Ok(())
}

/// What `bloom.lease_complete` answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed {
    /// The task.
    pub task_id: Uuid,
    /// The lease that ended; also the id of the result.
    pub lease_id: Uuid,
    /// The worker that had it.
    pub worker_id: String,
    /// The artifact that holds the output.
    pub artifact_id: Uuid,
    /// When the result was first accepted.
    pub completed_at: EpochMs,
    /// The task's status after it.
    pub task_status: String,
    /// Whether the same result had been accepted before.
    pub replayed: bool,
}

impl From<&Row> for Completed {
    fn from(row: &Row) -> Self {
        Self {
            task_id: row.get("task_id"),
            lease_id: row.get("lease_id"),
            worker_id: row.get("worker_id"),
            artifact_id: row.get("artifact_id"),
            completed_at: time(row, "completed_at"),
            task_status: row.get("task_status"),
            replayed: row.get("replayed"),
        }
    }
}

/// A report about one lease.
#[derive(Debug, Clone)]
pub struct Report {
    /// The task.
    pub task_id: Uuid,
    /// Its lease.
    pub lease_id: Uuid,
    /// `success` or `error`.
    pub status: &'static str,
    /// What the program said.
    pub output: Option<String>,
    /// As the verb describes.
    pub options: VerbOptions,
}

/// `bloom.lease_complete_many`: an answer for each report, in order.
pub async fn lease_complete_many(db: &Db, reports: &[&Report]) -> Result<Vec<Result<Completed>>> {
    let tasks: Vec<_> = reports.iter().map(|report| report.task_id).collect();
    let leases: Vec<_> = reports.iter().map(|report| report.lease_id).collect();
    let statuses: Vec<_> = reports.iter().map(|report| report.status).collect();
    let outputs: Vec<_> = reports
        .iter()
        .map(|report| report.output.as_deref())
        .collect();
    let options = reports.iter().map(|report| report.options.clone().json());
    let options: Value = options.collect();
    let sql = "select * from bloom.lease_complete_many($1, $2, $3, $4, $5)";
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&tasks, &leases, &statuses, &outputs, &options];
    let rows = db.call(Lane::Reserved, sql, &params).await?;
    if rows.len() != reports.len() {
        return Err(Error::internal("not one answer for each report"));
    }
    let read = |row: &Row| match row.get::<_, Option<Value>>("error") {
        Some(error) => Err(item_refusal(error)),
        None => Ok(Completed::from(row)),
    };
    Ok(rows.iter().map(read).collect())
}

/// `bloom.lease_complete`: `options` as the verb describes.
pub async fn lease_complete(
    db: &Db,
    task_id: Uuid,
    lease_id: Option<Uuid>,
    status: &str,
    output: Option<&str>,
    options: VerbOptions,
) -> Result<Completed> {
    let sql = "select * from bloom.lease_complete($1, $2, $3, $4, $5)";
    let options = options.json();
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&task_id, &lease_id, &status, &output, &options];
    let row = db.call_one(Lane::Reserved, sql, &params).await?;
    Ok(Completed::from(&row))
}

/// `bloom.lease_complete_stored`: `stored` is `{url, sha256, size_bytes}`, `options` as in
/// [`lease_complete`].
pub async fn lease_complete_stored(
    db: &Db,
    task_id: Uuid,
    lease_id: Option<Uuid>,
    status: &str,
    stored: &Value,
    options: VerbOptions,
) -> Result<Completed> {
    let sql = "select * from bloom.lease_complete_stored($1, $2, $3, $4, $5)";
    let options = options.json();
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&task_id, &lease_id, &status, stored, &options];
    let row = db.call_one(Lane::Reserved, sql, &params).await?;
    Ok(Completed::from(&row))
}

/// `bloom.lease_release`: the task's status after it.
pub async fn lease_release(
    db: &Db,
    task_id: Uuid,
    lease_id: Uuid,
    options: VerbOptions,
) -> Result<String> {
    let sql = "select bloom.lease_release($1, $2, $3)";
    Ok(db
        .call_one(Lane::Reserved, sql, &[&task_id, &lease_id, &options.json()])
        .await?
        .get(0))
}

/// `bloom.lease_list`: newest first, ids below `before`.
pub async fn lease_list(
    db: &Db,
    status: Option<&str>,
    limit: i32,
    before: Option<Uuid>,
) -> Result<Vec<Lease>> {
    let sql = "select * from bloom.lease_list($1, $2, $3)";
    let rows = db
        .call(Lane::General, sql, &[&status, &limit, &before])
        .await?;
    Ok(rows.iter().map(Lease::from).collect())
}

/// `bloom.lease_overdue`: tasks whose leases have run out.
pub async fn lease_overdue(db: &Db, limit: i32) -> Result<Vec<Uuid>> {
    let rows = db
        .call(
            Lane::General,
            "select * from bloom.lease_overdue($1)",
            &[&limit],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// `bloom.lease_expire`: how many leases were ended.
pub async fn lease_expire(
    db: &Db,
    limit: i32,
    tasks: Option<&[Uuid]>,
    grace_seconds: u32,
) -> Result<i32> {
    let options = VerbOptions::default()
        .with("grace_seconds", grace_seconds)
        .json();
    let sql = "select bloom.lease_expire($1, $2, $3)";
    Ok(db
        .call_one(Lane::General, sql, &[&limit, &tasks, &options])
        .await?
        .get(0))
}
