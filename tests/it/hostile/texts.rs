//! Whatever text is legal in a field comes back to the last byte; what is not is refused.

use futures_util::stream::{self, StreamExt as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::corpus::{Input, Kind, all};
use super::places::{Field, Operation, operations};
use super::scene::Scene;
use crate::runtime::Api;

/// How many texts are under way at the same time.
const TOGETHER: usize = 8;

fn operation(name: &str) -> Operation {
    let (method, path) = name.split_once(' ').unwrap();
    let mut all = operations().into_iter();
    all.find(|o| o.method == method && o.path == path)
        .expect("it is described")
}

/// The field of an operation's body; it takes what the description says.
fn field(operation: &Operation, pointer: &str) -> Field {
    let found = operation
        .fields
        .iter()
        .find(|field| field.pointer == pointer);
    found.expect("it is described").clone()
}

/// Tries every text with `put`, which says what came back: `Err` with the status of a refusal.
async fn keeps<F: Future<Output = Result<Value, u16>>>(
    what: &str,
    takes: impl Fn(&str) -> bool,
    put: impl Fn(Input) -> F,
) {
    let texts = all(Kind::Text);
    let mut answers = stream::iter(texts)
        .map(|input| {
            let put = put(input.clone());
            async { (input, put.await) }
        })
        .buffer_unordered(TOGETHER);
    let mut wrong = Vec::new();
    while let Some((input, answer)) = answers.next().await {
        let complaint = match (takes(input.text()), answer) {
            (true, Ok(back)) if back == input.text() => continue,
            (false, Err(400)) => continue,
            (true, Ok(back)) => format!("came back as {:.200}", back.to_string()),
            (is_legal, other) => format!("legal: {is_legal}, {:.200}", format!("{other:?}")),
        };
        wrong.push(format!("{what} {}: {complaint}", input.name));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Submits with one field set, and shows the task.
async fn submitted(api: &Api, pointer: &str, value: Value) -> Result<Value, u16> {
    let mut body = json!({ "context_id": Uuid::new_v4(), "agent_slug": "a", "prompt": "p" });
    body[pointer.trim_start_matches('/')] = value;
    let reply = api.post("/llm-tasks", body).await;
    match reply.status {
        201 => Ok(api.task(&reply.id()).await),
        status => Err(status),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_text_of_a_submission_comes_back_to_the_last_byte() {
    let scene = Scene::start().await;
    let api = scene.api();
    let submit = operation("POST /api/runtime/llm-tasks");
    for pointer in [
        "/context_id",
        "/agent_slug",
        "/prompt",
        "/queue",
        "/idempotency_key",
    ] {
        let takes = field(&submit, pointer);
        keeps(
            pointer,
            |text| takes.takes(text),
            |input| async move {
                let task = submitted(api, pointer, json!(input.text())).await?;
                if pointer == "/idempotency_key" {
                    // It is not shown; but it is the key, and no other is.
                    let again = submitted(api, pointer, json!(input.text())).await;
                    assert_eq!(again, Err(409), "{}", input.name);
                    return Ok(json!(input.text()));
                }
                Ok(task[&pointer[1..]].clone())
            },
        )
        .await;
    }
    for pointer in ["/context_hints", "/requires"] {
        let takes = field(&submit, &format!("{pointer}/0"));
        keeps(
            pointer,
            |text| takes.takes(text),
            |input| async move {
                let task = submitted(api, pointer, json!([input.text()])).await?;
                Ok(task[&pointer[1..]][0].clone())
            },
        )
        .await;
    }
    scene.assert_sound().await;
}

/// Leases a new task and reports on it; its result.
async fn reported(api: &Api, mut report: Value) -> Result<Value, u16> {
    let id = api
        .submit(crate::runtime::task(&Uuid::new_v4().to_string()))
        .await;
    report["lease_id"] = json!(api.lease(&id).await);
    match api.complete(&id, report).await.status {
        200 => Ok(api.get(&format!("/llm-tasks/{id}/result")).await.body),
        status => Err(status),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_text_of_a_report_comes_back_to_the_last_byte() {
    let scene = Scene::start().await;
    let api = scene.api();
    let complete = operation("POST /api/runtime/llm-tasks/{id}/complete");
    for (name, status) in [("output", "success"), ("error_message", "error")] {
        let takes = field(&complete, &format!("/{name}"));
        keeps(
            name,
            |text| takes.takes(text),
            |input| async move {
                let report = json!({ "status": status, "retryable": false, name: input.text() });
                Ok(reported(api, report).await?[name].clone())
            },
        )
        .await;
    }
    scene.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_any_name_is_found_by_it() {
    let scene = Scene::start().await;
    let api = scene.api();
    let takes = field(&operation("POST /api/runtime/workers"), "/name");
    let takes = |text: &str| takes.takes(text);
    keeps("name", takes, |input| async move {
        let text = input.text();
        let reply = api.post("/workers", json!({ "name": text })).await;
        if reply.status >= 300 {
            return Err(reply.status);
        }
        // No spelling of a dot segment is taken in a path: who is called so stands in the list.
        if text
            .split(['/', '\\'])
            .any(|part| matches!(part, "." | ".."))
        {
            let all = api.get("/workers").await;
            let found = all.items().iter().find(|worker| worker["id"] == text);
            return Ok(found.map(|worker| worker["id"].clone()).unwrap_or_default());
        }
        let path = format!("/workers/{}", utf8_percent_encode(text, NON_ALPHANUMERIC));
        let shown = api.get(&path).await;
        assert_eq!(shown.status, 200, "{}: {shown:?}", input.name);
        Ok(shown.body["id"].clone())
    })
    .await;
    scene.assert_sound().await;
}
