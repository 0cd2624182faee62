//! Clients that never finish what they say, in numbers, and one that does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::http_toy::Raw;
use crate::runtime::{KEY, Runtime, eventually, task};

/// How many there are.
const SLOW: usize = 200;
/// Between two bytes of one of them.
const PAUSE: Duration = Duration::from_millis(250);
/// What a round of the other one may take on a machine that has hardly any time for it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often the other one is answered meanwhile.
const ROUNDS: usize = 25;

/// How a slow client's request begins; what follows never ends it.
fn beginning(number: usize) -> String {
    let key = format!("Host: a\r\nX-Runtime-API-Key: {KEY}\r\n");
    let json = "Content-Type: application/json\r\n";
    match number % 4 {
        0 => "GET /api/runtime/sta".to_owned(),
        1 => format!("GET /api/runtime/stats HTTP/1.1\r\n{key}X-Slow: "),
        2 => format!(
            "POST /api/runtime/llm-tasks HTTP/1.1\r\n{key}{json}Content-Length: 900000\r\n\r\n\
             {{\"context_id\": \""
        ),
        _ => format!(
            "POST /api/runtime/leases HTTP/1.1\r\n{key}{json}Transfer-Encoding: chunked\r\n\r\n\
             ffff\r\n{{\"worker_id\": \""
        ),
    }
}

/// Says a byte now and then; begins anew whenever the server has had enough.
async fn trickle(address: SocketAddr, number: usize, begun: Arc<AtomicUsize>) {
    let mut is_first = true;
    loop {
        let mut raw = Raw::connect(address).await;
        raw.try_send(beginning(number).as_bytes()).await;
        begun.fetch_add(usize::from(is_first), Ordering::SeqCst);
        is_first = false;
        while raw.try_send(b"x").await {
            sleep(PAUSE).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_slow_clients_do_not_keep_another_from_its_answers() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let address = api.base.strip_prefix("http://").unwrap().parse().unwrap();
    let begun = Arc::new(AtomicUsize::new(0));
    let mut slow = JoinSet::new();
    for number in 0..SLOW {
        slow.spawn(trickle(address, number, Arc::clone(&begun)));
    }
    eventually("all of them are at it", async || {
        (begun.load(Ordering::SeqCst) == SLOW).then_some(())
    })
    .await;
    api.register("w", 32).await;
    for round in 0..ROUNDS {
        let normal = async {
            assert_eq!(api.get("/health").await.status, 200);
            assert_eq!(api.get("/stats").await.status, 200);
            let id = api.submit(task("c")).await;
            let leases = api.pull("w", 0).await;
            let lease = &leases.leases()[0]["lease"]["id"];
            let report = serde_json::json!({
                "lease_id": lease, "status": "success", "output": "out",
            });
            assert_eq!(api.complete(&id, report).await.status, 200);
            assert_eq!(api.task(&id).await["status"], "completed");
        };
        let answered = timeout(PATIENCE, normal).await;
        assert!(answered.is_ok(), "round {round} is not answered");
    }
    assert_eq!(slow.len(), SLOW);
    assert!(slow.try_join_next().is_none(), "all are still at it");
}
