//! What becomes of a task whose attempt did not succeed.

use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{
    age, causes, column, complete, json, lease, lease_of, one, register, run, status, submit,
};

/// Ends the live lease of `task` as if its worker had died.
async fn crash(client: &Client, task: &str) {
    let sql =
        format!("update bloom_private.lease set expires_at = '-infinity' where task_id = '{task}'");
    run(client, &sql).await;
    let sql = "select bloom.lease_expire(10, null, '{\"grace_seconds\": 0}')";
    assert_eq!(one(client, sql).await, "1");
}

#[tokio::test]
async fn the_wait_before_a_retry_is_between_the_base_and_its_doublings_up_to_the_cap() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    for (base, cap, attempts, least, most) in [
        (5, 900, 1, 5, 10),
        (5, 900, 2, 5, 20),
        (5, 900, 5, 5, 160),
        (5, 900, 10, 5, 900),
        (5, 30, 10, 5, 30),
        (60, 10, 3, 60, 60),
    ] {
        let sql = format!(
            "select min(s) >= {least} and max(s) <= {most}
                    and (max(s) - min(s)) >= 0.8 * ({most} - {least})
               from (select extract(epoch from bloom_private.backoff(
                         '{{\"backoff_base_sec\": {base}, \"backoff_cap_sec\": {cap}}}',
                         {attempts})) as s from generate_series(1, 2000)) b"
        );
        assert_eq!(
            one(&client, &sql).await,
            "t",
            "base {base}, cap {cap}, attempts {attempts}"
        );
    }
}

#[tokio::test]
async fn a_failed_task_comes_back_after_its_backoff_until_its_attempts_are_used_up() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let task = submit(&client, "c", r#"{"max_attempts": 2}"#).await;
    lease(&client, "w", 1).await;
    assert_eq!(complete(&client, &task, "error").await, "failed");
    let sql = format!(
        "select retry_at - now() between interval '4 seconds' and interval '10 seconds'
           from bloom.task_get('{task}')"
    );
    assert_eq!(one(&client, &sql).await, "t");
    assert_eq!(
        one(&client, "select bloom.task_promote()").await,
        "0",
        "not before its time"
    );
    age(&client, &task, 11).await;
    assert_eq!(one(&client, "select bloom.task_promote()").await, "1");
    lease(&client, "w", 1).await;
    assert_eq!(complete(&client, &task, "error").await, "dead");
    let sql = format!("select reason from bloom.task_get('{task}')");
    assert_eq!(one(&client, &sql).await, "attempts_exhausted");
    let wanted = ["submitted", "leased", "failed", "due", "leased", "dead"];
    assert_eq!(causes(&client, &task).await, wanted);
}

#[tokio::test]
async fn crashes_are_counted_apart_and_bury_a_task_that_kills_its_workers() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let task = submit(&client, "c", r#"{"max_attempts": 10, "max_crashes": 2}"#).await;
    lease(&client, "w", 1).await;
    crash(&client, &task).await;
    assert_eq!(status(&client, &task).await, "queued");
    lease(&client, "w", 1).await;
    crash(&client, &task).await;
    let sql = format!(
        "select status || ' ' || reason || ' ' || crashes || ' ' || attempts
           from bloom.task_get('{task}')"
    );
    assert_eq!(one(&client, &sql).await, "dead crashes_exhausted 2 2");
    let slots = "select active || '/' || capacity from bloom_private.worker_slot";
    assert_eq!(one(&client, slots).await, "0/1");
}

#[tokio::test]
async fn a_crash_burns_the_attempt_and_a_release_does_not() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let task = submit(&client, "c", r#"{"max_attempts": 2}"#).await;
    for _ in 0..5 {
        lease(&client, "w", 1).await;
        let held = lease_of(&client, &task).await;
        run(
            &client,
            &format!("select bloom.lease_release('{task}', '{held}')"),
        )
        .await;
    }
    let sql = format!("select attempts || ' ' || fence from bloom.task_get('{task}')");
    assert_eq!(one(&client, &sql).await, "0 5");
    for wanted in ["queued", "dead"] {
        lease(&client, "w", 1).await;
        crash(&client, &task).await;
        assert_eq!(status(&client, &task).await, wanted);
    }
}

#[tokio::test]
async fn a_requeue_opens_a_new_epoch_with_its_counters_at_nought() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let task = submit(&client, "c", r#"{"max_attempts": 1}"#).await;
    lease(&client, "w", 1).await;
    assert_eq!(complete(&client, &task, "error").await, "dead");
    run(&client, &format!("select bloom.task_requeue('{task}')")).await;
    let sql = format!(
        "select epoch || ' ' || attempts || ' ' || crashes || ' ' || fence
           from bloom.task_get('{task}')"
    );
    assert_eq!(one(&client, &sql).await, "1 0 0 1");
    lease(&client, "w", 1).await;
    assert_eq!(complete(&client, &task, "success").await, "completed");
}

