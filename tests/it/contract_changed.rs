//! What the contract changed on purpose, one test for each promise. (9 belongs to dispatch.)

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::runtime::entity::names;
use crate::runtime::{Reply, Runtime, eventually, task};

fn statuses(replies: &[Reply]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for reply in replies {
        *counts.entry(reply.status).or_default() += 1;
    }
    counts
}

fn assert_lost(reply: &Reply, lease: &str) {
    assert_eq!(reply.status, 409, "{reply:?}");
    assert_eq!(
        reply.body["error"],
        format!("Lease {lease} is no longer current")
    );
    assert_eq!(reply.body["code"], "lease_lost");
}

#[tokio::test]
async fn promise_01_one_winner_when_callers_race_and_no_capacity_exceeded() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    for worker in ["w1", "w2", "w3"] {
        api.register(worker, 2).await;
    }
    let id = api.submit(task("c")).await;
    let path = format!("/llm-tasks/{id}/lease");
    let replies = join_all((0..32).map(|_| api.post_empty(&path))).await;
    assert_eq!(statuses(&replies), BTreeMap::from([(201, 1), (409, 31)]));

    let mut tasks = Vec::new();
    for number in 0..12 {
        tasks.push(format!(
            "/llm-tasks/{}/lease",
            api.submit(task(&format!("c{number}"))).await
        ));
    }
    let replies = join_all(tasks.iter().map(|path| api.post_empty(path))).await;
    assert_eq!(
        statuses(&replies),
        BTreeMap::from([(201, 5), (503, 7)]),
        "6 slots, one was taken"
    );
    for worker in api.get("/workers").await.items() {
        assert_eq!(worker["active_leases"], 2, "{worker}");
    }
}

#[tokio::test]
async fn promise_02_a_lease_that_ran_out_queues_its_task_again_or_ends_it_dead() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 4).await;
    for (beats, most, status) in [(false, 2, "queued"), (true, 2, "queued"), (true, 1, "dead")] {
        let mut body = task("c");
        body["max_attempts"] = json!(most);
        let id = api.submit(body).await;
        let path = format!("/llm-tasks/{id}/lease");
        let reply = api.post(&path, json!({ "ttl_seconds": 1 })).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        if beats {
            api.post_empty(&format!("/llm-tasks/{id}/heartbeat")).await;
        }
        let over = api.until_status(&id, status).await;
        assert_eq!(over["attempts"], 1);
        let audit = api.get(&format!("/audit?entity_id={id}")).await;
        let action = if status == "dead" {
            "task_dead"
        } else {
            "lease_expired"
        };
        assert_eq!(audit.items()[0]["action"], action);
        let lease = reply.body["lease"]["id"].as_str().unwrap();
        let lost = api
            .complete(&id, json!({ "status": "success", "lease_id": lease }))
            .await;
        assert_lost(&lost, lease);
    }
}

#[tokio::test]
async fn promise_03_a_superseded_lease_changes_nothing() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 4).await;
    let id = api.submit(task("c")).await;
    let old = api.lease(&id).await;
    let released = api
        .post(
            &format!("/llm-tasks/{id}/release"),
            json!({ "lease_id": old }),
        )
        .await;
    assert_eq!(released.status, 200, "{released:?}");
    let current = api.lease(&id).await;
    let before = api.task(&id).await;
    for verb in ["complete", "heartbeat"] {
        let path = format!("/llm-tasks/{id}/{verb}");
        let body = json!({ "status": "success", "output": "stale", "lease_id": old });
        assert_lost(&api.post(&path, body).await, &old);
        let request = api.request(Method::POST, &path).header("x-lease-id", &old);
        let reply = api
            .send(request.json(&json!({ "status": "success" })))
            .await;
        assert_lost(&reply, &old);
    }
    // Also where the report is malformed, the lease is what matters.
    let request = api.request(Method::POST, &format!("/llm-tasks/{id}/complete"));
    let request = request.header("x-lease-id", &old);
    assert_lost(&api.send(request.json(&json!({ "status": 3 }))).await, &old);
    assert_eq!(api.task(&id).await, before);
    // Without a lease id (old agent) the call applies to the current lease.
    let reply = api
        .complete(&id, json!({ "status": "success", "output": "x" }))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.body["result"]["id"], current.as_str());
}

