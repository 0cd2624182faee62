//! A Membridge control plane 0.3.0 for tests: answers as the real one does, or as badly as asked,
//! and keeps every request as it came over the wire.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The admin key that it takes.
pub const ADMIN_KEY: &str = "membridge-admin-canary-7f3a";

/// How it answers a path.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A status and a JSON body.
    Json(u16, Value),
    /// These bytes, head and all; then the connection is closed.
    Raw(Vec<u8>),
    /// A body that never ends.
    Endless,
    /// A body that comes byte by byte, for ever.
    Drip,
    /// Nothing after the head.
    Stall,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET /agents HTTP/1.1`.
    pub line: String,
    /// The whole head, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Seen {
    /// Whether the admin key came with it.
    pub fn has_key(&self) -> bool {
        self.head
            .contains(&format!("x-membridge-admin: {ADMIN_KEY}"))
    }
}

/// The control plane; ends when dropped.
pub struct FakeMembridge {
    /// Its address.
    pub url: String,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeMembridge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeMembridge {
    /// With one project, two nodes and the agents of the contract.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::new(Mutex::new(usual()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn({
            let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&seen)));
                }
            }
        });
        Self {
            url,
            answers,
            seen,
            task,
        }
    }

    /// From now on it answers `path` so.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// From now on it knows these agents.
    pub fn agents(&self, agents: Value) {
        self.answer("/agents", Answer::Json(200, agents));
    }

    /// Everything that was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How often a path was asked.
    pub fn count(&self, path: &str) -> usize {
        let asked = format!(" {path} ");
        let is_asked = |seen: &&Seen| seen.line.contains(&asked);
        self.seen.lock().unwrap().iter().filter(is_asked).count()
    }
}

fn usual() -> HashMap<String, Answer> {
    let node = json!({
        "node_id": "node-1", "canonical_id": "p1", "role": "primary", "obs_count": 7,
        "db_sha": null, "last_seen": 1_795_440_717.29, "ip_addrs": [],
        "registered_at": 1_795_440_414.2, "project_id": null,
    });
    let answers = [
        (
            "/health",
            json!({"status": "ok", "service": "membridge-control-plane", "version": "0.3.0",
                "projects": 1, "agents": 1}),
        ),
        ("/agents", json!([])),
        (
            "/projects",
            json!([{"name": "One", "canonical_id": "p1", "created_at": null,
                "last_seen": 1_795_440_717.29, "nodes_count": 1, "source": "heartbeat"}]),
        ),
        (
            "/projects/p1/leadership",
            json!({"canonical_id": "p1", "preferred_primary": null, "node_count": 1,
                "nodes": [node.clone()]}),
        ),
        ("/projects/p1/nodes", json!([node])),
        (
            "/projects/p1/leadership/select",
            json!({"ok": true, "canonical_id": "p1", "primary_node_id": "node-1",
                "lease_seconds": 60, "detail": "selected"}),
        ),
    ];
    let read = |(path, body): (&str, Value)| (path.to_owned(), Answer::Json(200, body));
    answers.into_iter().map(read).collect()
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    let Some(request) = read(&mut stream).await else {
        return;
    };
    let path = request.line.split(' ').nth(1).unwrap_or("").to_owned();
    let is_allowed = path == "/health" || request.has_key();
    seen.lock().unwrap().push(request);
    let answer = if is_allowed {
        answers.lock().unwrap().get(&path).cloned()
    } else {
        Some(Answer::Json(
            401,
            json!({"detail": "Unauthorized — missing key"}),
        ))
    };
    let missing = Answer::Json(404, json!({"detail": "Not Found"}));
    let answer = answer.unwrap_or(missing);
    match &answer {
        Answer::Json(status, body) => {
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nX-Upstream: secret\r\n\
                 Set-Cookie: a=b\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            drop(stream.write_all(head.as_bytes()).await);
            drop(stream.write_all(body.as_bytes()).await);
        }
        Answer::Raw(bytes) => drop(stream.write_all(bytes).await),
        Answer::Endless => {
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[";
            drop(stream.write_all(head).await);
            while stream.write_all(&[b' '; 8192]).await.is_ok() {}
        }
        Answer::Drip | Answer::Stall => {
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[";
            drop(stream.write_all(head).await);
            let mut end = [0];
            loop {
                let drop_of = if matches!(answer, Answer::Drip) {
                    &b" "[..]
                } else {
                    b""
                };
                if stream.write_all(drop_of).await.is_err() {
                    return;
                }
                let pause = std::time::Duration::from_millis(100);
                // Until the other side has had enough.
                if let Ok(Ok(0)) = tokio::time::timeout(pause, stream.read(&mut end)).await {
                    return;
                }
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let lower = head.to_lowercase();
    let length = lower
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.lines().next()?.parse::<usize>().ok())
        .unwrap_or(0);
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen {
        line: head.lines().next().unwrap_or("").to_owned(),
        head: lower,
        body: String::from_utf8_lossy(&bytes[end..]).into_owned(),
    })
}
