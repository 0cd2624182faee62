//! A receiver of webhooks on this machine, which behaves as a test wants it to.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bloom_runtime::secrets::Keyring;
use bloom_runtime::service::Options;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::runtime::process::Scratch;
use crate::runtime::{Api, eventually};

/// What a receiver does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Answers with this status.
    Status(u16),
    /// Answers with this status after so many milliseconds.
    Slow(u16, u64),
    /// Never answers.
    Silent,
    /// Sends the caller elsewhere.
    Redirect,
    /// Answers 200 with more than anybody wants to read.
    Endless,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Got {
    pub headers: HashMap<String, String>,
    pub raw: String,
    pub body: Value,
}

impl Got {
    pub fn delivery(&self) -> &str {
        &self.headers["x-bloom-delivery"]
    }

    /// The tasks of its events.
    pub fn tasks(&self) -> Vec<String> {
        let events = self.body["events"].as_array().expect("events");
        let task = |event: &Value| event["task_id"].as_str().map(str::to_owned);
        events.iter().filter_map(task).collect()
    }
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Got>>,
    /// What to do with the next requests; the last one stays.
    manners: Mutex<VecDeque<Manner>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

/// The receiver; ends when dropped.
pub struct Receiver {
    pub url: String,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub async fn start(manners: &[Manner]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        state.manners.lock().unwrap().extend(manners);
        let task = tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&state)));
                }
            }
        });
        Self { url, state, task }
    }

    /// From now on it behaves so.
    pub fn behave(&self, manner: Manner) {
        *self.state.manners.lock().unwrap() = VecDeque::from([manner]);
    }

    pub fn seen(&self) -> Vec<Got> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How many requests were under way at the same time at most.
    pub fn most_under_way(&self) -> usize {
        self.state.most_under_way.load(Ordering::SeqCst)
    }

    /// Waits for so many requests.
    pub async fn until(&self, count: usize) -> Vec<Got> {
        eventually(&format!("{count} requests"), async || {
            Some(self.seen()).filter(|seen| seen.len() >= count)
        })
        .await
    }

    /// Waits until events of so many tasks have come; the tasks in their order.
    pub async fn until_tasks(&self, count: usize) -> Vec<String> {
        eventually(&format!("{count} tasks"), async || {
            let tasks: Vec<_> = self.seen().iter().flat_map(Got::tasks).collect();
            Some(tasks).filter(|tasks| tasks.len() >= count)
        })
        .await
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let Some((head, raw)) = read(&mut stream).await else {
        return;
    };
    let under_way = state.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    state.most_under_way.fetch_max(under_way, Ordering::SeqCst);
    let manner = {
        let mut manners = state.manners.lock().unwrap();
        let next = manners.front().copied().unwrap_or(Manner::Status(200));
        if manners.len() > 1 {
            manners.pop_front();
        }
        next
    };
    let headers = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    state.seen.lock().unwrap().push(Got {
        headers: headers.collect(),
        body: serde_json::from_str(&raw).unwrap_or_default(),
        raw,
    });
    let (status, more) = match manner {
        Manner::Status(status) => (status, String::new()),
        Manner::Slow(status, ms) => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            (status, String::new())
        }
        Manner::Silent => {
            // Until the other side gives up.
            drop(stream.read(&mut [0]).await);
            state.under_way.fetch_sub(1, Ordering::SeqCst);
            return;
        }
        Manner::Redirect => (302, "location: http://127.0.0.1:1/elsewhere\r\n".to_owned()),
        Manner::Endless => (200, String::new()),
    };
    let body = if manner == Manner::Endless {
        "x".repeat(1 << 20)
    } else {
        String::new()
    };
    let answer = format!(
        "HTTP/1.1 {status} x\r\n{more}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    state.under_way.fetch_sub(1, Ordering::SeqCst);
    drop(stream.write_all(answer.as_bytes()).await);
}

async fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream
            .read(&mut chunk)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

/// The option of a service that can encrypt secrets, with a key in this directory.
pub fn keyed(options: &mut Options, scratch: &Scratch) {
    let keys = Keyring::read_or_make(&scratch.path().join("kek"));
    options.webhooks.keyring = Some(keys.unwrap());
}

/// Makes a webhook that tries again quickly, with these options; its id and its secret.
pub async fn subscribe(api: &Api, url: &str, options: Value) -> (String, String) {
    let mut body = json!({ "name": "hook", "url": url, "backoff_ms": 100 });
    for (name, value) in options.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let reply = api.post("/webhooks", body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let secret = reply.body["secret"].as_str().expect("a secret").to_owned();
    (reply.id(), secret)
}

/// The deliveries of a webhook, newest first.
pub async fn deliveries(api: &Api, id: &str) -> Vec<Value> {
    let reply = api.get(&format!("/webhooks/{id}/deliveries")).await;
    reply.items().to_vec()
}