#[tokio::test]
async fn promise_03_an_unreadable_lease_header_is_not_taken_for_none() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 4).await;
    let id = api.submit(task("c")).await;
    let lease = api.lease(&id).await;
    let other = Uuid::new_v4().to_string();
    let path = format!("/llm-tasks/{id}/complete");
    let headers: [&[&[u8]]; 5] = [
        &[b"nonsense"],
        &[b""],
        &[b"\xff\xfe"],
        &[other.as_bytes(), other.as_bytes()],
        &[lease.as_bytes(), other.as_bytes()],
    ];
    for values in headers {
        let mut request = api
            .request(Method::POST, &path)
            .json(&json!({ "status": "success" }));
        for value in values {
            request = request.header("x-lease-id", *value);
        }
        let reply = api.send(request).await;
        assert_eq!(reply.status, 400, "{values:?} {reply:?}");
    }
    assert_eq!(api.task(&id).await["status"], "leased");
    let request = api
        .request(Method::POST, &path)
        .header("x-lease-id", &lease);
    let body = json!({ "status": "success", "lease_id": other });
    assert_eq!(
        api.send(request.json(&body)).await.status,
        400,
        "header and member differ"
    );
}

#[tokio::test]
async fn promise_03_without_a_lease_id_only_a_live_lease_counts() {
    let runtime = Runtime::start_with(|options| {
        options.maintenance.grace = Duration::from_secs(600);
    })
    .await;
    let api = &runtime.api;
    api.register("w", 4).await;
    let id = api.submit(task("c")).await;
    let reply = api
        .post(
            &format!("/llm-tasks/{id}/lease"),
            json!({ "ttl_seconds": 1 }),
        )
        .await;
    let lease = reply.body["lease"]["id"].as_str().unwrap().to_owned();
    // Nothing is taken back within the grace, so it is over and still there.
    let refused = eventually("the lease runs out", || async {
        let reply = api.post_empty(&format!("/llm-tasks/{id}/complete")).await;
        (reply.status != 400).then_some(reply)
    })
    .await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(refused.body["code"], "lease_lost");
    let beat = api.post_empty(&format!("/llm-tasks/{id}/heartbeat")).await;
    assert_eq!(beat.body["error"], "Lease not found or already expired");
    // Named, it is the current one until it is taken back.
    let done = api
        .complete(&id, json!({ "status": "success", "lease_id": lease }))
        .await;
    assert_eq!(done.status, 200, "{done:?}");
}

#[tokio::test]
async fn promise_03_a_strict_service_wants_the_lease_named() {
    let runtime = Runtime::start_with(|options| options.strict_leases = true).await;
    let api = &runtime.api;
    api.register("w", 4).await;
    let id = api.submit(task("c")).await;
    let lease = api.lease(&id).await;
    let beat = api.post_empty(&format!("/llm-tasks/{id}/heartbeat")).await;
    let done = api.complete(&id, json!({ "status": "success" })).await;
    for reply in [beat, done] {
        assert_eq!(reply.status, 400, "{reply:?}");
        assert_eq!(
            reply.body["error"]["fieldErrors"],
            json!({ "lease_id": ["Required"] })
        );
    }
    let request = api.request(Method::POST, &format!("/llm-tasks/{id}/heartbeat"));
    assert_eq!(
        api.send(request.header("x-lease-id", &lease)).await.status,
        200
    );
    let done = api
        .complete(&id, json!({ "status": "success", "lease_id": lease }))
        .await;
    assert_eq!(done.status, 200, "{done:?}");
}

