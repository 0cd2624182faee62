//! kill -9 of Postgres, between any two verbs and in the middle of many: what was acknowledged is
//! there afterwards, and what was not is there whole or not at all.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bloom_runtime::db::install::{self, Bundle};
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::history::{assert_clean, assert_clean_within};
use crate::pg::{Cluster, Stop};
use crate::runtime::eventually;
use crate::verbs::{self, Grant};

/// The database that the tests use on their own server.
const DATABASE: &str = "postgres";
/// Connections that submit, lease and complete when the server dies.
const CONNECTIONS: usize = 8;
/// Deaths under load.
const KILLS: usize = 4;

/// A server with full durability and the real bundle.
async fn durable() -> Cluster {
    let cluster = Cluster::start(&[]).await;
    let mut client = cluster.connect(DATABASE).await;
    for (setting, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
    ] {
        let row = client.query_one(&format!("show {setting}"), &[]).await;
        assert_eq!(row.unwrap().get::<_, String>(0), value, "{setting}");
    }
    let bundle = Bundle::embedded().unwrap();
    install::install(&mut client, &bundle, install::Options::default())
        .await
        .unwrap();
    cluster
}

/// Kills the server with everything that belongs to it, and starts it again.
async fn die(cluster: &Cluster) -> Client {
    cluster.stop(Stop::Kill);
    cluster.restart().await;
    let client = cluster.connect(DATABASE).await;
    assert_clean(&client).await;
    client
}

#[tokio::test]
async fn a_life_goes_on_after_a_death_between_any_two_verbs() {
    let cluster = durable().await;
    let client = cluster.connect(DATABASE).await;
    verbs::register(&client, "w", 2).await.unwrap();

    let client = die(&cluster).await;
    let serial = json!({"policy": {"serial": true}, "idempotency_key": "k", "max_attempts": 2});
    let task = verbs::submit(&client, "c", serial.clone()).await.unwrap();
    let next = verbs::submit(&client, "c", json!({"policy": {"serial": true}}))
        .await
        .unwrap();

    let client = die(&cluster).await;
    assert_eq!(verbs::submit(&client, "c", serial).await.unwrap(), task);
    let request = json!({"request_id": Uuid::new_v4()});
    let grant = verbs::lease_next_with(&client, "w", None, 1, 300, request.clone()).await;
    let grant = grant.unwrap().remove(0);
    assert_eq!(grant.task, task);

    let client = die(&cluster).await;
    let again = verbs::lease_next_with(&client, "w", None, 1, 300, request).await;
    assert_eq!(again.unwrap(), std::slice::from_ref(&grant));
    verbs::heartbeat(&client, &grant).await.unwrap();

    let client = die(&cluster).await;
    // Postgres has just come back: its absence is not taken for the death of every worker.
    verbs::make_overdue(&client).await.unwrap();
    let sql = "select bloom.lease_expire(100)";
    let ended: i32 = client.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(ended, 0);
    assert_eq!(verbs::release(&client, &grant).await.unwrap(), "queued");

    let client = die(&cluster).await;
    let grant = verbs::lease_next(&client, "w", 1).await.unwrap().remove(0);
    let done = verbs::succeed(&client, &grant).await.unwrap();
    assert_eq!(done, ("completed".to_owned(), false));

    let client = die(&cluster).await;
    let done = verbs::succeed(&client, &grant).await.unwrap();
    assert_eq!(
        done,
        ("completed".to_owned(), true),
        "the answer may be asked for again"
    );
    let grant = verbs::lease_next(&client, "w", 1).await.unwrap().remove(0);
    assert_eq!(grant.task, next, "the turn was passed on");
    verbs::cancel(&client, next).await.unwrap();

    let client = die(&cluster).await;
    let failed = verbs::complete(&client, &grant, "error", json!({})).await;
    assert_eq!(failed.unwrap().0, "cancelled");

    let client = die(&cluster).await;
    assert_eq!(verbs::requeue(&client, next).await.unwrap(), "queued");

    let client = die(&cluster).await;
    assert_eq!(
        verbs::lease_next(&client, "w", 1).await.unwrap()[0].fence,
        2
    );
    assert_eq!(verbs::remove(&client, "w").await.unwrap(), 1);
    let client = die(&cluster).await;
    assert_eq!(verbs::status(&client, next).await, "queued");
}

