//! The Membridge agent 0.4.0 for tests: takes a task, calls the service back while the request is
//! open, once each and without a lease id, and answers when the task is done.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::runtime::KEY;

/// How it deals with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Heartbeat, completion, answer.
    Good,
    /// The CLI fails: an error completion, and `ok: false` with status 200.
    Failing,
    /// As good, but the completion does not reach the service.
    Mute,
    /// 503: no CLI on this node.
    WithoutCli,
    /// The connection breaks off after the heartbeat.
    Breaking,
    /// It sends the caller elsewhere.
    Redirecting,
}

/// The agent; ends when dropped.
pub struct FakeAgent {
    /// Its address.
    pub url: String,
    /// Every request as it came: head and body.
    pub seen: Arc<Mutex<Vec<(String, Value)>>>,
    /// A task is held until there is a permit here.
    pub gate: Arc<Semaphore>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeAgent {
    /// Calls the service at `runtime` back, whatever address it is told: the test's service does
    /// not know its own.
    pub async fn start(runtime: &str, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let task = tokio::spawn({
            let (seen, gate, runtime) = (Arc::clone(&seen), Arc::clone(&gate), runtime.to_owned());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (seen, gate) = (Arc::clone(&seen), Arc::clone(&gate));
                    tokio::spawn(serve(stream, runtime.clone(), manner, seen, gate));
                }
            }
        });
        Self {
            url,
            seen,
            gate,
            task,
        }
    }
}

async fn serve(
    mut stream: TcpStream,
    runtime: String,
    manner: Manner,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
    gate: Arc<Semaphore>,
) {
    let (head, body) = read(&mut stream).await;
    seen.lock().unwrap().push((head.clone(), body.clone()));
    if head.starts_with("get /health ") {
        let health = json!({ "status": "ok", "version": "0.4.0", "claude_cli": true });
        return answer(&mut stream, 200, &health).await;
    }
    assert!(head.starts_with("post /execute-task "), "{head}");
    if manner == Manner::WithoutCli {
        let detail = json!({ "detail": "Claude CLI is not installed on this node" });
        return answer(&mut stream, 503, &detail).await;
    }
    if manner == Manner::Redirecting {
        let head = b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        return drop(stream.write_all(head).await);
    }
    let id = body["task_id"].as_str().unwrap().to_owned();
    let call = async |route: &str, body: Option<Value>| {
        let url = format!("{runtime}/api/runtime/llm-tasks/{id}/{route}");
        let request = reqwest::Client::new()
            .post(url)
            .header("X-Runtime-API-Key", KEY);
        let request = match body {
            Some(body) => request.json(&body),
            None => request.header("Content-Type", "application/json"),
        };
        drop(request.timeout(Duration::from_secs(20)).send().await);
    };
    call("heartbeat", None).await;
    if manner == Manner::Breaking {
        return;
    }
    gate.acquire().await.unwrap().forget();
    let is_ok = manner != Manner::Failing;
    if manner != Manner::Mute {
        let report = if is_ok {
            json!({"status": "success", "output": "hello from claude", "error_message": null,
                "metrics": {"duration_ms": 39, "tokens_used": null}})
        } else {
            json!({"status": "error", "output": null, "error_message": "exit code 3",
                "metrics": {"duration_ms": 39, "tokens_used": null}})
        };
        call("complete", Some(report)).await;
    }
    let done = if is_ok {
        json!({"ok": true, "task_id": id, "output": "hello from claude", "duration_ms": 39,
            "returncode": 0})
    } else {
        json!({"ok": false, "task_id": id, "error": "exit code 3", "stderr": "no", "duration_ms": 39,
            "returncode": 3})
    };
    answer(&mut stream, 200, &done).await;
}

async fn answer(stream: &mut TcpStream, status: u16, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    drop(stream.write_all((head + &body).as_bytes()).await);
}

/// The head in lower case, and the body.
async fn read(stream: &mut TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return (String::new(), Value::Null);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
    while bytes.len() < end + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            break;
        }
    }
    let body = serde_json::from_slice(&bytes[end..]).unwrap_or(Value::Null);
    (head, body)
}
