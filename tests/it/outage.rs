//! Postgres goes away and comes back under a running service.

mod process;

use std::time::Duration;

use bloom_runtime::service::install;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::metrics::{scrape, until};
use crate::pg::{Cluster, Stop};
use crate::runtime::{Api, Reply, Runtime, eventually, options, task};

/// A service on a cluster of the test's own, with full durability.
async fn start(cluster: &Cluster, grace: Duration) -> Runtime {
    let endpoint = cluster.endpoint("postgres");
    install(&endpoint, Duration::from_secs(30)).await.unwrap();
    let mut options = options(endpoint);
    options.maintenance.grace = grace;
    Runtime::with_options(options).await
}

fn assert_unavailable(reply: &Reply) {
    assert_eq!(reply.status, 503, "{reply:?}");
    let after: u32 = reply
        .header("retry-after")
        .expect("when to try again")
        .parse()
        .unwrap();
    assert!((1..=60).contains(&after));
    assert!(reply.body["error"].is_string(), "{reply:?}");
    for leak in ["postgres", "connection", "socket", "tcp", "sql"] {
        assert!(!reply.text.to_lowercase().contains(leak), "{reply:?}");
    }
}

async fn until_ready(api: &Api) {
    eventually("the service is ready", || async {
        (api.get("//readyz").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn promise_10_an_outage_of_postgres_is_503_until_it_is_back_and_costs_no_lease() {
    let cluster = Cluster::start(&[]).await;
    let grace = Duration::from_secs(4);
    let mut runtime = start(&cluster, grace).await;
    let api = runtime.api.clone();
    api.register("w", 4).await;
    for how in [Stop::Fast, Stop::Kill] {
        let id = api.submit(task("c")).await;
        let reply = api
            .post(
                &format!("/llm-tasks/{id}/lease"),
                json!({ "ttl_seconds": 1 }),
            )
            .await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let lease = reply.body["lease"]["id"].clone();
        let expires_at = reply.body["lease"]["expires_at"].as_i64().unwrap();

        cluster.stop(how);
        let gets = [
            "/stats",
            "/llm-tasks",
            "/runs",
            "/workers",
            "/audit",
            "/queues",
            "//readyz",
        ];
        let since = Instant::now();
        for reply in join_all(gets.map(|path| api.get(path))).await {
            assert_unavailable(&reply);
        }
        assert!(
            since.elapsed() < Duration::from_secs(4),
            "{:?}",
            since.elapsed()
        );
        assert_unavailable(&api.post("/llm-tasks", task("x")).await);
        assert_unavailable(&api.pull("w", 30).await);
        let beat = format!("/llm-tasks/{id}/heartbeat");
        let named = json!({ "lease_id": lease });
        assert_unavailable(&api.post(&beat, named.clone()).await);
        // What is wrong with a request is said all the same, and so is that the process lives.
        assert_eq!(api.post("/llm-tasks", json!({})).await.status, 400);
        assert_eq!(api.get("/health").await.status, 200);
        assert_eq!(api.get("//healthz").await.status, 200);
        assert_eq!(api.with_key(None).get("/stats").await.status, 401);
        eventually("the lease has run out", || async {
            (now_ms() > expires_at + 500).then_some(())
        })
        .await;

        cluster.restart().await;
        until_ready(&api).await;
        sleep(Duration::from_secs(1)).await;
        let reply = api.post(&beat, named).await;
        assert_eq!(
            reply.status, 200,
            "no lease was taken within the grace: {reply:?}"
        );
        // A worker that stays silent loses it when the grace is over.
        let since = Instant::now();
        api.until_status(&id, "queued").await;
        assert!(since.elapsed() < grace + Duration::from_secs(6));
        api.post_empty(&format!("/llm-tasks/{id}/cancel")).await;
    }
    runtime.shutdown.request();
    runtime.ended().await;
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

#[tokio::test]
async fn a_waiting_request_outlives_no_outage_but_the_next_one_is_served() {
    let cluster = Cluster::start(&[]).await;
    let runtime = start(&cluster, Duration::ZERO).await;
    let api = runtime.api.clone();
    api.register("w", 4).await;
    let waiting = tokio::spawn({
        let api = api.clone();
        async move { api.pull("w", 15).await }
    });
    until(&api, "bloom_waiters", 1.0).await;
    cluster.stop(Stop::Immediate);
    cluster.restart().await;
    until_ready(&api).await;
    // Whether it was told of the outage or waited through it: nothing is lost.
    let id = api.submit(task("c")).await;
    let reply = waiting.await.unwrap();
    let reply = if reply.status == 503 {
        api.pull("w", 15).await
    } else {
        reply
    };
    assert_eq!(reply.leases()[0]["task"]["id"], id.as_str());
}

#[tokio::test]
async fn heartbeats_and_completions_get_through_when_all_other_connections_are_taken() {
    let cluster = Cluster::start(&[]).await;
    let endpoint = cluster.endpoint("postgres");
    install(&endpoint, Duration::from_secs(30)).await.unwrap();
    let mut options = options(endpoint);
    options.pools.general = 2;
    options.pools.reserved = 1;
    options.pools.checkout_wait = Duration::from_secs(1);
    let runtime = Runtime::with_options(options).await;
    let api = runtime.api.clone();
    api.register("w", 4).await;
    let id = api.submit(task("c")).await;
    let lease = api.lease(&id).await;
    // Whoever lists queues now waits for this lock.
    let mut blocker = cluster.connect("postgres").await;
    let lock = blocker.transaction().await.unwrap();
    let sql = "lock table bloom_private.queue in access exclusive mode";
    lock.batch_execute(sql).await.unwrap();
    let flood: Vec<_> = (0..40)
        .map(|_| {
            let api = api.clone();
            tokio::spawn(async move { api.get("/queues").await })
        })
        .collect();
    eventually("the others wait for connections", || async {
        let waiting = scrape(&api).await["bloom_pool_waiting{lane=\"general\"}"];
        (waiting > 0.0).then_some(())
    })
    .await;
    let named = json!({ "lease_id": lease, "status": "success", "output": "x" });
    for verb in ["heartbeat", "complete"] {
        let since = Instant::now();
        let reply = api
            .post(&format!("/llm-tasks/{id}/{verb}"), named.clone())
            .await;
        assert_eq!(reply.status, 200, "{verb} {reply:?}");
        assert!(
            since.elapsed() < Duration::from_secs(1),
            "{verb} {:?}",
            since.elapsed()
        );
    }
    lock.rollback().await.unwrap();
    for reply in flood {
        let reply = reply.await.unwrap();
        if reply.status != 200 {
            assert_unavailable(&reply);
        }
    }
    eventually("everything is served again", || async {
        (api.get("/queues").await.status == 200).then_some(())
    })
    .await;
}
