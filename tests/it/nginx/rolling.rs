//! Two services behind nginx, restarted one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::pg::TestDb;
use crate::runtime::front::Nginx;
use crate::runtime::process::{Process, Scratch};
use crate::runtime::{KEY, eventually, task};

/// What clients do meanwhile, over and over.
#[derive(Default)]
struct Load {
    done: AtomicUsize,
    stop: AtomicBool,
}

impl Load {
    /// A connection for each request, so that only nginx' own kept connections are at stake.
    async fn run(self: Arc<Self>, base: String, number: usize) -> Vec<String> {
        let mut failed = Vec::new();
        let session = uuid::Uuid::new_v4();
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0);
        let client = client.build().unwrap();
        while !self.stop.load(Ordering::Relaxed) {
            let requests = [
                client
                    .post(format!("{base}/api/runtime/llm-tasks"))
                    .json(&task("c")),
                client.get(format!("{base}/api/runtime/llm-tasks?limit=2")),
                client
                    .post(format!("{base}/api/runtime/leases"))
                    .json(&json!({
                        "worker_id": format!("w{number}"), "session_id": session, "wait_seconds": 0,
                    })),
            ];
            for request in requests {
                match request.header("x-runtime-api-key", KEY).send().await {
                    Ok(answer) if answer.status().is_success() => {}
                    Ok(answer) => failed.push(format!("{} {}", answer.status(), answer.url())),
                    Err(error) => failed.push(format!("{error:?}")),
                }
                self.done.fetch_add(1, Ordering::Relaxed);
            }
        }
        failed
    }

    /// Waits until so many more requests have been answered.
    async fn more(&self, count: usize) {
        let before = self.done.load(Ordering::Relaxed);
        eventually("requests are answered", || async {
            (self.done.load(Ordering::Relaxed) >= before + count).then_some(())
        })
        .await;
    }
}

fn service(scratch: &Scratch, db: &TestDb) -> Process {
    Process::serve(
        scratch,
        &["--database-url", &db.url(), "--rate-per-minute", "1000000"],
    )
}

fn line(of: &Process) -> String {
    format!("server {};", of.api.base.strip_prefix("http://").unwrap())
}

/// Changes a line of nginx' configuration, and waits until nobody goes by the old one.
async fn lead(nginx: &Nginx, from: &str, to: &str) {
    let before = nginx.workers();
    nginx.edit(from, to);
    nginx.reload();
    eventually("the old workers of nginx are gone", || async {
        let now = nginx.workers();
        (now.len() == 1 && now != before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_two_services_fails_no_request() {
    let (scratch, db) = (Scratch::new(), TestDb::new().await);
    let mut services = [service(&scratch, &db), service(&scratch, &db)];
    let second = line(&services[1]);
    let nginx = Nginx::launch(&services[0].api.base, "", |_, shipped| {
        let first = line(&services[0]);
        shipped.replace(&first, &format!("{first} {second}"))
    });
    let api = nginx.api.clone();
    nginx.answers().await;
    for number in 0..4 {
        api.register(&format!("w{number}"), 32).await;
    }
    let load = Arc::new(Load::default());
    let clients: Vec<_> = (0..4)
        .map(|number| tokio::spawn(Arc::clone(&load).run(api.base.clone(), number)))
        .collect();
    for service_of in &mut services {
        load.more(30).await;
        let old = line(service_of);
        let down = old.replace(';', " down;");
        lead(&nginx, &old, &down).await;
        service_of.signal(Signal::TERM);
        assert_eq!(service_of.ended(Duration::from_secs(30)).await, Some(0));
        load.more(30).await;
        *service_of = service(&scratch, &db);
        lead(&nginx, &down, &line(service_of)).await;
    }
    load.more(30).await;
    load.stop.store(true, Ordering::Relaxed);
    for client in clients {
        let failed = client.await.unwrap();
        assert!(failed.is_empty(), "{failed:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_is_passed_over() {
    let (scratch, db) = (Scratch::new(), TestDb::new().await);
    let mut gone = service(&scratch, &db);
    let stays = service(&scratch, &db);
    let nginx = Nginx::launch(&gone.api.base, "", |_, shipped| {
        let first = line(&gone);
        shipped.replace(&first, &format!("{first} {}", line(&stays)))
    });
    nginx.answers().await;
    gone.kill();
    for _ in 0..20 {
        let sent = nginx.api.post("/llm-tasks", task("c")).await;
        assert_eq!(sent.status, 201, "{sent:?}");
    }
}
