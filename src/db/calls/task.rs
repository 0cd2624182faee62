//! Verbs about tasks.

use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use super::{Actor, EpochMs, VerbOptions, maybe_time, time};
use crate::db::{Db, Lane};
use crate::error::Result;

/// A task with its present state.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.task_row, as documented there"
)]
pub struct Task {
    pub id: Uuid,
    pub context_id: String,
    pub agent_slug: String,
    pub prompt: String,
    pub context_hints: Vec<String>,
    pub policy: Value,
    pub desired_format: String,
    pub status: String,
    pub created_at: EpochMs,
    pub updated_at: EpochMs,
    pub lease_id: Option<Uuid>,
    pub worker_id: Option<String>,
    pub attempts: i16,
    pub max_attempts: i16,
    pub queue: String,
    pub priority: i16,
    pub requires: Vec<String>,
    pub crashes: i16,
    pub max_crashes: i16,
    pub fence: i32,
    pub ver: i32,
    pub epoch: i32,
    pub run_at: Option<EpochMs>,
    pub retry_at: Option<EpochMs>,
    pub finished_at: Option<EpochMs>,
    pub reason: Option<String>,
    pub cancel_requested_at: Option<EpochMs>,
    pub cancel_delivered_at: Option<EpochMs>,
    pub cancel_stopped_at: Option<EpochMs>,
    pub idempotency_key: Option<String>,
    pub progress: Option<Value>,
    pub usage: Option<Value>,
    pub context_worker_id: Option<String>,
}

impl From<&Row> for Task {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get("task_id"),
            context_id: row.get("context_id"),
            agent_slug: row.get("agent_slug"),
            prompt: row.get("prompt"),
            context_hints: row.get("context_hints"),
            policy: row.get("policy"),
            desired_format: row.get("desired_format"),
            status: row.get("status"),
            created_at: time(row, "created_at"),
            updated_at: time(row, "updated_at"),
            lease_id: row.get("lease_id"),
            worker_id: row.get("worker_id"),
            attempts: row.get("attempts"),
            max_attempts: row.get("max_attempts"),
            queue: row.get("queue"),
            priority: row.get("priority"),
            requires: row.get("requires"),
            crashes: row.get("crashes"),
            max_crashes: row.get("max_crashes"),
            fence: row.get("fence"),
            ver: row.get("ver"),
            epoch: row.get("epoch"),
            run_at: maybe_time(row, "run_at"),
            retry_at: maybe_time(row, "retry_at"),
            finished_at: maybe_time(row, "finished_at"),
            reason: row.get("reason"),
            cancel_requested_at: maybe_time(row, "cancel_requested_at"),
            cancel_delivered_at: maybe_time(row, "cancel_delivered_at"),
            cancel_stopped_at: maybe_time(row, "cancel_stopped_at"),
            idempotency_key: row.get("idempotency_key"),
            progress: row.get("progress"),
            usage: row.get("usage"),
            context_worker_id: row.get("context_worker_id"),
        }
    }
}

/// What became of one item of a submission.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The task; `None` if the item was refused.
    pub id: Option<Uuid>,
    /// Whether it is a new one rather than the one that has the idempotency key.
    pub created: bool,
    /// Why the item was refused: `{code, message, …}`.
    pub error: Option<Value>,
}

/// The result of an ended attempt.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.result_row, as documented there"
)]
pub struct TaskResult {
    pub id: Uuid,
    pub task_id: Uuid,
    pub worker_id: String,
    pub artifact_id: Uuid,
    pub status: String,
    pub output: Option<String>,
    pub error_message: Option<String>,
    pub metrics: Value,
    pub completed_at: EpochMs,
    pub output_url: Option<String>,
}

/// One lease that a task has had; `outcome` is `None` while it is live.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "the columns of bloom.attempt_row, as documented there"
)]
pub struct Attempt {
    pub task_id: Uuid,
    pub lease_id: Uuid,
    pub fence: i32,
    pub attempt: i16,
    pub epoch: i32,
    pub worker_id: String,
    pub session_id: Option<Uuid>,
    pub started_at: EpochMs,
    pub running_at: Option<EpochMs>,
    pub ended_at: Option<EpochMs>,
    pub outcome: Option<String>,
    pub result_status: Option<String>,
    pub error_message: Option<String>,
    pub metrics: Option<Value>,
    pub artifact_id: Option<Uuid>,
    pub cancel_requested_at: Option<EpochMs>,
    pub cancel_delivered_at: Option<EpochMs>,
    pub cancel_stopped_at: Option<EpochMs>,
}

