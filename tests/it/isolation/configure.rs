//! Limits that change while somebody claims, and requests that arrive twice at once.

use serde_json::json;

use super::Session;
use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::verbs;

#[tokio::test]
async fn a_limit_lowered_while_a_claim_waits_holds_for_the_claim() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 9).await.unwrap();
    verbs::configure(&witness, "q", json!({"max_running": 5}))
        .await
        .unwrap();
    for _ in 0..5 {
        verbs::submit(&witness, "c", json!({"queue": "q"}))
            .await
            .unwrap();
    }
    one.begin("read committed").await;
    verbs::configure(&one, "q", json!({"max_running": 1}))
        .await
        .unwrap();
    let session = two.clone();
    let claiming = two
        .blocked(&witness, async move {
            verbs::lease_next(&session, "w", 5).await
        })
        .await;
    one.commit().await;
    assert_eq!(claiming.await.unwrap().unwrap().len(), 1);
    assert_clean(&witness).await;
}

#[tokio::test]
async fn a_limit_raised_while_a_lease_ends_is_not_forgotten() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 9).await.unwrap();
    verbs::configure(&witness, "q", json!({"max_running": 1}))
        .await
        .unwrap();
    for _ in 0..4 {
        verbs::submit(&witness, "c", json!({"queue": "q"}))
            .await
            .unwrap();
    }
    let grant = verbs::lease_next(&witness, "w", 5).await.unwrap().remove(0);
    one.begin("read committed").await;
    verbs::configure(&one, "q", json!({"max_running": 3}))
        .await
        .unwrap();
    let session = two.clone();
    let ending = two
        .blocked(
            &witness,
            async move { verbs::succeed(&session, &grant).await },
        )
        .await;
    one.commit().await;
    ending.await.unwrap().unwrap();
    assert_clean(&witness).await;
    assert_eq!(verbs::lease_next(&witness, "w", 5).await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_same_request_sent_twice_at_once_gets_the_same_leases() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 9).await.unwrap();
    for _ in 0..4 {
        verbs::submit(&witness, "c", json!({})).await.unwrap();
    }
    let request = json!({"request_id": "11111111-1111-4111-8111-111111111111"});
    one.begin("read committed").await;
    let first = verbs::lease_next_with(&one, "w", None, 2, 300, request.clone()).await;
    let session = two.clone();
    let again = two
        .blocked(&witness, async move {
            verbs::lease_next_with(&session, "w", None, 2, 300, request).await
        })
        .await;
    one.commit().await;
    assert_eq!(again.await.unwrap().unwrap(), first.unwrap());
    assert_clean(&witness).await;
}

#[tokio::test]
async fn the_same_submission_is_the_same_in_every_session_and_under_every_setting() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let task = json!({"idempotency_key": "k", "run_at": 1_900_000_000_000_i64});
    let first = verbs::submit(&client, "c", task.clone()).await.unwrap();
    client
        .batch_execute("set timezone = 'Asia/Kathmandu'; set datestyle = 'SQL, DMY'")
        .await
        .unwrap();
    assert_eq!(
        verbs::submit(&client, "c", task.clone()).await.unwrap(),
        first
    );
    verbs::configure(&client, "default", json!({"serial_contexts": true}))
        .await
        .unwrap();
    assert_eq!(verbs::submit(&client, "c", task).await.unwrap(), first);
    let other = json!({"idempotency_key": "k", "run_at": 1_900_000_000_001_i64});
    let error = verbs::submit(&client, "c", other).await.unwrap_err();
    assert_eq!(verbs::code(&error), "idempotency_conflict");
    assert_clean(&client).await;
}

#[tokio::test]
async fn a_full_table_of_lanes_refuses_submissions_and_never_a_return() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    verbs::register(&client, "w", 1).await.unwrap();
    verbs::submit(&client, "c", json!({})).await.unwrap();
    let grant = verbs::lease_next(&client, "w", 1).await.unwrap().remove(0);
    client
        .batch_execute(
            "insert into bloom_private.lane (queue, requires, priority, returned) \
             select 'default', array['x' || n], 5, false from generate_series(1, 10000) n",
        )
        .await
        .unwrap();
    let labels = json!({"requires": ["new"]});
    let error = verbs::submit(&client, "c", labels).await.unwrap_err();
    assert_eq!(verbs::code(&error), "too_many_lanes");
    assert_eq!(verbs::release(&client, &grant).await.unwrap(), "queued");
    assert_clean(&client).await;
}
