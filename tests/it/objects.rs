//! Outputs in object storage, against a real S3 server.

mod doctor;
mod faults;
mod rubbish;

use bloom_runtime::artifacts::{Download, Options};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::object_kit::{BUCKET, S3, SECRET_KEY};
use crate::runtime::{Api, KEY, Reply, Runtime, task};
use crate::sql_kit::one;

/// An output that belongs into object storage: not all of it is ASCII.
fn large() -> String {
    "Це довгий вивід. ".repeat(200)
}

/// A task that a worker has, and its lease.
async fn leased(api: &Api) -> (String, String) {
    let id = api.submit(task("c")).await;
    let lease = api.lease(&id).await;
    (id, lease)
}

fn success(lease: &str, output: &str) -> Value {
    json!({ "lease_id": lease, "status": "success", "output": output })
}

/// Completes a new task with `output`; the answer.
async fn completed(api: &Api, output: &str) -> Reply {
    let (id, lease) = leased(api).await;
    let done = api.complete(&id, success(&lease, output)).await;
    assert_eq!(done.status, 200, "{done:?}");
    done
}

/// A service with a worker that has room, told of an S3 server.
async fn service(options: Options) -> Runtime {
    let runtime = Runtime::start_with(|all| all.objects = Some(options)).await;
    runtime.api.register("w", 30).await;
    runtime
}

