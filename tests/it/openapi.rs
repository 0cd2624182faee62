//! `GET /openapi.json` and `GET /docs`.

use std::collections::BTreeSet;

use bloom_runtime::http::handlers::{docs, router};
use serde_json::{Value, json};

use crate::runtime::{Runtime, task};

/// `METHOD /path` of every operation of the document.
fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let table = router().unwrap();
    let routes: BTreeSet<_> = table
        .routes()
        .iter()
        .map(|route| format!("{} {}", route.method(), route.path()))
        .collect();
    assert_eq!(operations(&docs::document()), routes);
    // Each is described, once, and nothing is described that does not exist.
    let described = docs::described();
    let names: BTreeSet<_> = described
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(names.len(), described.len(), "a route is described twice");
    assert_eq!(names, routes, "src/http/handlers/docs describes each route");
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn walk<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(there)) = members.get("$ref") {
                    found.push(there);
                }
                members.values().for_each(|member| walk(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let document = docs::document();
    let mut found = Vec::new();
    walk(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for there in found {
        let pointer = there.strip_prefix('#').expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{there}");
    }
}

#[test]
fn bodies_and_scopes_are_those_of_the_code() {
    let document = docs::document();
    let submit = &document["paths"]["/api/runtime/llm-tasks"]["post"];
    let schema = &submit["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(
        schema["required"],
        json!(["context_id", "agent_slug", "prompt"])
    );
    assert_eq!(schema["properties"]["priority"]["maximum"], 9);
    assert_eq!(schema["properties"]["priority"]["default"], 5);
    assert_eq!(
        schema["properties"]["policy"]["properties"]["timeout_sec"]["maximum"],
        3600
    );
    assert_eq!(submit["security"][0]["key"], json!(["producer", "admin"]));
    assert_eq!(document["paths"]["/healthz"]["get"]["security"], json!([]));
    let task = &document["components"]["schemas"]["Task"]["properties"]["id"];
    assert_eq!(*task, json!({ "type": "string", "format": "uuid" }));
}

#[tokio::test]
async fn the_document_and_its_page_are_served_without_a_key_or_a_script() {
    let runtime = Runtime::start().await;
    let api = runtime.api.with_key(None);
    let reply = api.get("//openapi.json").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, docs::document());
    let page = api.get("//docs").await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'"),
        "{policy}"
    );
    for forbidden in [
        "<script",
        "src=",
        "href=\"http",
        "url(",
        " style=",
        " onclick",
    ] {
        assert!(!page.text.contains(forbidden), "{forbidden}");
    }
    for route in router().unwrap().routes() {
        let path = format!("<code>{}</code>", route.path());
        assert!(page.text.contains(&path), "{path} is not on the page");
    }
    assert_eq!(api.get("//docs/style.css").await.status, 200);
}

#[tokio::test]
async fn examples_of_the_document_are_accepted() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let document = docs::document();
    let example = |path: &str| {
        let body = &document["paths"][path]["post"]["requestBody"]["content"];
        body["application/json"]["example"].clone()
    };
    let worker = api.post("/workers", example("/api/runtime/workers")).await;
    assert_eq!(worker.status, 201, "{worker:?}");
    let submitted = api
        .post("/llm-tasks", example("/api/runtime/llm-tasks"))
        .await;
    assert_eq!(submitted.status, 201, "{submitted:?}");
    let many = api
        .post("/llm-tasks/batch", example("/api/runtime/llm-tasks/batch"))
        .await;
    assert_eq!(many.status, 201, "{many:?}");
    let pulled = api.post("/leases", example("/api/runtime/leases")).await;
    let lease = pulled.leases()[0]["lease"].clone();
    let mut beat = example("/api/runtime/workers/{id}/beat");
    beat["leases"][0]["lease_id"] = lease["id"].clone();
    let beaten = api.post("/workers/w1/beat", beat).await;
    assert_eq!(beaten.body["leases"][0]["state"], "ok", "{beaten:?}");
    let mut report = example("/api/runtime/llm-tasks/{id}/complete");
    report["lease_id"] = lease["id"].clone();
    let done = api.complete(&submitted.id(), report).await;
    assert_eq!(done.status, 200, "{done:?}");
    let cancelled = api.submit(task("c")).await;
    let path = format!("/llm-tasks/{cancelled}/cancel");
    let reply = api
        .post(&path, example("/api/runtime/llm-tasks/{id}/cancel"))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let queue = api
        .post("/queues/q", example("/api/runtime/queues/{name}"))
        .await;
    assert_eq!(queue.status, 200, "{queue:?}");
}
