//! A superseded lease changes nothing, whatever is said in its name.

use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::verbs;

/// Everything that verbs about leases could write, as text.
async fn everything(client: &Client) -> Vec<String> {
    let tables = [
        "task",
        "ready",
        "deferred",
        "parked",
        "lease",
        "finished",
        "attempt",
        "artifact",
        "event",
        "progress",
        "worker_slot",
        "queue_slot",
        "context_slot",
    ];
    let mut found = Vec::new();
    for table in tables {
        let sql = format!("select t::text, xmin::text from bloom_private.{table} t order by 1");
        let rows = client.query(&sql, &[]).await.unwrap();
        let shown = rows.iter();
        found.extend(shown.map(|row| format!("{table} {row:?} {}", row.get::<_, String>(0))));
    }
    found
}

#[tokio::test]
async fn a_superseded_lease_is_refused_by_every_verb_and_changes_nothing() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let session = Uuid::new_v4();
    for worker in ["w", "v"] {
        verbs::register(&client, worker, 2).await.unwrap();
    }
    verbs::submit(&client, "c", json!({})).await.unwrap();
    let grants = verbs::lease_next_with(&client, "w", Some(session), 1, 1, json!({})).await;
    let stale = grants.unwrap().remove(0);
    verbs::make_overdue(&client).await.unwrap();
    let sql = "update bloom_private.worker_session set beat_at = beat_at - interval '1 hour'";
    client.batch_execute(sql).await.unwrap();
    assert_eq!(verbs::expire(&client).await.unwrap(), 1);
    for next in ["lease again", "completed"] {
        if next == "lease again" {
            let grant = verbs::lease_next(&client, "v", 1).await.unwrap().remove(0);
            assert_eq!((grant.task, grant.fence), (stale.task, 2));
        } else {
            let sql = "select lease_id from bloom_private.lease";
            let lease = client.query_one(sql, &[]).await.unwrap().get(0);
            let current = verbs::Grant {
                lease,
                ..stale.clone()
            };
            verbs::succeed(&client, &current).await.unwrap();
        }
        let before = everything(&client).await;
        let mut refused = vec![
            verbs::heartbeat(&client, &stale).await.unwrap_err(),
            verbs::extend(&client, &stale).await.unwrap_err(),
            verbs::release(&client, &stale).await.unwrap_err(),
            verbs::succeed(&client, &stale).await.unwrap_err(),
        ];
        for options in [json!({}), json!({"retryable": false, "worker_id": "w"})] {
            let result = verbs::complete(&client, &stale, "error", options).await;
            refused.push(result.unwrap_err());
        }
        for error in refused {
            let seen = (verbs::state(&error), verbs::code(&error));
            assert_eq!(seen, ("RT409", "lease_lost"), "{next}: {error:?}");
        }
        let listed = json!([{"lease_id": stale.lease, "progress": {"step": 1}}]);
        let sql = "select bloom.worker_beat('w', $1, $2)";
        let row = client.query_one(sql, &[&session, &listed]).await.unwrap();
        let answer: serde_json::Value = row.get(0);
        assert_eq!(answer["leases"][0]["state"], "lost");
        assert_eq!(everything(&client).await, before, "{next}");
    }
    let sql = "select (bloom.stats() ->> 'stale_refused')::bigint";
    let counted: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(counted, 12, "each refusal is counted");
    assert_clean(&client).await;
}
