//! Keys that are wrong or may not, and a service that goes away and comes back.

use bloom_runtime::service::{self, Options};
use bloom_runtime::shutdown::Shutdown;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::browser::Browser;
use super::service;
use crate::contract_keys::create_named_key;
use crate::pg::TestDb;
use crate::runtime::{Api, KEY, options, task};

#[tokio::test]
async fn the_key_is_asked_for_once_and_kept_in_the_tab_only() {
    let runtime = service().await;
    runtime.api.submit(task("c")).await;
    let browser = Browser::open(&runtime.api.base).await;
    browser
        .sees("dialog[open]", "This service asks for a key")
        .await;
    browser.type_into("#key-input", "not-the-key").await;
    browser.click("dialog [type=submit]").await;
    browser
        .sees("dialog [role=alert]", "This key was not accepted")
        .await;
    browser.type_into("#key-input", KEY).await;
    browser.click("dialog [type=submit]").await;
    browser.settled("Overview").await;
    browser.lacks("dialog").await;
    browser.go("tasks").await;
    browser.sees("tbody", "do it").await;
    browser.reload().await;
    browser.sees("tbody", "do it").await;
    let kept = browser
        .js(
            "return [sessionStorage.getItem('bloom-api-key'), JSON.stringify(localStorage), \
             document.cookie, performance.getEntriesByType('resource').map(one => one.name).join()]",
            vec![],
        )
        .await;
    assert_eq!(kept[0], KEY);
    for place in 1..4 {
        assert!(!kept[place].as_str().unwrap().contains(KEY), "{kept}");
    }
    browser.click("[data-tool=forget]").await;
    browser
        .sees("dialog[open]", "This service asks for a key")
        .await;
    let gone = browser
        .js(
            "return [sessionStorage.getItem('bloom-api-key'), document.body.textContent]",
            vec![],
        )
        .await;
    assert!(gone[0].is_null());
    // Nor is what it let the page show.
    assert!(!gone[1].as_str().unwrap().contains("do it"), "{gone}");
}

#[tokio::test]
async fn whoever_declines_to_give_a_key_is_told_so_and_not_asked_again() {
    let runtime = service().await;
    let browser = Browser::open(&runtime.api.base).await;
    browser.sees("dialog[open]", "API key").await;
    browser.click("dialog .dialog-foot .button").await;
    browser
        .sees("main [role=alert]", "An API key is needed")
        .await;
    browser.go("workers").await;
    browser
        .sees("main [role=alert]", "An API key is needed")
        .await;
    browser.lacks("dialog").await;
    browser.click("main [role=alert] .button").await;
    browser.type_into("#key-input", KEY).await;
    browser.click("dialog [type=submit]").await;
    browser.sees("main .empty", "No workers yet").await;
}

#[tokio::test]
async fn a_key_without_the_right_is_told_so_on_every_page() {
    let runtime = service().await;
    let (_, key) = create_named_key(&runtime.db().url(), "only works", "worker");
    let browser = Browser::with_key(&runtime.api.base, &key).await;
    for place in super::PAGES {
        browser.go(place).await;
        browser
            .sees("main [role=alert]", "This key may not do that")
            .await;
    }
}

/// A service on a port that the next one takes over.
struct Service {
    api: Api,
    shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Service {
    async fn start(options: Options, port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = Shutdown::new();
        let running = tokio::spawn(service::run(options, listener, shutdown.clone()));
        let api = Api::new(&base, Some(KEY));
        Self {
            api,
            shutdown,
            running,
        }
    }

    /// Ends it, and says which port it had.
    async fn stop(self) -> u16 {
        self.shutdown.request();
        self.running.await.unwrap().unwrap();
        let (_, port) = self.api.base.rsplit_once(':').unwrap();
        port.parse().unwrap()
    }
}

#[tokio::test]
async fn a_page_outlives_the_service_and_goes_on_with_the_next_one() {
    let db = TestDb::new().await;
    let first = Service::start(options(db.endpoint()), 0).await;
    first.api.submit(task("before")).await;
    let browser = Browser::signed_in(&first.api.base).await;
    browser.go("tasks").await;
    browser.sees("tbody", "before").await;
    browser.sees("[data-connection=live]", "Live").await;
    let port = first.stop().await;
    browser.sees("[data-connection=offline]", "Offline").await;
    // What it knew is still there, and said to be old.
    browser
        .sees("main [role=alert]", "The service cannot be reached")
        .await;
    browser.sees("tbody", "before").await;
    let second = Service::start(options(db.endpoint()), port).await;
    browser.sees("[data-connection=live]", "Live").await;
    browser.lacks("main [role=alert]").await;
    let mut body = task("after");
    body["prompt"] = json!("what came later");
    second.api.submit(body).await;
    browser.sees("tbody", "what came later").await;
    second.stop().await;
}
