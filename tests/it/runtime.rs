//! The whole service for tests: in this process ([`Runtime`]), or as the real program
//! ([`Process`](process::Process)), and a small client.

pub mod api;
pub mod entity;
pub mod front;
pub mod process;

use std::time::Duration;

use bloom_runtime::db::calls::maintenance::Retention;
use bloom_runtime::db::{self, Endpoint};
use bloom_runtime::dispatch;
use bloom_runtime::events;
use bloom_runtime::http::{self, limits};
use bloom_runtime::maintenance;
use bloom_runtime::membridge;
use bloom_runtime::outbound::{Guard, Policy};
use bloom_runtime::seals::{self, Signers};
use bloom_runtime::service::{self, Options};
use bloom_runtime::shutdown::Shutdown;
use bloom_runtime::webhooks;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

pub use api::{Api, Reply};

use crate::pg::TestDb;

/// The key with all rights of every service here.
pub const KEY: &str = "the-configured-key-0123456789";
/// Longer than anything here takes.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// What a test's service is told: no grace, no rate limits, keys needed.
pub fn options(endpoint: Endpoint) -> Options {
    Options {
        endpoint,
        pools: db::Options {
            general: 6,
            reserved: 2,
            ..db::Options::default()
        },
        server: http::Options {
            drain_timeout: Duration::from_secs(5),
            limits: limits::Options {
                general: None,
                heavy: None,
                worker: None,
                wrong_keys: None,
                ..limits::Options::default()
            },
            ..http::Options::default()
        },
        api_key: Some(SecretString::from(KEY)),
        policy: http::Policy::Keys,
        maintenance: maintenance::Options {
            grace: Duration::ZERO,
            keep: Retention {
                finished_days: 30,
                event_days: 30,
                artifact_days: 30,
            },
        },
        events: events::Options::default(),
        max_waiters: 1000,
        seals: seals::Options {
            signers: Signers::of(&[[7; 32]]),
            file: None,
            interval: Duration::from_millis(100),
        },
        strict_leases: false,
        membridge: membridge::Options {
            guard: guard(),
            keyring: None,
            fallback: None,
            interval: Duration::from_millis(100),
        },
        webhooks: webhooks::Options {
            guard: guard(),
            keyring: None,
            time_limit: Duration::from_secs(5),
            poll: Duration::from_millis(100),
        },
        dispatch: dispatch::Options {
            guard: guard(),
            keys: dispatch::AgentKeys::default(),
            public_url: Some("http://runtime.test".to_owned()),
        },
        metrics: None,
        objects: None,
    }
}

/// Outbound requests may go to this machine.
pub fn guard() -> Guard {
    // Fails when another test installed it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    Guard::new(Policy::new(vec!["127.0.0.0/8".parse().unwrap()])).unwrap()
}

/// A service in this process. It stops when dropped.
pub struct Runtime {
    pub api: Api,
    pub shutdown: Shutdown,
    running: JoinHandle<anyhow::Result<()>>,
    /// Its own database, unless it was started on another's; dropped after the service.
    pub db: Option<TestDb>,
    /// What stands before it.
    pub front: Option<front::Nginx>,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

impl Runtime {
    /// On a fresh database.
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// On a fresh database, with other options.
    pub async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let db = TestDb::new().await;
        let mut options = options(db.endpoint());
        change(&mut options);
        let mut runtime = Self::with_options(options).await;
        runtime.db = Some(db);
        runtime
    }

    /// On any database.
    pub async fn with_options(options: Options) -> Self {
        // Fails when another test installed it already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = Shutdown::new();
        let running = tokio::spawn(service::run(options, listener, shutdown.clone()));
        Self {
            api: Api::new(&base, Some(KEY)),
            shutdown,
            running,
            db: None,
            front: None,
        }
    }

    /// Its database.
    pub fn db(&self) -> &TestDb {
        self.db.as_ref().expect("started on its own database")
    }

    /// Waits until it has ended by itself or because it was asked to.
    pub async fn ended(&mut self) {
        let ended = tokio::time::timeout(DEADLINE, &mut self.running).await;
        ended.expect("ends in time").unwrap().unwrap();
    }
}

/// Waits until `condition` yields something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A submission with nothing but what is required.
pub fn task(context: &str) -> Value {
    json!({ "context_id": context, "agent_slug": "a", "prompt": "do it" })
}

impl Api {
    /// Submits a task and returns its id.
    pub async fn submit(&self, body: Value) -> String {
        let reply = self.post("/llm-tasks", body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.id()
    }

    /// Registers a worker.
    pub async fn register(&self, name: &str, concurrency: u32) {
        let body = json!({ "name": name, "capabilities": { "max_concurrency": concurrency } });
        let reply = self.post("/workers", body).await;
        assert!(reply.status < 300, "{reply:?}");
    }

    /// Asks for work.
    pub async fn pull(&self, worker: &str, wait: u32) -> Reply {
        let body = json!({
            "worker_id": worker, "session_id": Uuid::new_v4(), "wait_seconds": wait,
        });
        self.post("/leases", body).await
    }

    /// Leases a task to whoever is picked, and returns the lease's id.
    pub async fn lease(&self, task: &str) -> String {
        let reply = self
            .post(&format!("/llm-tasks/{task}/lease"), json!({}))
            .await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.body["lease"]["id"].as_str().unwrap().to_owned()
    }

    /// Completes a task.
    pub async fn complete(&self, task: &str, body: Value) -> Reply {
        self.post(&format!("/llm-tasks/{task}/complete"), body)
            .await
    }

    /// Gets a task.
    pub async fn task(&self, id: &str) -> Value {
        let reply = self.get(&format!("/llm-tasks/{id}")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    /// Waits until a task has this status.
    pub async fn until_status(&self, id: &str, status: &str) -> Value {
        eventually(&format!("task {id} is {status}"), || async {
            let task = self.task(id).await;
            (task["status"] == status).then_some(task)
        })
        .await
    }
}
