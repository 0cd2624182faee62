//! The same thing said twice.

use crate::pg::TestDb;
use crate::sql_kit::{column, json, lease, one, refused, register, run, status, submit, try_rows};

const BODY: &str =
    r#"{"context_id": "c", "agent_slug": "a", "prompt": "p", "idempotency_key": "k"}"#;

#[tokio::test]
async fn the_same_submission_is_one_task_and_another_body_is_refused() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let body = r#"{"idempotency_key": "k", "requires": ["b", "a"], "priority": 3}"#;
    let same = r#"{"idempotency_key": "k", "requires": ["a", "b", "a"], "priority": 3,
                   "policy": {"timeout_sec": 120}}"#;
    let task = submit(&client, "c", body).await;
    assert_eq!(submit(&client, "c", same).await, task);
    let other = "select bloom.task_submit('c', 'agent', 'another', '{\"idempotency_key\": \"k\"}')";
    assert_eq!(refused(&client, other).await, "RT409 idempotency_conflict");
    assert_eq!(
        one(&client, "select count(*) from bloom_private.task").await,
        "1"
    );
}

#[tokio::test]
async fn what_the_caller_did_not_say_makes_no_other_submission_of_it() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let body = r#"{"idempotency_key": "k", "run_at": 1800000000000}"#;
    let task = submit(&client, "c", body).await;
    // Neither the zone of the session nor what an operator did to the queue is the caller's word.
    run(&client, "set timezone = 'Asia/Kolkata'").await;
    assert_eq!(submit(&client, "c", body).await, task);
    run(
        &client,
        "select bloom.queue_configure('default', '{\"serial_contexts\": true}')",
    )
    .await;
    assert_eq!(submit(&client, "c", body).await, task);
}

#[tokio::test]
async fn a_batch_may_name_a_key_twice() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let sql = format!(
        "select count(distinct task_id) || ' ' || count(*) filter (where created)
           from bloom.task_submit_many('[{BODY}, {BODY}, {BODY}]')"
    );
    assert_eq!(one(&client, &sql).await, "1 1");
    let other = BODY.replace("\"p\"", "\"q\"");
    let sql = format!("select bloom.task_submit_many('[{BODY}, {other}]')");
    assert_eq!(refused(&client, &sql).await, "RT409 idempotency_conflict");
    let sql = format!(
        "select coalesce(error ->> 'code', 'ok') from bloom.task_submit_many(
             '[{BODY}, {other}]', '{{\"atomic\": false}}') order by ordinal"
    );
    assert_eq!(column(&client, &sql).await, ["ok", "idempotency_conflict"]);
}

#[tokio::test]
async fn an_atomic_batch_with_one_bad_item_stores_nothing() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let sql = format!("select bloom.task_submit_many('[{BODY}, {{\"prompt\": 3}}]')");
    assert_eq!(refused(&client, &sql).await, "RT400 invalid_argument");
    assert_eq!(
        one(&client, "select count(*) from bloom_private.task").await,
        "0"
    );
    assert_eq!(
        one(&client, "select count(*) from bloom_private.idempotency").await,
        "0"
    );
}

#[tokio::test]
async fn a_rolled_back_submission_leaves_its_key_free() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    run(&client, "begin").await;
    submit(&client, "c", r#"{"idempotency_key": "k"}"#).await;
    run(&client, "rollback").await;
    submit(&client, "another", r#"{"idempotency_key": "k"}"#).await;
    assert_eq!(
        one(&client, "select count(*) from bloom_private.task").await,
        "1"
    );
}

#[tokio::test]
async fn many_who_submit_one_key_at_once_get_one_task() {
    let db = TestDb::new().await;
    let mut all = Vec::new();
    for _ in 0..16 {
        let client = db.connect().await;
        all.push(tokio::spawn(async move {
            submit(&client, "c", r#"{"idempotency_key": "k"}"#).await
        }));
    }
    let mut tasks = Vec::new();
    for one in all {
        tasks.push(one.await.unwrap());
    }
    tasks.dedup();
    assert_eq!(tasks.len(), 1);
}

#[tokio::test]
async fn the_same_request_for_work_gets_the_same_leases() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 8}"#).await;
    for n in 0..4 {
        submit(&client, &format!("c{n}"), "{}").await;
    }
    let ask = |request: &str| {
        format!(
            "select lease_id || ' ' || replayed from bloom.lease_next('w', null, 2, 300,
                 '{{\"request_id\": \"01900000-0000-7000-8000-00000000000{request}\"}}')"
        )
    };
    let first = column(&client, &ask("1")).await;
    let again = column(&client, &ask("1")).await;
    assert_eq!(first.len(), 2);
    let replayed: Vec<_> = first
        .iter()
        .map(|row| row.replace("false", "true"))
        .collect();
    assert_eq!(again, replayed);
    let next = column(&client, &ask("2")).await;
    assert_eq!(next.len(), 2);
    assert!(
        next.iter()
            .all(|row| row.ends_with("false") && !first.contains(row))
    );
}

#[tokio::test]
async fn the_same_result_twice_is_one_result_and_another_is_refused() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let task = submit(&client, "c", "{}").await;
    lease(&client, "w", 1).await;
    let held = crate::sql_kit::lease_of(&client, &task).await;
    let say = |output: &str| {
        format!(
            "select artifact_id || ' ' || completed_at || ' ' || task_status, replayed
               from bloom.lease_complete('{task}', '{held}', 'success', '{output}',
                   '{{\"metrics\": {{\"duration_ms\": 5, \"tokens_used\": null}}}}')"
        )
    };
    let first = try_rows(&client, &say("out")).await.unwrap();
    let again = try_rows(&client, &say("out")).await.unwrap();
    assert_eq!(first[0].get(0), again[0].get(0));
    assert_eq!((first[0].get(1), again[0].get(1)), (Some("f"), Some("t")));
    assert_eq!(
        refused(&client, &say("other")).await,
        "RT409 already_completed"
    );
    assert_eq!(status(&client, &task).await, "completed");
    let stats = json(&client, "select bloom.stats()").await;
    assert_eq!(stats["stale_refused"], 1, "the refused one is counted");
    assert_eq!(
        one(&client, "select count(*) from bloom_private.artifact").await,
        "1"
    );
}
