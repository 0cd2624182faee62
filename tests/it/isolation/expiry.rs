//! Expiry against everything that a live worker does: what was renewed is never taken back, and
//! what was taken back is never obeyed.

use serde_json::json;
use uuid::Uuid;

use super::Session;
use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::verbs::{self, Grant};

/// A worker with one lease, held by a session.
async fn leased(db: &TestDb, session: Option<Uuid>) -> (tokio_postgres::Client, Grant) {
    let client = db.connect().await;
    verbs::register(&client, "w", 2).await.unwrap();
    verbs::submit(&client, "c", json!({})).await.unwrap();
    let grants = verbs::lease_next_with(&client, "w", session, 1, 300, json!({})).await;
    let grant = grants.unwrap().remove(0);
    (client, grant)
}

/// Lets session and lease lie an hour back.
async fn let_run_out(client: &tokio_postgres::Client) {
    verbs::make_overdue(client).await.unwrap();
    let sql = "update bloom_private.worker_session set beat_at = beat_at - interval '1 hour'; \
               update bloom_private.lease set expires_at = expires_at - interval '1 hour'";
    let sql = format!("begin; set local search_path = pg_catalog, bloom_private; {sql}; commit");
    client.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn a_beat_that_comes_first_keeps_its_leases() {
    let db = TestDb::new().await;
    let session = Uuid::new_v4();
    let (witness, grant) = leased(&db, Some(session)).await;
    let_run_out(&witness).await;
    let (one, two) = (Session::new(&db).await, Session::new(&db).await);
    one.begin("read committed").await;
    let answer = verbs::beat(&one, "w", session, &[grant.lease]).await;
    assert_eq!(answer.unwrap()["leases"][0]["state"], "ok");
    // The reaper may leave the lease or wait for the beat, but not end what the beat renews.
    let reaper = {
        let two = two.clone();
        tokio::spawn(async move { verbs::expire(&two).await })
    };
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    one.commit().await;
    assert_eq!(reaper.await.unwrap().unwrap(), 0);
    verbs::succeed(&witness, &grant).await.unwrap();
    assert_clean(&witness).await;
}

#[tokio::test]
async fn a_reaper_with_an_old_snapshot_does_not_end_renewed_leases() {
    for level in ["repeatable read", "serializable"] {
        let db = TestDb::new().await;
        let session = Uuid::new_v4();
        let (witness, grant) = leased(&db, Some(session)).await;
        let_run_out(&witness).await;
        let reaper = Session::new(&db).await;
        reaper.begin(level).await;
        reaper.query("select 1", &[]).await.unwrap();
        let answer = verbs::beat(&witness, "w", session, &[grant.lease]).await;
        assert_eq!(answer.unwrap()["leases"][0]["state"], "ok");
        match verbs::expire(&reaper).await {
            Ok(ended) => assert_eq!(ended, 0, "{level}"),
            Err(error) => assert!(verbs::is_retryable(&error), "{error:?}"),
        }
        reaper.batch_execute("rollback").await.unwrap();
        verbs::succeed(&witness, &grant).await.unwrap();
        assert_clean(&witness).await;
    }
}

#[tokio::test]
async fn a_reaper_does_not_end_a_lease_whose_renewal_it_waits_beside() {
    let db = TestDb::new().await;
    let (witness, grant) = leased(&db, None).await;
    verbs::make_overdue(&witness).await.unwrap();
    let (one, two) = (Session::new(&db).await, Session::new(&db).await);
    one.begin("read committed").await;
    verbs::heartbeat(&one, &grant).await.unwrap();
    assert_eq!(verbs::expire(&two).await.unwrap(), 0, "it is skipped");
    one.commit().await;
    assert_eq!(verbs::expire(&two).await.unwrap(), 0, "it is renewed");
    assert_clean(&witness).await;
}

#[tokio::test]
async fn a_completion_that_waits_past_expiry_still_counts_while_nobody_took_the_lease() {
    let db = TestDb::new().await;
    let (witness, grant) = leased(&db, None).await;
    let (one, two) = (Session::new(&db).await, Session::new(&db).await);
    one.begin("read committed").await;
    let lock = "select from bloom_private.lease for update";
    one.query(lock, &[]).await.unwrap();
    let session = two.clone();
    let held = grant.clone();
    let call = async move { verbs::succeed(&session, &held).await };
    let completing = two.blocked(&witness, call).await;
    one.batch_execute("set local search_path = bloom_private; update lease set expires_at = now()")
        .await
        .unwrap();
    one.commit().await;
    assert_eq!(completing.await.unwrap().unwrap().0, "completed");
    assert_clean(&witness).await;
}

#[tokio::test]
async fn what_waits_behind_the_reaper_is_refused() {
    for level in ["read committed", "repeatable read", "serializable"] {
        let db = TestDb::new().await;
        let (witness, grant) = leased(&db, None).await;
        verbs::make_overdue(&witness).await.unwrap();
        let (one, two) = (Session::new(&db).await, Session::new(&db).await);
        one.begin("read committed").await;
        assert_eq!(verbs::expire(&one).await.unwrap(), 1);
        two.begin(level).await;
        let (session, late) = (two.clone(), grant.clone());
        let call = async move { verbs::succeed(&session, &late).await };
        let completing = two.blocked(&witness, call).await;
        one.commit().await;
        let error = completing.await.unwrap().unwrap_err();
        let expected = if level == "read committed" {
            "RT409"
        } else {
            "40001"
        };
        assert_eq!(verbs::state(&error), expected, "{error:?}");
        two.batch_execute("rollback").await.unwrap();
        let error = verbs::heartbeat(&two, &grant).await.unwrap_err();
        assert_eq!(
            (verbs::state(&error), verbs::code(&error)),
            ("RT409", "lease_lost")
        );
        assert_clean(&witness).await;
    }
}

#[tokio::test]
async fn a_task_named_to_the_reaper_is_ended_however_many_others_ran_out() {
    let db = TestDb::new().await;
    let (witness, first) = leased(&db, None).await;
    verbs::submit(&witness, "d", json!({})).await.unwrap();
    let second = verbs::lease_next(&witness, "w", 1).await.unwrap().remove(0);
    verbs::make_overdue(&witness).await.unwrap();
    for grant in [second, first] {
        let sql = "select bloom.lease_expire(1, array[$1::uuid], '{\"grace_seconds\": 0}')";
        let row = witness.query_one(sql, &[&grant.task]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 1);
    }
    assert_clean(&witness).await;
}
