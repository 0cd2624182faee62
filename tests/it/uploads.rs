//! Large bodies share a bounded memory.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::pg::TestDb;
use crate::runtime::process::{Process, Scratch};
use crate::runtime::{KEY, eventually, task};

/// One body, in bytes; the service takes 16 MiB each and 256 MiB of all of them together.
const BODY: usize = 15 << 20;

/// Sends all of a body but its last byte, and returns what the service has to say meanwhile.
async fn nearly_upload(address: String) -> (TcpStream, Option<String>) {
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /api/runtime/llm-tasks HTTP/1.1\r\nHost: {address}\r\nX-Runtime-API-Key: {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {BODY}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let body = vec![b' '; BODY - 1];
    // An answer may come before the end, and the service may then take no more.
    stream.write_all(&body).await.ok();
    let mut answer = vec![0; 64];
    let read = timeout(Duration::from_secs(20), stream.read(&mut answer)).await;
    let said = match read {
        Ok(Ok(count)) => Some(String::from_utf8_lossy(&answer[..count]).into_owned()),
        _ => None,
    };
    (stream, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_uploaded_at_once_is_bounded_and_comes_back() {
    let (scratch, db) = (Scratch::new(), TestDb::new().await);
    let service = Process::serve(&scratch, &["--database-url", &db.url()]);
    let address = service.api.base.strip_prefix("http://").unwrap().to_owned();
    let mut uploads = JoinSet::new();
    for _ in 0..20 {
        uploads.spawn(nearly_upload(address.clone()));
    }
    let uploads = uploads.join_all().await;
    let refused = uploads.iter().filter_map(|(_, said)| said.as_deref());
    let refused: Vec<_> = refused.filter(|said| !said.is_empty()).collect();
    assert!(!refused.is_empty(), "not everything was taken");
    assert!(
        refused.iter().all(|said| said.contains(" 503 ")),
        "{refused:?}"
    );
    // Small requests are not concerned.
    service.api.submit(task("small")).await;
    drop(uploads);
    eventually("there is room again", async || {
        let mut large = task("large");
        large["prompt"] = json!("x".repeat(1 << 20));
        (service.api.post("/llm-tasks", large).await.status == 201).then_some(())
    })
    .await;
}
