//! What a transaction shows to others, and when.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Session;
use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::verbs;

/// Longest wait for a lane's mark to move.
const MARK_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_submission_that_is_rolled_back_leaves_nothing() {
    let db = TestDb::new().await;
    let (one, witness) = (Session::new(&db).await, db.connect().await);
    one.begin("read committed").await;
    let keyed = json!({"idempotency_key": "k", "queue": "fresh", "policy": {"serial": true}});
    let lost = verbs::submit(&one, "c", keyed.clone()).await.unwrap();
    one.batch_execute("rollback").await.unwrap();
    let sql = "select (select count(*) from bloom_private.task) \
                    + (select count(*) from bloom_private.event) \
                    + (select count(*) from bloom_private.idempotency) \
                    + (select count(*) from bloom_private.context_slot)";
    let rows: i64 = witness.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(rows, 0);
    assert_ne!(verbs::submit(&one, "c", keyed).await.unwrap(), lost);
    assert_clean(&witness).await;
}

#[tokio::test]
async fn a_submission_is_there_with_its_commit_and_not_before() {
    let db = TestDb::new().await;
    let (one, witness) = (Session::new(&db).await, db.connect().await);
    verbs::register(&witness, "w", 1).await.unwrap();
    one.begin("read committed").await;
    let task = verbs::submit(&one, "c", json!({})).await.unwrap();
    assert_eq!(verbs::lease_next(&witness, "w", 1).await.unwrap(), []);
    let error = verbs::cancel(&witness, task).await.unwrap_err();
    assert_eq!(verbs::code(&error), "task_not_found");
    one.commit().await;
    assert_eq!(verbs::lease_next(&witness, "w", 1).await.unwrap().len(), 1);
    assert_clean(&witness).await;
}

#[tokio::test]
async fn a_slow_submission_is_not_hidden_behind_the_marks_of_faster_ones() {
    let db = TestDb::new().await;
    let (slow, witness) = (Session::new(&db).await, db.connect().await);
    verbs::register(&witness, "w", 9).await.unwrap();
    verbs::submit(&witness, "c", json!({})).await.unwrap();
    slow.begin("read committed").await;
    let late = verbs::submit(&slow, "c", json!({})).await.unwrap();
    for _ in 0..5 {
        verbs::submit(&witness, "c", json!({})).await.unwrap();
        for grant in verbs::lease_next(&witness, "w", 9).await.unwrap() {
            verbs::succeed(&witness, &grant).await.unwrap();
        }
        verbs::advance(&witness).await.unwrap();
    }
    slow.commit().await;
    assert_clean(&witness).await;
    let grants = verbs::lease_next(&witness, "w", 9).await.unwrap();
    assert_eq!(grants[0].task, late);
    verbs::succeed(&witness, &grants[0]).await.unwrap();
    // Transactions of other tests on the same server may hold the mark back for a while.
    let deadline = Instant::now() + MARK_LIMIT;
    while verbs::advance(&witness).await.unwrap() == 0 {
        assert!(Instant::now() < deadline, "the mark never moves");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_lease_that_is_not_committed_is_passed_over_and_given_up_with_its_transaction() {
    for level in ["read committed", "repeatable read", "serializable"] {
        let db = TestDb::new().await;
        let (one, witness) = (Session::new(&db).await, db.connect().await);
        for worker in ["v", "w"] {
            verbs::register(&witness, worker, 1).await.unwrap();
        }
        let first = verbs::submit(&witness, "c", json!({})).await.unwrap();
        let second = verbs::submit(&witness, "d", json!({})).await.unwrap();
        one.begin(level).await;
        assert_eq!(
            verbs::lease_next(&one, "v", 1).await.unwrap()[0].task,
            first
        );
        let grants = verbs::lease_next(&witness, "w", 1).await.unwrap();
        assert_eq!(grants[0].task, second, "{level}");
        one.batch_execute("rollback").await.unwrap();
        let again = verbs::lease_next(&witness, "v", 1).await.unwrap();
        assert_eq!((again[0].task, again[0].fence), (first, 1));
        assert_clean(&witness).await;
    }
}

#[tokio::test]
async fn verbs_commit_and_roll_back_with_the_tables_of_their_caller() {
    let db = TestDb::new().await;
    let (one, witness) = (Session::new(&db).await, db.connect().await);
    witness
        .batch_execute("create table shop (task_id uuid, state text)")
        .await
        .unwrap();
    verbs::register(&witness, "w", 1).await.unwrap();
    for ending in ["rollback", "commit"] {
        one.begin("read committed").await;
        let task = verbs::submit(&one, "c", json!({})).await.unwrap();
        let sql = "insert into shop values ($1, 'asked')";
        one.execute(sql, &[&task]).await.unwrap();
        let grant = verbs::lease_next(&one, "w", 1).await.unwrap().remove(0);
        verbs::heartbeat(&one, &grant).await.unwrap();
        let done = verbs::succeed(&one, &grant).await.unwrap();
        assert_eq!(done, ("completed".to_owned(), false));
        let sql = "update shop set state = 'done' where task_id = $1";
        one.execute(sql, &[&task]).await.unwrap();
        one.batch_execute(ending).await.unwrap();
    }
    let sql = "select s.state || ' ' || t.status from shop s join bloom.llm_tasks t \
               on t.id::text = s.task_id::text";
    let rows = witness.query(sql, &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, String>(0), "done completed");
    assert_clean(&witness).await;
}

#[tokio::test]
async fn an_old_snapshot_cannot_exceed_a_capacity_or_take_what_is_taken() {
    for level in ["repeatable read", "serializable"] {
        let db = TestDb::new().await;
        let (one, witness) = (Session::new(&db).await, db.connect().await);
        verbs::register(&witness, "w", 1).await.unwrap();
        for _ in 0..3 {
            verbs::submit(&witness, "c", json!({})).await.unwrap();
        }
        one.begin(level).await;
        one.query("select 1", &[]).await.unwrap();
        let taken = verbs::lease_next(&witness, "w", 1).await.unwrap().remove(0);
        let error = verbs::lease_next(&one, "w", 1).await.unwrap_err();
        assert_eq!(verbs::state(&error), "40001", "{level}");
        one.batch_execute("rollback").await.unwrap();
        one.begin(level).await;
        one.query("select 1", &[]).await.unwrap();
        verbs::succeed(&witness, &taken).await.unwrap();
        let error = verbs::lease_task(&one, taken.task, &["w"])
            .await
            .unwrap_err();
        assert!(
            matches!(verbs::state(&error), "40001" | "RT409"),
            "{error:?}"
        );
        one.batch_execute("rollback").await.unwrap();
        assert_clean(&witness).await;
    }
}
