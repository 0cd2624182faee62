//! The service behind a real nginx with the configuration that is shipped.

mod rolling;
mod tls;
mod upstream;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::events::kit::Stream;
use crate::runtime::front::Nginx;
use crate::runtime::{Api, Runtime, eventually, task};

async fn pull(api: &Api, session: Uuid, wait: u32) -> Vec<Value> {
    let ask = json!({
        "worker_id": "w", "session_id": session, "wait_seconds": wait, "request_id": Uuid::new_v4(),
    });
    let reply = api.post("/leases", ask).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.leases().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_task_goes_through_nginx() {
    let runtime = Runtime::start().await;
    let nginx = Nginx::start(&runtime.api.base).await;
    let api = &nginx.api;
    api.register("w", 2).await;
    let session = Uuid::new_v4();
    let waiting = tokio::spawn({
        let api = api.clone();
        async move { pull(&api, session, 30).await }
    });
    eventually("the worker waits", async || {
        let waits = "select count(*) from bloom_private.worker_session";
        let client = runtime.db().connect().await;
        (crate::sql_kit::one(&client, waits).await == "1").then_some(())
    })
    .await;
    let id = api.submit(task("c")).await;
    let leases = waiting.await.unwrap();
    assert_eq!(leases[0]["task"]["id"], id);
    let lease = &leases[0]["lease"]["id"];
    let beat = api
        .post(
            &format!("/llm-tasks/{id}/heartbeat"),
            json!({ "lease_id": lease }),
        )
        .await;
    assert_eq!(beat.status, 200, "{beat:?}");
    let report = json!({ "lease_id": lease, "status": "success", "output": "x".repeat(15 << 20) });
    let done = api.complete(&id, report).await;
    assert_eq!(done.status, 200, "{}", done.status);
    let artifacts = api.get(&format!("/artifacts?task_id={id}")).await;
    let content = artifacts.items()[0]["content"].as_str().unwrap();
    assert_eq!(content.len(), 15 << 20);
    assert_eq!(
        api.get(&format!("/llm-tasks/{id}/events"))
            .await
            .items()
            .len(),
        4
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_the_service_arrive_through_nginx_as_they_happen_and_resume() {
    let runtime = Runtime::start().await;
    let nginx = Nginx::start(&runtime.api.base).await;
    let api = &nginx.api;
    let mut stream = Stream::open(api, "/events", None).await;
    let first = api.submit(task("c")).await;
    let told = stream.next().await;
    assert_eq!(told.data["task_id"], first.as_str(), "{told:?}");
    drop(stream);
    let missed = api.submit(task("c")).await;
    let mut stream = Stream::open(api, "/events", Some(&told.id)).await;
    let told = stream.next().await;
    assert_eq!(told.data["task_id"], missed.as_str(), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_too_large_is_told_so_and_keeps_its_lease() {
    let runtime = Runtime::start().await;
    let nginx = Nginx::start(&runtime.api.base).await;
    let api = &nginx.api;
    api.register("w", 1).await;
    let id = api.submit(task("c")).await;
    let leases = pull(api, Uuid::new_v4(), 0).await;
    let lease = &leases[0]["lease"]["id"];
    let report =
        |size: usize| json!({ "lease_id": lease, "status": "success", "output": "x".repeat(size) });
    for size in [17 << 20, 25 << 20] {
        let path = format!("/llm-tasks/{id}/complete");
        let request = api
            .request(reqwest::Method::POST, &path)
            .json(&report(size));
        // Whoever refuses may close before everything is sent.
        if let Ok(reply) = api.try_send(request).await {
            assert_eq!(reply.status, 413, "{size}");
        }
    }
    assert_eq!(api.complete(&id, report(10)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_claim_in_headers_has_no_effect() {
    let runtime = Runtime::start().await;
    let nginx = Nginx::start(&runtime.api.base).await;
    let request = nginx
        .api
        .request(reqwest::Method::POST, "/llm-tasks")
        .header("Host", "evil.example")
        .header("X-Forwarded-For", "10.0.0.1, 127.0.0.1")
        .header("X-Forwarded-Host", "evil.example")
        .header("X-Forwarded-Proto", "gopher")
        .header("Forwarded", "for=10.0.0.1;host=evil.example")
        .header("X-Real-IP", "10.0.0.1")
        .header("X-MEMBRIDGE-ADMIN", "stolen")
        .header("X-Request-Id", "a b\"c")
        .json(&task("c"));
    let reply = nginx.api.send(request).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert!(!format!("{reply:?}").contains("evil.example"), "{reply:?}");
    // A key is needed, wherever the request says it comes from.
    let bare = nginx.api.with_key(None);
    let request = bare
        .request(reqwest::Method::GET, "/llm-tasks")
        .header("X-Forwarded-For", "127.0.0.1")
        .header("Connection", "close, x-runtime-api-key");
    assert_eq!(bare.send(request).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_in_the_middle_of_a_wait_loses_no_task() {
    let mut runtime = Runtime::start().await;
    let nginx = Nginx::start(&runtime.api.base).await;
    let api = &nginx.api;
    api.register("w", 1).await;
    let session = Uuid::new_v4();
    let waiting = tokio::spawn({
        let api = api.clone();
        async move { pull(&api, session, 40).await }
    });
    nginx.reload();
    let id = api.submit(task("c")).await;
    // The old worker process of nginx answers what it has begun.
    let mut leases = waiting.await.unwrap();
    if leases.is_empty() {
        leases = pull(api, session, 20).await;
    }
    assert_eq!(leases[0]["task"]["id"], id);
    // A service that is away is 502, and nothing hangs.
    runtime.shutdown.request();
    runtime.ended().await;
    let away = api.get("/health").await;
    assert_eq!(away.status, 502);
}
