//! Workers that go while they are asked for.

use serde_json::json;
use uuid::Uuid;

use super::Session;
use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::verbs;

#[tokio::test]
async fn a_new_process_of_a_removed_worker_is_told_so() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 1).await.unwrap();
    verbs::submit(&witness, "c", json!({})).await.unwrap();
    one.begin("read committed").await;
    verbs::remove(&one, "w").await.unwrap();
    let session = two.clone();
    let asking = two
        .blocked(&witness, async move {
            let process = Some(Uuid::new_v4());
            verbs::lease_next_with(&session, "w", process, 1, 300, json!({})).await
        })
        .await;
    one.commit().await;
    let error = asking.await.unwrap().unwrap_err();
    assert_eq!(verbs::code(&error), "worker_not_found", "{error:?}");
    assert_clean(&witness).await;
}

#[tokio::test]
async fn a_claim_that_waits_for_a_removal_gets_nothing() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 1).await.unwrap();
    let task = verbs::submit(&witness, "c", json!({})).await.unwrap();
    one.begin("read committed").await;
    verbs::remove(&one, "w").await.unwrap();
    let session = two.clone();
    let claiming = two
        .blocked(&witness, async move {
            verbs::lease_next(&session, "w", 1).await
        })
        .await;
    one.commit().await;
    assert_eq!(claiming.await.unwrap().unwrap(), []);
    let error = verbs::lease_task(&two, task, &["w"]).await.unwrap_err();
    assert_eq!(verbs::code(&error), "no_available_worker");
    assert_clean(&witness).await;
}

#[tokio::test]
async fn a_removal_that_waits_for_a_claim_takes_the_lease_along() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 1).await.unwrap();
    let task = verbs::submit(&witness, "c", json!({})).await.unwrap();
    one.begin("read committed").await;
    assert_eq!(verbs::lease_next(&one, "w", 1).await.unwrap().len(), 1);
    let session = two.clone();
    let removing = two
        .blocked(&witness, async move { verbs::remove(&session, "w").await })
        .await;
    one.commit().await;
    assert_eq!(removing.await.unwrap().unwrap(), 1);
    assert_eq!(verbs::status(&witness, task).await, "queued");
    assert_clean(&witness).await;
}

#[tokio::test]
async fn registering_again_and_removing_do_not_wait_for_each_other() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 1).await.unwrap();
    // Registration holds the worker's row and comes to its counter next.
    one.begin("read committed").await;
    let sql = "update bloom_private.worker set os_info = 'x'";
    one.batch_execute(sql).await.unwrap();
    let session = two.clone();
    let removing = two
        .blocked(&witness, async move { verbs::remove(&session, "w").await })
        .await;
    verbs::register(&one, "w", 2).await.unwrap();
    one.commit().await;
    removing.await.unwrap().unwrap();
    assert_clean(&witness).await;
}

#[tokio::test]
async fn a_removal_takes_along_a_lease_that_changed_while_it_was_waited_for() {
    let db = TestDb::new().await;
    let (first, second, removing, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 5).await.unwrap();
    for context in ["c", "d"] {
        verbs::submit(&witness, context, json!({})).await.unwrap();
    }
    let early = verbs::lease_next(&witness, "w", 1).await.unwrap().remove(0);
    first.begin("read committed").await;
    verbs::extend(&first, &early).await.unwrap();
    let session = removing.clone();
    let removal = removing
        .blocked(&witness, async move { verbs::remove(&session, "w").await })
        .await;
    // Granted behind the removal's first pass, and held when its second one comes.
    let late = verbs::lease_next(&witness, "w", 1).await.unwrap().remove(0);
    second.begin("read committed").await;
    verbs::extend(&second, &late).await.unwrap();
    first.commit().await;
    second.wait_for_waiting(&witness).await;
    second.commit().await;
    assert_eq!(removal.await.unwrap().unwrap(), 2);
    let live = crate::sql_kit::one(&witness, "select count(*) from bloom_private.lease").await;
    assert_eq!(live, "0");
    assert_clean(&witness).await;
}
