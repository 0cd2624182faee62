//! What wrong requests are told: shapes and texts that clients show.

use serde_json::{Value, json};

use crate::runtime::{Runtime, task};

/// A body with one member changed.
fn with(base: &Value, name: &str, value: Value) -> Value {
    let mut body = base.clone();
    body[name] = value;
    body
}

/// The answer is a 400 with exactly these field errors.
fn assert_fields(reply: &crate::runtime::Reply, fields: &Value) {
    assert_eq!(reply.status, 400, "{reply:?}");
    assert_eq!(
        reply.body["error"],
        json!({ "formErrors": [], "fieldErrors": fields }),
        "{reply:?}"
    );
}

#[tokio::test]
async fn every_wrong_field_of_a_task_is_told_in_the_words_of_the_contract() {
    let runtime = Runtime::start().await;
    let cases = [
        ("context_id", json!(3), "Expected string, received number"),
        ("context_id", json!(null), "Expected string, received null"),
        (
            "context_id",
            json!(""),
            "String must contain at least 1 character(s)",
        ),
        (
            "context_id",
            json!("x".repeat(513)),
            "String must contain at most 512 character(s)",
        ),
        ("agent_slug", json!([]), "Expected string, received array"),
        ("prompt", json!({}), "Expected string, received object"),
        ("prompt", json!(true), "Expected string, received boolean"),
        (
            "context_hints",
            json!("x"),
            "Expected array, received string",
        ),
        (
            "context_hints",
            json!([1]),
            "Expected string, received number",
        ),
        ("policy", json!("x"), "Expected object, received string"),
        (
            "policy",
            json!({ "timeout_sec": 0 }),
            "Number must be greater than or equal to 1",
        ),
        (
            "policy",
            json!({ "timeout_sec": 3601 }),
            "Number must be less than or equal to 3600",
        ),
        (
            "policy",
            json!({ "timeout_sec": 1.5 }),
            "Expected integer, received float",
        ),
        (
            "policy",
            json!({ "timeout_sec": "1" }),
            "Expected number, received string",
        ),
        (
            "policy",
            json!({ "budget": -1 }),
            "Number must be greater than or equal to 0",
        ),
        (
            "desired_format",
            json!("xml"),
            "Invalid enum value. Expected 'json' | 'text', received 'xml'",
        ),
        (
            "max_attempts",
            json!(11),
            "Number must be less than or equal to 10",
        ),
        (
            "max_attempts",
            json!(0),
            "Number must be greater than or equal to 1",
        ),
        (
            "max_attempts",
            json!("3"),
            "Expected number, received string",
        ),
        (
            "priority",
            json!(10),
            "Number must be less than or equal to 9",
        ),
    ];
    for (name, value, text) in cases {
        let reply = runtime
            .api
            .post("/llm-tasks", with(&task("c"), name, value))
            .await;
        assert_fields(&reply, &json!({ (name): [text] }));
    }
}

#[tokio::test]
async fn all_problems_are_told_at_once_and_nested_ones_under_their_top_field() {
    let runtime = Runtime::start().await;
    let body = json!({
        "context_id": 1, "prompt": "", "max_attempts": 2.5,
        "policy": { "timeout_sec": "x", "budget": -1 },
    });
    let reply = runtime.api.post("/llm-tasks", body).await;
    let fields = json!({
        "context_id": ["Expected string, received number"],
        "agent_slug": ["Required"],
        "prompt": ["String must contain at least 1 character(s)"],
        "policy": [
            "Expected number, received string", "Number must be greater than or equal to 0",
        ],
        "max_attempts": ["Expected integer, received float"],
    });
    assert_fields(&reply, &fields);
}

