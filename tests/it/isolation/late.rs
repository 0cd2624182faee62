//! What comes late or twice is not taken for what it was.

use serde_json::json;

use super::Session;
use crate::pg::TestDb;
use crate::sql_kit::{one, run, try_one};
use crate::verbs;

const SESSION: &str = "01900000-0000-7000-8000-000000000001";

#[tokio::test]
async fn progress_that_comes_with_the_end_of_its_lease_is_not_shown_and_swept() {
    let db = TestDb::new().await;
    let (ending, witness) = (Session::new(&db).await, db.connect().await);
    verbs::register(&witness, "w", 1).await.unwrap();
    verbs::submit(&witness, "c", json!({})).await.unwrap();
    let lease = format!("select lease_id from bloom.lease_next('w', '{SESSION}')");
    let lease = one(&witness, &lease).await;
    let task = one(&witness, "select task_id from bloom_private.lease").await;

    ending.begin("read committed").await;
    let complete = format!("select 1 from bloom.lease_complete('{task}', '{lease}', 'success')");
    run(&ending, &complete).await;
    let beat = format!(
        "select bloom.worker_beat('w', '{SESSION}',
             '[{{\"lease_id\": \"{lease}\", \"progress\": \"late\"}}]')"
    );
    run(&witness, &beat).await;
    ending.commit().await;
    let shown = format!("select coalesce(progress::text, 'none') from bloom.task_get('{task}')");
    assert_eq!(one(&witness, &shown).await, "none");
    let aged = "update bloom_private.progress set at = at - interval '25 hours'";
    run(&witness, aged).await;
    run(&witness, "select bloom.worker_sweep()").await;
    let kept = one(&witness, "select count(*) from bloom_private.progress").await;
    assert_eq!(kept, "0");
}

#[tokio::test]
async fn of_two_workers_that_come_with_one_session_at_once_one_is_refused() {
    let db = TestDb::new().await;
    let (first, second, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    verbs::register(&witness, "v", 1).await.unwrap();
    verbs::register(&witness, "w", 1).await.unwrap();
    first.begin("read committed").await;
    run(
        &first,
        &format!("select bloom.worker_beat('v', '{SESSION}')"),
    )
    .await;
    let session = second.clone();
    let beating = second
        .blocked(&witness, async move {
            try_one(
                &session,
                &format!("select bloom.worker_beat('w', '{SESSION}')"),
            )
            .await
        })
        .await;
    first.commit().await;
    let refusal = beating.await.unwrap().unwrap_err();
    assert_eq!(refusal, "RT409 session_of_another_worker");
}

/// Two hands of one process have the same webhook: the first is so slow that the second got it, too.
#[tokio::test]
async fn a_webhook_goes_on_once_whichever_hand_is_late() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let webhook = "01900000-0000-7000-8000-00000000000e";
    let create = format!("select bloom.webhook_create('{webhook}', 'n', 'http://x', '{{}}')");
    run(&client, &create).await;
    for context in ["c", "d"] {
        verbs::submit(&client, context, json!({})).await.unwrap();
    }
    let own = format!(
        "update bloom_private.webhook set owner = '{SESSION}',
             owned_until = now() + interval '1 hour'"
    );
    run(&client, &own).await;
    let place = |nth: u8| {
        format!(
            "select xid || ''', ' || seq from bloom_private.event order by xid, seq offset {nth} limit 1"
        )
    };
    let (early, late) = (one(&client, &place(0)).await, one(&client, &place(1)).await);
    let submit = |place: &str, events: u8| {
        format!(
            "select delivery_id is not null
               from bloom.webhook_submit('{webhook}', '{SESSION}', '{place}, '[]', {events})"
        )
    };
    run(
        &client,
        "update bloom_private.webhook set xid = '3', seq = 0",
    )
    .await;
    assert_eq!(one(&client, &submit(&late, 1)).await, "t");
    let refusal = try_one(&client, &submit(&early, 1)).await.unwrap_err();
    assert_eq!(refusal, "RT409 webhook_taken");
    let delivered = "update bloom_private.webhook_delivery
        set state = 'delivered', ended_at = now(), next_at = null";
    run(&client, delivered).await;
    let refusal = try_one(&client, &submit(&early, 0)).await.unwrap_err();
    assert_eq!(refusal, "RT409 webhook_taken");
    // A place that this server has not reached is another server's.
    run(
        &client,
        "update bloom_private.webhook set xid = '999999999'",
    )
    .await;
    assert_eq!(one(&client, &submit(&early, 1)).await, "t");
}
