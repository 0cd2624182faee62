//! Which task is next.

use crate::pg::TestDb;
use crate::sql_kit::{age, complete, lease, lease_of, register, run, submit};

#[tokio::test]
async fn tasks_go_out_by_priority_and_in_order_of_submission_within_it() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 32}"#).await;
    let mut submitted = Vec::new();
    for round in 0..2 {
        for priority in [7, 0, 3, 9, 5, 1, 8, 2, 6, 4] {
            let options = format!(r#"{{"priority": {priority}}}"#);
            let context = format!("{round}-{priority}");
            submitted.push((priority, round, submit(&client, &context, &options).await));
        }
    }
    submitted.sort();
    let wanted: Vec<_> = submitted.into_iter().map(|(_, _, task)| task).collect();
    let mut got = Vec::new();
    for _ in 0..20 {
        got.extend(lease(&client, "w", 1).await);
    }
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn a_task_that_waited_long_enough_overtakes_a_higher_priority() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 4}"#).await;
    run(
        &client,
        "select bloom.queue_configure('default', '{\"aging_seconds\": 1}')",
    )
    .await;
    let old = submit(&client, "a", r#"{"priority": 9}"#).await;
    let new = submit(&client, "b", r#"{"priority": 3}"#).await;
    age(&client, &old, 5).await;
    assert_eq!(
        lease(&client, "w", 1).await,
        [new],
        "9 - 5 is still behind 3"
    );
    let new = submit(&client, "b", r#"{"priority": 3}"#).await;
    age(&client, &old, 5).await;
    assert_eq!(lease(&client, "w", 1).await, [old], "9 - 10 is before 3");
    assert_eq!(lease(&client, "w", 1).await, [new]);
}

#[tokio::test]
async fn a_task_that_came_back_goes_before_its_equals() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let first = submit(&client, "a", "{}").await;
    let second = submit(&client, "b", "{}").await;
    let urgent = submit(&client, "c", r#"{"priority": 0}"#).await;
    assert_eq!(lease(&client, "w", 1).await, [urgent.as_str()]);
    complete(&client, &urgent, "success").await;
    assert_eq!(lease(&client, "w", 1).await, [first.as_str()]);
    complete(&client, &first, "success").await;
    let third = submit(&client, "d", "{}").await;
    assert_eq!(lease(&client, "w", 1).await, [second.as_str()]);
    let lost = lease_of(&client, &second).await;
    run(
        &client,
        &format!("select bloom.lease_release('{second}', '{lost}')"),
    )
    .await;
    assert_eq!(
        lease(&client, "w", 1).await,
        [second.as_str()],
        "before the one submitted since"
    );
    complete(&client, &second, "success").await;
    assert_eq!(lease(&client, "w", 1).await, [third]);
}

#[tokio::test]
async fn a_worker_is_given_tasks_of_its_own_contexts_first() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 4}"#).await;
    let first = submit(&client, "mine", "{}").await;
    assert_eq!(lease(&client, "w", 1).await, [first]);
    let other = submit(&client, "other", r#"{"priority": 0}"#).await;
    let mine = submit(&client, "mine", r#"{"priority": 9}"#).await;
    assert_eq!(lease(&client, "w", 1).await, [mine]);
    assert_eq!(lease(&client, "w", 1).await, [other]);
}

#[tokio::test]
async fn a_task_of_another_workers_context_is_left_to_it_for_a_while_only() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "busy", "{}").await;
    register(&client, "idle", r#"{"max_concurrency": 4}"#).await;
    let first = submit(&client, "pinned", "{}").await;
    assert_eq!(lease(&client, "busy", 1).await, [first.as_str()]);
    let pinned = submit(&client, "pinned", "{}").await;
    let free = submit(&client, "free", "{}").await;
    assert_eq!(
        lease(&client, "idle", 4).await,
        [free],
        "the pinned one is passed over"
    );
    age(&client, &pinned, 3).await;
    assert_eq!(
        lease(&client, "idle", 4).await,
        [pinned],
        "after pin_wait_ms anybody may"
    );
    // Once the busy worker is done with the context, nothing pins it.
    let next = submit(&client, "pinned", "{}").await;
    complete(&client, &first, "success").await;
    assert_eq!(lease(&client, "idle", 4).await, [next]);
}

#[tokio::test]
async fn a_worker_gets_only_tasks_whose_labels_it_has_all() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "plain", "{}").await;
    register(
        &client,
        "gpu",
        r#"{"labels": ["gpu", "eu"], "max_concurrency": 4}"#,
    )
    .await;
    let both = submit(&client, "a", r#"{"requires": ["eu", "gpu", "eu"]}"#).await;
    let one = submit(&client, "b", r#"{"requires": ["gpu"]}"#).await;
    let unmet = submit(&client, "c", r#"{"requires": ["gpu", "us"]}"#).await;
    assert!(lease(&client, "plain", 1).await.is_empty());
    assert_eq!(lease(&client, "gpu", 4).await, [both, one]);
    let sql = format!("select bloom.lease_task('{unmet}', array['gpu', 'plain', 'nobody'])");
    let refusal = crate::sql_kit::refused(&client, &sql);
    assert_eq!(refusal.await, "RT503 no_available_worker");
}

#[tokio::test]
async fn a_worker_is_given_only_the_queues_it_asks_for() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 4}"#).await;
    submit(&client, "a", r#"{"queue": "one"}"#).await;
    let two = submit(&client, "b", r#"{"queue": "two"}"#).await;
    let sql = r#"select task_id from bloom.lease_next('w', null, 4, 300, '{"queues": ["two"]}')"#;
    assert_eq!(crate::sql_kit::column(&client, sql).await, [two]);
}
