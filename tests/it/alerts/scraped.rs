//! The dashboard and the rules over what a real Prometheus reads from a real service.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::{dashboard, prometheus_dir, read, rules};
use crate::runtime::{KEY, Runtime, eventually, task};

/// Longer than it takes to read often enough for a rate, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// What only has a value when something is wrong, or that this service has nothing of.
const SILENT: [&str; 4] = [
    "bloom_queue_paused",
    "bloom_credentials_exhausted",
    "status=~\"5..\"",
    "bloom_membridge_syncs_total",
];

/// Prometheus over one service, with our rules; it ends with the test.
struct Prometheus {
    url: String,
    dir: PathBuf,
    _process: Child,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

impl Prometheus {
    fn over(service: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("bloom-it-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&dir).unwrap();
        // As shipped, but for the service's address and key, and faster.
        let config = read("deploy/prometheus/prometheus.yml")
            .replace("127.0.0.1:5000", service.strip_prefix("http://").unwrap())
            .replace(
                "/etc/prometheus/bloom.key",
                dir.join("key").to_str().unwrap(),
            )
            .replace(
                "scrape_interval: 15s",
                "scrape_interval: 250ms\n    scrape_timeout: 250ms",
            );
        for (name, text) in [
            ("prometheus.yml", config.as_str()),
            ("alerts.yml", &read("deploy/prometheus/alerts.yml")),
            ("key", KEY),
        ] {
            std::fs::write(dir.join(name), text).unwrap();
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let process = Command::new(prometheus_dir().join("prometheus"))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            url: format!("http://127.0.0.1:{port}/api/v1"),
            dir,
            _process: process,
        }
    }

    /// What it answers, once it answers.
    async fn ask(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}{path}", self.url);
        let url = reqwest::Url::parse_with_params(&url, query).unwrap();
        eventually("Prometheus answers", || async {
            let answer = client.get(url.clone()).send().await.ok()?;
            answer.json::<Value>().await.ok()
        })
        .await
    }
}

/// A task that goes well, one that fails, and one that waits.
async fn work(runtime: &Runtime) {
    runtime.api.register("w", 2).await;
    for status in ["success", "error"] {
        runtime.api.submit(task("c")).await;
        // It may be one of an earlier round.
        let leased = runtime.api.pull("w", 0).await.leases()[0].clone();
        let body = json!({
            "lease_id": leased["lease"]["id"], "status": status, "output": "x",
            "error_message": "y", "retryable": false,
        });
        let id = leased["task"]["id"].as_str().unwrap();
        let done = runtime.api.complete(id, body).await;
        assert!(done.status < 300, "{done:?}");
    }
    runtime.api.submit(task("c")).await;
}

#[tokio::test]
async fn every_panel_shows_something_and_every_rule_can_be_judged() {
    let runtime = Runtime::start().await;
    let prometheus = Prometheus::over(&runtime.api.base);
    let expressions = dashboard().into_iter().map(|expression| {
        expression
            .replace("$queue", ".*")
            .replace("$__rate_interval", "30s")
    });
    let mut open: Vec<String> = expressions
        .filter(|expression| !SILENT.iter().any(|part| expression.contains(part)))
        .collect();
    assert!(open.len() > 20, "{}", open.len());
    let deadline = Instant::now() + PATIENCE;
    while !open.is_empty() {
        // A rate needs something that happens between two readings.
        work(&runtime).await;
        let mut silent = Vec::new();
        for expression in open {
            let answer = prometheus.ask("/query", &[("query", &expression)]).await;
            assert_eq!(answer["status"], "success", "{expression}: {answer}");
            let values = answer["data"]["result"].as_array().unwrap();
            if values.is_empty() {
                silent.push(expression);
            }
        }
        open = silent;
        assert!(Instant::now() < deadline, "nothing to show for {open:#?}");
    }
    for expression in rules() {
        let answer = prometheus.ask("/query", &[("query", &expression)]).await;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
    }
    let loaded = prometheus.ask("/rules", &[]).await;
    let groups = loaded["data"]["groups"].as_array().unwrap();
    let loaded: usize = groups
        .iter()
        .map(|group| group["rules"].as_array().unwrap().len())
        .sum();
    assert_eq!(loaded, rules().len());
}
