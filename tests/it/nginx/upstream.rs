//! Between nginx and a server that we hold in hand: what is passed on when, and how often.

use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::runtime::front::Nginx;
use crate::runtime::{DEADLINE, eventually};

/// A request's head.
type Head = Vec<String>;

/// A server that answers every GET with 200 on a kept connection, and hands over everything else.
async fn held() -> (String, mpsc::Receiver<(Head, TcpStream)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (found, finds) = mpsc::channel(10);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, found.clone()));
        }
    });
    (base, finds)
}

async fn serve(stream: TcpStream, found: mpsc::Sender<(Head, TcpStream)>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).await {
                Ok(1..) if line.trim().is_empty() => break,
                Ok(1..) => head.push(line.trim().to_owned()),
                _ => return,
            }
        }
        if head[0].starts_with("GET /api/runtime/health ") {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
            stream.write_all(answer).await.unwrap();
        } else {
            found.send((head, stream.into_inner())).await.unwrap();
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_passed_on_one_by_one_and_never_compressed() {
    let (base, mut finds) = held().await;
    // Whoever compresses everything else does not hold back events.
    let nginx = Nginx::start_within(&base, "gzip on; gzip_types *; gzip_min_length 1;").await;
    for path in [
        "/events",
        "/llm-tasks/01a2096c-9990-785a-af87-12956d12b262/events",
    ] {
        let request = nginx
            .api
            .request(Method::GET, path)
            .header("accept", "text/event-stream")
            .header("accept-encoding", "gzip")
            .header("last-event-id", "17");
        let answer = tokio::spawn(request.send());
        let (head, mut server) = finds.recv().await.unwrap();
        assert!(
            head.iter()
                .any(|line| line == "Last-Event-ID: 17" || line == "last-event-id: 17")
        );
        let start = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: 1\ndata: a\n\n";
        server.write_all(start).await.unwrap();
        let mut answer = answer.await.unwrap().unwrap();
        assert_eq!(answer.headers().get("content-encoding"), None);
        // The second is sent only when the first has come out.
        let first = tokio::time::timeout(DEADLINE, answer.chunk())
            .await
            .unwrap();
        assert_eq!(&first.unwrap().unwrap()[..], b"id: 1\ndata: a\n\n");
        server.write_all(b"id: 2\ndata: b\n\n").await.unwrap();
        let second = tokio::time::timeout(DEADLINE, answer.chunk())
            .await
            .unwrap();
        assert_eq!(&second.unwrap().unwrap()[..], b"id: 2\ndata: b\n\n");
        // A reader that goes away is told to the service.
        drop(answer);
        let mut rest = Vec::new();
        let end = tokio::time::timeout(DEADLINE, server.read_to_end(&mut rest)).await;
        assert_eq!(end.unwrap().unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_whose_answer_is_lost_is_not_sent_again() {
    let (base, mut finds) = held().await;
    let nginx = Nginx::start(&base).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watcher = tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            while let Some((head, server)) = finds.recv().await {
                seen.lock().unwrap().push(head);
                // It may have been carried out, and the connection is gone.
                drop(server);
            }
        }
    });
    for n in 1..=5 {
        // So that a kept connection is there: nginx would try another one if one of those fails.
        eventually("a kept connection", async || {
            (nginx.api.get("/health").await.status == 200).then_some(())
        })
        .await;
        let lost = nginx.api.post("/llm-tasks", json!({ "n": n })).await;
        assert_eq!(lost.status, 502, "{lost:?}");
        let posts = seen.lock().unwrap().len();
        assert_eq!(posts, n, "each was sent once");
    }
    watcher.abort();
    let seen = seen.lock().unwrap();
    let has = |name: &str| {
        let name = name.to_lowercase();
        seen[0]
            .iter()
            .any(|line| line.to_lowercase().starts_with(&name))
    };
    assert!(
        has("x-forwarded-for: 127.0.0.1") && has("x-forwarded-proto: http"),
        "{seen:?}"
    );
    assert!(
        has("x-request-id: ") && !has("connection: close"),
        "{seen:?}"
    );
}
