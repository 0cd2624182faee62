//! Receivers and processes that fail, and addresses that are not allowed.

use std::collections::BTreeSet;
use std::time::Duration;

use bloom_runtime::outbound::{Guard, Policy};
use serde_json::{Value, json};

use super::kit::{Manner, Receiver, deliveries, keyed, subscribe};
use crate::pg::TestDb;
use crate::runtime::process::{Process, Scratch};
use crate::runtime::{Runtime, eventually, options, task};
use crate::sql_kit::run;

#[tokio::test]
async fn two_processes_never_deliver_to_a_webhook_at_once() {
    const TASKS: usize = 30;
    let scratch = Scratch::new();
    let db = TestDb::new().await;
    let start = async || {
        let mut options = options(db.endpoint());
        keyed(&mut options, &scratch);
        options.webhooks.poll = Duration::from_millis(10);
        Runtime::with_options(options).await
    };
    let (one, other) = (start().await, start().await);
    let receiver = Receiver::start(&[Manner::Slow(200, 20)]).await;
    let wanted = json!({ "types": ["submitted"], "max_events": 1 });
    subscribe(&one.api, &receiver.url, wanted).await;
    let mut tasks = Vec::new();
    for _ in 0..TASKS {
        tasks.push(one.api.submit(task("c")).await);
        tasks.push(other.api.submit(task("c")).await);
    }
    let got = receiver.until_tasks(2 * TASKS).await;
    assert_eq!(got, tasks, "each once, in order");
    assert_eq!(receiver.most_under_way(), 1);
}

#[tokio::test]
async fn a_delivery_goes_on_after_its_process_was_killed() {
    let scratch = Scratch::new();
    let db = TestDb::new().await;
    let (url, kek) = (db.url(), scratch.path().join("kek"));
    bloom_runtime::secrets::Keyring::read_or_make(&kek).unwrap();
    let arguments = [
        "--database-url",
        &url,
        "--kek-file",
        kek.to_str().unwrap(),
        "--outbound-allow",
        "127.0.0.0/8",
        "--webhook-timeout-seconds",
        "1",
    ];
    let mut service = Process::serve(&scratch, &arguments);
    let receiver = Receiver::start(&[Manner::Silent]).await;
    let wanted = json!({ "types": ["submitted"], "max_events": 1 });
    subscribe(&service.api, &receiver.url, wanted).await;
    let mut tasks = Vec::new();
    for _ in 0..3 {
        tasks.push(service.api.submit(task("c")).await);
    }
    let begun = receiver.until(1).await.remove(0);
    service.kill();
    receiver.behave(Manner::Status(200));
    let _next = Process::serve(&scratch, &arguments);
    receiver.until_tasks(4).await;
    let seen = receiver.seen();
    let again: Vec<_> = seen
        .iter()
        .filter(|got| got.delivery() == begun.delivery())
        .collect();
    assert!(again.len() >= 2 && again.iter().all(|got| got.raw == begun.raw));
    let mut order: Vec<_> = seen.iter().flat_map(super::kit::Got::tasks).collect();
    order.dedup();
    assert_eq!(order, tasks, "in order, and nothing is lost");
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_disturbs_nobody_else() {
    let scratch = Scratch::new();
    let runtime = Runtime::start_with(|options| {
        keyed(options, &scratch);
        options.webhooks.time_limit = Duration::from_secs(60);
    })
    .await;
    let api = &runtime.api;
    let (silent, lively) = (
        Receiver::start(&[Manner::Silent]).await,
        Receiver::start(&[]).await,
    );
    let wanted = json!({ "types": ["submitted"], "max_events": 1 });
    subscribe(api, &silent.url, wanted.clone()).await;
    subscribe(api, &lively.url, wanted).await;
    api.register("w", 1).await;
    let first = api.submit(task("c")).await;
    silent.until(1).await;
    let mut tasks = vec![first];
    for _ in 0..20 {
        tasks.push(api.submit(task("c")).await);
    }
    assert_eq!(lively.until_tasks(21).await, tasks);
    // The queue works on.
    let lease = api.lease(&tasks[0]).await;
    let done = json!({ "lease_id": lease, "status": "success", "output": "o" });
    assert_eq!(api.complete(&tasks[0], done).await.status, 200);
    assert_eq!(silent.seen().len(), 1);
}

#[tokio::test]
async fn addresses_inside_are_refused_when_made_and_when_sent_to() {
    let scratch = Scratch::new();
    let runtime = Runtime::start_with(|options| {
        keyed(options, &scratch);
        options.webhooks.guard = Guard::new(Policy::default()).unwrap();
    })
    .await;
    let api = &runtime.api;
    let receiver = Receiver::start(&[]).await;
    for url in [
        receiver.url.as_str(),
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://10.0.0.1/",
        "ftp://example.com/",
        "https://user:secret@example.com/",
        "not a url",
        "",
    ] {
        let reply = api
            .post("/webhooks", json!({ "name": "n", "url": url }))
            .await;
        assert_eq!(reply.status, 400, "{url}: {reply:?}");
        assert!(
            reply.body["error"]["fieldErrors"]["url"].is_array(),
            "{reply:?}"
        );
    }
    // One that got into the table by another way, or whose name leads inside by now.
    let wanted = json!({ "types": ["submitted"], "max_attempts": 1 });
    let (id, _) = subscribe(api, "https://hooks.example.com/x", wanted).await;
    let client = runtime.db().connect().await;
    let inside = format!("update bloom_private.webhook set url = '{}'", receiver.url);
    run(&client, &inside).await;
    api.submit(task("c")).await;
    let dead = eventually("it is given up", async || {
        let log = deliveries(api, &id).await;
        log.into_iter().find(|delivery| delivery["state"] == "dead")
    })
    .await;
    assert_eq!(dead["status"], Value::Null);
    let error = dead["error"].as_str().unwrap();
    assert!(error.contains("127.0.0.1 is not allowed"), "{error}");
    assert_eq!(receiver.seen().len(), 0);
}

#[tokio::test]
async fn without_a_key_to_encrypt_with_no_webhook_is_made() {
    let runtime = Runtime::start().await;
    let body = json!({ "name": "n", "url": "https://hooks.example.com/x" });
    let reply = runtime.api.post("/webhooks", body).await;
    assert_eq!(
        (reply.status, &reply.body["code"]),
        (503, &json!("no_key_encryption_key"))
    );
    let wrong = json!({ "name": "", "max_events": 0, "types": "x", "backoff_ms": 1 });
    let reply = runtime.api.post("/webhooks", wrong).await;
    let fields = reply.body["error"]["fieldErrors"].as_object().unwrap();
    let named: BTreeSet<_> = fields.keys().map(String::as_str).collect();
    assert_eq!(
        named,
        BTreeSet::from(["backoff_ms", "max_events", "name", "types", "url"])
    );
}
