//! What the tests of the verbs share: SQL as text, refusals as `RT409 lease_lost`, and the few
//! moves (submit, register, lease) that nearly every test begins with.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

/// Longest wait for something that another connection does.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// All rows of the last statement that returns some; what the database refused as "SQLSTATE code".
pub async fn try_rows(client: &Client, sql: &str) -> Result<Vec<SimpleQueryRow>, String> {
    let messages = client
        .simple_query(sql)
        .await
        .map_err(|error| refusal(&error))?;
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Ok(rows.collect())
}

/// The first column of the first row (`None`: no row, or null).
pub async fn try_one(client: &Client, sql: &str) -> Result<Option<String>, String> {
    let rows = try_rows(client, sql).await?;
    Ok(rows
        .first()
        .and_then(|row| row.get(0).map(ToOwned::to_owned)))
}

/// The first column of the first row, which must be there.
pub async fn one(client: &Client, sql: &str) -> String {
    let answer = try_one(client, sql).await;
    answer
        .unwrap_or_else(|refusal| panic!("{sql}: {refusal}"))
        .unwrap_or_else(|| panic!("{sql}: nothing"))
}

/// The first column of all rows; null is an empty text.
pub async fn column(client: &Client, sql: &str) -> Vec<String> {
    let rows = try_rows(client, sql).await;
    let rows = rows.unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
    rows.iter()
        .map(|row| row.get(0).unwrap_or_default().to_owned())
        .collect()
}

/// Runs statements that must succeed.
pub async fn run(client: &Client, sql: &str) {
    try_rows(client, sql)
        .await
        .unwrap_or_else(|refusal| panic!("{sql}: {refusal}"));
}

/// What a statement is refused with, as "SQLSTATE code".
pub async fn refused(client: &Client, sql: &str) -> String {
    match try_rows(client, sql).await {
        Ok(_) => panic!("{sql}: not refused"),
        Err(refusal) => refusal,
    }
}

/// A `jsonb` answer.
pub async fn json(client: &Client, sql: &str) -> Value {
    serde_json::from_str(&one(client, sql).await).expect("JSON")
}

/// `text` as an SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn refusal(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} {}", db.code().code(), db.message()),
        None => format!("no database error: {error:?}"),
    }
}

/// Submits a task of context `context` with these options (a JSON object) and returns its id.
pub async fn submit(client: &Client, context: &str, options: &str) -> String {
    let sql = format!(
        "select bloom.task_submit({}, 'agent', 'prompt', {})",
        literal(context),
        literal(options)
    );
    one(client, &sql).await
}

/// Registers a worker with these options (a JSON object).
pub async fn register(client: &Client, worker: &str, options: &str) {
    let (worker, options) = (literal(worker), literal(options));
    let sql = format!("select from bloom.worker_register({worker}, {options})");
    run(client, &sql).await;
}

/// Leases up to `max` tasks to `worker`; the ids of the tasks, in the order of their leases.
pub async fn lease(client: &Client, worker: &str, max: u32) -> Vec<String> {
    let worker = literal(worker);
    let sql = format!("select task_id from bloom.lease_next({worker}, null, {max})");
    column(client, &sql).await
}

/// The live lease of a task.
pub async fn lease_of(client: &Client, task: &str) -> String {
    let sql = format!("select lease_id from bloom_private.lease where task_id = '{task}'");
    one(client, &sql).await
}

/// Completes the live lease of `task` with `status`; the task's status after it.
pub async fn complete(client: &Client, task: &str, status: &str) -> String {
    let lease = lease_of(client, task).await;
    let sql = format!(
        "select task_status from bloom.lease_complete('{task}', '{lease}', '{status}', 'out')"
    );
    one(client, &sql).await
}

/// A task's status.
pub async fn status(client: &Client, task: &str) -> String {
    let sql = format!("select status from bloom.task_get('{task}')");
    one(client, &sql).await
}

/// The causes of a task's transitions, in order.
pub async fn causes(client: &Client, task: &str) -> Vec<String> {
    let sql = format!("select cause from bloom.task_events('{task}')");
    column(client, &sql).await
}

/// Sets the moments of a waiting task back, as if it had been there for `seconds`.
pub async fn age(client: &Client, task: &str, seconds: u32) {
    let sql = format!(
        "update bloom_private.ready set ready_at = ready_at - interval '{seconds} seconds'
          where task_id = '{task}';
         update bloom_private.deferred set run_at = run_at - interval '{seconds} seconds'
          where task_id = '{task}'"
    );
    run(client, &sql).await;
}

/// Waits until a statement's answer is `wanted`.
pub async fn eventually(client: &Client, sql: &str, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = try_one(client, sql).await.expect("no refusal");
        if answer.as_deref() == Some(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "{sql}: {answer:?}, not {wanted}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until some session of this database waits for a lock.
pub async fn until_blocked(client: &Client) {
    let sql = "select count(*) > 0 from pg_stat_activity
                where wait_event_type = 'Lock' and datname = current_database()";
    eventually(client, sql, "t").await;
}
