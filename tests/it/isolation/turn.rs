//! Serial contexts: a turn is never lost and never taken twice.

use serde_json::{Value, json};

use super::Session;
use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::verbs;

fn serial() -> Value {
    json!({"policy": {"serial": true}})
}

#[tokio::test]
async fn cancelling_the_next_in_turn_does_not_strand_those_behind_it() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 1).await.unwrap();
    verbs::submit(&witness, "c", serial()).await.unwrap();
    let next = verbs::submit(&witness, "c", serial()).await.unwrap();
    let behind = verbs::submit(&witness, "c", serial()).await.unwrap();
    let turn = verbs::lease_next(&witness, "w", 1).await.unwrap().remove(0);

    one.begin("read committed").await;
    verbs::cancel(&one, next).await.unwrap();
    let session = two.clone();
    let ending = two
        .blocked(
            &witness,
            async move { verbs::succeed(&session, &turn).await },
        )
        .await;
    one.commit().await;
    ending.await.unwrap().unwrap();

    assert_clean(&witness).await;
    let grants = verbs::lease_next(&witness, "w", 1).await.unwrap();
    assert_eq!(grants[0].task, behind, "the turn is passed on");
}

#[tokio::test]
async fn a_task_parked_while_the_turn_ends_gets_the_turn() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 1).await.unwrap();
    verbs::submit(&witness, "c", serial()).await.unwrap();
    let turn = verbs::lease_next(&witness, "w", 1).await.unwrap().remove(0);

    one.begin("read committed").await;
    let parked = verbs::submit(&one, "c", serial()).await.unwrap();
    let session = two.clone();
    let ending = two
        .blocked(
            &witness,
            async move { verbs::succeed(&session, &turn).await },
        )
        .await;
    one.commit().await;
    ending.await.unwrap().unwrap();
    assert_clean(&witness).await;
    let grants = verbs::lease_next(&witness, "w", 1).await.unwrap();
    assert_eq!(grants[0].task, parked);
}

#[tokio::test]
async fn a_task_submitted_while_the_turn_ends_does_not_wait_for_nobody() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 1).await.unwrap();
    verbs::submit(&witness, "c", serial()).await.unwrap();
    let turn = verbs::lease_next(&witness, "w", 1).await.unwrap().remove(0);

    one.begin("read committed").await;
    verbs::succeed(&one, &turn).await.unwrap();
    let session = two.clone();
    let submitting = two
        .blocked(&witness, async move {
            verbs::submit(&session, "c", serial()).await
        })
        .await;
    one.commit().await;
    let task = submitting.await.unwrap().unwrap();
    assert_clean(&witness).await;
    let grants = verbs::lease_next(&witness, "w", 1).await.unwrap();
    assert_eq!(grants[0].task, task);
}

#[tokio::test]
async fn an_old_snapshot_cannot_pass_a_turn_over_a_task_it_does_not_see() {
    let db = TestDb::new().await;
    let (one, witness) = (Session::new(&db).await, db.connect().await);
    verbs::register(&witness, "w", 1).await.unwrap();
    verbs::submit(&witness, "c", serial()).await.unwrap();
    let turn = verbs::lease_next(&witness, "w", 1).await.unwrap().remove(0);

    one.begin("repeatable read").await;
    one.query("select 1 from bloom.llm_tasks", &[])
        .await
        .unwrap();
    let parked = verbs::submit(&witness, "c", serial()).await.unwrap();
    let error = verbs::succeed(&one, &turn).await.unwrap_err();
    assert_eq!(verbs::state(&error), "40001");
    one.batch_execute("rollback").await.unwrap();
    verbs::succeed(&one, &turn).await.unwrap();
    assert_clean(&witness).await;
    let grants = verbs::lease_next(&witness, "w", 1).await.unwrap();
    assert_eq!(grants[0].task, parked);
}

#[tokio::test]
async fn a_repeated_cancel_takes_no_turn_from_a_task_that_was_requeued_meanwhile() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    let task = verbs::submit(&witness, "c", serial()).await.unwrap();
    verbs::cancel(&witness, task).await.unwrap();

    // Stops the second cancel after its look at the task and before its look at the turn.
    one.begin("read committed").await;
    one.batch_execute("lock table bloom_private.context_slot")
        .await
        .unwrap();
    let session = two.clone();
    let cancelling = two
        .blocked(&witness, async move { verbs::cancel(&session, task).await })
        .await;
    verbs::requeue(&one, task).await.unwrap();
    one.commit().await;
    assert_eq!(cancelling.await.unwrap().unwrap(), "cancelled");

    assert_clean(&witness).await;
    let behind = verbs::submit(&witness, "c", serial()).await.unwrap();
    verbs::register(&witness, "w", 2).await.unwrap();
    let grants = verbs::lease_next(&witness, "w", 2).await.unwrap();
    assert_eq!(grants.len(), 1, "{behind} waits for its turn");
    assert_eq!(grants[0].task, task);
}

#[tokio::test]
async fn a_parked_task_whose_priority_changes_while_the_turn_ends_gets_the_turn() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 1).await.unwrap();
    verbs::submit(&witness, "c", serial()).await.unwrap();
    let next = verbs::submit(&witness, "c", serial()).await.unwrap();
    verbs::submit(&witness, "c", serial()).await.unwrap();
    let turn = verbs::lease_next(&witness, "w", 1).await.unwrap().remove(0);

    one.begin("read committed").await;
    verbs::prioritize(&one, next, 1).await.unwrap();
    let session = two.clone();
    let ending = two
        .blocked(
            &witness,
            async move { verbs::succeed(&session, &turn).await },
        )
        .await;
    one.commit().await;
    ending.await.unwrap().unwrap();
    assert_clean(&witness).await;
    let grants = verbs::lease_next(&witness, "w", 1).await.unwrap();
    assert_eq!(grants[0].task, next);
}
