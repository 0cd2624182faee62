//! Signs of life, and what a worker learns from them.

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{
    causes, column, json, lease_of, literal, one, refused, register, run, status, submit,
};

const SESSION: &str = "01900000-0000-7000-8000-000000000001";
const OTHER: &str = "01900000-0000-7000-8000-000000000002";

/// Worker `w` with one leased task in session [`SESSION`]: the task and its lease.
async fn leased(client: &Client, ttl: u32) -> (String, String) {
    register(client, "w", r#"{"max_concurrency": 4}"#).await;
    let task = submit(client, "c", "{}").await;
    run(
        client,
        &format!("select bloom.lease_next('w', '{SESSION}', 1, {ttl})"),
    )
    .await;
    let lease = lease_of(client, &task).await;
    (task, lease)
}

async fn beat(client: &Client, session: &str, leases: &[&str]) -> Value {
    let items: Vec<_> = leases
        .iter()
        .map(|lease| json!({ "lease_id": lease }))
        .collect();
    let items = literal(&Value::from(items).to_string());
    json(
        client,
        &format!("select bloom.worker_beat('w', '{session}', {items})"),
    )
    .await
}

async fn expire(client: &Client) -> String {
    one(
        client,
        "select bloom.lease_expire(10, null, '{\"grace_seconds\": 0}')",
    )
    .await
}

/// Makes everything about leases and sessions `seconds` older.
async fn later(client: &Client, seconds: u32) {
    let sql = format!(
        "update bloom_private.lease set started_at = started_at - interval '{seconds} s',
             expires_at = expires_at - interval '{seconds} s',
             unlisted_at = unlisted_at - interval '{seconds} s',
             cancel_requested_at = cancel_requested_at - interval '{seconds} s',
             cancel_deadline = cancel_deadline - interval '{seconds} s';
         update bloom_private.worker_session set beat_at = beat_at - interval '{seconds} s'"
    );
    run(client, &sql).await;
}

#[tokio::test]
async fn a_beat_keeps_the_leases_it_lists_and_only_those_of_its_session() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let (task, lease) = leased(&client, 60).await;
    for _ in 0..3 {
        later(&client, 50).await;
        let answer = beat(&client, SESSION, &[&lease]).await;
        assert_eq!(
            answer["leases"],
            json!([{"lease_id": lease, "state": "ok"}])
        );
        assert_eq!(expire(&client).await, "0");
    }
    // A new process of the same name keeps nothing of its predecessor's alive.
    later(&client, 61).await;
    let answer = beat(&client, OTHER, &[&lease]).await;
    assert_eq!(
        answer["leases"],
        json!([{"lease_id": lease, "state": "lost"}])
    );
    assert_eq!(expire(&client).await, "1");
    assert_eq!(status(&client, &task).await, "queued");
}

#[tokio::test]
async fn a_beat_writes_one_row_however_many_leases_it_renews() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let (_, lease) = leased(&client, 60).await;
    let rows = "select string_agg(xmin::text, ' ') from bloom_private.lease";
    let before = one(&client, rows).await;
    let events = one(&client, "select count(*) from bloom_private.event").await;
    later(&client, 30).await;
    let moved = one(&client, rows).await;
    beat(&client, SESSION, &[&lease]).await;
    assert_ne!(before, moved);
    assert_eq!(one(&client, rows).await, moved);
    assert_eq!(
        one(&client, "select count(*) from bloom_private.event").await,
        events
    );
}

/// It looks every second: 10,000 live leases once cost a fifth of a core that way.
#[tokio::test]
async fn the_look_for_overdue_leases_computes_no_expiry_of_those_that_live() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let (_, lease) = leased(&client, 60).await;
    beat(&client, SESSION, &[&lease]).await;
    run(&client, "set track_functions = 'all'").await;
    for (seconds, overdue, asked) in [(0, "0", "0"), (61, "1", "1")] {
        later(&client, seconds).await;
        run(&client, "begin").await;
        let count = "select count(*) from bloom.lease_overdue()";
        assert_eq!(one(&client, count).await, overdue, "after {seconds} s");
        let calls = "select coalesce(sum(calls), 0) from pg_stat_xact_user_functions
            where funcname = 'lease_expiry'";
        assert_eq!(one(&client, calls).await, asked, "after {seconds} s");
        run(&client, "rollback").await;
    }
}

