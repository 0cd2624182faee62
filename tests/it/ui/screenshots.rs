//! A picture of each page. `make screenshots` (`BLOOM_SCREENSHOTS=1`) keeps them in
//! `docs/screenshots`; without it they are only taken.

use std::path::PathBuf;

use serde_json::json;

use super::browser::Browser;
use super::service;
use crate::fake_membridge::FakeMembridge;
use crate::runtime::Api;

/// Pictures are smaller than this, so that README stays quick to load.
const LIMIT: usize = 400_000;

/// What a busy day looks like, beside what [`furnish`](super::pages::furnish) brings.
async fn bustle(api: &Api) {
    let orders = (1..=24).map(|order| {
        json!({ "context_id": format!("shop/{order}"), "agent_slug": "writer",
            "prompt": format!("Answer the customer's question about order {order}.") })
    });
    let body = json!({ "tasks": orders.collect::<Vec<_>>() });
    assert_eq!(api.post("/llm-tasks/batch", body).await.status, 201);
    for number in 0..9 {
        let reply = api.pull("mac-2", 0).await;
        let Some(grant) = reply.leases().first() else {
            break;
        };
        let id = grant["task"]["id"].as_str().unwrap();
        let lease = &grant["lease"]["id"];
        let path = format!("/llm-tasks/{id}/heartbeat");
        api.post(&path, json!({ "lease_id": lease })).await;
        let report = if number % 4 == 3 {
            json!({ "lease_id": lease, "status": "error", "error_message": "The model answered 529",
                "metrics": { "duration_ms": 640 } })
        } else {
            json!({ "lease_id": lease, "status": "success", "output": "Your boxes arrive on Friday.",
                "artifact_tags": ["orders"], "metrics": { "duration_ms": 1830, "tokens_used": 412,
                "cost_usd": 0.0021 } })
        };
        let reply = api.complete(id, report).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    api.pull("mac-2", 0).await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "whether to write the pictures is said by make screenshots"
)]
fn keeps_pictures() -> bool {
    std::env::var("BLOOM_SCREENSHOTS").is_ok_and(|value| value == "1")
}

#[tokio::test]
async fn every_page_has_its_picture() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/screenshots"));
    let keeps = keeps_pictures();
    let fake = FakeMembridge::start().await;
    let runtime = service().await;
    let (_, running) = super::pages::furnish(&runtime.api, &fake).await;
    bustle(&runtime.api).await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let task = format!("tasks/{running}");
    let pictures = [
        ("overview", "overview", "Overview", "light"),
        ("tasks", "tasks", "Tasks", "light"),
        ("task", &task, "When does order 9 arrive?", "dark"),
        ("workers", "workers", "Workers", "light"),
        ("queues", "queues", "Queues", "light"),
        ("membridge", "membridge", "Membridge", "dark"),
        ("artifacts", "artifacts", "Artifacts", "light"),
        ("audit", "audit", "Audit", "light"),
        ("new-task", "tasks/new", "New task", "light"),
    ];
    for (name, place, heading, scheme) in pictures {
        browser.look(1360, 860, scheme).await;
        browser.go(place).await;
        browser.settled(heading).await;
        let calm = "return !document.querySelector('main .skeleton') && document.querySelector('[data-connection=live]')";
        browser.until("the page is live", calm, vec![]).await;
        let picture = browser.picture().await;
        assert!(picture.starts_with(b"\x89PNG"), "{name}");
        assert!(
            (10_000..LIMIT).contains(&picture.len()),
            "{name}: {}",
            picture.len()
        );
        let file = folder.join(format!("{name}.png"));
        if keeps {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &picture).unwrap();
        }
        assert!(file.exists(), "make screenshots writes {}", file.display());
        assert!(
            readme.contains(&format!("docs/screenshots/{name}.png")),
            "{name}"
        );
    }
}
