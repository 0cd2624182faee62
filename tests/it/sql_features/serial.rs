//! Contexts that take one task at a time, in order.

use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{
    age, complete, lease, lease_of, one, register, run, status, submit, until_blocked,
};

const SERIAL: &str = r#"{"policy": {"serial": true}}"#;

async fn three(client: &Client) -> [String; 3] {
    register(client, "w", r#"{"max_concurrency": 8}"#).await;
    [
        submit(client, "c", SERIAL).await,
        submit(client, "c", SERIAL).await,
        submit(client, "c", SERIAL).await,
    ]
}

#[tokio::test]
async fn tasks_of_a_serial_context_run_one_at_a_time_in_order() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let tasks = three(&client).await;
    let other = submit(&client, "another", SERIAL).await;
    assert_eq!(lease(&client, "w", 8).await, [tasks[0].clone(), other]);
    assert!(lease(&client, "w", 8).await.is_empty());
    for pair in tasks.windows(2) {
        complete(&client, &pair[0], "success").await;
        assert_eq!(lease(&client, "w", 8).await, [pair[1].as_str()]);
    }
    complete(&client, &tasks[2], "success").await;
    let turns = one(&client, "select count(*) from bloom_private.context_slot").await;
    assert_eq!(turns, "1", "only the other context is busy");
}

#[tokio::test]
async fn a_retry_keeps_the_turn_and_death_passes_it_on() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let tasks = three(&client).await;
    for attempt in 1..=3 {
        assert_eq!(
            lease(&client, "w", 8).await,
            [tasks[0].as_str()],
            "attempt {attempt}"
        );
        let wanted = if attempt < 3 { "failed" } else { "dead" };
        assert_eq!(complete(&client, &tasks[0], "error").await, wanted);
        if attempt < 3 {
            assert!(lease(&client, "w", 8).await.is_empty(), "the turn is kept");
            age(&client, &tasks[0], 3600).await;
            run(&client, "select bloom.task_promote()").await;
        }
    }
    assert_eq!(lease(&client, "w", 8).await, [tasks[1].as_str()]);
}

#[tokio::test]
async fn cancelling_passes_the_turn_on_wherever_the_task_stands() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let tasks = three(&client).await;
    let fourth = submit(&client, "c", SERIAL).await;
    // Parked: nobody's turn changes.
    run(
        &client,
        &format!("select bloom.task_cancel('{}')", tasks[1]),
    )
    .await;
    // Leased: the turn passes when the lease ends.
    assert_eq!(lease(&client, "w", 8).await, [tasks[0].as_str()]);
    run(
        &client,
        &format!("select bloom.task_cancel('{}')", tasks[0]),
    )
    .await;
    assert!(lease(&client, "w", 8).await.is_empty());
    let held = lease_of(&client, &tasks[0]).await;
    run(
        &client,
        &format!("select bloom.lease_release('{}', '{held}')", tasks[0]),
    )
    .await;
    assert_eq!(status(&client, &tasks[0]).await, "cancelled");
    // Ready: at once.
    run(
        &client,
        &format!("select bloom.task_cancel('{}')", tasks[2]),
    )
    .await;
    assert_eq!(lease(&client, "w", 8).await, [fourth.as_str()]);
    // Waiting for its retry.
    let fifth = submit(&client, "c", SERIAL).await;
    complete(&client, &fourth, "error").await;
    run(&client, &format!("select bloom.task_cancel('{fourth}')")).await;
    assert_eq!(lease(&client, "w", 8).await, [fifth]);
}

#[tokio::test]
async fn a_requeued_or_scheduled_task_takes_its_turn_behind_those_that_wait() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let tasks = three(&client).await;
    let scheduled = one(
        &client,
        "select bloom.task_submit('c', 'a', 'p', jsonb_build_object('run_at',
             now() + interval '1 hour', 'policy', '{\"serial\": true}'::jsonb))",
    )
    .await;
    run(
        &client,
        &format!("select bloom.task_cancel('{}')", tasks[0]),
    )
    .await;
    run(
        &client,
        &format!("select bloom.task_requeue('{}')", tasks[0]),
    )
    .await;
    age(&client, &scheduled, 7200).await;
    assert_eq!(one(&client, "select bloom.task_promote()").await, "1");
    for task in [&tasks[1], &tasks[2], &tasks[0], &scheduled] {
        assert_eq!(lease(&client, "w", 8).await, [task.as_str()]);
        complete(&client, task, "success").await;
    }
}

#[tokio::test]
async fn a_serial_queue_makes_its_tasks_serial_without_their_asking() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 8}"#).await;
    run(
        &client,
        "select bloom.queue_configure('q', '{\"serial_contexts\": true}')",
    )
    .await;
    let first = submit(&client, "c", r#"{"queue": "q"}"#).await;
    submit(&client, "c", r#"{"queue": "q"}"#).await;
    assert_eq!(lease(&client, "w", 8).await, [first]);
    assert!(lease(&client, "w", 8).await.is_empty());
}

#[tokio::test]
async fn the_turn_is_not_lost_when_the_next_task_is_cancelled_at_the_same_moment() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let tasks = three(&client).await;
    assert_eq!(lease(&client, "w", 8).await, [tasks[0].as_str()]);
    let canceller = db.connect().await;
    run(&canceller, "begin").await;
    run(
        &canceller,
        &format!("select bloom.task_cancel('{}')", tasks[1]),
    )
    .await;
    let completer = db.connect().await;
    let first = tasks[0].clone();
    let completing = tokio::spawn(async move { complete(&completer, &first, "success").await });
    until_blocked(&client).await;
    run(&canceller, "commit").await;
    assert_eq!(completing.await.unwrap(), "completed");
    assert_eq!(
        lease(&client, "w", 8).await,
        [tasks[2].as_str()],
        "the third has its turn"
    );
}

#[tokio::test]
async fn the_turn_is_not_lost_when_a_task_is_parked_while_the_last_one_ends() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 8}"#).await;
    let first = submit(&client, "c", SERIAL).await;
    assert_eq!(lease(&client, "w", 8).await, [first.as_str()]);
    let submitter = db.connect().await;
    run(&submitter, "begin").await;
    let second = submit(&submitter, "c", SERIAL).await;
    let completer = db.connect().await;
    let completing = tokio::spawn(async move { complete(&completer, &first, "success").await });
    until_blocked(&client).await;
    run(&submitter, "commit").await;
    completing.await.unwrap();
    assert_eq!(lease(&client, "w", 8).await, [second]);
}