#[tokio::test]
async fn a_body_that_is_no_object_is_a_form_error() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 4).await;
    let leased = api.submit(task("c")).await;
    api.lease(&leased).await;
    let complete = format!("/llm-tasks/{leased}/complete");
    for path in [
        "/llm-tasks",
        "/workers",
        "/leases",
        "/llm-tasks/batch",
        &complete,
    ] {
        for (body, text) in [
            ("", "Required"),
            ("[]", "Expected object, received array"),
            ("null", "Expected object, received null"),
            ("\"x\"", "Expected object, received string"),
        ] {
            let reply = api.post_raw(path, body).await;
            assert_eq!(reply.status, 400, "{path} {body} {reply:?}");
            let error = json!({ "formErrors": [text], "fieldErrors": {} });
            assert_eq!(reply.body["error"], error, "{path} {body}");
        }
    }
    for body in [
        "{",
        "{\"a\":1,}",
        "{\"a\":1}x",
        "{\"a\":1,\"a\":2}",
        "{\"prompt\":\"\\u0000\"}",
        "{\"prompt\":\"\\ud800\"}",
        "{\"n\":99999999999999999999}",
    ] {
        let reply = api.post_raw("/llm-tasks", body).await;
        assert_eq!(reply.status, 400, "{body} {reply:?}");
        assert!(reply.body["error"].is_string(), "{body} {reply:?}");
    }
    let request = api.request(hyper::Method::POST, "/llm-tasks").body("{}");
    let reply = api.send(request.header("content-type", "text/plain")).await;
    assert_eq!(reply.status, 415, "{reply:?}");
    assert!(reply.body["error"].is_string());
}

