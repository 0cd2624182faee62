//! Webhooks: signed, in order, at least once, and nobody else is disturbed.

mod faults;
mod kit;

use ring::hmac;
use serde_json::{Value, json};

use crate::runtime::process::Scratch;
use crate::runtime::{Runtime, eventually, task};
use crate::sql_kit::one;
use kit::{Manner, Receiver, deliveries, keyed, subscribe};

#[tokio::test]
async fn events_arrive_signed_in_order_and_filtered() {
    let scratch = Scratch::new();
    let runtime = Runtime::start_with(|options| keyed(options, &scratch)).await;
    let api = &runtime.api;
    let receiver = Receiver::start(&[]).await;
    let wanted = json!({ "types": ["submitted", "cancelled"], "queues": ["default"] });
    let (id, secret) = subscribe(api, &receiver.url, wanted).await;
    let first = api.submit(task("c")).await;
    let mut other = task("c");
    other["queue"] = json!("other");
    api.submit(other).await;
    api.post(&format!("/llm-tasks/{first}/cancel"), json!({}))
        .await;
    let second = api.submit(task("c")).await;
    let tasks = receiver.until_tasks(3).await;
    assert_eq!(tasks, [first.clone(), first, second]);
    for got in receiver.seen() {
        let signature = &got.headers["x-bloom-signature"];
        let (time, tag) = signature.split_once(",v1=").unwrap();
        let time = time.strip_prefix("t=").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signed = format!("{time}.{}", got.raw);
        let tag: Vec<u8> = (0..tag.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&tag[at..at + 2], 16).unwrap())
            .collect();
        hmac::verify(&key, signed.as_bytes(), &tag).expect("the signature is right");
        assert_eq!(got.body["id"], got.delivery());
        assert_eq!(got.body["webhook_id"], id.as_str());
        assert_eq!(got.headers["content-type"], "application/json");
        assert!(!got.headers.contains_key("x-runtime-api-key"));
    }
    let event = &receiver.seen()[0].body["events"][0];
    assert_eq!(
        (&event["action"], &event["ver"]),
        (&json!("submitted"), &json!(1))
    );
    // The secret was shown once, and stands nowhere in clear.
    let shown = api.get(&format!("/webhooks/{id}")).await;
    assert!(!shown.text.contains("whsec_") && shown.status == 200);
    let client = runtime.db().connect().await;
    let stored = one(&client, "select w::text from bloom_private.webhook w").await;
    let (_, digits) = secret.split_once('_').unwrap();
    assert!(!stored.contains(digits));
    let log = eventually("it is in the log", async || {
        let log = deliveries(api, &id).await;
        let is_done = log.iter().all(|delivery| delivery["state"] == "delivered");
        (is_done && !log.is_empty()).then_some(log)
    })
    .await;
    let count = |delivery: &Value| delivery["event_count"].as_i64().unwrap();
    assert_eq!(log.iter().map(count).sum::<i64>(), 3);
    let path = format!(
        "/webhooks/{id}/deliveries/{}",
        log[0]["id"].as_str().unwrap()
    );
    let one = api.get(&path).await;
    assert_eq!(
        one.body["events"].as_array().map(Vec::len),
        log[0]["event_count"]
            .as_u64()
            .map(|count| usize::try_from(count).unwrap())
    );
}

#[tokio::test]
async fn a_refused_delivery_is_tried_again_with_the_same_id_and_body() {
    let scratch = Scratch::new();
    let runtime = Runtime::start_with(|options| keyed(options, &scratch)).await;
    let api = &runtime.api;
    let manners = [
        Manner::Status(500),
        Manner::Redirect,
        Manner::Endless,
        Manner::Status(204),
    ];
    let receiver = Receiver::start(&manners).await;
    let wanted = json!({ "max_events": 1, "types": ["submitted"] });
    let (id, _) = subscribe(api, &receiver.url, wanted).await;
    let first = api.submit(task("c")).await;
    let second = api.submit(task("c")).await;
    let seen = receiver.until(5).await;
    for (at, got) in seen[..4].iter().enumerate() {
        assert_eq!(
            got.tasks(),
            std::slice::from_ref(&first),
            "in order: the second waits for the first"
        );
        assert_eq!(got.headers["x-bloom-attempt"], (at + 1).to_string());
        assert_eq!(
            (got.delivery(), &got.raw),
            (seen[0].delivery(), &seen[0].raw)
        );
    }
    assert_eq!(seen[4].tasks(), [second]);
    let log = eventually("both are done", async || {
        let log = deliveries(api, &id).await;
        log.iter()
            .all(|delivery| delivery["state"] == "delivered")
            .then_some(log)
    })
    .await;
    assert_eq!(log[1]["attempts"], 4);
    assert_eq!(
        (&log[1]["status"], &log[1]["error"]),
        (&json!(204), &Value::Null)
    );
}

