//! Every two ways of ending or renewing one lease, at the same moment, over and over.

use std::sync::Arc;

use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::at_once;
use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::verbs::{self, Grant};

/// Rounds of each pair.
const ROUNDS: usize = 6;

/// What may happen to a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Complete,
    Fail,
    Release,
    Expire,
    Cancel,
    Heartbeat,
    Beat,
    Remove,
}

const ACTS: [Act; 8] = [
    Act::Complete,
    Act::Fail,
    Act::Release,
    Act::Expire,
    Act::Cancel,
    Act::Heartbeat,
    Act::Beat,
    Act::Remove,
];

/// Whether the act ended the lease, where it was obeyed.
async fn act(act: Act, client: &Client, grant: &Grant, session: Uuid) -> verbs::Result<bool> {
    Ok(match act {
        Act::Complete => !verbs::succeed(client, grant).await?.1,
        Act::Fail => !verbs::complete(client, grant, "error", json!({})).await?.1,
        Act::Release => {
            verbs::release(client, grant).await?;
            true
        }
        Act::Expire => verbs::expire(client).await? == 1,
        Act::Cancel => {
            verbs::cancel(client, grant.task).await?;
            false
        }
        Act::Heartbeat => {
            verbs::heartbeat(client, grant).await?;
            false
        }
        Act::Beat => {
            verbs::beat(client, &grant.worker, session, &[grant.lease]).await?;
            false
        }
        Act::Remove => verbs::remove(client, &grant.worker).await? == 1,
    })
}

async fn race(db: &TestDb, client: &Client, pair: [Act; 2], round: usize) {
    let session = Uuid::new_v4();
    verbs::register(client, "w", 1).await.unwrap();
    verbs::submit(client, "c", json!({})).await.unwrap();
    let grants = verbs::lease_next_with(client, "w", Some(session), 1, 300, json!({})).await;
    let grant = grants.unwrap().remove(0);
    if round % 2 == 1 {
        verbs::heartbeat(client, &grant).await.unwrap();
    }
    if pair.contains(&Act::Expire) {
        verbs::make_overdue(client).await.unwrap();
        let sql = "update bloom_private.worker_session set beat_at = now() - interval '1 hour'";
        client.batch_execute(sql).await.unwrap();
    }
    let lease = grant.clone();
    let results = at_once(db, 2, |number, client: Arc<Client>| {
        let grant = lease.clone();
        async move { act(pair[number], &client, &grant, session).await }
    })
    .await;
    let mut ends = 0;
    for result in &results {
        match result {
            Ok(ended) => ends += usize::from(*ended),
            Err(error) => assert!(
                verbs::is_refusal(error) || verbs::state(error) == "40P01",
                "{pair:?}: {error:?}"
            ),
        }
    }
    assert!(ends <= 1, "{pair:?}: {results:?}");
    // What is left of it must not be in the way of the next round.
    for left in ["ready", "deferred", "lease"] {
        let sql = format!("select task_id from bloom_private.{left}");
        for row in client.query(&sql, &[]).await.unwrap() {
            verbs::cancel(client, row.get(0)).await.unwrap();
        }
    }
    verbs::remove(client, "w").await.ok();
}

#[tokio::test]
async fn two_ends_of_one_lease_are_one_end() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    for (n, first) in ACTS.iter().enumerate() {
        for second in &ACTS[n..] {
            for round in 0..ROUNDS {
                race(&db, &client, [*first, *second], round).await;
            }
        }
    }
    assert_clean(&client).await;
}

#[tokio::test]
async fn the_same_result_sent_by_many_is_one_result() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    verbs::register(&client, "w", 1).await.unwrap();
    for _ in 0..10 {
        verbs::submit(&client, "c", json!({})).await.unwrap();
        let grant = verbs::lease_next(&client, "w", 1).await.unwrap().remove(0);
        let results = at_once(&db, 8, |_, client: Arc<Client>| {
            let grant = grant.clone();
            async move { verbs::succeed(&client, &grant).await.unwrap() }
        })
        .await;
        let first = results.iter().filter(|(_, replayed)| !replayed).count();
        assert_eq!(first, 1, "{results:?}");
        assert!(results.iter().all(|(status, _)| status == "completed"));
    }
    assert_clean(&client).await;
}

#[tokio::test]
async fn a_task_requeued_by_many_is_requeued_once() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let task = verbs::submit(&client, "c", json!({})).await.unwrap();
    for _ in 0..10 {
        verbs::cancel(&client, task).await.unwrap();
        let results = at_once(&db, 8, |_, client: Arc<Client>| async move {
            verbs::requeue(&client, task).await
        })
        .await;
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        for error in lost.into_iter().map(Result::unwrap_err) {
            assert_eq!(verbs::code(&error), "wrong_status", "{error:?}");
        }
    }
    assert_clean(&client).await;
}

#[tokio::test]
async fn a_task_cancelled_while_it_comes_due_is_cancelled() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    for _ in 0..20 {
        let later = json!({"run_at": "2031-01-01T00:00:00Z"});
        let task = verbs::submit(&client, "c", later).await.unwrap();
        let due = "update bloom_private.deferred set run_at = now()";
        client.batch_execute(due).await.unwrap();
        let results = at_once(&db, 4, |number, client: Arc<Client>| async move {
            if number % 2 == 0 {
                verbs::promote(&client).await.map(drop)
            } else {
                verbs::cancel(&client, task).await.map(drop)
            }
        })
        .await;
        for result in results {
            result.unwrap();
        }
        assert_eq!(verbs::status(&client, task).await, "cancelled");
    }
    assert_clean(&client).await;
}
