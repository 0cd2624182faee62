//! The verbs as tests call them: one function each, with the arguments that tests vary.

use serde_json::{Value, json};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

/// What a call gives, or Postgres' refusal.
pub type Result<T> = std::result::Result<T, Error>;

/// A lease as its worker got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub task: Uuid,
    pub lease: Uuid,
    pub worker: String,
    pub fence: i32,
}

/// SQLSTATE of an error; empty where the connection broke.
pub fn state(error: &Error) -> &str {
    error
        .code()
        .map_or("", tokio_postgres::error::SqlState::code)
}

/// The stable code (MESSAGE) of an error.
pub fn code(error: &Error) -> &str {
    error
        .as_db_error()
        .map_or("", tokio_postgres::error::DbError::message)
}

/// The sentence for people inside DETAIL of one of our own errors.
pub fn sentence(error: &Error) -> String {
    let detail = error.as_db_error().and_then(|db| db.detail());
    let detail: Value = serde_json::from_str(detail.unwrap_or("{}")).unwrap_or_default();
    detail["message"].as_str().unwrap_or_default().to_owned()
}

/// Whether the caller is to try again: a serialization failure or a deadlock.
pub fn is_retryable(error: &Error) -> bool {
    matches!(state(error), "40001" | "40P01")
}

/// Whether a verb said no in its own words (`RTnnn`).
pub fn is_refusal(error: &Error) -> bool {
    state(error).starts_with("RT")
}

