//! Waiting is explained, in words that people can act on.

use serde_json::Value;
use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{age, complete, json, lease, one, refused, register, run, submit};

async fn explain(client: &Client, task: &str) -> (String, String, Value) {
    let answer = json(client, &format!("select bloom.task_explain('{task}')")).await;
    let text = |name: &str| answer[name].as_str().expect("text").to_owned();
    assert!(answer["data"].is_object(), "{answer}");
    (text("reason"), text("sentence"), answer["data"].clone())
}

async fn says(client: &Client, task: &str, reason: &str, sentence: &str) {
    let (got, words, _) = explain(client, task).await;
    assert_eq!((got.as_str(), words.as_str()), (reason, sentence));
}

/// A moment as the sentences show it.
async fn moment(client: &Client, sql: &str) -> String {
    let sql = format!("select to_char(({sql}), 'YYYY-MM-DD HH24:MI:SS \"UTC\"')");
    one(client, &sql).await
}

#[tokio::test]
async fn a_task_without_workers_is_told_who_is_missing() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let plain = submit(&client, "c", "{}").await;
    says(&client, &plain, "no_worker", "No worker is online").await;
    register(&client, "w", r#"{"labels": ["eu"]}"#).await;
    register(&client, "v", r#"{"labels": ["gpu"]}"#).await;
    let next = "2 workers can take it now; it waits for one of them to ask";
    says(&client, &plain, "next", next).await;
    let task = submit(&client, "d", r#"{"requires": ["us"]}"#).await;
    says(&client, &task, "no_label", "No live worker has label us").await;
    let task = submit(&client, "e", r#"{"requires": ["eu", "gpu"]}"#).await;
    says(
        &client,
        &task,
        "no_label",
        "No live worker has all of the labels eu, gpu",
    )
    .await;
    run(
        &client,
        "select bloom.worker_update('w', '{\"draining\": true}')",
    )
    .await;
    let next = "1 worker can take it now; it waits for one of them to ask";
    says(&client, &plain, "next", next).await;
    lease(&client, "v", 1).await;
    let task = submit(&client, "f", "{}").await;
    says(
        &client,
        &task,
        "workers_full",
        "1 worker matches, and it is full",
    )
    .await;
    register(&client, "x", "{}").await;
    lease(&client, "x", 1).await;
    let task = submit(&client, "g", "{}").await;
    says(&client, &task, "workers_full", "2 workers match, all full").await;
}

#[tokio::test]
async fn a_task_held_back_by_its_queue_says_so() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 4}"#).await;
    run(
        &client,
        "select bloom.queue_configure('q', '{\"max_running\": 1}')",
    )
    .await;
    submit(&client, "a", r#"{"queue": "q"}"#).await;
    let task = submit(&client, "b", r#"{"queue": "q"}"#).await;
    lease(&client, "w", 4).await;
    says(
        &client,
        &task,
        "queue_full",
        "Queue q runs 1 of the 1 tasks that it may",
    )
    .await;
    run(&client, "select bloom.queue_pause('q')").await;
    says(&client, &task, "queue_paused", "Queue q is paused").await;
}

#[tokio::test]
async fn a_task_that_waits_for_a_time_says_which() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let sql = "select bloom.task_submit('c', 'a', 'p',
                   jsonb_build_object('run_at', now() + interval '1 hour'))";
    let task = one(&client, sql).await;
    let when = "select run_at from bloom_private.deferred";
    let sentence = format!("Deferred until {}", moment(&client, when).await);
    says(&client, &task, "deferred", &sentence).await;
    age(&client, &task, 7200).await;
    run(&client, "select bloom.task_promote()").await;
    lease(&client, "w", 1).await;
    complete(&client, &task, "error").await;
    let when = moment(&client, when).await;
    let sentence = format!("Failed attempt 1 of 3; it will be retried at {when}");
    says(&client, &task, "retry_wait", &sentence).await;
}

#[tokio::test]
async fn a_task_that_waits_for_its_context_says_for_whom() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "busy", "{}").await;
    register(&client, "idle", "{}").await;
    let serial = r#"{"policy": {"serial": true}}"#;
    let first = submit(&client, "c", serial).await;
    for wait in ["no other waits", "1 other waits", "2 others wait"] {
        let task = submit(&client, "c", serial).await;
        let sentence = format!("Context c is busy with task {first}; {wait} before this one");
        says(&client, &task, "context_busy", &sentence).await;
    }
    let held = submit(&client, "d", "{}").await;
    run(
        &client,
        &format!("select bloom.lease_task('{held}', array['busy'])"),
    )
    .await;
    run(
        &client,
        "select bloom.queue_configure('default', '{\"pin_wait_ms\": 600000}')",
    )
    .await;
    let pinned = submit(&client, "d", "{}").await;
    let when = format!(
        "select ready_at + interval '600 s' from bloom_private.ready where task_id = '{pinned}'"
    );
    let sentence = format!(
        "Worker busy is busy with the same context; it has first choice until {}",
        moment(&client, &when).await
    );
    says(&client, &pinned, "pinned", &sentence).await;
}

