//! Objects that are nobody's are removed, and no others.

use serde_json::json;
use uuid::Uuid;

use super::{assert_whole, completed, large, leased, service, success};
use crate::object_kit::{BUCKET, S3};
use crate::runtime::{Runtime, eventually};
use crate::sql_kit::{one, run};

/// The key behind an artifact's address.
fn key(url: &serde_json::Value) -> String {
    let url = url.as_str().unwrap();
    let key = url.strip_prefix(&format!("minio://{BUCKET}/"));
    key.unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stale_lease_put_there_replaces_nothing_and_is_removed() {
    let s3 = S3::start().await;
    let runtime = service(s3.options()).await;
    let api = &runtime.api;
    let (id, stale) = leased(api).await;
    let client = runtime.db().connect().await;
    run(
        &client,
        "update bloom_private.lease set expires_at = now() - interval '1 hour'",
    )
    .await;
    api.until_status(&id, "queued").await;
    let lease = api.lease(&id).await;
    let done = api.complete(&id, success(&lease, &large())).await;
    let kept = key(&done.body["artifact"]["url"]);
    // The same text, and another one.
    for output in [large(), "z".repeat(4000)] {
        let refused = api.complete(&id, success(&stale, &output)).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (409, &json!("lease_lost"))
        );
    }
    assert_eq!(s3.keys().len(), 3);
    assert_whole(api, &id, &large()).await;
    let sweeper = crate::runtime::options(runtime.db().endpoint());
    let sweeper = bloom_runtime::service::Options {
        objects: Some(s3.options_with_sweep()),
        ..sweeper
    };
    let sweeper = Runtime::with_options(sweeper).await;
    eventually("the stale ones are gone", async || {
        (s3.keys() == [kept.clone()]).then_some(())
    })
    .await;
    assert_whole(&sweeper.api, &id, &large()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_removes_objects_with_their_artifacts_and_no_others() {
    let s3 = S3::start().await;
    let runtime = service(s3.options_with_sweep()).await;
    let api = &runtime.api;
    let (old, young) = (
        completed(api, &large()).await,
        completed(api, &large()).await,
    );
    let (old, young) = (&old.body["artifact"], &young.body["artifact"]);
    let (gone, kept) = (key(&old["url"]), key(&young["url"]));
    let place = kept.split('/').nth(1).unwrap().to_owned();
    // What was put there for a lease that is live and may still report.
    let (id, lease) = leased(api).await;
    let digest = "0".repeat(64);
    let early = format!("bloom/{place}/{id}/{lease}/{digest}");
    // Another database's, and something that is not ours at all.
    let other = format!("bloom/{}/{id}/{}/{digest}", Uuid::new_v4(), Uuid::new_v4());
    let notes = format!("bloom/{place}/notes.txt");
    for key in [&early, &other, &notes, &"readme".to_owned()] {
        s3.plant(key, "text");
    }
    let client = runtime.db().connect().await;
    let sql = format!(
        "update bloom_private.artifact
            set artifact_id = bloom_private.uuid_floor(now() - interval '40 days')
          where artifact_id = {}",
        old["id"].to_string().replace('"', "'")
    );
    run(&client, &sql).await;
    // Late, so that several sweeps have seen the others.
    eventually("a sweep", async || Some(())).await;
    assert!(s3.keys().contains(&gone));
    run(&client, "select bloom.retention_run(30, 30, 30)").await;
    eventually("its object is gone", async || {
        (!s3.keys().contains(&gone)).then_some(())
    })
    .await;
    let mut expected = vec![kept, early.clone(), other, notes, "readme".to_owned()];
    expected.sort();
    assert_eq!(s3.keys(), expected);
    // Once the lease has ended without it, that one goes too.
    let done = api.complete(&id, success(&lease, "short")).await;
    assert_eq!(done.status, 200);
    eventually("the early one is gone", async || {
        (!s3.keys().contains(&early)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_nobodys_only_when_neither_lease_nor_artifact_has_it() {
    let s3 = S3::start().await;
    let runtime = service(s3.options()).await;
    let api = &runtime.api;
    let client = runtime.db().connect().await;
    let done = completed(api, &large()).await;
    let (task, artifact) = (done.body["task"]["id"].clone(), &done.body["artifact"]);
    let lease = done.body["result"]["id"].clone();
    let (live, its_lease) = leased(api).await;
    let ask = async |task: &str, lease: &str, url: &str| {
        let sql = format!(
            "select count(*) from bloom.artifact_sweep(array['{task}'::uuid],
                array['{lease}'::uuid], array['{url}'])"
        );
        one(&client, &sql).await == "1"
    };
    let url = artifact["url"].as_str().unwrap();
    let (task, lease) = (task.as_str().unwrap(), lease.as_str().unwrap());
    assert!(!ask(task, lease, url).await, "an artifact has it");
    assert!(
        ask(task, lease, "minio://b/x").await,
        "the lease has ended without it"
    );
    assert!(
        !ask(&live, &its_lease, "minio://b/x").await,
        "its lease may report it yet"
    );
    assert!(
        ask(&live, lease, "minio://b/x").await,
        "another task's lease"
    );
    let nobody = Uuid::new_v4().to_string();
    assert!(ask(&nobody, &nobody, url).await);
}