#[tokio::test]
async fn promise_04_a_repeated_completion_answers_the_same_and_a_different_one_409() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 4).await;
    let id = api.submit(task("c")).await;
    let lease = api.lease(&id).await;
    let report = json!({
        "status": "success", "output": "x", "lease_id": lease,
        "metrics": { "duration_ms": 5, "model": "m" },
    });
    let first = api.complete(&id, report.clone()).await;
    assert_eq!(first.status, 200, "{first:?}");
    for _ in 0..2 {
        let again = api.complete(&id, report.clone()).await;
        assert_eq!((again.status, &again.body), (200, &first.body));
    }
    for (name, value) in [("output", json!("y")), ("status", json!("error"))] {
        let mut other = report.clone();
        other[name] = value;
        let reply = api.complete(&id, other).await;
        assert_eq!(reply.status, 409, "{reply:?}");
    }
    assert_eq!(api.get("/artifacts").await.items().len(), 1);
}

#[tokio::test]
async fn promise_05_an_error_is_tried_again_by_itself_until_the_task_is_dead() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 4).await;
    let mut body = task("c");
    body["max_attempts"] = json!(2);
    body["policy"] = json!({ "backoff_base_sec": 1, "backoff_cap_sec": 1 });
    let id = api.submit(body).await;
    api.lease(&id).await;
    let report = json!({ "status": "error", "error_message": "no" });
    let failed = api.complete(&id, report.clone()).await;
    let task = &failed.body["task"];
    assert_eq!(task["status"], "failed");
    let retry_at = task["retry_at"].as_i64().expect("when it is tried again");
    assert!(
        (0..=1000).contains(&(retry_at - task["updated_at"].as_i64().unwrap())),
        "{task}"
    );
    let again = api.until_status(&id, "queued").await;
    assert_eq!(
        (&again["attempts"], &again["retry_at"]),
        (&json!(1), &Value::Null)
    );
    api.lease(&id).await;
    let dead = api.complete(&id, report).await;
    assert_eq!(dead.body["task"]["status"], "dead", "{dead:?}");
    assert_eq!(dead.body["task"]["attempts"], 2);
}

#[tokio::test]
async fn promise_07_a_completion_of_16_mib_is_taken_and_above_the_lease_stays() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 4).await;
    let id = api.submit(task("c")).await;
    let lease = api.lease(&id).await;
    let report = |bytes: usize| {
        let empty = json!({ "status": "success", "lease_id": lease, "output": "" }).to_string();
        empty.replace(
            r#""output":"""#,
            &format!(r#""output":"{}""#, "x".repeat(bytes - empty.len())),
        )
    };
    let path = format!("/llm-tasks/{id}/complete");
    let most = 16 << 20;
    let reply = api.post_raw(&path, report(most + 1)).await;
    assert_eq!(reply.status, 413, "{reply:?}");
    assert!(reply.body["error"].is_string());
    assert_eq!(api.task(&id).await["lease_id"], lease.as_str());
    let reply = api.post_raw(&path, report(most)).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body["error"]);
    let artifact = reply.body["artifact"]["id"].as_str().unwrap();
    let content = api.get(&format!("/artifacts/{artifact}/content")).await;
    assert!(content.text.len() > most - 200 && content.text.bytes().all(|byte| byte == b'x'));
    let reply = api.post_raw("/workers", " ".repeat((1 << 20) + 1)).await;
    assert_eq!(reply.status, 413, "{reply:?}");
}

