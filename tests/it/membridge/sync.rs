//! The sync of Membridge's agents into the worker table.

use serde_json::{Value, json};

use super::connected;
use crate::fake_membridge::FakeMembridge;
use crate::runtime::{Runtime, eventually, task};
use crate::sql_kit::column;

async fn worker(runtime: &Runtime, name: &str) -> Option<Value> {
    let reply = runtime.api.get(&format!("/workers/{name}")).await;
    (reply.status == 200).then_some(reply.body)
}

#[tokio::test]
async fn agents_of_every_shape_become_workers_and_a_broken_one_harms_no_other() {
    let fake = FakeMembridge::start().await;
    fake.agents(json!([
        {"name": "a", "url": "http://127.0.0.1:8001", "status": "online",
         "registered_at": 1_695_440_414.2, "last_seen": 1_695_440_717.29},
        {"name": "b", "status": "brand-new-status", "last_seen": null},
        3,
        {"name": ["not", "a", "name"]},
        {"name": "x".repeat(200)},
        {"node_id": "c", "status": "offline", "last_seen": 1_695_440_717_290_i64,
         "capabilities": {"claude_cli": false, "max_concurrency": 4, "labels": ["gpu"]},
         "obs_count": 7, "db_sha": "abc", "ip_addrs": ["10.0.0.1"]},
        {"id": "d", "status": "unknown", "capabilities": "none", "max_concurrency": 2,
         "labels": ["x"]},
    ]));
    let runtime = connected(&fake).await;
    eventually("the last one is there", async || {
        worker(&runtime, "d").await
    })
    .await;
    let a = worker(&runtime, "a").await.unwrap();
    assert_eq!(
        (&a["status"], &a["url"]),
        (&json!("online"), &json!("http://127.0.0.1:8001"))
    );
    assert_eq!(a["last_heartbeat"], 1_695_440_717_290_i64);
    assert_eq!(worker(&runtime, "b").await.unwrap()["status"], "unknown");
    let c = worker(&runtime, "c").await.unwrap();
    assert_eq!(c["status"], "offline");
    let capabilities = json!({"claude_cli": false, "max_concurrency": 4, "labels": ["gpu"]});
    assert_eq!(c["capabilities"], capabilities);
    assert_eq!((&c["obs_count"], &c["db_sha"]), (&json!(7), &json!("abc")));
    let d = worker(&runtime, "d").await.unwrap();
    assert_eq!(d["capabilities"]["max_concurrency"], 2);
    let health = runtime.api.get("/health").await.body;
    let sync = &health["membridge"]["lastSync"];
    assert_eq!(sync["listed"], 7, "{health}");
    assert_eq!(
        sync["skipped"].as_array().map(Vec::len),
        Some(3),
        "{health}"
    );
    assert_eq!(health["membridge"]["connected"], true);
    assert_eq!(health["membridge"]["consecutiveFailures"], 0);
}

#[tokio::test]
async fn a_sync_takes_nothing_back_that_a_worker_said_of_itself() {
    let fake = FakeMembridge::start().await;
    let runtime = connected(&fake).await;
    let itself = json!({
        "name": "w", "url": "http://10.0.0.7:8001", "agent_version": "0.4.0",
        "capabilities": {"claude_cli": true, "max_concurrency": 5, "labels": ["gpu", "x86_64"]},
    });
    assert_eq!(runtime.api.post("/workers", itself).await.status, 201);
    let before = worker(&runtime, "w").await.unwrap();
    fake.agents(json!([
        {"name": "w", "url": "http://elsewhere:1", "status": "unknown", "last_seen": null,
         "capabilities": {"claude_cli": false, "max_concurrency": 1, "labels": []}},
        {"name": "w2", "status": "error"},
    ]));
    eventually("the sync has seen both", async || {
        worker(&runtime, "w2").await
    })
    .await;
    assert_eq!(worker(&runtime, "w").await.unwrap(), before);
    // It stays eligible.
    let id = runtime.api.submit(task("c")).await;
    let leased = runtime
        .api
        .post(&format!("/llm-tasks/{id}/lease"), json!({}))
        .await;
    assert_eq!(leased.status, 201, "{leased:?}");
}