/// `bloom.task_submit_many`: submits `tasks` (objects as the verb describes), answers in order.
/// With `atomic`, the first bad one fails all of them. `actors` names who submits: one for all, or
/// one for each. Waiting services are not notified: that is the caller's part, outside of this
/// transaction.
pub async fn task_submit_many(
    db: &Db,
    tasks: &[&Value],
    atomic: bool,
    actors: &[Actor<'_>],
) -> Result<Vec<Submitted>> {
    let first = actors.first().copied().unwrap_or_default();
    let options = VerbOptions::of(first)
        .with("atomic", atomic)
        .with("notify", false)
        .maybe("actors", (actors.len() > 1).then(|| actors.to_vec()))
        .json();
    let sql = "select * from bloom.task_submit_many($1, $2)";
    let rows = db
        .call(Lane::General, sql, &[&Json(tasks), &options])
        .await?;
    let read = |row: &Row| Submitted {
        id: row.get("task_id"),
        created: row.get("created"),
        error: row.get("error"),
    };
    Ok(rows.iter().map(read).collect())
}

/// `bloom.task_get_many`: newest first.
pub async fn task_get_many(db: &Db, ids: &[Uuid]) -> Result<Vec<Task>> {
    let sql = "select * from bloom.task_get_many($1)";
    let rows = db.call(Lane::General, sql, &[&ids]).await?;
    Ok(rows.iter().map(Task::from).collect())
}

/// `bloom.task_get`.
pub async fn task_get(db: &Db, id: Uuid) -> Result<Task> {
    task_get_through(db, Lane::General, id).await
}

/// `bloom.task_get`, through a certain share of the connections.
pub async fn task_get_through(db: &Db, lane: Lane, id: Uuid) -> Result<Task> {
    let sql = "select * from bloom.task_get($1)";
    let row = db.call_one(lane, sql, &[&id]).await?;
    Ok(Task::from(&row))
}

/// The status alone of a task, by `bloom.task_get`.
pub async fn task_status(db: &Db, id: Uuid) -> Result<String> {
    let sql = "select status from bloom.task_get($1)";
    Ok(db.call_one(Lane::General, sql, &[&id]).await?.get(0))
}

/// Which tasks [`task_list`] shows.
#[derive(Debug, Default, Clone)]
pub struct TaskFilter {
    /// Only with this status.
    pub status: Option<String>,
    /// Only of this context.
    pub context_id: Option<String>,
    /// Only of this queue.
    pub queue: Option<String>,
    /// Only for this agent.
    pub agent_slug: Option<String>,
    /// Only leased to, or last held by, this worker.
    pub worker_id: Option<String>,
    /// Only those that require this label.
    pub label: Option<String>,
    /// Only those in whose id, context, agent or prompt this stands.
    pub text: Option<String>,
}

impl TaskFilter {
    /// Whether more than the status narrows it, so that a page may be short before the end.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        let Self {
            status: _,
            context_id,
            queue,
            agent_slug,
            worker_id,
            label,
            text,
        } = self;
        [context_id, queue, agent_slug, worker_id, label, text]
            .iter()
            .any(|part| part.is_some())
    }
}

/// `bloom.task_list`: newest first, ids below `before`.
pub async fn task_list(
    db: &Db,
    filter: &TaskFilter,
    limit: i32,
    before: Option<Uuid>,
) -> Result<Vec<Task>> {
    let options = VerbOptions::default()
        .maybe("context_id", filter.context_id.clone())
        .maybe("queue", filter.queue.clone())
        .maybe("agent_slug", filter.agent_slug.clone())
        .maybe("worker_id", filter.worker_id.clone())
        .maybe("label", filter.label.clone())
        .maybe("text", filter.text.clone())
        .json();
    let sql = "select * from bloom.task_list($1, $2, $3, $4)";
    let rows = db
        .call(
            Lane::General,
            sql,
            &[&filter.status, &limit, &before, &options],
        )
        .await?;
    Ok(rows.iter().map(Task::from).collect())
}

/// `bloom.task_reach`: where to go on when a filtered page is short; `None` at the end.
pub async fn task_reach(
    db: &Db,
    status: Option<&str>,
    before: Option<Uuid>,
) -> Result<Option<Uuid>> {
    let sql = "select bloom.task_reach($1, $2)";
    Ok(db
        .call_one(Lane::General, sql, &[&status, &before])
        .await?
        .get(0))
}

/// `bloom.task_result`.
pub async fn task_result(db: &Db, id: Uuid) -> Result<TaskResult> {
    let row = db
        .call_one(Lane::General, "select * from bloom.task_result($1)", &[&id])
        .await?;
    Ok(TaskResult {
        id: row.get("result_id"),
        task_id: row.get("task_id"),
        worker_id: row.get("worker_id"),
        artifact_id: row.get("artifact_id"),
        status: row.get("status"),
        output: row.get("output"),
        error_message: row.get("error_message"),
        metrics: row
            .get::<_, Option<Value>>("metrics")
            .unwrap_or_else(|| json!({})),
        completed_at: time(&row, "completed_at"),
        output_url: row.get("output_url"),
    })
}

