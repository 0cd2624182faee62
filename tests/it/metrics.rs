//! `GET /metrics`: what a scraper reads, who may, and that it answers whatever happens.

#![expect(clippy::float_cmp, reason = "counts are whole numbers, exactly")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bloom_runtime::metrics::{ALL, Kind};
use bloom_runtime::service::install;
use serde_json::json;
use tokio::net::TcpListener;

use crate::contract_keys::create_named_key;
use crate::pg::{Cluster, Stop, TestDb};
use crate::runtime::{Api, Runtime, eventually, options, task};

/// The samples of one scrape: name and labels as written → value.
pub type Scrape = BTreeMap<String, f64>;

/// Scrapes, and checks the text's form on the way.
pub async fn scrape(api: &Api) -> Scrape {
    let reply = api.get("//metrics").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.text.ends_with("# EOF\n"), "{}", reply.text);
    let mut samples = Scrape::new();
    for line in reply.text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect("a name and a value");
        let value = value.parse().expect("a number");
        let is_new = samples.insert(series.to_owned(), value).is_none();
        assert!(is_new, "{series} is there twice");
    }
    samples
}

/// Waits until the series has this value.
pub async fn until(api: &Api, series: &str, value: f64) -> Scrape {
    eventually(&format!("{series} is {value}"), || async {
        let samples = scrape(api).await;
        (samples.get(series) == Some(&value)).then_some(samples)
    })
    .await
}

fn event(event: &str) -> String {
    format!("bloom_task_events_total{{queue=\"default\",event=\"{event}\"}}")
}

#[tokio::test]
async fn a_task_is_counted_at_every_step() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let waiting = api.submit(task("c")).await;
    let samples = until(api, &event("submitted"), 1.0).await;
    let depth = "bloom_queue_tasks{queue=\"default\",status=\"queued\"}";
    assert_eq!(samples[depth], 1.0);
    let oldest = "bloom_queue_oldest_seconds{queue=\"default\",status=\"queued\"}";
    assert!(samples[oldest] > 0.0, "{samples:#?}");

    api.register("w", 3).await;
    let lease = api.pull("w", 0).await.leases()[0]["lease"]["id"].clone();
    let samples = until(api, &event("leased"), 1.0).await;
    assert_eq!(samples["bloom_leases_active"], 1.0);
    assert_eq!(samples["bloom_workers{status=\"online\"}"], 1.0);
    assert_eq!(samples["bloom_worker_slots"], 3.0);
    assert_eq!(
        samples["bloom_task_wait_seconds_count{queue=\"default\"}"],
        1.0
    );
    assert!(!samples.contains_key(oldest), "nothing waits any more");

    let body = json!({ "status": "success", "output": "x", "lease_id": lease });
    assert_eq!(api.complete(&waiting, body.clone()).await.status, 200);
    // The same again is answered the same, and counted once.
    assert_eq!(api.complete(&waiting, body).await.status, 200);
    let samples = until(api, &event("completed"), 1.0).await;
    assert_eq!(
        samples["bloom_task_run_seconds_count{outcome=\"completed\"}"],
        1.0
    );
    assert_eq!(samples["bloom_leases_active"], 0.0);
    assert_eq!(samples["bloom_batch_size_count{kind=\"submit\"}"], 1.0);
    assert_eq!(samples["bloom_database_up"], 1.0);
    let route = "route=\"/api/runtime/llm-tasks/{id}/complete\"";
    let completed = format!("bloom_http_requests_total{{method=\"POST\",{route},status=\"200\"}}");
    assert_eq!(samples[&completed], 2.0);
    let series: Vec<_> = samples
        .keys()
        .filter(|name| name.contains(&waiting))
        .collect();
    assert!(series.is_empty(), "ids are no labels: {series:?}");
}

#[tokio::test]
async fn failures_expiries_and_stale_reports_are_counted() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 3).await;
    let mut once = task("c");
    once["max_attempts"] = json!(2);
    let failing = api.submit(once).await;
    let lease = api.lease(&failing).await;
    let error = json!({ "status": "error", "error_message": "no", "lease_id": lease });
    assert_eq!(api.complete(&failing, error).await.status, 200);
    let samples = until(api, &event("failed"), 1.0).await;
    assert_eq!(
        samples["bloom_task_run_seconds_count{outcome=\"failed\"}"],
        1.0
    );
    let failed = "bloom_queue_oldest_seconds{queue=\"default\",status=\"failed\"}";
    assert!(samples.contains_key(failed), "{samples:#?}");

    let lost = api.submit(task("d")).await;
    let path = format!("/llm-tasks/{lost}/lease");
    let lease = api.post(&path, json!({ "ttl_seconds": 1 })).await;
    let lease = lease.body["lease"]["id"].clone();
    until(api, &event("expired"), 1.0).await;
    let late = json!({ "status": "success", "lease_id": lease });
    assert_eq!(api.complete(&lost, late).await.status, 409);
    until(api, "bloom_stale_refusals_total", 1.0).await;
}

#[tokio::test]
async fn every_process_says_the_same_of_the_queue() {
    let db = TestDb::new().await;
    let first = Runtime::with_options(options(db.endpoint())).await;
    let second = Runtime::with_options(options(db.endpoint())).await;
    for api in [&first.api, &second.api] {
        api.submit(task("c")).await;
    }
    for api in [&first.api, &second.api] {
        let samples = until(api, &event("submitted"), 2.0).await;
        assert_eq!(
            samples["bloom_queue_tasks{queue=\"default\",status=\"queued\"}"],
            2.0
        );
        // What a process did itself is its own.
        assert_eq!(samples["bloom_batch_size_count{kind=\"submit\"}"], 1.0);
    }
}

