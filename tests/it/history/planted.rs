//! The checker is itself checked: a clean history passes, and each violation planted in it is found.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_postgres::Client;

use super::{assert_clean, violations};
use crate::pg::TestDb;
use crate::verbs;

/// Longest wait for a retry, whose backoff is one to two seconds.
const RETRY_LIMIT: Duration = Duration::from_secs(20);

/// Lives that between them take every edge, with something left in every state.
async fn live_through_everything(client: &Client) {
    verbs::register(client, "w", 4).await.unwrap();
    verbs::register(client, "v", 1).await.unwrap();
    verbs::configure(client, "narrow", json!({"max_running": 1}))
        .await
        .unwrap();
    let quick = json!({"backoff_base_sec": 1, "backoff_cap_sec": 1});
    verbs::submit(
        client,
        "a",
        json!({"policy": quick, "idempotency_key": "k"}),
    )
    .await
    .unwrap();
    let first = verbs::lease_next(client, "w", 1).await.unwrap().remove(0);
    verbs::heartbeat(client, &first).await.unwrap();
    let (failed, _) = verbs::complete(client, &first, "error", json!({}))
        .await
        .unwrap();
    assert_eq!(failed, "failed");
    let deadline = Instant::now() + RETRY_LIMIT;
    while verbs::promote(client).await.unwrap() == 0 {
        assert!(Instant::now() < deadline, "the retry never comes due");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let again = verbs::lease_next(client, "w", 1).await.unwrap().remove(0);
    verbs::succeed(client, &again).await.unwrap();

    verbs::submit(client, "b", json!({"max_attempts": 2}))
        .await
        .unwrap();
    let doomed = verbs::lease_next(client, "w", 1).await.unwrap().remove(0);
    verbs::complete(client, &doomed, "error", json!({"retryable": false}))
        .await
        .unwrap();
    verbs::requeue(client, doomed.task).await.unwrap();
    let back = verbs::lease_next(client, "w", 1).await.unwrap().remove(0);
    verbs::release(client, &back).await.unwrap();
    let lost = verbs::lease_next(client, "w", 1).await.unwrap().remove(0);
    verbs::make_overdue(client).await.unwrap();
    assert_eq!(verbs::expire(client).await.unwrap(), 1);
    assert_eq!(verbs::cancel(client, lost.task).await.unwrap(), "cancelled");

    let serial = json!({"policy": {"serial": true}});
    for _ in 0..3 {
        verbs::submit(client, "s", serial.clone()).await.unwrap();
    }
    let turn = verbs::lease_next(client, "w", 5).await.unwrap().remove(0);
    verbs::succeed(client, &turn).await.unwrap();
    assert_eq!(verbs::lease_next(client, "w", 5).await.unwrap().len(), 1);
    verbs::submit(client, "c", json!({"queue": "narrow"}))
        .await
        .unwrap();
    assert_eq!(verbs::lease_next(client, "v", 1).await.unwrap().len(), 1);
    verbs::submit(client, "d", json!({"run_at": "2031-01-01T00:00:00Z"}))
        .await
        .unwrap();
    verbs::submit(client, "e", json!({})).await.unwrap();
}

/// What is planted, with the invariant that must be found broken.
const PLANTS: &[(&str, &str, &str)] = &[
    (
        "a version is missing",
        "I8",
        "delete from event where ver = 2 and cause = 'leased'",
    ),
    (
        "the last event is missing",
        "I8",
        "delete from event where cause = 'completed'",
    ),
    (
        "a task vanished from its state table",
        "I8",
        "delete from deferred",
    ),
    (
        "a task stands in two tables",
        "I8",
        "insert into deferred (task_id, queue, status, ver, epoch, fence, attempts, crashes, \
            cause, actor, run_at) \
         select task_id, queue, 'queued', ver, epoch, fence, attempts, crashes, cause, actor, now() \
           from ready limit 1",
    ),
    (
        "a row was written by another transaction than its event",
        "I8",
        "update finished set cause = cause",
    ),
    (
        "a row has a fence of its own",
        "I8",
        "update finished set fence = fence + 1",
    ),
    (
        "a transition that is none",
        "I7",
        "update event set prior = 'completed' where cause = 'running'",
    ),
    (
        "a cause that nobody knows",
        "I7",
        "update event set cause = 'teleported' where cause = 'running'",
    ),
    (
        "a grant while a lease was live",
        "I4",
        "update event set cause = 'leased', status = 'leased', fence = fence + 1 \
          where cause = 'running'",
    ),
    (
        "a fence that jumps",
        "I4",
        "update event set fence = fence + 1 where cause = 'leased' and fence = 2",
    ),
    (
        "a completion by a stranger's lease",
        "I5",
        "update event set lease_id = gen_random_uuid() where cause = 'completed'",
    ),
    (
        "two terminal states in one epoch",
        "I6",
        "update event set epoch = 0 where epoch = 1",
    ),
    (
        "a grant that does not count as an attempt",
        "I9",
        "update event set attempts = 0 where cause = 'leased' and attempts = 1",
    ),
    (
        "more attempts than the task may have",
        "I9",
        "update task set max_attempts = 1 where max_attempts = 3",
    ),
    (
        "a counter that forgot a lease",
        "I10",
        "update worker_slot set active = active - 1 where active > 0",
    ),
    (
        "a queue's counter that forgot a lease",
        "I10",
        "update queue_slot set running = 0",
    ),
    (
        "more leases than slots at some moment",
        "I10",
        "update event set at = (select min(at) from event), worker_id = 'v' \
          where cause = 'leased' and worker_id = 'w'",
    ),
    (
        "a retry before its time",
        "I12",
        "update attempt set ended_at = ended_at + interval '1 hour' where outcome = 'failed'",
    ),
    (
        "an expiry before its time",
        "I13",
        "update attempt set expires_at = ended_at + interval '1 s' where outcome = 'expired'",
    ),
    (
        "a result without its attempt",
        "attempts",
        "delete from attempt where outcome = 'completed'",
    ),
    (
        "an attempt with another outcome",
        "attempts",
        "update attempt set outcome = 'failed' where outcome = 'released'",
    ),
    (
        "a result whose artifact is gone",
        "I11",
        "delete from artifact",
    ),
    (
        "two serial tasks of a context at once",
        "serial",
        "update event set at = (select max(at) from event) where cause = 'completed'",
    ),
    (
        "a parked task that waits for nobody",
        "serial",
        "delete from context_slot",
    ),
    (
        "a ready task behind its lane's mark",
        "lanes",
        "update lane set mark = 1000000",
    ),
    (
        "an idempotency key that lost its task",
        "I3",
        "update idempotency set task_id = gen_random_uuid()",
    ),
    (
        "a count that is wrong",
        "counts",
        "insert into status_count values ('default', 'queued', 1, 1)",
    ),
];

#[tokio::test]
async fn a_clean_history_passes_and_each_planted_violation_is_found() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    live_through_everything(&client).await;
    assert!(assert_clean(&client).await > 25);
    for (what, invariant, tampering) in PLANTS {
        client.batch_execute("begin").await.unwrap();
        for table in [
            "task", "ready", "deferred", "finished", "attempt", "artifact", "event",
        ] {
            let sql = format!("alter table bloom_private.{table} disable trigger all");
            client.batch_execute(&sql).await.unwrap();
        }
        let sql = format!("set local search_path = bloom_private; {tampering}");
        client.batch_execute(&sql).await.unwrap();
        let found = violations(&client, &super::Bounds::default()).await;
        assert!(
            found.iter().any(|v| v.invariant == *invariant),
            "{what}: expected {invariant}, found {found:?}"
        );
        client.batch_execute("rollback").await.unwrap();
    }
    assert_clean(&client).await;
}
