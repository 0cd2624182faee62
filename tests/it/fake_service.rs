//! A service in memory with the worker's and the command line's endpoints, and switches for what
//! can go wrong between the two: it proves the client's side, not the service's.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod routes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// It is refused with this status and does nothing.
    Status(u16),
    /// It does its work, but the connection ends without an answer.
    DropAnswer,
    /// Nothing is done and nothing answered while the fault stands.
    Hang,
}

#[derive(Debug, Clone)]
pub struct FakeTask {
    pub id: Uuid,
    pub body: Value,
    pub status: &'static str,
    pub lease: Option<Uuid>,
    pub fence: i64,
    pub attempts: u32,
    pub cancel: bool,
    pub completions: Vec<Value>,
    pub releases: Vec<Value>,
    pub events: Vec<&'static str>,
}

#[derive(Debug, Clone)]
pub struct Call {
    pub path: String,
    pub body: Value,
    pub key: Option<String>,
    pub at: Instant,
}

#[derive(Debug, Default)]
pub struct State {
    pub tasks: Vec<FakeTask>,
    pub calls: Vec<Call>,
    pub workers: HashMap<String, Value>,
    pub drain: bool,
    pub ttl: Option<u64>,
    pub max_body: Option<usize>,
    granted: HashMap<Uuid, Vec<Value>>,
    faults: Vec<(&'static str, u32, Fault)>,
}

impl State {
    pub fn task(&mut self, id: Uuid) -> &mut FakeTask {
        self.tasks
            .iter_mut()
            .find(|task| task.id == id)
            .expect("known task")
    }

    /// The calls to paths that end with `suffix`.
    pub fn calls_to(&self, suffix: &str) -> Vec<Call> {
        self.calls
            .iter()
            .filter(|call| call.path.ends_with(suffix))
            .cloned()
            .collect()
    }
}

/// A running fake.
pub struct FakeService {
    pub url: String,
    state: Arc<Mutex<State>>,
    wake: Arc<Notify>,
    server: JoinHandle<()>,
}

impl Drop for FakeService {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeService {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (state, wake) = (
            Arc::new(Mutex::new(State::default())),
            Arc::new(Notify::new()),
        );
        let shared = (Arc::clone(&state), Arc::clone(&wake));
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, wake) = shared.clone();
                let service = service_fn(move |r| answer(Arc::clone(&state), wake.clone(), r));
                tokio::spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    // A dropped answer ends the connection with an error: that is its point.
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self {
            url,
            state,
            wake,
            server,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next `times` requests to paths that end with `suffix` go wrong.
    pub fn fault(&self, suffix: &'static str, times: u32, fault: Fault) {
        self.state().faults.push((suffix, times, fault));
    }

    pub fn heal(&self) {
        self.state().faults.clear();
    }

    pub fn submit(&self, prompt: &str) -> Uuid {
        self.submit_with(json!({ "prompt": prompt }))
    }

    pub fn submit_with(&self, body: Value) -> Uuid {
        let id = routes::submit(&mut self.state(), body);
        self.wake.notify_waiters();
        id
    }

    /// Takes the task's lease away, as its expiry would.
    pub fn lose(&self, id: Uuid) {
        let mut state = self.state();
        let task = state.task(id);
        (task.lease, task.status) = (None, "queued-elsewhere");
    }

    /// Waits until `holds` of the state, at most a minute: machines that test are busy.
    pub async fn until(&self, what: &str, holds: impl Fn(&mut State) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !holds(&mut self.state()) {
            assert!(
                Instant::now() < deadline,
                "never happened: {what}; {:#?}",
                self.state().tasks
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for the task's first completion.
    pub async fn completion(&self, id: Uuid) -> Value {
        self.until("a completion", |state| {
            !state.task(id).completions.is_empty()
        })
        .await;
        self.state().task(id).completions[0].clone()
    }
}

type Answer = Result<Response<Full<Bytes>>, std::io::Error>;

async fn answer(state: Arc<Mutex<State>>, wake: Arc<Notify>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let path = head
        .uri
        .path()
        .trim_start_matches("/api/runtime")
        .to_owned();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let body: Bytes = body
        .collect()
        .await
        .map_err(std::io::Error::other)?
        .to_bytes();
    let size = body.len();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let key = head
        .headers
        .get("x-runtime-api-key")
        .map(|key| key.to_str().unwrap().to_owned());
    let call = Call {
        path: path.clone(),
        body: body.clone(),
        key,
        at: Instant::now(),
    };
    let fault = {
        let mut state = state.lock().unwrap();
        state.calls.push(call);
        take_fault(&mut state, &path)
    };
    match fault {
        Some(Fault::Status(status)) => {
            return Ok(respond(status, &json!({ "error": "injected" })));
        }
        Some(Fault::Hang) => {
            while take_fault(&mut state.lock().unwrap(), &path).is_some() {
                sleep(Duration::from_millis(20)).await;
            }
            return Err(std::io::Error::other("hung"));
        }
        Some(Fault::DropAnswer) | None => {}
    }
    let (status, value) = routes::serve(
        &state,
        &wake,
        head.method.as_str(),
        &path,
        &query,
        body,
        size,
    )
    .await;
    if matches!(fault, Some(Fault::DropAnswer)) {
        return Err(std::io::Error::other("answer dropped"));
    }
    Ok(respond(status, &value))
}

fn take_fault(state: &mut State, path: &str) -> Option<Fault> {
    let fault = state
        .faults
        .iter_mut()
        .find(|(suffix, left, _)| path.ends_with(suffix) && *left > 0);
    let (_, left, fault) = fault?;
    *left -= 1;
    Some(*fault)
}

fn respond(status: u16, value: &Value) -> Response<Full<Bytes>> {
    let body = Full::new(Bytes::from(value.to_string()));
    Response::builder().status(status).body(body).unwrap()
}