#[tokio::test]
async fn redrive_requeues_the_dead_of_one_queue_newest_first_up_to_its_limit() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 32}"#).await;
    let mut dead = Vec::new();
    for queue in ["q", "q", "other", "q"] {
        let options = format!(r#"{{"queue": "{queue}", "max_attempts": 1}}"#);
        let task = submit(&client, &format!("c{}", dead.len()), &options).await;
        lease(&client, "w", 1).await;
        complete(&client, &task, "error").await;
        dead.push(task);
    }
    let redriven = column(&client, "select bloom.task_requeue_dead('q', 2)").await;
    assert_eq!(redriven, [dead[3].clone(), dead[1].clone()]);
    let redriven = column(&client, "select bloom.task_requeue_dead('q')").await;
    assert_eq!(redriven, [dead[0].as_str()]);
    assert_eq!(status(&client, &dead[2]).await, "dead");
}

#[tokio::test]
async fn expiry_can_be_told_which_leases_to_end_past_one_that_cannot_be() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", r#"{"max_concurrency": 32}"#).await;
    for n in 0..5 {
        submit(&client, &format!("c{n}"), "{}").await;
    }
    let tasks = lease(&client, "w", 5).await;
    run(
        &client,
        "update bloom_private.lease set expires_at = '-infinity'",
    )
    .await;
    for task in tasks.iter().rev() {
        let sql = format!(
            "select bloom.lease_expire(1, array['{task}'::uuid], '{{\"grace_seconds\": 0}}')"
        );
        assert_eq!(one(&client, &sql).await, "1");
        assert_eq!(status(&client, task).await, "queued");
    }
}

#[tokio::test]
async fn nothing_expires_while_postgres_has_only_just_come_back() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    submit(&client, "c", "{}").await;
    lease(&client, "w", 1).await;
    run(
        &client,
        "update bloom_private.lease set expires_at = '-infinity'",
    )
    .await;
    let sql = "select bloom.lease_expire(10, null, '{\"grace_seconds\": 86400}')";
    assert_eq!(one(&client, sql).await, "0");
}

#[tokio::test]
async fn events_carry_the_facts_of_their_own_transition_only() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let task = submit(&client, "c", "{}").await;
    lease(&client, "w", 1).await;
    let sql = format!("select bloom.task_cancel('{task}', '{{\"reason\": \"too slow\"}}')");
    run(&client, &sql).await;
    let held = lease_of(&client, &task).await;
    run(
        &client,
        &format!("select bloom.lease_start('{task}', '{held}')"),
    )
    .await;
    let sql = format!(
        "select jsonb_object_agg(cause, detail) from bloom.task_events('{task}')
          where cause in ('cancel_requested', 'running')"
    );
    let details = json(&client, &sql).await;
    assert_eq!(details["cancel_requested"]["reason"], "too slow");
    assert!(details["running"].is_null(), "{details}");
}

#[tokio::test]
async fn many_reports_in_one_call_are_each_taken_or_refused_by_themselves() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{\"max_concurrency\": 9}").await;
    for context in ["a", "b", "c"] {
        submit(&client, context, "{}").await;
    }
    run(&client, "select bloom.lease_next('w', null, 3)").await;
    // Missing ids, an unknown lease, a wrong status: before, between and after what is right.
    let sql = "with l as (select array_agg(task_id order by lease_id) as t,
                   array_agg(lease_id order by lease_id) as l from bloom_private.lease)
        select string_agg(coalesce(c.error ->> 'code', c.task_status), ' ' order by c.ordinal)
          from l, bloom.lease_complete_many(
            array[null, l.t[3], null, l.t[1], l.t[2], gen_random_uuid()],
            array[l.l[1], l.l[3], null, l.l[1], l.l[2], gen_random_uuid()],
            array['success', 'success', 'success', 'error', 'well', 'success'],
            array['x', 'x', 'x', 'x', 'x', 'x'],
            '[{}, {}, {}, {\"retryable\": false}, {}, {\"metrics\": {\"tokens_used\": 1}}]') c";
    assert_eq!(
        one(&client, sql).await,
        "task_not_found completed task_not_found dead invalid_argument task_not_found"
    );
    let left = "select count(*) || ' ' || (select active from bloom_private.worker_slot)
        from bloom_private.lease";
    assert_eq!(one(&client, left).await, "1 1");
}
