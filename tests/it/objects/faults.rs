//! A store that is away, slow, closed to us, or that lies.

use std::time::Duration;

use bloom_runtime::artifacts::Options;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{assert_whole, completed, large, leased, service, success};
use crate::object_kit::S3;
use crate::runtime::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_at_the_start_costs_nothing_and_is_used_once_it_is_there() {
    let mut s3 = S3::stopped();
    let runtime = service(s3.options()).await;
    let api = &runtime.api;
    let output = large();
    for _ in 0..4 {
        let done = completed(api, &output).await;
        assert_eq!(done.body["artifact"]["content"], output.as_str());
    }
    let health = api.get("/health").await;
    assert_eq!(health.body["status"], "ok");
    assert_eq!(health.body["artifacts"]["available"], false, "{health:?}");
    let metrics = api.get("//metrics").await.text;
    for line in [
        "bloom_object_storage_up 0",
        "bloom_objects_total{outcome=\"kept\"} 4",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    s3.resume().await;
    let task = eventually("the store is tried again", async || {
        let done = completed(api, &output).await;
        let task = done.body["task"]["id"].as_str().unwrap().to_owned();
        done.body["artifact"]["url"].is_string().then_some(task)
    })
    .await;
    assert_whole(api, &task, &output).await;
    assert_eq!(
        api.get("/health").await.body["artifacts"]["available"],
        true
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_dies_in_the_middle_loses_no_output() {
    let mut s3 = S3::start().await;
    let runtime = service(s3.options()).await;
    let api = &runtime.api;
    let mut under_way = JoinSet::new();
    // Every second one reports after the store's death, whatever the machine is busy with.
    let (died, _) = watch::channel(false);
    for n in 0..40_u32 {
        let api = api.clone();
        let mut died = died.subscribe();
        under_way.spawn(async move {
            let output = format!("{n} {}", "y".repeat(300_000));
            // There is room for 30 at a time.
            let id = api.submit(crate::runtime::task("c")).await;
            let lease = eventually("a worker has room", async || {
                let path = format!("/llm-tasks/{id}/lease");
                let reply = api.post(&path, json!({})).await;
                (reply.status == 201).then(|| reply.body["lease"]["id"].clone())
            })
            .await;
            if n % 2 == 1 {
                died.wait_for(|died| *died).await.unwrap();
            }
            let done = api
                .complete(&id, success(lease.as_str().unwrap(), &output))
                .await;
            assert_eq!(done.status, 200, "{}", done.status);
            (id, output, done.body["artifact"]["url"].is_string())
        });
    }
    let mut all = vec![under_way.join_next().await.unwrap().unwrap()];
    s3.stop();
    died.send_replace(true);
    all.extend(under_way.join_all().await);
    let there = all.iter().filter(|(_, _, there)| *there).count();
    assert!(there > 0 && there < 40, "{there} of 40 are in the store");
    s3.resume().await;
    for (id, output, _) in &all {
        assert_whole(api, id, output).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_never_answers_holds_a_completion_no_longer_than_the_limit() {
    // It accepts connections and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let s3 = S3::stopped();
    let options = Options {
        endpoint: Some(format!("http://{}", mute.local_addr().unwrap())),
        timeout: Duration::from_millis(300),
        ..s3.options()
    };
    let runtime = service(options).await;
    let output = large();
    // Without a limit this would hang until the client's patience is over.
    for _ in 0..8 {
        let done = completed(&runtime.api, &output).await;
        assert_eq!(done.body["artifact"]["content"], output.as_str());
    }
    let health = runtime.api.get("/health").await;
    assert_eq!(
        health.body["artifacts"]["available"], false,
        "nobody waits any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_or_a_missing_bucket_leaves_outputs_in_postgres() {
    let s3 = S3::start().await;
    let wrong_key = Options {
        secret_key: SecretString::from("not-the-secret"),
        ..s3.options()
    };
    let no_bucket = Options {
        bucket: "nowhere".to_owned(),
        ..s3.options()
    };
    for options in [wrong_key, no_bucket] {
        let runtime = service(options).await;
        let done = completed(&runtime.api, &large()).await;
        assert_eq!(done.body["artifact"]["url"], Value::Null);
        let task = done.body["task"]["id"].as_str().unwrap();
        assert_whole(&runtime.api, task, &large()).await;
    }
    assert!(s3.keys().is_empty());
}

/// Whether it is an answer with the output, but not as it was.
fn is_changed(answer: &str) -> bool {
    let whole = large();
    let told = serde_json::from_str::<Value>(answer).ok();
    let told = told.and_then(|result| Some(result["output"].as_str()?.to_owned()));
    told.as_deref().unwrap_or(answer) != whole
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_or_lost_in_the_store_is_never_passed_on() {
    let mut s3 = S3::start().await;
    let runtime = service(s3.options()).await;
    let api = &runtime.api;
    let done = completed(api, &large()).await;
    let artifact = &done.body["artifact"];
    let file = s3.file(artifact["url"].as_str().unwrap());
    let id = artifact["id"].as_str().unwrap();
    let task = done.body["task"]["id"].as_str().unwrap();
    let paths = [
        format!("/artifacts/{id}/content"),
        format!("/llm-tasks/{task}/result"),
    ];
    let expect = async |status: u16, code: &str| {
        for path in &paths {
            // The server takes a moment to see what was done behind its back.
            eventually(code, async || {
                let reply = api.get(path).await;
                let is_it = (reply.status, &reply.body["code"]) == (status, &json!(code));
                assert!(
                    is_it || reply.status != 200 || !is_changed(&reply.text),
                    "{path}"
                );
                is_it.then_some(())
            })
            .await;
        }
    };
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    expect(502, "object_corrupt").await;
    std::fs::write(&file, &bytes[..50]).unwrap();
    expect(502, "object_corrupt").await;
    std::fs::remove_file(&file).unwrap();
    expect(502, "object_missing").await;
    s3.stop();
    expect(503, "object_storage_away").await;
    // The task itself is as it was.
    assert_eq!(api.task(task).await["status"], "completed");
    let (id, lease) = leased(api).await;
    let done = api.complete(&id, success(&lease, "short")).await;
    assert_eq!(done.status, 200);
}