async fn one(client: &Client, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Row> {
    client.query_one(sql, values).await
}

/// Registers a worker with so many slots.
pub async fn register(client: &Client, worker: &str, slots: i32) -> Result<()> {
    register_with(client, worker, json!({"max_concurrency": slots})).await
}

/// Registers a worker with every option.
pub async fn register_with(client: &Client, worker: &str, options: Value) -> Result<()> {
    let sql = "select from bloom.worker_register($1, $2)";
    one(client, sql, &[&worker, &options]).await.map(drop)
}

/// Submits one task.
pub async fn submit(client: &Client, context: &str, options: Value) -> Result<Uuid> {
    let sql = "select bloom.task_submit($1, 'agent', 'a prompt', $2)";
    Ok(one(client, sql, &[&context, &options]).await?.get(0))
}

/// Leases up to `max` tasks to a worker, without a session.
pub async fn lease_next(client: &Client, worker: &str, max: i32) -> Result<Vec<Grant>> {
    lease_next_with(client, worker, None, max, 300, json!({})).await
}

/// Leases with every argument.
pub async fn lease_next_with(
    client: &Client,
    worker: &str,
    session: Option<Uuid>,
    max: i32,
    ttl_seconds: i32,
    options: Value,
) -> Result<Vec<Grant>> {
    let sql = "select task_id, lease_id, worker_id, fence \
               from bloom.lease_next($1, $2, $3, $4, $5)";
    let values: [&(dyn ToSql + Sync); 5] = [&worker, &session, &max, &ttl_seconds, &options];
    let rows = client.query(sql, &values).await?;
    Ok(rows.iter().map(grant).collect())
}

/// Leases one task to the first of these workers that has room.
pub async fn lease_task(client: &Client, task: Uuid, workers: &[&str]) -> Result<Grant> {
    let sql = "select task_id, lease_id, worker_id, fence from bloom.lease_task($1, $2, 300)";
    Ok(grant(&one(client, sql, &[&task, &workers]).await?))
}

fn grant(row: &Row) -> Grant {
    Grant {
        task: row.get(0),
        lease: row.get(1),
        worker: row.get(2),
        fence: row.get(3),
    }
}

/// Reports a result; returns the task's next status and whether the report was known already.
pub async fn complete(
    client: &Client,
    grant: &Grant,
    status: &str,
    options: Value,
) -> Result<(String, bool)> {
    let sql = "select task_status, replayed from bloom.lease_complete($1, $2, $3, 'out', $4)";
    let row = one(client, sql, &[&grant.task, &grant.lease, &status, &options]).await?;
    Ok((row.get(0), row.get(1)))
}

/// Reports a success.
pub async fn succeed(client: &Client, grant: &Grant) -> Result<(String, bool)> {
    complete(client, grant, "success", json!({})).await
}

/// A heartbeat for one lease.
pub async fn heartbeat(client: &Client, grant: &Grant) -> Result<()> {
    let sql = "select from bloom.lease_heartbeat($1, $2)";
    one(client, sql, &[&grant.task, &grant.lease])
        .await
        .map(drop)
}

/// Gives a lease another five minutes.
pub async fn extend(client: &Client, grant: &Grant) -> Result<()> {
    let sql = "select from bloom.lease_extend($1, $2, 300)";
    one(client, sql, &[&grant.task, &grant.lease])
        .await
        .map(drop)
}

/// Gives a lease back.
pub async fn release(client: &Client, grant: &Grant) -> Result<String> {
    let sql = "select bloom.lease_release($1, $2)";
    Ok(one(client, sql, &[&grant.task, &grant.lease]).await?.get(0))
}

/// Cancels a task; returns its status.
pub async fn cancel(client: &Client, task: Uuid) -> Result<String> {
    let sql = "select bloom.task_cancel($1)";
    Ok(one(client, sql, &[&task]).await?.get(0))
}

/// Starts a finished or failed task anew.
pub async fn requeue(client: &Client, task: Uuid) -> Result<String> {
    let sql = "select bloom.task_requeue($1)";
    Ok(one(client, sql, &[&task]).await?.get(0))
}

/// Gives a queued task another priority.
pub async fn prioritize(client: &Client, task: Uuid, priority: i32) -> Result<String> {
    let sql = "select bloom.task_prioritize($1, $2)";
    Ok(one(client, sql, &[&task, &priority]).await?.get(0))
}

/// Requeues the dead tasks of a queue.
pub async fn requeue_dead(client: &Client, queue: &str) -> Result<Vec<Uuid>> {
    let sql = "select bloom.task_requeue_dead($1)";
    let rows = client.query(sql, &[&queue]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Changes what an operator may change of a worker.
pub async fn update_worker(client: &Client, worker: &str, options: Value) -> Result<()> {
    let sql = "select from bloom.worker_update($1, $2)";
    one(client, sql, &[&worker, &options]).await.map(drop)
}

/// Ends leases that have run out, without the grace after a start of Postgres.
pub async fn expire(client: &Client) -> Result<i32> {
    let sql = "select bloom.lease_expire(100, null, '{\"grace_seconds\": 0}')";
    Ok(one(client, sql, &[]).await?.get(0))
}

/// Makes due tasks ready.
pub async fn promote(client: &Client) -> Result<i32> {
    Ok(one(client, "select bloom.task_promote()", &[])
        .await?
        .get(0))
}

/// Removes a worker.
pub async fn remove(client: &Client, worker: &str) -> Result<i32> {
    let sql = "select bloom.worker_remove($1)";
    Ok(one(client, sql, &[&worker]).await?.get(0))
}

/// A beat that lists these leases; returns its answer.
pub async fn beat(client: &Client, worker: &str, session: Uuid, leases: &[Uuid]) -> Result<Value> {
    let listed: Vec<Value> = leases.iter().map(|id| json!({"lease_id": id})).collect();
    let sql = "select bloom.worker_beat($1, $2, $3)";
    let row = one(client, sql, &[&worker, &session, &Value::from(listed)]).await?;
    Ok(row.get(0))
}

/// Changes a queue.
pub async fn configure(client: &Client, queue: &str, options: Value) -> Result<()> {
    let sql = "select from bloom.queue_configure($1, $2)";
    one(client, sql, &[&queue, &options]).await.map(drop)
}

/// Moves the marks of lanes.
pub async fn advance(client: &Client) -> Result<i32> {
    Ok(one(client, "select bloom.lane_advance(1)", &[])
        .await?
        .get(0))
}

/// Folds the event log into the counts.
pub async fn fold(client: &Client) -> Result<i64> {
    Ok(one(client, "select bloom.status_fold()", &[]).await?.get(0))
}

/// The status of a task, as superuser.
pub async fn status(client: &Client, task: Uuid) -> String {
    let sql = "select status from bloom.task_get($1)";
    let row = one(client, sql, &[&task]).await;
    row.expect("the task is there").get(0)
}

/// Lets every lease run out now, as superuser: tests need not wait for time.
pub async fn make_overdue(client: &Client) -> Result<()> {
    let sql = "begin; set local search_path = pg_catalog, bloom_private; \
               update lease set expires_at = started_at; commit";
    client.batch_execute(sql).await
}
