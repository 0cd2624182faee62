//! A queued task may be given another priority.

use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::sql_kit::{causes, complete, lease, one, refused, register, run, submit};
use crate::verbs;

async fn prioritize(client: &Client, task: &str, priority: i32) {
    let sql = format!("select bloom.task_prioritize('{task}', {priority})");
    assert_eq!(one(client, &sql).await, "queued");
}

#[tokio::test]
async fn a_new_priority_decides_what_is_next() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let first = submit(&client, "a", "{}").await;
    let second = submit(&client, "b", "{}").await;
    let third = submit(&client, "c", "{}").await;
    prioritize(&client, &third, 0).await;
    prioritize(&client, &first, 9).await;
    let mut order = Vec::new();
    for _ in 0..3 {
        let next = lease(&client, "w", 1).await.remove(0);
        complete(&client, &next, "success").await;
        order.push(next);
    }
    assert_eq!(order, [third.clone(), second, first]);
    let sql = format!(
        "select detail::text from bloom_private.event
          where task_id = '{third}' and cause = 'prioritized'"
    );
    assert_eq!(one(&client, &sql).await, r#"{"to": 0, "from": 5}"#);
    assert_clean(&client).await;
}

#[tokio::test]
async fn a_new_priority_survives_a_return_a_retry_and_a_requeue() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    verbs::register(&client, "w", 1).await.unwrap();
    let id = verbs::submit(&client, "a", json!({})).await.unwrap();
    verbs::prioritize(&client, id, 2).await.unwrap();
    let grant = verbs::lease_next(&client, "w", 1).await.unwrap().remove(0);
    verbs::release(&client, &grant).await.unwrap();
    assert_eq!(lane(&client, id).await, "2 returned");
    verbs::prioritize(&client, id, 3).await.unwrap();
    assert_eq!(
        lane(&client, id).await,
        "3 returned",
        "still ahead of its equals"
    );
    verbs::cancel(&client, id).await.unwrap();
    verbs::requeue(&client, id).await.unwrap();
    assert_eq!(lane(&client, id).await, "3");
    assert_clean(&client).await;
}

/// The lane of a ready task.
async fn lane(client: &Client, task: Uuid) -> String {
    let sql = format!(
        "select l.priority || case when l.returned then ' returned' else '' end
           from bloom_private.ready r join bloom_private.lane l using (lane_id)
          where r.task_id = '{task}'"
    );
    one(client, &sql).await
}

#[tokio::test]
async fn time_and_turn_are_kept() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let since = "select string_agg(x, ' ') from (
        select task_id || ' ' || ready_at as x from bloom_private.ready
        union all select task_id || ' ' || run_at || since from bloom_private.deferred
        union all select task_id || ' ' || seq || since from bloom_private.parked order by 1) s";
    let serial = r#"{"policy": {"serial": true}}"#;
    let tasks = [
        submit(&client, "s", serial).await,
        submit(&client, "s", serial).await,
        submit(&client, "s", serial).await,
        submit(&client, "d", r#"{"run_at": "2031-01-01T00:00:00Z"}"#).await,
    ];
    let before = one(&client, since).await;
    for task in tasks.iter().rev() {
        prioritize(&client, task, 1).await;
        assert_eq!(causes(&client, task).await, ["submitted", "prioritized"]);
    }
    assert_eq!(one(&client, since).await, before);
    // The parked ones go on in the order in which they came, as ever.
    register(&client, "w", "{}").await;
    for task in &tasks[..3] {
        assert_eq!(lease(&client, "w", 5).await, [task.as_str()]);
        complete(&client, task, "success").await;
    }
    run(
        &client,
        "update bloom_private.deferred set run_at = clock_timestamp();
         select bloom.task_promote()",
    )
    .await;
    let scheduled: Uuid = tasks[3].parse().unwrap();
    assert_eq!(lane(&client, scheduled).await, "1");
}

#[tokio::test]
async fn only_a_queued_task_can_be_given_another_priority() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let task = submit(&client, "a", "{}").await;
    let sql = format!("select bloom.task_prioritize('{task}', 1)");
    lease(&client, "w", 1).await;
    assert_eq!(refused(&client, &sql).await, "RT409 wrong_status");
    complete(&client, &task, "success").await;
    assert_eq!(refused(&client, &sql).await, "RT409 wrong_status");
    let sql = "select bloom.task_prioritize(gen_random_uuid(), 1)";
    assert_eq!(refused(&client, sql).await, "RT404 task_not_found");
}