/// What the clients were told, and what they asked for without learning the answer.
#[derive(Clone, Default)]
struct Told {
    submitted: HashMap<String, Uuid>,
    asked: HashSet<String>,
    granted: Vec<Grant>,
    completed: Vec<Grant>,
}

impl Told {
    fn acknowledged(&self) -> usize {
        self.submitted.len() + self.granted.len() + self.completed.len()
    }
}

/// One client: submits, leases and completes until its connection breaks.
async fn work(
    client: Client,
    number: usize,
    round: usize,
    told: Arc<Mutex<Told>>,
    dead: Arc<AtomicBool>,
) {
    let worker = format!("w{number}");
    for n in 0.. {
        let key = format!("{round}-{number}-{n}");
        told.lock().unwrap().asked.insert(key.clone());
        let context = format!("c{}", n % 3);
        let options = json!({"idempotency_key": key, "policy": {"serial": n % 4 == 0}});
        let result = async {
            let task = verbs::submit(&client, &context, options).await?;
            told.lock().unwrap().submitted.insert(key, task);
            for grant in verbs::lease_next(&client, &worker, 2).await? {
                told.lock().unwrap().granted.push(grant.clone());
                if n % 5 != 0 {
                    verbs::succeed(&client, &grant).await?;
                    told.lock().unwrap().completed.push(grant);
                }
            }
            Ok::<_, tokio_postgres::Error>(())
        };
        match result.await {
            Ok(()) => {}
            Err(error) if verbs::is_retryable(&error) => {}
            Err(error) => {
                // Any other refusal by a living server would be a bug of the verbs.
                let gone =
                    verbs::state(&error).is_empty() || verbs::state(&error).starts_with("57P0");
                assert!(gone && dead.load(Ordering::SeqCst), "{error:?}");
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_death_in_the_middle_of_it() {
    let cluster = durable().await;
    let client = cluster.connect(DATABASE).await;
    for number in 0..CONNECTIONS {
        let worker = format!("w{number}");
        verbs::register(&client, &worker, 32).await.unwrap();
    }
    let told = Arc::new(Mutex::new(Told::default()));
    for round in 0..KILLS {
        let dead = Arc::new(AtomicBool::new(false));
        let mut running = Vec::new();
        let before = told.lock().unwrap().acknowledged();
        for number in 0..CONNECTIONS {
            let client = cluster.connect(DATABASE).await;
            let (told, dead) = (Arc::clone(&told), Arc::clone(&dead));
            running.push(tokio::spawn(work(client, number, round, told, dead)));
        }
        tokio::time::sleep(Duration::from_millis(400 + 170 * round as u64)).await;
        eventually("there is load", async || {
            (told.lock().unwrap().acknowledged() > before + 50).then_some(())
        })
        .await;
        dead.store(true, Ordering::SeqCst);
        tokio::task::block_in_place(|| cluster.stop(Stop::Kill));
        for connection in running {
            connection
                .await
                .expect("clients only lose their connection");
        }
        cluster.restart().await;
        let client = cluster.connect(DATABASE).await;
        let events = assert_clean_within(&client, &crate::history::Bounds::default()).await;
        assert!(events > 50, "the load was none: {events} events");
        let so_far = told.lock().unwrap().clone();
        compare(&client, &so_far).await;
        // Slots that the dead clients held are free for the next round.
        verbs::make_overdue(&client).await.unwrap();
        while verbs::expire(&client).await.unwrap() > 0 {}
    }
}

/// Nothing acknowledged is missing; nothing is there that nobody asked for.
async fn compare(client: &Client, told: &Told) {
    let sql = "select idempotency_key, task_id from bloom_private.task";
    let rows = client.query(sql, &[]).await.unwrap();
    let there: HashMap<String, Uuid> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for (key, task) in &told.submitted {
        assert_eq!(
            there.get(key),
            Some(task),
            "an acknowledged submission is lost"
        );
    }
    for key in there.keys() {
        assert!(told.asked.contains(key), "nobody submitted {key}");
    }
    let sql = "select lease_id from bloom_private.event where cause = $1";
    for (cause, grants) in [("leased", &told.granted), ("completed", &told.completed)] {
        let rows = client.query(sql, &[&cause]).await.unwrap();
        let there: HashSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        for grant in grants {
            assert!(
                there.contains(&grant.lease),
                "an acknowledged {cause} is lost"
            );
        }
    }
}