/// `bloom.task_attempts`: oldest first.
pub async fn task_attempts(db: &Db, id: Uuid) -> Result<Vec<Attempt>> {
    let sql = "select * from bloom.task_attempts($1)";
    let rows = db.call(Lane::General, sql, &[&id]).await?;
    let read = |row: &Row| Attempt {
        task_id: row.get("task_id"),
        lease_id: row.get("lease_id"),
        fence: row.get("fence"),
        attempt: row.get("attempt"),
        epoch: row.get("epoch"),
        worker_id: row.get("worker_id"),
        session_id: row.get("session_id"),
        started_at: time(row, "started_at"),
        running_at: maybe_time(row, "running_at"),
        ended_at: maybe_time(row, "ended_at"),
        outcome: row.get("outcome"),
        result_status: row.get("result_status"),
        error_message: row.get("error_message"),
        metrics: row.get("metrics"),
        artifact_id: row.get("artifact_id"),
        cancel_requested_at: maybe_time(row, "cancel_requested_at"),
        cancel_delivered_at: maybe_time(row, "cancel_delivered_at"),
        cancel_stopped_at: maybe_time(row, "cancel_stopped_at"),
    };
    Ok(rows.iter().map(read).collect())
}

/// `bloom.task_explain`: `{task_id, status, reason, sentence, data}`.
pub async fn task_explain(db: &Db, id: Uuid) -> Result<Value> {
    let sql = "select bloom.task_explain($1)";
    Ok(db.call_one(Lane::General, sql, &[&id]).await?.get(0))
}

/// `bloom.task_cancel`: the status after it.
pub async fn task_cancel(db: &Db, id: Uuid, options: VerbOptions) -> Result<String> {
    let sql = "select bloom.task_cancel($1, $2)";
    Ok(db
        .call_one(Lane::General, sql, &[&id, &options.json()])
        .await?
        .get(0))
}

/// `bloom.task_requeue`.
pub async fn task_requeue(db: &Db, id: Uuid, actor: Actor<'_>) -> Result<()> {
    let sql = "select bloom.task_requeue($1, $2)";
    db.call_one(Lane::General, sql, &[&id, &VerbOptions::of(actor).json()])
        .await?;
    Ok(())
}

/// `bloom.task_requeue_dead`: the tasks that were requeued.
pub async fn task_requeue_dead(
    db: &Db,
    queue: &str,
    limit: i32,
    actor: Actor<'_>,
) -> Result<Vec<Uuid>> {
    let sql = "select * from bloom.task_requeue_dead($1, $2, $3)";
    let options = VerbOptions::of(actor).json();
    let rows = db
        .call(Lane::General, sql, &[&queue, &limit, &options])
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What became of one task of a bulk call: its status now, and why it was refused, if it was:
/// `{code, message, status}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// `None` where there is no such task.
    pub status: Option<String>,
    /// The refusal.
    pub error: Option<Value>,
}

/// `bloom.task_cancel_many`: an answer per id, in order.
pub async fn task_cancel_many(db: &Db, ids: &[Uuid], options: VerbOptions) -> Result<Vec<Changed>> {
    let sql = "select * from bloom.task_cancel_many($1, $2)";
    let rows = db
        .call(Lane::General, sql, &[&ids, &options.json()])
        .await?;
    Ok(rows.iter().map(changed).collect())
}

/// `bloom.task_requeue_many`: an answer per id, in order.
pub async fn task_requeue_many(db: &Db, ids: &[Uuid], actor: Actor<'_>) -> Result<Vec<Changed>> {
    let sql = "select * from bloom.task_requeue_many($1, $2)";
    let options = VerbOptions::of(actor).json();
    let rows = db.call(Lane::General, sql, &[&ids, &options]).await?;
    Ok(rows.iter().map(changed).collect())
}

fn changed(row: &Row) -> Changed {
    Changed {
        status: row.get("status"),
        error: row.get("error"),
    }
}

/// `bloom.task_prioritize`: for queued tasks.
pub async fn task_prioritize(db: &Db, id: Uuid, priority: i32, actor: Actor<'_>) -> Result<()> {
    let sql = "select bloom.task_prioritize($1, $2, $3)";
    let options = VerbOptions::of(actor).json();
    db.call_one(Lane::General, sql, &[&id, &priority, &options])
        .await?;
    Ok(())
}