#[tokio::test]
async fn a_webhook_that_always_fails_is_paused_told_of_and_goes_on_later() {
    let scratch = Scratch::new();
    let runtime = Runtime::start_with(|options| keyed(options, &scratch)).await;
    let api = &runtime.api;
    let receiver = Receiver::start(&[Manner::Status(503)]).await;
    let options = json!({ "max_events": 1, "max_attempts": 2, "types": ["submitted"] });
    let (id, _) = subscribe(api, &receiver.url, options).await;
    let mut tasks = Vec::new();
    for _ in 0..5 {
        tasks.push(api.submit(task("c")).await);
    }
    let path = format!("/webhooks/{id}");
    let paused = eventually("it is paused", async || {
        let webhook = api.get(&path).await.body;
        (webhook["paused"] == true).then_some(webhook)
    })
    .await;
    assert_eq!(paused["paused_why"], "failing");
    assert_eq!(paused["last_error"], "the receiver answered 503");
    assert_eq!(receiver.seen().len(), 6, "three deliveries, twice each");
    let overview = api.get("/overview").await.body;
    let warnings = overview["warnings"].as_array().unwrap();
    assert!(
        warnings
            .iter()
            .any(|warning| warning["code"] == "webhook_failing"),
        "{overview}"
    );
    receiver.behave(Manner::Status(200));
    assert_eq!(
        api.post(&format!("{path}/resume"), json!({})).await.body["paused"],
        false
    );
    let all = receiver.until_tasks(8).await;
    assert_eq!(all[6..], tasks[3..], "it goes on where it was");
    // What was given up is not lost.
    let log = deliveries(api, &id).await;
    let dead = log
        .iter()
        .rfind(|delivery| delivery["state"] == "dead")
        .unwrap();
    let dead = format!("{path}/deliveries/{}", dead["id"].as_str().unwrap());
    assert_eq!(
        api.post(&format!("{dead}/redeliver"), json!({}))
            .await
            .status,
        200
    );
    let all = receiver.until_tasks(9).await;
    assert_eq!(all[8], tasks[0]);
    eventually("it is delivered", async || {
        (api.get(&dead).await.body["state"] == "delivered").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_paused_webhook_sends_nothing_and_misses_nothing() {
    let scratch = Scratch::new();
    let runtime = Runtime::start_with(|options| keyed(options, &scratch)).await;
    let api = &runtime.api;
    let (one, other) = (Receiver::start(&[]).await, Receiver::start(&[]).await);
    let submitted = json!({ "types": ["submitted"] });
    let (id, secret) = subscribe(api, &one.url, submitted.clone()).await;
    subscribe(api, &other.url, submitted).await;
    let path = format!("/webhooks/{id}");
    api.post(&format!("{path}/pause"), json!({})).await;
    let first = api.submit(task("c")).await;
    // The other one was served, so there was time for both.
    assert_eq!(other.until_tasks(1).await, std::slice::from_ref(&first));
    assert_eq!(one.seen().len(), 0);
    let change = json!({ "new_secret": true, "name": "renamed", "paused": false });
    let changed = api.post(&path, change).await;
    assert_eq!(
        (changed.status, &changed.body["name"]),
        (200, &json!("renamed"))
    );
    assert_ne!(changed.body["secret"], secret.as_str());
    assert_eq!(one.until_tasks(1).await, [first]);
    assert_eq!(api.delete(&path).await.status, 200);
    let second = api.submit(task("c")).await;
    assert_eq!(other.until_tasks(2).await[1], second);
    assert_eq!(one.seen().len(), 1);
    for path in [
        path.clone(),
        format!("{path}/deliveries"),
        "/webhooks/x".to_owned(),
    ] {
        let reply = api.get(&path).await;
        assert_eq!(
            (reply.status, &reply.body["code"]),
            (404, &json!("webhook_not_found"))
        );
    }
}

#[tokio::test]
async fn a_test_says_what_became_of_it() {
    let scratch = Scratch::new();
    let runtime = Runtime::start_with(|options| keyed(options, &scratch)).await;
    let api = &runtime.api;
    let receiver = Receiver::start(&[Manner::Status(200), Manner::Status(418)]).await;
    let (id, _) = subscribe(api, &receiver.url, json!({ "paused": true })).await;
    let path = format!("/webhooks/{id}/test");
    let good = api.post(&path, json!({})).await;
    assert_eq!(
        (&good.body["delivered"], &good.body["status"]),
        (&json!(true), &json!(200))
    );
    let got = &receiver.seen()[0];
    assert_eq!(got.body["events"][0]["action"], "webhook_tested");
    assert_eq!(good.body["delivery_id"], got.delivery());
    let bad = api.post(&path, json!({})).await;
    assert_eq!(bad.body["delivered"], false);
    assert_eq!(bad.body["error"], "the receiver answered 418");
}