#[tokio::test]
async fn a_waiting_worker_that_is_roused_is_timed() {
    let runtime = Runtime::start().await;
    let api = runtime.api.clone();
    api.register("w", 1).await;
    let puller = api.clone();
    let pull = tokio::spawn(async move { puller.pull("w", 30).await });
    until(&api, "bloom_waiters", 1.0).await;
    api.submit(task("c")).await;
    assert_eq!(pull.await.unwrap().leases().len(), 1);
    let samples = until(&api, "bloom_waiters", 0.0).await;
    // It may have found the task with its first look, before anybody roused it.
    let roused = samples["bloom_wake_seconds_count"];
    assert!(roused <= 1.0, "{roused}");
}

#[tokio::test]
async fn a_scrape_answers_with_what_it_has_while_postgres_is_away() {
    let cluster = Cluster::start(&[]).await;
    let endpoint = cluster.endpoint("postgres");
    install(&endpoint, Duration::from_secs(30)).await.unwrap();
    let runtime = Runtime::with_options(options(endpoint)).await;
    let api = &runtime.api;
    api.submit(task("c")).await;
    until(api, &event("submitted"), 1.0).await;
    cluster.stop(Stop::Fast);
    let samples = until(api, "bloom_database_up", 0.0).await;
    assert_eq!(samples[&event("submitted")], 1.0, "what it said last");
    assert!(samples["bloom_database_read_age_seconds"] > 0.0);
    let failed = "bloom_maintenance_runs_total{work=\"count\",outcome=\"failed\"}";
    eventually("jobs that fail are counted", || async {
        scrape(api)
            .await
            .get(failed)
            .filter(|failed| **failed > 0.0)
            .copied()
    })
    .await;
    cluster.restart().await;
    until(api, "bloom_database_up", 1.0).await;
}

#[tokio::test]
async fn queues_beyond_the_bound_share_a_label_and_hostile_names_break_nothing() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let hostile = "a\"} 1\nbloom_database_up 0\\";
    let names = (0..230).map(|n| format!("zz-queue-{n}"));
    let tasks: Vec<_> = [hostile.to_owned()]
        .into_iter()
        .chain(names)
        .map(|name| json!({ "context_id": "c", "agent_slug": "a", "prompt": "p", "queue": name }))
        .collect();
    let total = tasks.len();
    let reply = api
        .post("/llm-tasks/batch", json!({ "tasks": tasks }))
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let samples = eventually("all are counted", || async {
        let samples = scrape(api).await;
        let of = |(name, _): &(&String, &f64)| {
            name.starts_with("bloom_task_events_total") && name.contains("submitted")
        };
        let sum: f64 = samples.iter().filter(of).map(|(_, value)| value).sum();
        #[expect(clippy::cast_precision_loss, reason = "some hundred")]
        let wanted = total as f64;
        (sum == wanted).then_some(samples)
    })
    .await;
    let label = |name: &String| {
        Some(
            name.split_once("{queue=")?
                .1
                .split(",event")
                .next()?
                .to_owned(),
        )
    };
    let labels: BTreeSet<_> = samples
        .keys()
        .filter(|name| name.starts_with("bloom_task_events_total"))
        .filter_map(label)
        .collect();
    assert!(labels.len() <= 201, "{}", labels.len());
    assert!(labels.contains("\"other\""), "{labels:?}");
    assert!(
        labels.contains("\"a\\\"} 1\\nbloom_database_up 0\\\\\""),
        "{labels:?}"
    );
}

#[tokio::test]
async fn scrapers_need_a_readers_key_or_the_address_of_their_own() {
    let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = open.local_addr().unwrap();
    let runtime = Runtime::start_with(|options| options.metrics = Some(open)).await;
    let url = runtime.db().url();
    for (scope, status) in [("producer", 403), ("worker", 403), ("reader", 200)] {
        let (_, key) = create_named_key(&url, scope, scope);
        let api = runtime.api.with_key(Some(&key));
        assert_eq!(api.get("//metrics").await.status, status, "{scope}");
    }
    assert_eq!(
        runtime.api.with_key(None).get("//metrics").await.status,
        401
    );
    let scraper = Api::new(&format!("http://{address}"), None);
    assert_eq!(scrape(&scraper).await["bloom_database_up"], 1.0);
    for path in ["//api/runtime/llm-tasks", "//healthz", "//"] {
        assert_eq!(scraper.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_format_is_the_one_that_the_scraper_asks_for() {
    let runtime = Runtime::start().await;
    let ask = async |accept: &str| {
        let request = runtime.api.request(hyper::Method::GET, "//metrics");
        let reply = runtime.api.send(request.header("accept", accept)).await;
        reply.header("content-type").unwrap().to_owned()
    };
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5,*/*;q=0.1";
    assert!(
        ask(prometheus)
            .await
            .starts_with("application/openmetrics-text; version=1.0.0")
    );
    assert!(ask("*/*").await.starts_with("text/plain; version=0.0.4"));
}

#[tokio::test]
async fn every_metric_of_the_table_is_in_a_scrape_of_a_service_that_works() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    let id = api.submit(task("c")).await;
    api.lease(&id).await;
    let text = eventually("the queue is counted", || async {
        let reply = api.get("//metrics").await;
        reply
            .text
            .contains("event=\"leased\"")
            .then_some(reply.text)
    })
    .await;
    for metric in ALL {
        let name = match metric.kind {
            Kind::Counter => metric.name.trim_end_matches("_total"),
            Kind::Gauge | Kind::Histogram => metric.name,
        };
        let line = format!("# TYPE {name} {}\n", metric.kind.name());
        assert!(text.contains(&line), "{line} is missing in\n{text}");
    }
}
