//! The W3C trace context: from whoever submits a task to the program that runs it.

use serde_json::{Value, json};

use crate::fake_agent::{FakeAgent, Manner};
use crate::fake_service::FakeService;
use crate::runtime::{Reply, Runtime, task};
use crate::sql_kit::{one, refused};
use crate::worker_kit::Worker;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-00";
const STATE: &str = "vendor=t61rcWkgMzE,other=1";

/// Submits with headers beside the key.
async fn submit(runtime: &Runtime, body: &Value, headers: &[(&str, &str)]) -> Reply {
    let mut request = runtime.api.request(reqwest::Method::POST, "/llm-tasks");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    runtime.api.send(request.json(body)).await
}

fn carried(task: &Value) -> (&Value, &Value) {
    let policy = &task["policy"];
    (&policy["traceparent"], &policy["tracestate"])
}

#[tokio::test]
async fn the_context_of_a_submission_reaches_whoever_leases_the_task() {
    let runtime = Runtime::start().await;
    let headers = [("traceparent", PARENT), ("tracestate", STATE)];
    let sent = submit(&runtime, &task("c"), &headers).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    let expected = (json!(PARENT), json!(STATE));
    assert_eq!(carried(&sent.body), (&expected.0, &expected.1));
    runtime.api.register("w", 1).await;
    let leased = runtime.api.pull("w", 0).await;
    let leased = &leased.leases()[0]["task"];
    assert_eq!(carried(leased), (&expected.0, &expected.1));

    let mut own = task("c");
    own["policy"] = json!({ "traceparent": OTHER });
    let sent = submit(&runtime, &own, &headers).await;
    let policy = &sent.body["policy"];
    assert_eq!(policy["traceparent"], OTHER, "what the body says wins");
    assert_eq!(policy.get("tracestate"), None, "and nothing is mixed");

    let none = runtime.api.post("/llm-tasks", task("c")).await;
    assert_eq!(none.body["policy"].get("traceparent"), None);
}

#[tokio::test]
async fn all_tasks_of_a_batch_have_the_context_of_its_request() {
    let runtime = Runtime::start().await;
    let mut own = task("c");
    own["policy"] = json!({ "traceparent": OTHER });
    let request = runtime
        .api
        .request(reqwest::Method::POST, "/llm-tasks/batch");
    let request = request.header("traceparent", PARENT);
    let body = json!({ "tasks": [task("c"), own, task("c")] });
    let sent = runtime.api.send(request.json(&body)).await;
    assert_eq!(sent.status, 201, "{sent:?}");
    for (item, expected) in sent.body["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .zip([PARENT, OTHER, PARENT])
    {
        let stored = runtime.api.task(item["id"].as_str().unwrap()).await;
        assert_eq!(stored["policy"]["traceparent"], expected);
    }
}

#[tokio::test]
async fn a_broken_context_is_refused_in_a_body_and_left_out_from_a_header() {
    let runtime = Runtime::start().await;
    let zero = PARENT.replace("b7ad6b7169203331", "0000000000000000");
    for bad in ["", "x", "00-1-2-3", &PARENT.to_uppercase(), &zero] {
        let sent = submit(
            &runtime,
            &task("c"),
            &[("traceparent", bad), ("tracestate", STATE)],
        )
        .await;
        assert_eq!(sent.status, 201, "{bad} {sent:?}");
        assert_eq!(carried(&sent.body), (&Value::Null, &Value::Null), "{bad}");
        let mut body = task("c");
        body["policy"] = json!({ "traceparent": bad });
        let sent = runtime.api.post("/llm-tasks", body).await;
        assert_eq!(sent.status, 400, "{bad} {sent:?}");
        let texts = &sent.body["error"]["fieldErrors"]["policy"];
        assert_eq!(
            texts[0], "traceparent is no W3C trace context of version 00",
            "{sent:?}"
        );
    }
    let client = runtime.db().connect().await;
    let policy = |policy: &str| {
        format!(
            "select bloom.task_submit('c', 'a', 'p', jsonb_build_object('policy', '{policy}'::jsonb))"
        )
    };
    for bad in [
        json!({ "traceparent": "x" }),
        json!({ "traceparent": zero }),
        json!({ "traceparent": 1 }),
        json!({ "tracestate": "é" }),
    ] {
        let refusal = refused(&client, &policy(&bad.to_string())).await;
        assert_eq!(refusal, "RT400 invalid_argument", "{bad}");
    }
    let good = json!({ "traceparent": PARENT, "tracestate": STATE }).to_string();
    assert!(!one(&client, &policy(&good)).await.is_empty());
}

#[tokio::test]
async fn a_repeated_submission_may_come_from_another_trace() {
    let runtime = Runtime::start().await;
    let key = ("idempotency-key", "k");
    let first = submit(&runtime, &task("c"), &[key, ("traceparent", PARENT)]).await;
    let again = submit(&runtime, &task("c"), &[key, ("traceparent", OTHER)]).await;
    assert_eq!((first.status, again.status), (201, 200), "{again:?}");
    assert_eq!(first.id(), again.id());
    assert_eq!(again.body["policy"]["traceparent"], PARENT);
}

#[tokio::test]
async fn a_program_finds_the_context_in_its_environment() {
    let service = FakeService::start().await;
    let policy =
        json!({ "timeout_sec": 60, "budget": 0, "traceparent": PARENT, "tracestate": STATE });
    let traced = service.submit_with(json!({ "prompt": "x", "policy": policy }));
    let plain = service.submit("x");
    let worker = Worker::start(&service, "env | grep ^TRACE | sort; true", |_| {});
    let output = service.completion(traced).await["output"].clone();
    assert_eq!(
        output,
        format!("TRACEPARENT={PARENT}\nTRACESTATE={STATE}\n")
    );
    assert_eq!(service.completion(plain).await["output"], "");
    worker.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_pushed_to_gets_the_context_as_a_header() {
    let runtime = Runtime::behind_nginx().await;
    let agent = FakeAgent::start(&runtime.api.base, Manner::Good).await;
    let body = json!({ "name": "node-1", "url": agent.url, "status": "online" });
    assert!(runtime.api.post("/workers", body).await.status < 300);
    let sent = submit(&runtime, &task("c"), &[("traceparent", PARENT)]).await;
    let path = format!("/llm-tasks/{}/dispatch", sent.id());
    assert_eq!(runtime.api.post_empty(&path).await.status, 200);
    let (head, body) = agent.seen.lock().unwrap()[0].clone();
    assert!(head.contains(&format!("traceparent: {PARENT}")), "{head}");
    assert_eq!(body["policy"]["traceparent"], PARENT);
}