/// Whatever became of it, the output of `task` can be had whole.
async fn assert_whole(api: &Api, task: &str, output: &str) {
    let result = api.get(&format!("/llm-tasks/{task}/result")).await;
    assert_eq!(result.status, 200, "{result:?}");
    assert_eq!(result.body["output"], output);
    let artifact = result.body["artifact_id"].as_str().unwrap();
    let content = api.get(&format!("/artifacts/{artifact}/content")).await;
    assert_eq!((content.status, content.text.as_str()), (200, output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_output_goes_to_object_storage_and_comes_back_whole() {
    let s3 = S3::start().await;
    let runtime = service(s3.options()).await;
    let api = &runtime.api;
    let output = large();
    let done = completed(api, &output).await;
    let (task, artifact) = (&done.body["task"]["id"], &done.body["artifact"]);
    let task = task.as_str().unwrap();
    assert_eq!(artifact["content"], Value::Null);
    assert_eq!(done.body["result"]["output"], output.as_str());
    let url = artifact["url"].as_str().unwrap();
    let lease = done.body["result"]["id"].as_str().unwrap();
    let place = one(
        &runtime.db().connect().await,
        "select bloom.artifact_place()",
    )
    .await;
    let sha256 = artifact["sha256"].as_str().unwrap();
    assert_eq!(
        url,
        format!("minio://{BUCKET}/bloom/{place}/{task}/{lease}/{sha256}")
    );
    assert_eq!(std::fs::read_to_string(s3.file(url)).unwrap(), output);
    assert_eq!(artifact["size_bytes"], output.len());
    let id = artifact["id"].as_str().unwrap();
    assert_eq!(&api.get(&format!("/artifacts/{id}")).await.body, artifact);
    let listed = api.get(&format!("/artifacts?task_id={task}")).await;
    assert_eq!(&listed.items()[0], artifact);
    assert_whole(api, task, &output).await;
    let content = api.get(&format!("/artifacts/{id}/content")).await;
    let disposition = format!("attachment; filename=\"{id}.txt\"");
    assert_eq!(
        content.header("content-disposition"),
        Some(disposition.as_str())
    );
    // In SQL there is the address, and nothing of the text.
    let client = runtime.db().connect().await;
    let sql = format!(
        "select output_url || coalesce(output, '') from bloom.llm_results where task_id = '{task}'"
    );
    assert_eq!(one(&client, &sql).await, url);

    let small = completed(api, "short").await;
    assert_eq!(small.body["artifact"]["url"], Value::Null);
    assert_eq!(small.body["artifact"]["content"], "short");
    assert_eq!(s3.keys().len(), 1);
    let health = api.get("/health").await;
    let expected = json!({ "storage": "minio", "available": true });
    assert_eq!(health.body["artifacts"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_reports_in_one_request_go_where_each_belongs() {
    let s3 = S3::start().await;
    let runtime = service(s3.options()).await;
    let api = &runtime.api;
    let output = large();
    let mut items = Vec::new();
    let mut tasks = Vec::new();
    for n in 0..12 {
        let (task, lease) = leased(api).await;
        // One of them comes from a lease that never was.
        let lease = if n == 4 {
            Uuid::new_v4().to_string()
        } else {
            lease
        };
        let text = if n % 2 == 0 { output.as_str() } else { "short" };
        items.push(
            json!({ "task_id": task, "lease_id": lease, "status": "success", "output": text }),
        );
        tasks.push((task, text));
    }
    let answer = api
        .post("/leases/complete", json!({ "items": items }))
        .await;
    let answers = answer.body["items"].as_array().unwrap();
    for (n, (answer, (task, text))) in answers.iter().zip(&tasks).enumerate() {
        if n == 4 {
            assert_eq!(answer["code"], "lease_lost", "{answer}");
            continue;
        }
        assert_eq!(answer["task_status"], "completed", "{n}: {answer}");
        assert_eq!(answer["task_id"], task.as_str());
        assert_whole(api, task, text).await;
        let listed = api.get(&format!("/artifacts?task_id={task}")).await;
        assert_eq!(listed.items()[0]["url"].is_string(), n % 2 == 0);
    }
    assert_eq!(s3.keys().len(), 6, "with that of the lease that never was");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_names_no_lease_has_its_output_stored_too() {
    let s3 = S3::start().await;
    let runtime = service(s3.options()).await;
    let api = &runtime.api;
    let (id, lease) = leased(api).await;
    let report = json!({ "status": "success", "output": large() });
    let done = api.complete(&id, report.clone()).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert!(
        done.body["artifact"]["url"]
            .as_str()
            .unwrap()
            .contains(&lease)
    );
    assert_whole(api, &id, &large()).await;
    // As without object storage, nobody can tell a second report from a stale one.
    assert_eq!(api.complete(&id, report).await.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_known_again_wherever_its_output_went_the_first_time() {
    let mut s3 = S3::stopped();
    let runtime = service(s3.options()).await;
    let api = &runtime.api;
    let output = large();
    let (first, lease) = leased(api).await;
    let kept = api.complete(&first, success(&lease, &output)).await;
    assert_eq!(
        kept.body["artifact"]["content"],
        output.as_str(),
        "{kept:?}"
    );
    s3.resume().await;
    let again = api.complete(&first, success(&lease, &output)).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.body["artifact"], kept.body["artifact"]);

    let (second, lease) = leased(api).await;
    let sent = api.complete(&second, success(&lease, &output)).await;
    assert!(sent.body["artifact"]["url"].is_string(), "{sent:?}");
    let again = api.complete(&second, success(&lease, &output)).await;
    assert_eq!(again.body["artifact"], sent.body["artifact"]);
    s3.stop();
    let again = api.complete(&second, success(&lease, &output)).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(again.body["artifact"], sent.body["artifact"]);
    let other = api
        .complete(&second, success(&lease, &"x".repeat(5000)))
        .await;
    assert_eq!(
        (other.status, &other.body["code"]),
        (409, &json!("already_completed"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_for_a_download_needs_no_key_and_expires() {
    let s3 = S3::start().await;
    let options = Options {
        link_life: std::time::Duration::from_secs(4),
        download: Download::Redirect,
        ..s3.options()
    };
    let runtime = service(options).await;
    let api = &runtime.api;
    let output = large();
    let done = completed(api, &output).await;
    let id = done.body["artifact"]["id"].as_str().unwrap();
    let link = api.get(&format!("/artifacts/{id}/link")).await;
    assert_eq!(link.body["expires_in"], 4, "{link:?}");
    let url = link.body["url"].as_str().unwrap();
    assert!(!url.contains(SECRET_KEY) && !url.contains(KEY));
    let bare = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let get = async |url: &str| {
        let answer = bare.get(url).send().await.unwrap();
        let status = answer.status().as_u16();
        let name = answer.headers().get("content-disposition").cloned();
        (status, name, answer.text().await.unwrap())
    };
    let (status, name, text) = get(url).await;
    assert_eq!((status, text.as_str()), (200, output.as_str()));
    assert!(name.unwrap().to_str().unwrap().starts_with("attachment;"));
    // It opens this object and no other.
    let other = completed(api, &"x".repeat(2000)).await;
    let other = other.body["artifact"]["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    let this = done.body["artifact"]["sha256"].as_str().unwrap();
    assert!(get(&url.replace(this, &other)).await.0 >= 400);

    let path = format!("{}/api/runtime/artifacts/{id}/content", api.base);
    let sent = bare.get(&path).header("x-runtime-api-key", KEY);
    let sent = sent.send().await.unwrap();
    assert_eq!(sent.status(), 302);
    let there = sent.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(get(&there).await.2, output);
    assert_eq!(bare.get(&path).send().await.unwrap().status(), 401);
    // A result is read by the service all the same.
    let task = done.body["task"]["id"].as_str().unwrap();
    let result = api.get(&format!("/llm-tasks/{task}/result")).await;
    assert_eq!(result.body["output"], output.as_str());

    crate::runtime::eventually("the address expires", async || {
        let (status, _, text) = get(url).await;
        (status >= 400 && text != output).then_some(())
    })
    .await;
    let small = completed(api, "short").await;
    let id = small.body["artifact"]["id"].as_str().unwrap();
    let none = api.get(&format!("/artifacts/{id}/link")).await;
    assert_eq!((none.status, &none.body["code"]), (404, &json!("no_link")));
    assert_eq!(
        api.get(&format!("/artifacts/{id}/content")).await.text,
        "short"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_object_storage_says_where_the_output_is() {
    let s3 = S3::start().await;
    let runtime = service(s3.options()).await;
    let done = completed(&runtime.api, &large()).await;
    let id = done.body["artifact"]["id"].as_str().unwrap();
    let other = crate::runtime::options(runtime.db().endpoint());
    let other = Runtime::with_options(other).await;
    let shown = other.api.get(&format!("/artifacts/{id}")).await;
    assert_eq!(shown.body, done.body["artifact"]);
    let content = other.api.get(&format!("/artifacts/{id}/content")).await;
    assert_eq!(
        (content.status, &content.body["code"]),
        (503, &json!("object_storage_not_set_up"))
    );
    // A list shows small outputs themselves and never loads large ones.
    let listed = other.api.get("/artifacts").await;
    assert_eq!(listed.items()[0]["content"], Value::Null);
}
