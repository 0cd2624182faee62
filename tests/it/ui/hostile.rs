//! Whatever stands in a field stays text: markup, scripts, marks that turn the direction of writing,
//! control characters, and words without an end.

use serde_json::{Value, json};

use super::browser::Browser;
use super::{PAGES, leased, service};
use crate::fake_membridge::{ADMIN_KEY, Answer, FakeMembridge};
use crate::runtime::Api;

/// All of it in one: `mark` says which field it came from.
fn hostile(mark: &str, length: usize) -> String {
    let text = format!(
        "{mark}<img src=x onerror=window.pwned=1><script>window.pwned=2</script>\
         <svg/onload=window.pwned=3>\"'><a href=javascript:window.pwned=4>\u{202e}txt.exe\u{2066}\
         \u{feff}שלום עולם{{{{7*7}}}}${{window.pwned=5}}"
    );
    let room = length.saturating_sub(text.chars().count());
    text + &"W".repeat(room)
}

/// As much of it as a field takes.
fn cut(mark: &str, length: usize) -> String {
    hostile(mark, 0).chars().take(length).collect()
}

/// The same with control characters, where the service takes them.
fn controls(mark: &str) -> String {
    hostile(mark, 4000) + "\u{7}\u{8}\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\r"
}

async fn post(api: &Api, path: &str, body: Value) -> Value {
    let reply = api.post(path, body).await;
    assert!(reply.status < 300, "{path}: {reply:?}");
    reply.body
}

/// A hostile text in every field that the API takes; the ids of a task done and one under way.
async fn infest(api: &Api) -> (String, String) {
    let label = cut("label", 128);
    let worker = cut("worker", 128);
    let body = json!({
        "name": worker, "agent_version": cut("version", 128), "os_info": cut("os", 128),
        "capabilities": { "max_concurrency": 4, "labels": [label] },
        "ip_addrs": [cut("ip", 60)],
    });
    post(api, "/workers", body).await;
    let queue = cut("queue", 128);
    let submission = |number: usize| {
        json!({
            "context_id": hostile("context", 500), "agent_slug": hostile("agent", 0),
            "prompt": controls("prompt"), "context_hints": [hostile("hint", 0)],
            "queue": queue, "requires": [label],
            "idempotency_key": format!("{number}{}", hostile("key", 0)).chars().take(255).collect::<String>(),
        })
    };
    let first = api.submit(submission(1)).await;
    let lease = leased(api, &worker, &first).await;
    let log = json!({ "lease_id": lease, "offset": 0, "text": controls("log") });
    post(api, &format!("/llm-tasks/{first}/log"), log).await;
    let report = json!({
        "lease_id": lease, "status": "success", "output": controls("output"),
        "artifact_type": cut("type", 64),
        "artifact_tags": [cut("tag", 64)],
        "metrics": { "duration_ms": 1, "model": "<img src=x onerror=window.pwned=6>" },
    });
    post(api, &format!("/llm-tasks/{first}/complete"), report).await;
    let second = api.submit(submission(2)).await;
    let lease = leased(api, &worker, &second).await;
    let report = json!({ "lease_id": lease, "status": "error", "error_message": controls("error"),
        "retryable": false });
    post(api, &format!("/llm-tasks/{second}/complete"), report).await;
    let third = api.submit(submission(3)).await;
    let reason = json!({ "reason": hostile("reason", 1000) });
    post(api, &format!("/llm-tasks/{third}/cancel"), reason).await;
    (first, second)
}

/// Nothing that came from a field has become part of the page, and nothing of it ran.
async fn assert_tame(browser: &Browser, place: &str) {
    let script = "const inside = document.querySelector('#app');
        const made = [...inside.querySelectorAll('img, script, iframe, object, embed, svg[onload], [onerror], [onload], [href^=\"javascript\" i]')];
        const links = [...inside.querySelectorAll('a[href]')].filter(one => !['http:', 'https:'].includes(one.protocol));
        return {
            pwned: window.pwned ?? null, made: made.length, links: links.length,
            wide: document.documentElement.scrollWidth > innerWidth + 1,
            turned: /[\\u202a-\\u202e\\u2066-\\u2069\\u0007\\u001b]/.test(inside.innerText),
        }";
    let state = browser.js(script, vec![]).await;
    let tame = json!({ "pwned": null, "made": 0, "links": 0, "wide": false, "turned": false });
    assert_eq!(state, tame, "{place}");
    let complaints = browser.complaints().await;
    // A violation of the policy would mean that something tried.
    let tried: Vec<_> = complaints
        .iter()
        .filter(|line| {
            line.contains("Security") || line.contains("Trusted") || line.contains("Uncaught")
        })
        .collect();
    assert!(tried.is_empty(), "{place}: {tried:?}");
}

