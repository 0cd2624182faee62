//! The real program with something of everything in it.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::runtime::process::{Process, Scratch, bloom};
use crate::runtime::{Api, KEY, task};

/// A service, and ids of things that exist.
pub struct Scene {
    process: Process,
    db: TestDb,
    _scratch: Scratch,
    pub task: String,
    pub lease: String,
    artifact: String,
    webhook: String,
    delivery: String,
}

impl Scene {
    /// Starts it.
    pub async fn start() -> Self {
        let (db, scratch) = (TestDb::new().await, Scratch::new());
        let mut command = bloom();
        command.env("DATABASE_URL", db.url());
        let kek = scratch.path().join("kek");
        std::fs::write(&kek, "c0ffee00".repeat(8)).unwrap();
        std::fs::set_permissions(&kek, Permissions::from_mode(0o600)).unwrap();
        let kek = format!("--kek-file={}", kek.display());
        let arguments = [
            kek.as_str(),
            "--rate-per-minute=0",
            "--heavy-rate-per-minute=0",
            "--worker-rate-per-second=0",
            "--outbound-allow=127.0.0.0/8",
        ];
        let process = Process::start_by(command, &scratch, &arguments, Some(KEY));
        let api = &process.api;
        api.register("w", 32).await;
        let done = api.submit(task("done")).await;
        let lease = api.lease(&done).await;
        let body = json!({ "lease_id": lease, "status": "success", "output": "out" });
        let artifact = api.complete(&done, body).await.body["artifact"]["id"].clone();
        let id = api.submit(task("running")).await;
        let lease = api.lease(&id).await;
        let hook = json!({ "name": "h", "url": "http://127.0.0.1:9/" });
        let webhook = api.post("/webhooks", hook).await;
        assert_eq!(webhook.status, 201, "{webhook:?}");
        let text = |value: &Value| value.as_str().expect("an id").to_owned();
        Self {
            artifact: text(&artifact),
            webhook: webhook.id(),
            delivery: "1".to_owned(),
            task: id,
            lease,
            process,
            db,
            _scratch: scratch,
        }
    }

    /// A client.
    pub fn api(&self) -> &Api {
        &self.process.api
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.api()
            .base
            .strip_prefix("http://")
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Something that exists, for the parameter of a path.
    pub fn known(&self, path: &str, name: &str) -> String {
        match name {
            "delivery" => self.delivery.clone(),
            "name" => "default".to_owned(),
            "cid" => "p".to_owned(),
            _ if path.contains("/llm-tasks/") => self.task.clone(),
            _ if path.contains("/artifacts/") => self.artifact.clone(),
            _ if path.contains("/webhooks/") => self.webhook.clone(),
            _ => "w".to_owned(),
        }
    }

    /// The service goes on as if nothing had been, its log holds what it said and nothing else, and
    /// what is in its database is coherent.
    pub async fn assert_sound(mut self) {
        let api = self.api();
        assert_eq!(api.get("/health").await.status, 200);
        api.register("after", 1).await;
        let id = api.submit(json!({
            "context_id": "after", "agent_slug": "a", "prompt": "p", "queue": "after",
        }));
        let id = id.await;
        let body = json!({ "worker_id": "after", "session_id": uuid::Uuid::new_v4(),
            "queues": ["after"] });
        let pulled = api.post("/leases", body).await;
        let lease = &pulled.leases()[0]["lease"];
        assert_eq!(lease["task_id"], id, "{pulled:?}");
        let report = json!({ "lease_id": lease["id"], "status": "success", "output": "out" });
        assert_eq!(api.complete(&id, report).await.status, 200);
        self.process.signal(rustix::process::Signal::TERM);
        assert_eq!(self.process.ended(crate::runtime::DEADLINE).await, Some(0));
        let log = self.process.log();
        for line in log.lines() {
            let is_own = line.starts_with("20") && line.as_bytes().get(10) == Some(&b'T');
            assert!(is_own, "a line of somebody else's: {line:?}");
            let is_fault = line.contains("panicked") || line.contains(" ERROR ");
            assert!(!is_fault, "{line}");
            assert!(!line.contains(char::is_control), "{line:?}");
        }
        assert_clean(&self.db.connect().await).await;
    }
}