#[tokio::test]
async fn a_listed_worker_that_vanished_goes_offline_and_comes_back() {
    let fake = FakeMembridge::start().await;
    let listed = ["gone", "beats", "works"].map(|name| json!({"name": name, "status": "online"}));
    fake.agents(json!(listed));
    let runtime = connected(&fake).await;
    eventually("all are there", async || worker(&runtime, "works").await).await;
    // A minute passes; one of them beats with us, another one tells of its task.
    let id = runtime.api.submit(task("c")).await;
    let works = json!({ "worker_id": "works" });
    let path = format!("/llm-tasks/{id}");
    let leased = runtime.api.post(&format!("{path}/lease"), works).await;
    assert_eq!(leased.status, 201, "{leased:?}");
    let session = json!({ "session_id": uuid::Uuid::new_v4(), "leases": [] });
    fake.agents(json!([]));
    let client = runtime.db().connect().await;
    let polls = fake.count("/agents");
    eventually("it is listed no more", async || {
        (fake.count("/agents") > polls + 1).then_some(())
    })
    .await;
    assert_eq!(
        runtime
            .api
            .post("/workers/beats/beat", session)
            .await
            .status,
        200
    );
    let heartbeat = runtime.api.post_empty(&format!("{path}/heartbeat")).await;
    assert_eq!(heartbeat.status, 200, "{heartbeat:?}");
    column(
        &client,
        "update bloom_private.worker set listed_at = listed_at - interval '61 s', \
        last_seen_at = last_seen_at - interval '61 s' returning worker_id",
    )
    .await;
    eventually("it is offline", async || {
        (worker(&runtime, "gone").await?["status"] == "offline").then_some(())
    })
    .await;
    for alive in ["beats", "works"] {
        let status = worker(&runtime, alive).await.unwrap()["status"].clone();
        assert_eq!(status, "online", "{alive}");
    }
    fake.agents(json!([{"name": "gone", "status": "online"}]));
    eventually("it is online again", async || {
        (worker(&runtime, "gone").await?["status"] == "online").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_somebody_holds_keeps_no_other_from_being_taken_over() {
    let fake = FakeMembridge::start().await;
    fake.agents(json!([{"name": "held", "status": "online"}]));
    let runtime = connected(&fake).await;
    eventually("it is there", async || worker(&runtime, "held").await).await;
    let client = runtime.db().connect().await;
    column(
        &client,
        "begin; select worker_id from bloom_private.worker where worker_id = 'held' for update",
    )
    .await;
    fake.agents(json!([{"name": "held", "status": "offline"}, {"name": "other"}]));
    eventually("the other is there", async || {
        worker(&runtime, "other").await
    })
    .await;
    assert_eq!(worker(&runtime, "held").await.unwrap()["status"], "online");
    column(&client, "commit").await;
    eventually("it is offline", async || {
        (worker(&runtime, "held").await?["status"] == "offline").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_long_list_is_taken_over_in_parts_and_a_broken_agent_is_named_by_its_place() {
    let fake = FakeMembridge::start().await;
    let mut agents: Vec<_> = (0..450)
        .map(|number| json!({ "name": format!("n{number}"), "status": "online" }))
        .collect();
    agents[430] = json!({ "name": 7 });
    fake.agents(Value::Array(agents));
    let runtime = connected(&fake).await;
    let sync = eventually("a round is over", async || {
        let health = runtime.api.get("/health").await.body;
        let sync = health["membridge"]["lastSync"].clone();
        (sync["listed"] == 450).then_some(sync)
    })
    .await;
    assert_eq!(sync["skipped"][0]["index"], 430, "{sync}");
    assert_eq!(runtime.api.get("/workers").await.items().len(), 449);
}

#[tokio::test]
async fn ever_new_names_leave_room_for_workers_that_register_themselves() {
    let fake = FakeMembridge::start().await;
    let runtime = connected(&fake).await;
    let client = runtime.db().connect().await;
    column(
        &client,
        "insert into bloom_private.worker (worker_id, source)
         select 'old' || n, 'membridge' from generate_series(1, 4999) n returning worker_id",
    )
    .await;
    fake.agents(json!([{ "name": "first" }, { "name": "second" }, { "name": "old1" }]));
    let skipped = eventually("one has no room", async || {
        let health = runtime.api.get("/health").await.body;
        let sync = health["membridge"]["lastSync"].clone();
        (sync["listed"] == 3).then(|| sync["skipped"].clone())
    })
    .await;
    assert_eq!(skipped.as_array().map(Vec::len), Some(1), "{skipped}");
    assert_eq!(skipped[0]["name"], "second", "{skipped}");
    runtime.api.register("itself", 1).await;
}

#[tokio::test]
async fn a_round_that_fails_shows_in_the_health() {
    let fake = FakeMembridge::start().await;
    let runtime = connected(&fake).await;
    let client = runtime.db().connect().await;
    let rename = "alter function bloom.worker_sync(jsonb, jsonb) rename to worker_sync_away";
    column(&client, rename).await;
    fake.agents(json!([]));
    eventually("it says so", async || {
        let health = runtime.api.get("/health").await.body;
        health["membridge"]["lastSync"]["error"]
            .as_str()
            .map(str::to_owned)
    })
    .await;
}