#[tokio::test]
async fn promise_08_unknown_routes_are_404_and_wrong_methods_405_in_json() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    for path in [
        "/nothing",
        "/llm-tasks/",
        "/workers/w/",
        "//api",
        "//api/other",
        "//apix/y",
    ] {
        let reply = api.get(path).await;
        assert_eq!(reply.status, 404, "{path} {reply:?}");
        assert!(reply.body["error"].is_string(), "{path}");
    }
    for (method, path, allow) in [
        (Method::PUT, "/llm-tasks", "GET, HEAD, POST, OPTIONS"),
        (Method::GET, "/leases/x", ""),
        (Method::PATCH, "/workers/w", "DELETE, GET, HEAD, OPTIONS"),
        (Method::DELETE, "/stats", "GET, HEAD, OPTIONS"),
    ] {
        let reply = api.send(api.request(method.clone(), path)).await;
        if allow.is_empty() {
            assert_eq!(reply.status, 404, "{reply:?}");
            continue;
        }
        assert_eq!(reply.status, 405, "{method} {path} {reply:?}");
        assert!(reply.body["error"].is_string());
        let mut said: Vec<_> = reply.header("allow").unwrap().split(", ").collect();
        let mut wanted: Vec<_> = allow.split(", ").collect();
        said.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(said, wanted, "{method} {path}");
    }
}

#[tokio::test]
async fn promise_11_no_answer_repeats_the_host() {
    // Streams of events among the answers end by themselves.
    let runtime =
        Runtime::start_with(|options| options.events.lifetime = Duration::from_millis(300)).await;
    let api = &runtime.api;
    api.register("w", 1).await;
    let id = api.submit(task("c")).await;
    let evil = "evil.example";
    let router = bloom_runtime::http::handlers::router().unwrap();
    for route in router.routes() {
        let path = route
            .path()
            .replace("{id}", &id)
            .replace("{name}", "q")
            .replace("{cid}", "c");
        let request = api.request(route.method().clone(), &format!("/{path}"));
        let request = request
            .header("host", evil)
            .header("x-forwarded-host", evil);
        let reply = api
            .send(request.header("forwarded", format!("host={evil}")))
            .await;
        assert!(!reply.text.contains(evil), "{path}");
        assert!(!format!("{:?}", reply.headers).contains(evil), "{path}");
    }
}

#[tokio::test]
async fn an_idempotency_key_makes_a_repeated_submission_the_same_task() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let submit = |header: Option<&'static [u8]>, member: Option<&'static str>, prompt: &str| {
        let mut body = task("c");
        body["prompt"] = json!(prompt);
        body["idempotency_key"] = json!(member);
        let mut request = api.request(Method::POST, "/llm-tasks");
        if let Some(key) = header {
            request = request.header("idempotency-key", key);
        }
        api.send(request.json(&body))
    };
    let first = submit(Some(b"k1"), None, "p").await;
    assert_eq!(first.status, 201, "{first:?}");
    for again in [
        submit(Some(b"k1"), None, "p").await,
        submit(None, Some("k1"), "p").await,
        submit(Some(b"k1"), Some("k1"), "p").await,
    ] {
        assert_eq!((again.status, again.id()), (200, first.id()), "{again:?}");
        assert_eq!(names(&again.body), names(&first.body));
    }
    let other = submit(Some(b"k1"), None, "another prompt").await;
    assert_eq!(
        (other.status, &other.body["code"]),
        (409, &json!("idempotency_conflict"))
    );
    for (header, member) in [(&b"k1"[..], Some("k2")), (b"", None), (b"\xff", None)] {
        let reply = submit(Some(header), member, "p").await;
        assert_eq!(reply.status, 400, "{header:?} {reply:?}");
    }
    let long: &'static str = "x".repeat(256).leak();
    assert_eq!(submit(None, Some(long), "p").await.status, 400);
    assert_eq!(submit(Some(long.as_bytes()), None, "p").await.status, 400);
    assert_eq!(api.get("/llm-tasks").await.items().len(), 1);
    let racing = join_all((0..16).map(|_| submit(Some(b"race"), None, "p"))).await;
    assert_eq!(statuses(&racing), BTreeMap::from([(201, 1), (200, 15)]));
    assert!(racing.iter().all(|reply| reply.id() == racing[0].id()));
}
