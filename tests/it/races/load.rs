//! Maintenance while the verbs run: nothing is lost, hidden or counted wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_postgres::Client;

use super::{at_once, insist};
use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::verbs;

/// Longest time to drain what was submitted.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn marks_that_move_under_slow_submissions_hide_nothing() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    verbs::register(&client, "w", 32).await.unwrap();
    at_once(&db, 8, |number, client: Arc<Client>| async move {
        for n in 0..30 {
            match number {
                // Slow transactions that draw their numbers long before they commit.
                0..=3 => {
                    client.batch_execute("begin").await.unwrap();
                    let context = format!("c{number}");
                    let options = json!({"priority": n % 3});
                    verbs::submit(&client, &context, options).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(3 * (number as u64 + 1))).await;
                    let ending = if n % 5 == 0 { "rollback" } else { "commit" };
                    client.batch_execute(ending).await.unwrap();
                }
                4 | 5 => {
                    verbs::advance(&client).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                6 => {
                    for grant in verbs::lease_next(&client, "w", 9).await.unwrap() {
                        if n % 4 == 0 {
                            verbs::release(&client, &grant).await.unwrap();
                        } else {
                            verbs::succeed(&client, &grant).await.unwrap();
                        }
                    }
                }
                _ => {
                    verbs::fold(&client).await.unwrap();
                }
            }
        }
    })
    .await;
    assert_clean(&client).await;
    let deadline = Instant::now() + DRAIN_LIMIT;
    let sql = "select count(*) from bloom_private.finished where status = 'completed'";
    while client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) < 4 * 24 {
        assert!(Instant::now() < deadline, "something is lost or hidden");
        for grant in verbs::lease_next(&client, "w", 32).await.unwrap() {
            verbs::succeed(&client, &grant).await.unwrap();
        }
        verbs::advance(&client).await.unwrap();
    }
    assert_clean(&client).await;
}

/// Whether an error under structural changes is one that callers retry.
fn is_passing(error: &tokio_postgres::Error) -> bool {
    verbs::is_retryable(error) || verbs::state(error) == "55P03"
}

#[tokio::test]
async fn partitions_come_and_go_under_load() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    verbs::register(&client, "w", 32).await.unwrap();
    let retried = at_once(&db, 6, |number, client: Arc<Client>| async move {
        let mut retried = 0;
        for week in 3..12 {
            if number == 0 {
                let sql = format!("select bloom.partition_ensure({week})");
                let result = client.query(&sql, &[]).await;
                retried += usize::from(result.is_err_and(|error| {
                    assert!(is_passing(&error), "{error:?}");
                    true
                }));
                let sql = "select bloom.retention_run(1, 1, 1)";
                let result = client.query(sql, &[]).await;
                retried += usize::from(result.is_err_and(|error| {
                    assert!(is_passing(&error), "{error:?}");
                    true
                }));
                continue;
            }
            for _ in 0..5 {
                let context = format!("c{number}");
                insist(|| verbs::submit(&client, &context, json!({})))
                    .await
                    .unwrap();
                let grants = insist(|| verbs::lease_next(&client, "w", 3)).await.unwrap();
                for grant in grants {
                    insist(|| verbs::succeed(&client, &grant)).await.unwrap();
                }
            }
        }
        retried
    })
    .await;
    assert!(
        retried.iter().sum::<usize>() < 18,
        "no maintenance got through"
    );
    assert_clean(&client).await;
}
