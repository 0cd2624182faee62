//! One winner per task, and never more leases than slots, at every isolation level.

use std::sync::Arc;

use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::at_once;
use crate::history::{Bounds, assert_clean, assert_clean_within};
use crate::pg::TestDb;
use crate::verbs;

const LEVELS: [&str; 3] = ["read committed", "repeatable read", "serializable"];

async fn set_level(client: &Client, level: &str) {
    let sql = format!("set default_transaction_isolation = '{level}'");
    client.batch_execute(&sql).await.unwrap();
}

#[tokio::test]
async fn of_many_callers_for_one_task_exactly_one_wins() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    for number in 0..32 {
        verbs::register(&client, &format!("w{number}"), 1)
            .await
            .unwrap();
    }
    for _ in 0..5 {
        let task = verbs::submit(&client, "c", json!({})).await.unwrap();
        let results = at_once(&db, 32, |number, client| async move {
            verbs::lease_task(&client, task, &[&format!("w{number}")]).await
        })
        .await;
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        for error in lost.into_iter().map(Result::unwrap_err) {
            assert_eq!(verbs::state(&error), "RT409", "{error:?}");
            assert_eq!(verbs::code(&error), "wrong_status");
            assert_eq!(
                verbs::sentence(&error),
                "Task status is 'leased', expected 'queued'"
            );
        }
        let won = won.into_iter().map(Result::unwrap).next().unwrap();
        verbs::succeed(&client, &won).await.unwrap();
    }
    assert_clean(&client).await;
}

#[tokio::test]
async fn a_worker_with_one_slot_gets_one_lease_at_every_isolation_level() {
    for level in LEVELS {
        let db = TestDb::new().await;
        let client = db.connect().await;
        verbs::register(&client, "w", 1).await.unwrap();
        for number in 0..40 {
            let context = format!("c{number}");
            verbs::submit(&client, &context, json!({})).await.unwrap();
        }
        let mut taken = 0;
        for _ in 0..4 {
            let results = at_once(&db, 32, |_, client| async move {
                set_level(&client, level).await;
                verbs::lease_next(&client, "w", 3).await
            })
            .await;
            let mut grants = Vec::new();
            for result in results {
                match result {
                    Ok(some) => grants.extend(some),
                    Err(error) => assert!(
                        level != "read committed" && verbs::is_retryable(&error),
                        "{level}: {error:?}"
                    ),
                }
            }
            assert!(grants.len() <= 1, "{level}: {grants:?}");
            taken += grants.len();
            for grant in grants {
                verbs::succeed(&client, &grant).await.unwrap();
            }
        }
        assert!(taken > 0);
        assert_clean(&client).await;
    }
}

#[tokio::test]
async fn a_limited_queue_never_runs_more_than_it_may() {
    for level in LEVELS {
        let db = TestDb::new().await;
        let client = db.connect().await;
        verbs::configure(&client, "q", json!({"max_running": 3}))
            .await
            .unwrap();
        for number in 0..16 {
            let worker = format!("w{number}");
            verbs::register(&client, &worker, 2).await.unwrap();
        }
        for number in 0..60 {
            let context = format!("c{}", number % 7);
            let options = json!({"queue": "q"});
            verbs::submit(&client, &context, options).await.unwrap();
        }
        let results = at_once(&db, 16, |number, client| async move {
            set_level(&client, level).await;
            let mut done = 0;
            for _ in 0..12 {
                let grants = match verbs::lease_next(&client, &format!("w{number}"), 2).await {
                    Ok(grants) => grants,
                    Err(error) if verbs::is_retryable(&error) => continue,
                    Err(error) => panic!("{level}: {error:?}"),
                };
                for grant in grants {
                    super::insist(|| verbs::succeed(&client, &grant))
                        .await
                        .unwrap();
                    done += 1;
                }
            }
            done
        })
        .await;
        assert!(results.iter().sum::<usize>() > 3);
        let mut bounds = Bounds::default();
        bounds.queues.insert("q".to_owned(), 3);
        assert_clean_within(&client, &bounds).await;
    }
}

#[tokio::test]
async fn lowering_a_capacity_while_claiming_holds_from_then_on() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    verbs::register(&client, "w", 8).await.unwrap();
    for number in 0..200 {
        let context = format!("c{number}");
        verbs::submit(&client, &context, json!({})).await.unwrap();
    }
    at_once(&db, 9, |number, client| async move {
        for round in 0..25 {
            if number == 0 {
                let slots = if round % 2 == 0 { 2 } else { 8 };
                verbs::register(&client, "w", slots).await.unwrap();
                continue;
            }
            for grant in verbs::lease_next(&client, "w", 2).await.unwrap() {
                verbs::succeed(&client, &grant).await.unwrap();
            }
        }
    })
    .await;
    let mut bounds = Bounds::default();
    bounds.workers.insert("w".to_owned(), 8);
    assert_clean_within(&client, &bounds).await;
    verbs::register(&client, "w", 2).await.unwrap();
    assert_eq!(verbs::lease_next(&client, "w", 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_same_key_from_many_connections_is_one_task() {
    for level in LEVELS {
        let db = TestDb::new().await;
        let results = at_once(&db, 16, |_, client: Arc<Client>| async move {
            set_level(&client, level).await;
            let keyed = json!({"idempotency_key": "k"});
            super::insist(|| verbs::submit(&client, "c", keyed.clone())).await
        })
        .await;
        let ids: Vec<Uuid> = results.into_iter().map(Result::unwrap).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let client = db.connect().await;
        assert_eq!(assert_clean(&client).await, 1);
    }
}

#[tokio::test]
async fn a_claim_takes_no_more_than_it_asked_for_under_any_plan() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    verbs::register(&client, "w", 32).await.unwrap();
    for number in 0..60 {
        let context = format!("c{}", number % 5);
        verbs::submit(&client, &context, json!({})).await.unwrap();
    }
    let plans = [
        "set enable_material = off; set enable_hashjoin = off; set enable_mergejoin = off",
        "set enable_nestloop = off; set enable_tidscan = off",
        "set enable_indexscan = off; set enable_bitmapscan = off",
        "set enable_seqscan = off; set enable_hashjoin = off; set enable_hashagg = off",
        "set plan_cache_mode = force_custom_plan; set enable_sort = off",
    ];
    for plan in plans {
        for max in [1, 3, 32] {
            let own = db.connect().await;
            own.batch_execute("set jit = off").await.unwrap();
            own.batch_execute(plan).await.unwrap();
            let grants = verbs::lease_next(&own, "w", max).await.unwrap();
            assert_eq!(grants.len(), usize::try_from(max).unwrap(), "{plan}");
            verbs::make_overdue(&own).await.unwrap();
            let sql = "select bloom.lease_expire(1, null, '{\"grace_seconds\": 0}')";
            let ended: i32 = own.query_one(sql, &[]).await.unwrap().get(0);
            assert_eq!(ended, 1, "{plan}");
            for grant in &grants {
                verbs::release(&own, grant).await.ok();
            }
        }
    }
    assert_clean(&client).await;
}