#[tokio::test]
async fn a_lost_lease_is_reported_lost() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let (task, lease) = leased(&client, 60).await;
    later(&client, 100).await;
    assert_eq!(expire(&client).await, "1");
    let answer = beat(&client, SESSION, &[&lease, OTHER]).await;
    let lost = |id: &str| json!({"lease_id": id, "state": "lost"});
    assert_eq!(answer["leases"], json!([lost(&lease), lost(OTHER)]));
    let sql = format!("select bloom.lease_complete('{task}', '{lease}', 'success')");
    assert_eq!(refused(&client, &sql).await, "RT409 lease_lost");
}

#[tokio::test]
async fn a_cancel_is_delivered_with_the_next_beat_and_again_until_the_lease_ends() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let (task, lease) = leased(&client, 300).await;
    run(
        &client,
        &format!("select bloom.task_cancel('{task}', '{{\"grace_seconds\": 20}}')"),
    )
    .await;
    let delivered = format!(
        "select (cancel_requested_at is not null) || ' ' || (cancel_delivered_at is not null)
           from bloom.task_get('{task}')"
    );
    assert_eq!(one(&client, &delivered).await, "true false");
    for _ in 0..2 {
        let answer = beat(&client, SESSION, &[&lease]).await;
        assert_eq!(answer["leases"][0]["state"], "cancel");
    }
    assert_eq!(one(&client, &delivered).await, "true true");
    let wanted = [
        "submitted",
        "leased",
        "cancel_requested",
        "cancel_delivered",
    ];
    assert_eq!(causes(&client, &task).await, wanted);
    // No sign of life carries the lease past the deadline.
    let sql = format!("select bloom.lease_extend('{task}', '{lease}', 3600)");
    run(&client, &sql).await;
    let sql = format!("select bloom.lease_heartbeat('{task}', '{lease}')");
    run(&client, &sql).await;
    beat(&client, SESSION, &[&lease]).await;
    assert_eq!(expire(&client).await, "0");
    later(&client, 21).await;
    beat(&client, SESSION, &[&lease]).await;
    assert_eq!(expire(&client).await, "1");
    assert_eq!(status(&client, &task).await, "cancelled");
    assert_eq!(
        one(&client, &delivered).await,
        "true true",
        "the proof stays"
    );
}

/// What a beat marks as delivered is in its answer, even where the request came while it was at it.
#[tokio::test]
async fn a_cancel_that_comes_in_the_middle_of_a_beat_is_marked_and_said_or_neither() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let (first, first_lease) = leased(&client, 300).await;
    let second = submit(&client, "c2", "{}").await;
    let next = format!("select bloom.lease_next('w', '{SESSION}', 1, 300)");
    run(&client, &next).await;
    let second_lease = lease_of(&client, &second).await;
    run(&client, &format!("select bloom.task_cancel('{first}')")).await;
    // Between the beat's look at its leases and its marks somebody cancels the second task.
    let between = format!(
        "alter function bloom_private.beat_marks(text, uuid, uuid[]) rename to beat_marks_proper;
         create function bloom_private.beat_marks(text, uuid, uuid[]) returns void
         language plpgsql as $$ begin
             perform bloom.task_cancel('{second}');
             perform bloom_private.beat_marks_proper($1, $2, $3);
         end $$"
    );
    run(&client, &between).await;
    let answer = beat(&client, SESSION, &[&first_lease, &second_lease]).await;
    let delivered = "select bool_and(cancel_delivered_at is not null) from bloom_private.lease";
    assert_eq!(one(&client, delivered).await, "t");
    for at in 0..2 {
        assert_eq!(answer["leases"][at]["state"], "cancel", "{answer}");
    }
}