#[tokio::test]
async fn a_task_that_a_worker_has_says_how_it_stands() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let task = submit(&client, "c", "{}").await;
    lease(&client, "w", 1).await;
    says(
        &client,
        &task,
        "leased",
        "Leased to worker w, which has not begun yet",
    )
    .await;
    let held = crate::sql_kit::lease_of(&client, &task).await;
    run(
        &client,
        &format!("select bloom.lease_start('{task}', '{held}')"),
    )
    .await;
    let when = moment(&client, "select running_at from bloom_private.lease").await;
    says(
        &client,
        &task,
        "running",
        &format!("Running on worker w since {when}"),
    )
    .await;
    run(
        &client,
        "update bloom_private.lease set expires_at = now() - interval '1 s'",
    )
    .await;
    let when = moment(&client, "select expires_at from bloom_private.lease").await;
    let sentence = format!("The lease of worker w ran out at {when}; it will be taken back");
    says(&client, &task, "lease_expired", &sentence).await;
    run(&client, &format!("select bloom.task_cancel('{task}')")).await;
    let when = moment(&client, "select cancel_deadline from bloom_private.lease").await;
    let sentence = format!("Cancel requested; worker w has until {when} to stop");
    says(&client, &task, "cancelling", &sentence).await;
    complete(&client, &task, "error").await;
    let when = moment(&client, "select finished_at from bloom_private.finished").await;
    says(
        &client,
        &task,
        "cancelled",
        &format!("Cancelled at {when}; the end of its processes is not proven"),
    )
    .await;
    let refusal = refused(&client, "select bloom.task_explain(gen_random_uuid())").await;
    assert_eq!(refusal, "RT404 task_not_found");
}

#[tokio::test]
async fn a_finished_task_says_how_it_ended() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let mut at = Vec::new();
    for (status, max) in [("success", 3), ("error", 1)] {
        let task = submit(&client, status, &format!(r#"{{"max_attempts": {max}}}"#)).await;
        lease(&client, "w", 1).await;
        complete(&client, &task, status).await;
        let sql =
            format!("select finished_at from bloom_private.finished where task_id = '{task}'");
        at.push((task, moment(&client, &sql).await));
    }
    says(
        &client,
        &at[0].0,
        "completed",
        &format!("Completed at {}", at[0].1),
    )
    .await;
    let sentence = format!("Dead (attempts_exhausted) at {}", at[1].1);
    says(&client, &at[1].0, "dead", &sentence).await;
}

#[tokio::test]
async fn a_notification_that_would_be_too_long_fails_no_transition() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    run(&client, "select bloom.waiting_mark(gen_random_uuid(), 600)").await;
    // Control characters take six bytes each in a notification, and one as a label.
    let labels = "(select jsonb_agg(repeat(chr(1), 110 + i)) from generate_series(1, 12) i)";
    let task = one(
        &client,
        &format!(
            "select bloom.task_submit('c', 'a', 'p', jsonb_build_object('requires', {labels}))"
        ),
    )
    .await;
    let register =
        format!("select bloom.worker_register('w', jsonb_build_object('labels', {labels}))");
    run(&client, &register).await;
    let lease = lease(&client, "w", 1).await;
    assert_eq!(lease.len(), 1);
    let release =
        format!("select bloom.lease_release('{task}', (select lease_id from bloom_private.lease))");
    assert_eq!(one(&client, &release).await, "queued");
    let more = labels.replace("(1, 12)", "(1, 14)");
    let submit =
        format!("select bloom.task_submit('c', 'a', 'p', jsonb_build_object('requires', {more}))");
    assert_eq!(refused(&client, &submit).await, "RT400 invalid_argument");
}

#[tokio::test]
async fn what_is_an_argument_is_no_option() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let submit = r#"select bloom.task_submit('c', 'a', 'p', '{"prompt": "another"}')"#;
    assert_eq!(refused(&client, submit).await, "RT400 invalid_argument");
}
