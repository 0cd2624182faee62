//! The web UI: how its files are served, and the page itself in a real Chromium.

mod answers;
mod browser;
mod flows;
mod hostile;
mod keyboard;
mod pages;
mod screenshots;
mod texts;
mod trouble;

use std::path::PathBuf;
use std::process::{Child, Stdio};

use bloom_runtime::secrets::Keyring;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::runtime::process::{Scratch, bloom};
use crate::runtime::{Api, KEY, Runtime};

/// Every page that the navigation leads to.
const PAGES: [&str; 7] = [
    "overview",
    "tasks",
    "workers",
    "queues",
    "membridge",
    "artifacts",
    "audit",
];

/// A real worker program on a service; killed when dropped.
struct Worker(Child);

impl Worker {
    /// That runs `exec` on each task.
    fn start(site: &str, name: &str, exec: &str) -> Self {
        let mut command = bloom();
        command
            .args(["worker", "--server", site, "--name", name, "--exec", exec])
            .env("RUNTIME_API_KEY", KEY)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().expect("bloom runs"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Asked first, so that it ends its programs.
        let pid = Pid::from_child(&self.0);
        let _gone_already = kill_process(pid, Signal::TERM);
        drop(self.0.wait());
    }
}

/// A service that can keep Membridge's key.
async fn service() -> Runtime {
    Runtime::start_with(|options| options.membridge.keyring = Some(keyring())).await
}

fn keyring() -> Keyring {
    let scratch = Scratch::new();
    let path: PathBuf = scratch.path().join("kek");
    Keyring::read_or_make(&path).unwrap()
}

/// A task that a worker of the test's own has done: its id.
async fn done(api: &Api, worker: &str, mut body: Value, output: &str) -> String {
    body["queue"] = json!(format!("for-{worker}"));
    let id = api.submit(body).await;
    let lease = leased(api, worker, &id).await;
    let report = json!({
        "lease_id": lease, "status": "success", "output": output, "artifact_tags": ["test"],
        "metrics": {"duration_ms": 1830, "tokens_used": 412, "input_tokens": 310,
                    "output_tokens": 102, "cost_usd": 0.00231},
    });
    let reply = api.complete(&id, report).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    id
}

/// Has a worker take a task and begin with it: the lease's id.
async fn leased(api: &Api, worker: &str, id: &str) -> String {
    let path = format!("/llm-tasks/{id}/lease");
    let body = json!({ "worker_id": worker, "ttl_seconds": 600 });
    let reply = api.post(&path, body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let lease = reply.body["lease"]["id"].as_str().unwrap().to_owned();
    let beat = json!({ "lease_id": lease });
    let reply = api.post(&format!("/llm-tasks/{id}/heartbeat"), beat).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    lease
}
