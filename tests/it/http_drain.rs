//! The orderly end.

use std::time::{Duration, Instant};

use bloom_runtime::http::Options;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http_toy::{DEADLINE, Toy, auth, options, request};

#[tokio::test]
async fn requests_under_way_finish_and_new_ones_are_not_taken() {
    let mut toy = Toy::start().await;
    let mut slow = toy.raw().await;
    slow.send(&request("GET /api/slow", b"")).await;
    let mut idle = toy.raw().await;
    idle.send(&request("GET /api/things", b"")).await;
    assert_eq!(idle.answer().await.status, 200);
    timeout(DEADLINE, toy.app.begun.acquire())
        .await
        .unwrap()
        .unwrap()
        .forget();

    toy.shutdown.request();
    assert_eq!(
        idle.rest().await,
        b"",
        "idle connections are closed at once"
    );
    let refused = async { while TcpStream::connect(toy.address).await.is_ok() {} };
    timeout(DEADLINE, refused)
        .await
        .expect("no longer listening");

    toy.app.release.add_permits(1);
    let answer = slow.answer().await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(slow.rest().await, b"");
    timeout(DEADLINE, &mut toy.server)
        .await
        .expect("the server ends")
        .unwrap()
        .unwrap();
    timeout(DEADLINE, toy.shutdown.finished())
        .await
        .expect("nothing is left behind");
}

#[tokio::test]
async fn requests_that_never_finish_are_cut_off() {
    let drain_timeout = Duration::from_millis(300);
    let mut toy = Toy::start_with(
        Options {
            drain_timeout,
            ..options()
        },
        auth(),
    )
    .await;
    let mut slow = toy.raw().await;
    slow.send(&request("GET /api/slow", b"")).await;
    timeout(DEADLINE, toy.app.begun.acquire())
        .await
        .unwrap()
        .unwrap()
        .forget();
    let start = Instant::now();
    toy.shutdown.request();
    timeout(DEADLINE, &mut toy.server)
        .await
        .expect("the server ends")
        .unwrap()
        .unwrap();
    assert!(start.elapsed() >= drain_timeout);
    assert_eq!(slow.rest().await, b"");
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_request() {
    let toy = Toy::start().await;
    let mut slow = toy.raw().await;
    slow.send(&request("GET /api/slow", b"")).await;
    timeout(DEADLINE, toy.app.begun.acquire())
        .await
        .unwrap()
        .unwrap()
        .forget();
    drop(slow);
    let noticed = async {
        while toy.app.observed.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, noticed).await.expect("the request ends");
    assert_eq!(
        toy.app.observed.lock().unwrap()[0],
        (Some("/api/slow"), 499)
    );
}
