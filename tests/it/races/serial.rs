//! Serial contexts under many connections: in order, one at a time, none left behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::at_once;
use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::verbs;

/// Longest time for the whole load.
const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// Tasks that each connection submits.
const EACH: usize = 8;

#[tokio::test]
async fn a_serial_context_runs_in_order_one_at_a_time_and_to_its_end() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    for number in 0..16 {
        let worker = format!("w{number}");
        verbs::register(&client, &worker, 2).await.unwrap();
    }
    let deadline = Instant::now() + LOAD_LIMIT;
    at_once(&db, 16, |number, client: Arc<Client>| async move {
        let worker = format!("w{number}");
        let serial = json!({"policy": {"serial": true}});
        for n in 0..EACH {
            let context = if (number + n) % 2 == 0 { "a" } else { "b" };
            let task = verbs::submit(&client, context, serial.clone())
                .await
                .unwrap();
            if number == 0 && n % 2 == 0 {
                verbs::cancel(&client, task).await.unwrap();
            }
            for grant in verbs::lease_next(&client, &worker, 2).await.unwrap() {
                verbs::succeed(&client, &grant).await.unwrap();
            }
        }
        loop {
            assert!(Instant::now() < deadline, "the contexts never finish");
            let grants = verbs::lease_next(&client, &worker, 2).await.unwrap();
            for grant in &grants {
                verbs::succeed(&client, grant).await.unwrap();
            }
            let sql = "select exists (select from bloom_private.ready) \
                       or exists (select from bloom_private.parked) \
                       or exists (select from bloom_private.lease)";
            let row = client.query_one(sql, &[]).await.unwrap();
            if !row.get::<_, bool>(0) {
                break;
            }
        }
    })
    .await;
    assert_clean(&client).await;
    // Who was parked first had the turn first.
    let sql = "select t.context_id, e.task_id from bloom_private.event e \
               join bloom_private.task t using (task_id) \
               where e.cause = 'leased' order by e.at";
    let leased: Vec<(String, Uuid)> = pairs(&client, sql).await;
    let sql = "select t.context_id, e.task_id from bloom_private.event e \
               join bloom_private.task t using (task_id) \
               where e.cause = 'turn' order by e.at";
    let turns: Vec<(String, Uuid)> = pairs(&client, sql).await;
    for context in ["a", "b"] {
        let of = |list: &[(String, Uuid)]| -> Vec<Uuid> {
            let own = list.iter().filter(|(name, _)| name == context);
            own.map(|(_, task)| *task).collect()
        };
        let turns = of(&turns);
        let leased: Vec<Uuid> = of(&leased)
            .into_iter()
            .filter(|task| turns.contains(task))
            .collect();
        let turns: Vec<Uuid> = turns
            .into_iter()
            .filter(|task| leased.contains(task))
            .collect();
        assert_eq!(leased, turns);
    }
}

async fn pairs(client: &Client, sql: &str) -> Vec<(String, Uuid)> {
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn batches_in_opposite_order_do_not_wait_for_each_other() {
    let db = TestDb::new().await;
    let results = at_once(&db, 8, |number, client: Arc<Client>| async move {
        let mut deadlocks = 0;
        for round in 0..10 {
            let mut batch: Vec<serde_json::Value> = (0..20)
                .map(|n| {
                    json!({
                        "context_id": format!("c{n}"), "agent_slug": "a", "prompt": "p",
                        "policy": {"serial": true}, "queue": format!("q{n}"),
                        "idempotency_key": format!("{round}-{n}"), "priority": n % 10,
                    })
                })
                .collect();
            if number % 2 == 0 {
                batch.reverse();
            }
            let sql = "select from bloom.task_submit_many($1)";
            match client.query(sql, &[&serde_json::Value::from(batch)]).await {
                Ok(rows) => assert_eq!(rows.len(), 20),
                Err(error) if verbs::state(&error) == "40P01" => deadlocks += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
        deadlocks
    })
    .await;
    assert_eq!(results.iter().sum::<usize>(), 0, "deadlocks");
    let client = db.connect().await;
    assert_eq!(assert_clean(&client).await, 200);
}
