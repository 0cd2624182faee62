//! What is swept, dropped and verified while others work.

use tokio_postgres::Client;

use super::Session;
use crate::pg::TestDb;
use crate::sql_kit::{column, eventually, one, run, submit, try_one};
use crate::verbs;

const ID: &str = "01900000-0000-7000-8000-000000000001";

/// A week of events of long ago, five of which are in it; they are folded.
async fn old_events(client: &Client) {
    let week = "set timezone = 'UTC'; set role bloom_owner;
        set search_path = pg_catalog, bloom_private;
        select partition_make('event', date_trunc('week', now())::date - 70);
        reset search_path; reset role; reset timezone";
    run(client, week).await;
    let events = "insert into bloom_private.event (at, cause, subject, actor)
        select date_trunc('week', now() at time zone 'UTC') at time zone 'UTC'
                   - interval '68 days', 'x', 'worker/' || i, 'a'
          from generate_series(1, 5) i";
    run(client, events).await;
    let folded = "select bloom.status_fold() is not null and not exists (
                      select from bloom_private.event where xid >= (
                          select xid from bloom_private.log_cursor where name = 'status_count'))";
    eventually(client, folded, "t").await;
}

const DROP_EVENTS: &str = "select bloom.retention_run(3650, 30, 3650)";

#[tokio::test]
async fn a_worker_that_comes_back_is_not_swept() {
    let db = TestDb::new().await;
    let (back, witness) = (Session::new(&db).await, db.connect().await);
    run(&witness, "select bloom.worker_sync('[{\"name\": \"v\"}]')").await;
    let gone = "update bloom_private.worker set vanished = true, status = 'offline',
        listed_at = now() - interval '40 days', last_seen_at = null";
    run(&witness, gone).await;
    back.begin("read committed").await;
    verbs::register(&back, "v", 1).await.unwrap();
    run(&witness, "select bloom.worker_sweep()").await;
    back.commit().await;
    run(&witness, "select bloom.worker_sweep()").await;
    let workers = one(&witness, "select count(*) from bloom_private.worker").await;
    assert_eq!(workers, "1");
}

#[tokio::test]
async fn a_delivery_that_is_being_requeued_is_not_forgotten() {
    let db = TestDb::new().await;
    let (requeue, retention, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    let dead = format!(
        "select bloom.webhook_create('{ID}', 'n', 'http://x', '{{}}');
         insert into bloom_private.webhook_delivery (delivery_id, webhook_id, state, events,
             event_count, next_at, ended_at)
         values ('{ID}', '{ID}', 'dead', '[]', 1, null, now() - interval '20 days')"
    );
    run(&witness, &dead).await;
    requeue.begin("read committed").await;
    run(&requeue, &format!("select bloom.delivery_requeue('{ID}')")).await;
    let session = retention.clone();
    let forgetting = retention
        .blocked(&witness, async move {
            try_one(&session, "select bloom.retention_run(30, 30, 30)").await
        })
        .await;
    requeue.commit().await;
    let answer = forgetting.await.unwrap();
    // It may have given up waiting; it must not have deleted.
    if let Err(refusal) = answer {
        assert!(refusal.starts_with("55P03 "), "{refusal}");
    }
    let kept = one(
        &witness,
        "select count(*) from bloom_private.webhook_delivery",
    )
    .await;
    assert_eq!(kept, "1");
}

#[tokio::test]
async fn a_reader_of_the_log_learns_that_rows_were_dropped_while_it_waited() {
    let db = TestDb::new().await;
    let (retention, reader, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    old_events(&witness).await;
    retention.begin("read committed").await;
    run(&retention, DROP_EVENTS).await;
    let session = reader.clone();
    let reading = reader
        .blocked(&witness, async move {
            try_one(&session, "select cause from bloom.audit_read('1', 0)").await
        })
        .await;
    retention.commit().await;
    let refusal = reading.await.unwrap().unwrap_err();
    assert_eq!(refusal, "RT409 cursor_expired");
}

#[tokio::test]
async fn a_trail_that_is_dropped_meanwhile_is_no_fault() {
    let db = TestDb::new().await;
    let (retention, reader, witness) = (
        Session::new(&db).await,
        Session::new(&db).await,
        db.connect().await,
    );
    old_events(&witness).await;
    // A task of that week, whose whole trail lies in it.
    let task = submit(&witness, "c", "{}").await;
    let aged = format!(
        "create temp table moved as select * from bloom_private.event where task_id = '{task}';
         update moved set at = (select min(at) from bloom_private.event);
         delete from bloom_private.event where task_id = '{task}';
         insert into bloom_private.event select * from moved;
         create temp table aged as select * from bloom_private.task where task_id = '{task}';
         update aged set created_at = (select min(at) from bloom_private.event);
         delete from bloom_private.task where task_id = '{task}';
         insert into bloom_private.task select * from aged"
    );
    run(&witness, &aged).await;
    let folded = "select bloom.status_fold() is not null";
    eventually(&witness, folded, "t").await;
    retention.begin("read committed").await;
    run(&retention, DROP_EVENTS).await;
    let session = reader.clone();
    let verifying = reader
        .blocked(&witness, async move {
            one(&session, "select bloom.audit_verify() -> 'bad'").await
        })
        .await;
    retention.commit().await;
    assert_eq!(verifying.await.unwrap(), "null");
}

#[tokio::test]
async fn retention_refuses_a_snapshot_that_does_not_see_what_was_requeued() {
    let db = TestDb::new().await;
    let client = Session::new(&db).await;
    for level in ["repeatable read", "serializable"] {
        client.begin(level).await;
        let answer = try_one(&client, "select bloom.retention_run(30, 30, 30)").await;
        let refusal = answer.unwrap_err();
        assert!(refusal.starts_with("25001 "), "{level}: {refusal}");
        run(&client, "rollback").await;
    }
    column(&client, "select bloom.retention_run(30, 30, 30)").await;
}