#[tokio::test]
async fn whole_floats_count_as_integers_and_come_back_as_such() {
    let runtime = Runtime::start().await;
    let mut body = task("c");
    body["max_attempts"] = json!(2.0);
    body["policy"] = json!({ "timeout_sec": 60.0, "budget": 2.0 });
    let reply = runtime.api.post("/llm-tasks", body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert!(
        reply
            .text
            .contains(r#""policy":{"timeout_sec":60,"budget":2,"#),
        "{}",
        reply.text
    );
    assert!(
        reply.text.contains(r#""max_attempts":2,"#),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn wrong_workers_are_told_what_is_wrong() {
    let runtime = Runtime::start().await;
    let base = json!({ "name": "w" });
    let cases = [
        (
            "name",
            json!(""),
            "String must contain at least 1 character(s)",
        ),
        (
            "name",
            json!("x".repeat(129)),
            "String must contain at most 128 character(s)",
        ),
        ("url", json!("not a url"), "Invalid url"),
        ("url", json!("ftp://x/"), "Invalid url"),
        (
            "status",
            json!("up"),
            "Invalid enum value. Expected 'online' | 'offline' | 'syncing' | 'error' | 'unknown', \
             received 'up'",
        ),
        (
            "capabilities",
            json!({ "max_concurrency": 33 }),
            "Number must be less than or equal to 32",
        ),
        (
            "capabilities",
            json!({ "max_concurrency": 0 }),
            "Number must be greater than or equal to 1",
        ),
        (
            "capabilities",
            json!({ "slots": 1001 }),
            "Number must be less than or equal to 1000",
        ),
        (
            "capabilities",
            json!({ "claude_cli": "yes" }),
            "Expected boolean, received string",
        ),
        (
            "capabilities",
            json!({ "labels": null }),
            "Expected array, received null",
        ),
        (
            "ip_addrs",
            json!("10.0.0.1"),
            "Expected array, received string",
        ),
    ];
    for (name, value, text) in cases {
        let reply = runtime.api.post("/workers", with(&base, name, value)).await;
        assert_fields(&reply, &json!({ (name): [text] }));
    }
    let reply = runtime.api.post("/workers", json!({})).await;
    assert_fields(&reply, &json!({ "name": ["Required"] }));
}

#[tokio::test]
async fn wrong_reports_are_told_what_is_wrong() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    let id = api.submit(task("c")).await;
    api.lease(&id).await;
    let base = json!({ "status": "success" });
    let cases = [
        ("output", json!(3), "Expected string, received number"),
        (
            "error_message",
            json!([]),
            "Expected string, received array",
        ),
        ("metrics", json!(1), "Expected object, received number"),
        (
            "metrics",
            json!({ "duration_ms": -1 }),
            "Number must be greater than or equal to 0",
        ),
        (
            "metrics",
            json!({ "duration_ms": 1.5 }),
            "Expected integer, received float",
        ),
        (
            "metrics",
            json!({ "tokens_used": "1" }),
            "Expected number, received string",
        ),
        (
            "artifact_type",
            json!(null),
            "Expected string, received null",
        ),
        (
            "artifact_tags",
            json!("x"),
            "Expected array, received string",
        ),
        ("lease_id", json!("x"), "Invalid uuid"),
        (
            "status",
            json!("done"),
            "Invalid enum value. Expected 'success' | 'error', received 'done'",
        ),
    ];
    for (name, value, text) in cases {
        let reply = api.complete(&id, with(&base, name, value)).await;
        assert_fields(&reply, &json!({ (name): [text] }));
    }
    assert_fields(
        &api.complete(&id, json!({})).await,
        &json!({ "status": ["Required"] }),
    );
    assert_eq!(
        api.task(&id).await["status"],
        "leased",
        "nothing of it was believed"
    );
}

#[tokio::test]
async fn promise_06_ttl_is_a_whole_number_of_seconds_up_to_a_day() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 8).await;
    let id = api.submit(task("c")).await;
    let path = format!("/llm-tasks/{id}/lease");
    for (ttl, text) in [
        (json!(0), "Number must be greater than or equal to 1"),
        (json!(-1), "Number must be greater than or equal to 1"),
        (json!(86_401), "Number must be less than or equal to 86400"),
        (
            json!(i64::MAX),
            "Number must be less than or equal to 86400",
        ),
        (json!(1e300), "Number must be less than or equal to 86400"),
        (json!(1.5), "Expected integer, received float"),
        (json!("60"), "Expected number, received string"),
        (json!(null), "Expected number, received null"),
    ] {
        let reply = api.post(&path, json!({ "ttl_seconds": ttl })).await;
        assert_fields(&reply, &json!({ "ttl_seconds": [text] }));
    }
    for (worker_id, text) in [
        (json!(1), "Expected string, received number"),
        (json!(""), "String must contain at least 1 character(s)"),
    ] {
        let reply = api.post(&path, json!({ "worker_id": worker_id })).await;
        assert_fields(&reply, &json!({ "worker_id": [text] }));
    }
    for ttl in [1, 86_400] {
        let id = api.submit(task("c")).await;
        let path = format!("/llm-tasks/{id}/lease");
        let reply = api.post(&path, json!({ "ttl_seconds": ttl })).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        assert_eq!(reply.body["lease"]["ttl_seconds"], ttl);
    }
}

#[tokio::test]
async fn promise_06_hostile_text_is_refused_or_kept_and_never_a_fault_of_ours() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    let id = api.submit(task("c")).await;
    api.lease(&id).await;
    for (path, member) in [
        ("/llm-tasks".to_owned(), "prompt"),
        ("/workers".to_owned(), "name"),
        (format!("/llm-tasks/{id}/complete"), "output"),
        (format!("/llm-tasks/{id}/lease"), "worker_id"),
        (format!("/llm-tasks/{id}/heartbeat"), "worker_id"),
        (format!("/llm-tasks/{id}/cancel"), "reason"),
        ("/leases".to_owned(), "worker_id"),
    ] {
        for text in [r"\u0000", r"\ud800", r"\udc00\ud800", r"a\u0000b"] {
            let body = format!("{{\"{member}\":\"{text}\"}}");
            let reply = api.post_raw(&path, body).await;
            assert_eq!(reply.status, 400, "{path} {text} {reply:?}");
        }
        let mut bytes = format!("{{\"{member}\":\"").into_bytes();
        bytes.extend([0xff, 0xc3, b'"', b'}']);
        assert_eq!(api.post_raw(&path, bytes).await.status, 400, "{path}");
    }
    for query in ["status=%00", "cursor=x", "limit=1&limit=2"] {
        let reply = api.get(&format!("/llm-tasks?{query}")).await;
        assert_eq!(reply.status, 400, "{query} {reply:?}");
        assert!(reply.body["error"].is_string());
    }
    let worker = api.get("/workers/a%00b").await;
    assert_eq!(worker.status, 404, "{worker:?}");
    let long = api.get(&format!("/workers/{}", "x".repeat(5000))).await;
    assert_eq!(long.status, 404, "{long:?}");
    let queue = api
        .post_empty(&format!("/queues/{}/pause", "x".repeat(200)))
        .await;
    assert_eq!(queue.status, 400, "{queue:?}");
    let request = api
        .post(
            "/llm-tasks",
            with(&task("c"), "prompt", json!("\u{10ffff}\u{fffe}\u{1}")),
        )
        .await;
    assert_eq!(request.status, 201, "{request:?}");
}

#[tokio::test]
async fn what_the_database_refuses_is_told_in_the_same_words() {
    let runtime = Runtime::start().await;
    let name = "q".repeat(129);
    let reply = runtime
        .api
        .post(&format!("/queues/{name}"), json!({}))
        .await;
    let text = "String must contain at most 128 character(s)";
    assert_fields(&reply, &json!({ "queue": [text] }));
}
