//! Old weeks go, as a whole, and nothing that is still needed goes with them.

use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{
    column, complete, eventually, json, lease, one, register, run, submit, try_one,
};

/// Makes the partitions of the week that was `weeks` ago.
async fn week(client: &Client, weeks: u32) {
    let sql = format!(
        "set timezone = 'UTC'; set role bloom_owner; set search_path = pg_catalog, bloom_private;
         select partition_make(t, date_trunc('week', now())::date - {})
           from unnest(array['task', 'finished', 'attempt', 'task_log', 'artifact',
                             'event']) t;
         reset search_path; reset role",
        weeks * 7
    );
    run(client, &sql).await;
}

/// Folds until every event is: the transactions of all databases of the server hold it back.
async fn until_folded(client: &Client) {
    let folded = "select bloom.status_fold() is not null and not exists (
                      select from bloom_private.event where xid >= (
                          select xid from bloom_private.log_cursor where name = 'status_count'))";
    eventually(client, folded, "t").await;
}

/// A task as if it had been submitted `weeks` ago; its id is given.
async fn old_task(client: &Client, weeks: u32, key: &str) -> String {
    let options = format!(r#"{{"idempotency_key": "{key}"}}"#);
    let task = submit(client, key, &options).await;
    let id = format!(
        "select overlay(bloom_private.uuid_v7()::text placing left(bloom_private.uuid_floor(
             date_trunc('week', now()) - interval '{} days')::text, 13) from 1 for 13)",
        weeks * 7 - 2
    );
    let id = one(client, &id).await;
    // A task is never changed: it is made anew under its older id.
    let move_all = format!(
        "create temp table moved as select * from bloom_private.task where task_id = '{task}';
         update moved set task_id = '{id}';
         delete from bloom_private.task where task_id = '{task}';
         insert into bloom_private.task select * from moved; drop table moved;
         update bloom_private.ready set task_id = '{id}' where task_id = '{task}';
         update bloom_private.idempotency set task_id = '{id}' where task_id = '{task}'"
    );
    run(client, &move_all).await;
    id
}

async fn finish(client: &Client, task: &str) {
    run(
        client,
        &format!("select bloom.lease_task('{task}', array['w'])"),
    )
    .await;
    assert_eq!(complete(client, task, "success").await, "completed");
}

async fn total(client: &Client) -> String {
    one(client, "select bloom.stats() -> 'tasks' ->> 'total'").await
}

#[tokio::test]
async fn a_week_is_dropped_once_all_its_tasks_are_finished() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    week(&client, 10).await;
    let done = old_task(&client, 10, "done").await;
    let open = old_task(&client, 10, "open").await;
    let young = submit(&client, "young", "{}").await;
    finish(&client, &done).await;
    run(&client, "select bloom.status_fold()").await;
    assert_eq!(total(&client).await, "3");
    let drop_old = "select array_to_string(bloom.retention_run(30, 3650, 3650), ' ')";
    assert_eq!(
        one(&client, drop_old).await,
        "",
        "one of them is not finished"
    );
    finish(&client, &open).await;
    assert!(one(&client, drop_old).await.starts_with("task_"));
    assert_eq!(one(&client, drop_old).await, "", "once");
    assert_eq!(total(&client).await, "1", "unfolded");
    run(&client, "select bloom.status_fold()").await;
    assert_eq!(total(&client).await, "1", "folded");
    let by_status = json(&client, "select bloom.stats() -> 'tasks' -> 'by_status'").await;
    assert_eq!(by_status, serde_json::json!({"queued": 1}));
    assert_eq!(
        column(&client, "select task_id from bloom_private.task").await,
        [young]
    );
    let left = "select (select count(*) from bloom_private.finished)
                     + (select count(*) from bloom_private.attempt)
                     + (select count(*) from bloom_private.idempotency)";
    assert_eq!(one(&client, left).await, "0");
    // The key is free again.
    submit(&client, "again", r#"{"idempotency_key": "done"}"#).await;
}

