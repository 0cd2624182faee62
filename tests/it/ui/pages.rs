//! Every page: with data, with nothing, and where the data cannot be had.

use std::time::Duration;

use bloom_runtime::service::install;
use serde_json::json;

use super::browser::Browser;
use super::{PAGES, done, leased, service};
use crate::fake_membridge::{ADMIN_KEY, FakeMembridge};
use crate::pg::{Cluster, Stop};
use crate::runtime::{Api, KEY, Runtime, options, task};

/// How the pages are headed, in the order of [`PAGES`].
const HEADINGS: [&str; 7] = [
    "Overview",
    "Tasks",
    "Workers",
    "Queues",
    "Membridge",
    "Artifacts",
    "Audit",
];

/// Something for every page to show: a task done, one under way, some that wait.
pub async fn furnish(api: &Api, fake: &FakeMembridge) -> (String, String) {
    for (name, room, labels) in [
        ("gpu-1", 4, json!(["gpu", "eu"])),
        ("mac-2", 2, json!(["eu"])),
    ] {
        let capabilities = json!({ "max_concurrency": room, "labels": labels });
        let body = json!({ "name": name, "capabilities": capabilities, "agent_version": "0.4.0",
            "os_info": "Debian 12", "ip_addrs": ["10.0.3.14"] });
        assert_eq!(api.post("/workers", body).await.status, 201);
    }
    let mut finished = String::new();
    for order in 1..=3 {
        let body = json!({ "context_id": format!("shop/{order}"), "agent_slug": "writer",
            "prompt": format!("Describe order {order} in one friendly sentence.") });
        finished = done(api, "gpu-1", body, "Two red boxes are on their way to you.").await;
    }
    let body = json!({ "context_id": "shop/9", "agent_slug": "writer", "queue": "default",
        "prompt": "When does order 9 arrive?" });
    let running = api.submit(body).await;
    let lease = leased(api, "gpu-1", &running).await;
    let log =
        json!({ "lease_id": lease, "offset": 0, "text": "reading the order\nasking the model\n" });
    assert_eq!(
        api.post(&format!("/llm-tasks/{running}/log"), log)
            .await
            .status,
        200
    );
    api.post("/queues/nightly/pause", json!({})).await;
    for region in ["north", "south"] {
        let body = json!({ "context_id": "report", "agent_slug": "analyst", "queue": "nightly",
            "requires": ["gpu"], "prompt": format!("Summarise the sales of the {region}.") });
        api.submit(body).await;
    }
    let body = json!({ "membridge_server_url": fake.url, "admin_key": ADMIN_KEY });
    assert_eq!(api.post("/config", body).await.status, 200);
    (finished, running)
}

#[tokio::test]
async fn every_page_shows_its_data_and_nothing_is_refused_to_it() {
    let fake = FakeMembridge::start().await;
    let runtime = service().await;
    let (finished, running) = furnish(&runtime.api, &fake).await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    let shown: [(&str, &str); 7] = [
        (".tile", "Workers online"),
        ("tbody", "When does order 9 arrive?"),
        ("[data-worker=gpu-1]", "1 of 4"),
        ("[data-queue=nightly]", "Paused"),
        ("[data-project=p1]", "node-1"),
        ("tbody", "Two red boxes"),
        ("tbody", "Completed"),
    ];
    for ((place, heading), (css, text)) in PAGES.iter().zip(HEADINGS).zip(shown) {
        browser.go(place).await;
        browser.settled(heading).await;
        browser.sees(css, text).await;
        browser.lacks("[role=alert]").await;
    }
    browser.go(&format!("tasks/{finished}")).await;
    browser.sees("[data-result=output]", "Two red boxes").await;
    browser.sees(".timeline", "Completed").await;
    browser.sees(".mini-tiles", "$0.00231").await;
    browser.sees(".mini-tiles", "412").await;
    browser.go(&format!("tasks/{running}")).await;
    browser.sees(".log", "asking the model").await;
    browser.sees("[data-countdown]", "in ").await;
    browser.sees("[data-why=running]", "Running").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_page_with_nothing_to_show_says_what_to_do_next() {
    let runtime = service().await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    let hints = [
        ("overview", "bloom worker --name first --server"),
        ("tasks", "bloom task submit"),
        ("workers", "bloom worker --name first --server"),
        ("queues", "A queue comes into being with its first task."),
        ("membridge", "Enter its address above"),
        ("artifacts", "Each completed attempt leaves one."),
        ("tasks?q=nothing-has-this", "Loosen the filters"),
        ("audit?actor=nobody", "Loosen the filters"),
        (
            "tasks/00000000-0000-0000-0000-000000000000",
            "may have been removed",
        ),
        ("tasks/no-id", "may have been removed"),
        ("nowhere", "There is no such page"),
    ];
    for (place, hint) in hints {
        browser.go(place).await;
        browser.sees(".empty", hint).await;
    }
}

#[tokio::test]
async fn a_page_whose_data_cannot_be_had_says_why_and_recovers() {
    let cluster = Cluster::start(&[]).await;
    let endpoint = cluster.endpoint("postgres");
    install(&endpoint, Duration::from_secs(30)).await.unwrap();
    let runtime = Runtime::with_options(options(endpoint)).await;
    runtime.api.submit(task("c")).await;
    cluster.stop(Stop::Fast);
    let browser = Browser::with_key(&runtime.api.base, KEY).await;
    // The settings of Membridge are the last known ones: its proxy works without Postgres.
    let task = "tasks/00000000-0000-0000-0000-000000000000";
    let read = PAGES.into_iter().filter(|place| *place != "membridge");
    for place in read.chain([task]) {
        browser.go(place).await;
        browser
            .sees("main [role=alert]", "The service cannot do that now")
            .await;
    }
    browser.go("membridge").await;
    browser.sees(".form", "Not tested yet").await;
    browser.go("tasks").await;
    browser
        .sees("main [role=alert]", "The service cannot do that now")
        .await;
    cluster.restart().await;
    // By itself, without anybody's doing.
    browser.sees("tbody", "do it").await;
    browser.lacks("main [role=alert]").await;
}