#[tokio::test]
async fn a_cancel_deadline_ends_a_lease_that_has_no_session_too() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let task = submit(&client, "c", "{}").await;
    run(
        &client,
        &format!("select bloom.lease_task('{task}', array['w'])"),
    )
    .await;
    run(
        &client,
        &format!("select bloom.task_cancel('{task}', '{{\"grace_seconds\": 5}}')"),
    )
    .await;
    later(&client, 6).await;
    assert_eq!(expire(&client).await, "1");
    assert_eq!(status(&client, &task).await, "cancelled");
}

#[tokio::test]
async fn a_lease_that_the_beats_no_longer_list_comes_back_after_the_grace() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let (task, lease) = leased(&client, 3600).await;
    beat(&client, SESSION, &[]).await;
    let unlisted = "select count(unlisted_at) from bloom_private.lease";
    assert_eq!(
        one(&client, unlisted).await,
        "0",
        "it may still be on its way"
    );
    later(&client, 11).await;
    beat(&client, SESSION, &[]).await;
    assert_eq!(one(&client, unlisted).await, "1");
    beat(&client, SESSION, &[&lease]).await;
    assert_eq!(one(&client, unlisted).await, "0", "listed again");
    beat(&client, SESSION, &[]).await;
    later(&client, 29).await;
    beat(&client, SESSION, &[]).await;
    assert_eq!(expire(&client).await, "0");
    later(&client, 2).await;
    beat(&client, SESSION, &[]).await;
    assert_eq!(expire(&client).await, "1");
    assert_eq!(status(&client, &task).await, "queued");
}

#[tokio::test]
async fn a_draining_worker_is_told_and_gets_no_more_work() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let (_, lease) = leased(&client, 60).await;
    submit(&client, "c", "{}").await;
    run(
        &client,
        "select bloom.worker_update('w', '{\"draining\": true}')",
    )
    .await;
    let answer = beat(&client, SESSION, &[&lease]).await;
    assert_eq!(answer["drain"], json!(true));
    assert_eq!(
        answer["leases"][0]["state"], "ok",
        "what it holds it finishes"
    );
    assert!(crate::sql_kit::lease(&client, "w", 4).await.is_empty());
    run(
        &client,
        "select bloom.worker_update('w', '{\"draining\": false}')",
    )
    .await;
    assert_eq!(crate::sql_kit::lease(&client, "w", 4).await.len(), 1);
}

#[tokio::test]
async fn a_session_belongs_to_one_worker() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    leased(&client, 60).await;
    register(&client, "thief", "{}").await;
    for call in [
        format!("select bloom.worker_beat('thief', '{SESSION}')"),
        format!("select bloom.lease_next('thief', '{SESSION}')"),
    ] {
        assert_eq!(
            refused(&client, &call).await,
            "RT409 session_of_another_worker"
        );
    }
}

#[tokio::test]
async fn progress_is_kept_while_the_lease_lives_and_only_the_holders() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let (task, lease) = leased(&client, 60).await;
    let item = format!("[{{\"lease_id\": \"{lease}\", \"progress\": {{\"step\": 2}}}}]");
    run(
        &client,
        &format!("select bloom.worker_beat('w', '{OTHER}', '{item}')"),
    )
    .await;
    let progress = format!("select coalesce(progress, 'null') from bloom.task_get('{task}')");
    assert_eq!(one(&client, &progress).await, "null");
    run(
        &client,
        &format!("select bloom.worker_beat('w', '{SESSION}', '{item}')"),
    )
    .await;
    assert_eq!(one(&client, &progress).await, "{\"step\": 2}");
    crate::sql_kit::complete(&client, &task, "success").await;
    assert_eq!(one(&client, &progress).await, "null");
    assert!(
        column(&client, "select task_id from bloom_private.progress")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_silent_worker_goes_offline_and_a_beating_one_comes_back() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    leased(&client, 3600).await;
    let state = "select status from bloom.worker_get('w')";
    assert_eq!(one(&client, "select bloom.worker_sweep(60)").await, "0");
    later(&client, 61).await;
    let sql = "update bloom_private.worker set last_seen_at = last_seen_at - interval '61 s'";
    run(&client, sql).await;
    assert_eq!(one(&client, "select bloom.worker_sweep(60)").await, "1");
    assert_eq!(one(&client, state).await, "offline");
    beat(&client, SESSION, &[]).await;
    assert_eq!(one(&client, "select bloom.worker_sweep(60)").await, "1");
    assert_eq!(one(&client, state).await, "online");
}