#[tokio::test]
async fn counts_stay_right_when_a_week_goes_before_anything_was_folded() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    week(&client, 10).await;
    let done = old_task(&client, 10, "done").await;
    finish(&client, &done).await;
    let dropped = one(
        &client,
        "select cardinality(bloom.retention_run(30, 3650, 3650))",
    )
    .await;
    assert_eq!(dropped, "1");
    assert_eq!(total(&client).await, "0");
    run(&client, "select bloom.status_fold()").await;
    assert_eq!(total(&client).await, "0");
}

#[tokio::test]
async fn old_finished_tasks_of_the_default_partition_are_deleted() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let done = old_task(&client, 10, "done").await;
    let open = old_task(&client, 10, "open").await;
    finish(&client, &done).await;
    run(&client, "select bloom.status_fold()").await;
    run(&client, "select bloom.retention_run(30, 3650, 3650)").await;
    assert_eq!(
        column(&client, "select task_id from bloom_private.task").await,
        [open]
    );
    assert_eq!(total(&client).await, "1");
}

#[tokio::test]
async fn a_week_of_events_goes_only_when_it_is_folded() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    week(&client, 10).await;
    submit(&client, "c", "{}").await;
    let old = "insert into bloom_private.event (at, cause, subject, actor)
               values (date_trunc('week', now()) - interval '68 days', 'x', 'worker/w', 'test')";
    run(&client, old).await;
    let drop_old = "select array_to_string(bloom.retention_run(3650, 30, 3650), ' ')";
    assert_eq!(one(&client, drop_old).await, "");
    until_folded(&client).await;
    assert!(one(&client, drop_old).await.starts_with("event_"));
    let left = one(&client, "select count(*) from bloom_private.event").await;
    assert_eq!(left, "1");
}

#[tokio::test]
async fn events_of_workers_alone_do_not_keep_a_week_for_ever() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    week(&client, 10).await;
    let old = "insert into bloom_private.event (at, cause, subject, actor)
               values (date_trunc('week', now()) - interval '68 days', 'x', 'worker/w', 'test')";
    run(&client, old).await;
    until_folded(&client).await;
    let dropped = "select array_to_string(bloom.retention_run(3650, 30, 3650), ' ')";
    assert!(one(&client, dropped).await.starts_with("event_"));
}

#[tokio::test]
async fn a_week_of_artifacts_is_dropped_by_its_own_date() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    week(&client, 10).await;
    let task = submit(&client, "c", "{}").await;
    lease(&client, "w", 1).await;
    complete(&client, &task, "success").await;
    let old = "insert into bloom_private.artifact
               select bloom_private.uuid_floor(date_trunc('week', now()) - interval '68 days'),
                   task_id, lease_id, type, tags, url, content, size_bytes, created_at
                 from bloom_private.artifact";
    run(&client, old).await;
    let dropped = one(&client, "select bloom.retention_run(3650, 3650, 30)").await;
    assert!(dropped.starts_with("{artifact_"), "{dropped}");
    assert_eq!(
        one(&client, "select count(*) from bloom_private.artifact").await,
        "1"
    );
    let result = format!("select output from bloom.task_result('{task}')");
    assert_eq!(try_one(&client, &result).await, Ok(Some("out".to_owned())));
}

#[tokio::test]
async fn a_row_out_of_every_week_goes_to_the_default_partition_and_is_found() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let task = old_task(&client, 200, "old").await;
    assert_eq!(crate::sql_kit::status(&client, &task).await, "queued");
    let made =
        "select bloom_private.partition_make('task', date_trunc('week', now())::date - 1400)";
    run(&client, "set search_path = pg_catalog, bloom_private").await;
    assert_eq!(
        one(&client, made).await,
        "f",
        "its rows stay where they are"
    );
}