#[tokio::test]
async fn hostile_text_stays_text_on_every_page() {
    let fake = FakeMembridge::start().await;
    let name = hostile("node", 200);
    let node = json!({"node_id": name, "canonical_id": "p1", "role": name, "obs_count": 7,
        "db_sha": null, "last_seen": 1_795_440_717.29, "ip_addrs": [name],
        "registered_at": 1_795_440_414.2, "project_id": null});
    let project = json!([{"name": hostile("project", 300), "canonical_id": "p1", "created_at": null,
        "last_seen": null, "nodes_count": 1, "source": name}]);
    fake.answer("/projects", Answer::Json(200, project));
    fake.answer("/projects/p1/nodes", Answer::Json(200, json!([node])));
    let leadership = json!({"canonical_id": "p1", "preferred_primary": name, "node_count": 1,
        "nodes": [node]});
    fake.answer("/projects/p1/leadership", Answer::Json(200, leadership));
    let runtime = service().await;
    let api = &runtime.api;
    let (first, second) = infest(api).await;
    let config = json!({ "membridge_server_url": fake.url, "admin_key": ADMIN_KEY });
    post(api, "/config", config).await;
    let browser = Browser::signed_in(&api.base).await;
    let seen: [(&str, &str, &str); 7] = [
        ("overview", ".feed", "queue<img"),
        ("tasks", "tbody", "prompt<img src=x onerror"),
        ("workers", ".worker", "worker<img src=x onerror"),
        ("queues", "tbody", "queue<img src=x"),
        ("membridge", ".project", "node<img src=x onerror"),
        ("artifacts", "tbody", "type<img src=x onerror"),
        ("audit", "tbody", "worker<img src=x onerror"),
    ];
    assert_eq!(seen.map(|(place, ..)| place), PAGES);
    let tasks = [format!("tasks/{first}"), format!("tasks/{second}")];
    let mut places: Vec<(&str, &str, &str)> = seen.to_vec();
    places.push((
        &tasks[0],
        "[data-result=output]",
        "output<img src=x onerror",
    ));
    places.push((&tasks[0], ".log", "log<img src=x onerror"));
    places.push((&tasks[1], "[data-result=error]", "error<img src=x onerror"));
    for (width, height) in [(1280, 900), (390, 800)] {
        browser.look(width, height, "light").await;
        for (place, css, text) in &places {
            browser.go(place).await;
            browser.sees(css, text).await;
            assert_tame(&browser, place).await;
        }
    }
}

#[tokio::test]
async fn a_hostile_address_leads_nowhere() {
    let runtime = service().await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    browser.settled("Overview").await;
    let hash = "location.hash = arguments[0]";
    for place in [
        "#/<img src=x onerror=window.pwned=1>",
        "#/javascript:window.pwned=1",
        "#/__proto__",
        "#/constructor",
        "#/tasks/%E0%A4%A",
        "#/tasks/..%2F..%2Fconfig",
        "#/tasks/<script>window.pwned=1</script>",
        "#/tasks?status=<img src=x onerror=window.pwned=1>&__proto__=1",
        "#/audit?entity_type=%00&actor=%0d%0a",
        "#/artifacts?task_id=<svg onload=window.pwned=1>",
        "#/tasks/new?prompt=<img src=x onerror=window.pwned=1>",
    ] {
        browser.js(hash, vec![json!(place)]).await;
        let shown = "return document.querySelector('main .empty, main [role=alert], main form')";
        browser.until(place, shown, vec![]).await;
        assert_tame(&browser, place).await;
    }
}