#[tokio::test]
async fn a_worker_whose_last_process_says_goodbye_is_offline_at_once() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    beat(&client, SESSION, &[]).await;
    beat(&client, OTHER, &[]).await;
    let leave = |session: &str| format!("select bloom.worker_leave('w', '{session}')");
    let state = "select status from bloom.worker_get('w')";
    // Another process of it works on.
    assert_eq!(one(&client, &leave(SESSION)).await, "f");
    assert_eq!(one(&client, state).await, "online");
    assert_eq!(one(&client, &leave(OTHER)).await, "t");
    assert_eq!(one(&client, state).await, "offline");
    assert_eq!(one(&client, "select bloom.worker_sweep(60)").await, "0");
    // Who is not known says nothing new, and who begins again is back.
    assert_eq!(one(&client, &leave(OTHER)).await, "t");
    register(&client, "w", "{}").await;
    assert_eq!(one(&client, state).await, "online");
    let events = "select count(*) from bloom_private.event
        where detail ->> 'reason' = 'its process ended'";
    assert_eq!(one(&client, events).await, "1");
}

#[tokio::test]
async fn a_goodbye_ends_no_lease_and_no_successor() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let (_, lease) = leased(&client, 60).await;
    let goodbye = format!("select bloom.worker_leave('w', '{SESSION}')");
    assert_eq!(one(&client, &goodbye).await, "t");
    let answer = beat(&client, SESSION, &[&lease]).await;
    assert_eq!(answer["leases"][0]["state"], "ok", "{answer}");
    // Its successor registered after its last beat.
    register(&client, "w", "{}").await;
    assert_eq!(one(&client, &goodbye).await, "f");
}

#[tokio::test]
async fn a_worker_that_the_control_plane_forgot_is_forgotten_after_a_month() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let listed = "select bloom.worker_sync('[{\"name\": \"old\"}, {\"name\": \"young\"}]')";
    run(&client, listed).await;
    for (name, days) in [("old", 31), ("young", 29)] {
        let aged = format!(
            "update bloom_private.worker set listed_at = now() - interval '{days} days',
                 last_seen_at = null where worker_id = '{name}'"
        );
        run(&client, &aged).await;
    }
    run(&client, "select bloom.worker_sync('[]')").await;
    assert_eq!(one(&client, "select bloom.worker_sweep(60)").await, "1");
    let left = "select worker_id from bloom_private.worker";
    assert_eq!(column(&client, left).await, ["young"]);
}

#[tokio::test]
async fn a_worker_that_comes_in_the_place_of_another_is_not_judged_by_its_silence() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    beat(&client, SESSION, &[]).await;
    later(&client, 61).await;
    // An agent that never beats takes over the name, and a minute passes.
    register(&client, "w", "{}").await;
    let sql = "update bloom_private.worker set last_seen_at = last_seen_at - interval '61 s'";
    run(&client, sql).await;
    assert_eq!(one(&client, "select bloom.worker_sweep(60)").await, "0");
    let state = "select status from bloom.worker_get('w')";
    assert_eq!(one(&client, state).await, "online");
}

#[tokio::test]
async fn registering_again_ends_no_lease_of_a_process_that_still_beats() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let (_, lease) = leased(&client, 60).await;
    register(&client, "w", "{}").await;
    let answer = beat(&client, SESSION, &[&lease]).await;
    assert_eq!(answer["leases"][0]["state"], "ok", "{answer}");
}
