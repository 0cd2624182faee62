//! A claim that had to wait acts on what holds when its turn comes, not on what it saw before.

use serde_json::json;

use super::Session;
use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::sql_kit::{column, one, run, try_one};
use crate::verbs;

/// A worker with two slots whose first lease ends, with a usage limit reported, in a transaction
/// that is left open. Two tasks more are waiting.
async fn limited() -> (
    TestDb,
    Session,
    Session,
    tokio_postgres::Client,
    Vec<String>,
) {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 2).await.unwrap();
    verbs::submit(&witness, "c", json!({})).await.unwrap();
    let held = verbs::lease_next(&witness, "w", 1).await.unwrap().remove(0);
    let mut waiting = Vec::new();
    for context in ["d", "e"] {
        let task = verbs::submit(&witness, context, json!({})).await.unwrap();
        waiting.push(task.to_string());
    }
    one.begin("read committed").await;
    let release = format!(
        "select bloom.lease_release('{}', '{}', jsonb_build_object('limited_until',
             ((extract(epoch from now()) + 3600) * 1000)::bigint))",
        held.task, held.lease
    );
    run(&one, &release).await;
    (db, one, two, witness, waiting)
}

#[tokio::test]
async fn a_worker_whose_limit_is_being_reported_gets_nothing_more() {
    for call in [
        "select task_id from bloom.lease_next('w', null, 2)",
        "select (granted).task_id from bloom.lease_next_many(array['w', 'w'],
             array[null, null]::uuid[], array[1, 1], array[60, 60], array[null, null]::uuid[])",
    ] {
        let (_db, one, two, witness, _) = limited().await;
        let session = two.clone();
        let asking = two
            .blocked(&witness, async move { column(&session, call).await })
            .await;
        one.commit().await;
        assert_eq!(asking.await.unwrap(), [""; 0], "{call}");
        assert_clean(&witness).await;
    }
}

#[tokio::test]
async fn a_task_is_not_leased_to_a_worker_whose_limit_is_being_reported() {
    let (_db, one, two, witness, waiting) = limited().await;
    let call = format!(
        "select task_id from bloom.lease_task('{}', array['w'])",
        waiting[0]
    );
    let session = two.clone();
    let asking = two
        .blocked(&witness, async move { try_one(&session, &call).await })
        .await;
    one.commit().await;
    let refusal = asking.await.unwrap().unwrap_err();
    assert_eq!(refusal, "RT503 no_available_worker");
}

#[tokio::test]
async fn a_worker_that_registers_anew_gets_what_it_can_do_now() {
    let db = TestDb::new().await;
    let (two, witness) = (Session::new(&db).await, db.connect().await);
    let able = json!({"labels": ["gpu"]});
    verbs::register_with(&witness, "w", able).await.unwrap();
    let needs = json!({"requires": ["gpu"]});
    verbs::submit(&witness, "c", needs).await.unwrap();
    let other = Session::new(&db).await;
    other.begin("read committed").await;
    verbs::register_with(&other, "w", json!({"labels": []}))
        .await
        .unwrap();
    let session = two.clone();
    let asking = two
        .blocked(&witness, async move {
            verbs::lease_next(&session, "w", 1).await
        })
        .await;
    other.commit().await;
    assert!(asking.await.unwrap().unwrap().is_empty());
}

#[tokio::test]
async fn a_queue_that_is_paused_or_limited_while_a_claim_waits_is_paused_or_limited_for_it() {
    for (change, leases) in [
        ("select bloom.queue_pause('default')", "0"),
        (
            "select bloom.queue_configure('default', '{\"max_running\": 1}')",
            "1",
        ),
    ] {
        let db = TestDb::new().await;
        let (one_, two, witness) = (
            Session::new(&db).await,
            Session::new(&db).await,
            db.connect().await,
        );
        verbs::register(&witness, "w", 5).await.unwrap();
        for context in ["c", "d", "e"] {
            verbs::submit(&witness, context, json!({})).await.unwrap();
        }
        one_.begin("read committed").await;
        run(
            &one_,
            "select 1 from bloom_private.worker_slot for no key update",
        )
        .await;
        let session = two.clone();
        let asking = two
            .blocked(&witness, async move {
                verbs::lease_next(&session, "w", 5).await
            })
            .await;
        run(&witness, change).await;
        one_.commit().await;
        asking.await.unwrap().unwrap();
        let live = one(&witness, "select count(*) from bloom_private.lease").await;
        assert_eq!(live, leases, "{change}");
        let counted = "select coalesce(sum(running), 0) from bloom_private.queue_slot";
        assert_eq!(one(&witness, counted).await, leases, "{change}");
        assert_clean(&witness).await;
    }
}

#[tokio::test]
async fn a_task_whose_queue_is_paused_while_it_is_waited_for_is_not_leased() {
    let db = TestDb::new().await;
    let (one, two, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 1).await.unwrap();
    let task = verbs::submit(&witness, "c", json!({})).await.unwrap();
    one.begin("read committed").await;
    run(&one, "select 1 from bloom_private.ready for update").await;
    let session = two.clone();
    let asking = two
        .blocked(&witness, async move {
            let call = format!("select 1 from bloom.lease_task('{task}', array['w'])");
            try_one(&session, &call).await
        })
        .await;
    run(&witness, "select bloom.queue_pause('default')").await;
    one.commit().await;
    let refusal = asking.await.unwrap().unwrap_err();
    assert_eq!(refusal, "RT409 queue_paused");
}

#[tokio::test]
async fn a_repeated_request_that_finds_nothing_left_still_gets_what_its_twin_took() {
    let db = TestDb::new().await;
    let (first, second, lock, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "w", 5).await.unwrap();
    verbs::submit(&witness, "c", json!({})).await.unwrap();
    let request = "select lease_id from bloom.lease_next('w', null, 1, 300,
        '{\"request_id\": \"01900000-0000-7000-8000-000000000001\"}')";

    first.begin("read committed").await;
    let granted = one(&first, request).await;
    // Stops the twin between its look for a twin and its look at the lanes.
    let session = lock.clone();
    let locking = lock
        .blocked(&witness, async move {
            let sql = "begin; lock table bloom_private.lane";
            session.batch_execute(sql).await
        })
        .await;
    let session = second.clone();
    let asking = second
        .blocked(&witness, async move { column(&session, request).await })
        .await;
    first.commit().await;
    locking.await.unwrap().unwrap();
    lock.commit().await;
    assert_eq!(asking.await.unwrap(), [granted]);
}
