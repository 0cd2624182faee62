//! Capacities: of queues, of workers, and pauses.

use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{
    column, complete, lease, one, refused, register, run, status, submit, try_rows, until_blocked,
};

async fn configure(client: &Client, options: &str) {
    run(
        client,
        &format!("select bloom.queue_configure('q', '{options}')"),
    )
    .await;
}

async fn fill(client: &Client, tasks: usize) -> Vec<String> {
    let mut all = Vec::new();
    for n in 0..tasks {
        all.push(submit(client, &format!("c{n}"), r#"{"queue": "q"}"#).await);
    }
    all
}

#[tokio::test]
async fn a_queue_never_runs_more_than_its_limit_also_after_it_changed() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 32}"#).await;
    configure(&client, r#"{"max_running": 3}"#).await;
    fill(&client, 20).await;
    let running = lease(&client, "w", 20).await;
    assert_eq!(running.len(), 3);
    assert!(lease(&client, "w", 20).await.is_empty());
    // Lowered below what runs: nothing is stopped, nothing is added until it fits.
    configure(&client, r#"{"max_running": 1}"#).await;
    for task in &running[..2] {
        complete(&client, task, "success").await;
        assert!(lease(&client, "w", 20).await.is_empty());
    }
    complete(&client, &running[2], "success").await;
    assert_eq!(lease(&client, "w", 20).await.len(), 1);
    // Raised.
    configure(&client, r#"{"max_running": 5}"#).await;
    assert_eq!(lease(&client, "w", 20).await.len(), 4);
    // Removed: the rest; and put back, with those that were never counted let alone.
    configure(&client, r#"{"max_running": null}"#).await;
    let rest = lease(&client, "w", 20).await;
    assert_eq!(rest.len(), 12);
    configure(&client, r#"{"max_running": 6}"#).await;
    fill(&client, 5).await;
    assert_eq!(
        lease(&client, "w", 20).await.len(),
        1,
        "five of six are counted"
    );
    for task in rest {
        complete(&client, &task, "success").await;
    }
    let counted = one(&client, "select running from bloom_private.queue_slot").await;
    assert_eq!(counted, "6");
}

#[tokio::test]
async fn a_limit_lowered_while_a_worker_asks_is_obeyed() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 32}"#).await;
    configure(&client, r#"{"max_running": 5}"#).await;
    fill(&client, 10).await;
    let operator = db.connect().await;
    run(&operator, "begin").await;
    configure(&operator, r#"{"max_running": 1}"#).await;
    let worker = db.connect().await;
    let asking = tokio::spawn(async move {
        try_rows(
            &worker,
            "select task_id from bloom.lease_next('w', null, 10)",
        )
        .await
    });
    until_blocked(&client).await;
    run(&operator, "commit").await;
    let leased = asking.await.unwrap().map(|rows| rows.len());
    assert_eq!(leased, Ok(1));
}

#[tokio::test]
async fn a_paused_queue_gives_nothing_until_it_is_resumed() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 32}"#).await;
    let tasks = fill(&client, 3).await;
    assert_eq!(lease(&client, "w", 1).await, [tasks[0].as_str()]);
    run(&client, "select bloom.queue_pause('q')").await;
    assert!(lease(&client, "w", 5).await.is_empty());
    let sql = format!("select bloom.lease_task('{}', array['w'])", tasks[1]);
    assert_eq!(refused(&client, &sql).await, "RT409 queue_paused");
    assert_eq!(
        complete(&client, &tasks[0], "success").await,
        "completed",
        "what runs goes on"
    );
    run(&client, "select bloom.queue_resume('q')").await;
    assert_eq!(lease(&client, "w", 5).await, tasks[1..]);
}

#[tokio::test]
async fn a_worker_keeps_its_leases_when_its_capacity_falls_below_them() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 4}"#).await;
    fill(&client, 8).await;
    let held = lease(&client, "w", 8).await;
    assert_eq!(held.len(), 4);
    register(&client, "w", r#"{"max_concurrency": 2}"#).await;
    for task in &held[..2] {
        assert_eq!(complete(&client, task, "success").await, "completed");
        assert!(lease(&client, "w", 8).await.is_empty());
    }
    complete(&client, &held[2], "success").await;
    assert_eq!(lease(&client, "w", 8).await.len(), 1);
    let row = "select active || '/' || capacity from bloom_private.worker_slot";
    assert_eq!(one(&client, row).await, "2/2");
}

#[tokio::test]
async fn a_removed_worker_gives_its_tasks_back_and_is_given_none() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 4}"#).await;
    let tasks = fill(&client, 3).await;
    lease(&client, "w", 2).await;
    assert_eq!(one(&client, "select bloom.worker_remove('w')").await, "2");
    for task in &tasks {
        assert_eq!(status(&client, task).await, "queued");
    }
    let refusal = refused(&client, "select bloom.lease_next('w')").await;
    assert_eq!(refusal, "RT404 worker_not_found");
    let attempts = "select distinct attempts::text from bloom_private.ready";
    assert_eq!(column(&client, attempts).await, ["0"], "unburned");
}

#[tokio::test]
async fn a_worker_that_is_removed_while_it_asks_is_told_so() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    fill(&client, 1).await;
    let operator = db.connect().await;
    run(&operator, "begin").await;
    run(&operator, "select bloom.worker_remove('w')").await;
    for call in [
        "select task_id from bloom.lease_next('w', gen_random_uuid())",
        "select bloom.worker_beat('w', gen_random_uuid())",
    ] {
        let worker = db.connect().await;
        let asking = tokio::spawn(async move { try_rows(&worker, call).await.map(|r| r.len()) });
        until_blocked(&client).await;
        run(&operator, "commit").await;
        let answer = asking.await.unwrap();
        assert_eq!(answer, Err("RT404 worker_not_found".to_owned()), "{call}");
        register(&client, "w", "{}").await;
        run(&operator, "begin").await;
        run(&operator, "select bloom.worker_remove('w')").await;
    }
}
