//! A toy application on the real server, and a client that writes raw bytes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bloom_runtime::error::{Error, Kind, Result};
use bloom_runtime::http::validate::Form;
use bloom_runtime::http::{
    Access, Authenticator, BodyLimit, Options, Policy, RateClass, Request, Response, Route, Router,
    Scope, Server, limits,
};
use bloom_runtime::shutdown::Shutdown;
use bytes::Bytes;
use hyper::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The configured key of every toy.
pub const KEY: &str = "configured-key-0123456789abcdef";

/// Longer than anything here takes, shorter than a reader's patience.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The state of the toy's handlers.
pub struct App {
    /// One permit for each slow request that has begun.
    pub begun: Semaphore,
    /// One permit lets one slow request end.
    pub release: Semaphore,
    /// Route and status of each finished request.
    pub observed: Mutex<Vec<(Option<&'static str>, u16)>>,
}

const READER: Access = Access::any_of(&[Scope::Reader]);
const WORKER: Access = Access::any_of(&[Scope::Worker]);

pub fn routes() -> Vec<Route<App>> {
    vec![
        Route::get("/api/runtime/health", Access::Open, health).rate(RateClass::Exempt),
        Route::get("/api/things", READER, list),
        Route::post("/api/things", Access::any_of(&[Scope::Producer]), create),
        Route::get("/api/things/{id}", READER, show),
        Route::delete("/api/things/{id}", Access::any_of(&[]), remove),
        Route::get("/api/files/{*path}", READER, file),
        Route::post("/api/echo", WORKER, echo),
        Route::post("/api/upload", WORKER, upload).body(BodyLimit::Large),
        Route::post("/api/ignore", WORKER, ignore),
        Route::get("/api/heavy", READER, health).rate(RateClass::Heavy),
        Route::get("/api/slow", READER, slow),
        Route::get("/api/stream", READER, stream),
        Route::get("/api/fail/{how}", READER, fail),
    ]
}

async fn health(_: Arc<App>, _: Request) -> Result<Response> {
    Response::ok(&json!({ "status": "ok" }))
}

async fn list(_: Arc<App>, request: Request) -> Result<Response> {
    let query = request.query()?;
    Response::ok(&json!({ "limit": query.limit(100, 1000)?, "status": query.text("status")? }))
}

async fn create(_: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let name = form.string("name").min(1).max(10).required();
    let count = form.integer("count").range(1, 10).or(3);
    form.finish()?;
    Response::created(&json!({ "name": name, "count": count, "by": request.caller().name() }))
}

async fn show(_: Arc<App>, request: Request) -> Result<Response> {
    Response::ok(&json!({ "id": request.param("id")?, "uuid": request.uuid("id") }))
}

async fn remove(_: Arc<App>, _: Request) -> Result<Response> {
    Ok(Response::empty(bloom_runtime::http::StatusCode::NO_CONTENT))
}

async fn file(_: Arc<App>, request: Request) -> Result<Response> {
    Response::ok(&json!({ "path": request.param("path")? }))
}

async fn echo(_: Arc<App>, request: Request) -> Result<Response> {
    Response::ok(&json!({ "body": request.json().await? }))
}

async fn upload(_: Arc<App>, request: Request) -> Result<Response> {
    Response::ok(&json!({ "bytes": request.bytes().await?.len() }))
}

async fn ignore(_: Arc<App>, _: Request) -> Result<Response> {
    Response::ok(&json!({ "ignored": true }))
}

async fn slow(app: Arc<App>, _: Request) -> Result<Response> {
    app.begun.add_permits(1);
    app.release
        .acquire()
        .await
        .map_err(Error::internal)?
        .forget();
    Response::ok(&json!({ "slow": true }))
}

async fn stream(_: Arc<App>, _: Request) -> Result<Response> {
    let pieces = futures_util::stream::iter(["one\n", "two\n"].map(Bytes::from));
    Ok(Response::stream("text/event-stream", pieces))
}

async fn fail(_: Arc<App>, request: Request) -> Result<Response> {
    match request.param("how")? {
        "panic" => panic!("the toy panics on purpose"),
        "internal" => Err(Error::internal("secret detail of the fault")),
        "unavailable" => Err(Error::Unavailable {
            retry_after: Duration::from_millis(1500),
            source: None,
        }),
        "busy" => Err(Error::refused(Kind::Busy, "no_worker", "No worker")),
        _ => {
            let detail = json!({ "lease_id": "l" })
                .as_object()
                .cloned()
                .unwrap_or_default();
            let (code, message) = ("lease_lost".to_owned(), "Lease l is lost".to_owned());
            Err(Error::Refused {
                kind: Kind::Conflict,
                code,
                message,
                detail,
            })
        }
    }
}

async fn page(_: Arc<App>, request: Request) -> Result<Response> {
    Ok(Response::bytes(
        "text/html; charset=utf-8",
        format!("page {}", request.param("path")?),
    ))
}

/// Limits that tests can reach, and no rate limits.
pub fn options() -> Options {
    Options {
        small_body_bytes: 1000,
        large_body_bytes: 100_000,
        limits: limits::Options {
            general: None,
            heavy: None,
            worker: None,
            wrong_keys: None,
            ..limits::Options::default()
        },
        ..Options::default()
    }
}

/// Keys are asked for; only [`KEY`] is one.
pub fn auth() -> Authenticator {
    Authenticator::new(Policy::Keys, Some(&SecretString::from(KEY)), None)
}

/// A running toy. Stops when dropped.
pub struct Toy {
    pub address: SocketAddr,
    pub app: Arc<App>,
    pub shutdown: Shutdown,
    pub server: JoinHandle<Result<()>>,
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

impl Toy {
    pub async fn start() -> Self {
        Self::start_with(options(), auth()).await
    }

    pub async fn start_with(options: Options, auth: Authenticator) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (begun, release) = (Semaphore::new(0), Semaphore::new(0));
        let app = Arc::new(App {
            begun,
            release,
            observed: Mutex::default(),
        });
        let router = Router::new(routes()).unwrap().fallback(page);
        let observer = Arc::clone(&app);
        let server = Server::new(options, router, auth, Arc::clone(&app)).observe(move |request| {
            observer
                .observed
                .lock()
                .unwrap()
                .push((request.route, request.status));
        });
        let shutdown = Shutdown::new();
        let server = shutdown.spawn(server.run(listener, shutdown.clone()));
        Self {
            address,
            app,
            shutdown,
            server,
        }
    }

    /// Opens a connection.
    pub async fn raw(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// One request on a connection of its own; `head` is a request line and header lines, to which
    /// host, key and body length are added.
    pub async fn ask(&self, head: &str, body: &[u8]) -> Answer {
        let mut raw = self.raw().await;
        let is_head = head.starts_with("HEAD ");
        raw.send(&request(head, body)).await;
        raw.answer_to(is_head).await
    }

    /// A client with the key.
    pub fn client(&self) -> Client {
        // Fails when another test installed it already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        Client {
            http: reqwest::Client::new(),
            base: format!("http://{}", self.address),
        }
    }
}

/// The bytes of a request with host, key and body length.
pub fn request(head: &str, body: &[u8]) -> Vec<u8> {
    let (line, more) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut lines = vec![
        format!("{line} HTTP/1.1"),
        "Host: localhost".to_owned(),
        format!("X-Runtime-API-Key: {KEY}"),
    ];
    if !body.is_empty() {
        lines.push(format!("Content-Length: {}", body.len()));
    }
    if !more.is_empty() {
        lines.push(more.to_owned());
    }
    [lines.join("\r\n").as_bytes(), b"\r\n\r\n", body].concat()
}

/// An ordinary client.
pub struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.http.request(method, format!("{}{path}", self.base));
        let request = request.header("x-runtime-api-key", KEY);
        let request = if let Some(body) = body {
            request.json(&body)
        } else {
            request
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (
            status,
            serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default(),
        )
    }
}

/// A connection whose every byte is ours.
pub struct Raw {
    pub stream: TcpStream,
    unread: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn error(&self) -> Value {
        self.json()["error"].clone()
    }
}

impl Raw {
    /// A connection to any server.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends what the server takes; whether that was all.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    pub async fn answer(&mut self) -> Answer {
        self.answer_to(false).await
    }

    async fn answer_to(&mut self, is_head: bool) -> Answer {
        timeout(DEADLINE, self.try_answer(is_head))
            .await
            .expect("an answer in time")
            .expect("closed without a whole answer")
    }

    /// The next answer, however long it takes; `None` when the server closes without a whole one.
    pub async fn try_answer(&mut self, is_head: bool) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill().await {
                return None;
            }
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let pair = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_owned(), value.trim().to_owned())
        };
        let mut answer = Answer {
            status,
            headers: lines.map(pair).collect(),
            body: Vec::new(),
        };
        let length = answer
            .header("content-length")
            .map_or(0, |text| text.parse().unwrap());
        if !is_head {
            while self.unread.len() < length {
                if !self.fill().await {
                    return None;
                }
            }
            answer.body = self.unread.drain(..length).collect();
        }
        Some(answer)
    }

    async fn fill(&mut self) -> bool {
        let mut buffer = vec![0; 16 * 1024];
        // A reset is an end, too.
        let read = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..read]);
        read > 0
    }

    /// All that still comes until the server closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        timeout(DEADLINE, async { while self.fill().await {} })
            .await
            .expect("closed in time");
        std::mem::take(&mut self.unread)
    }
}

impl Raw {
    /// Says that no more will be sent.
    pub async fn stream_end(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}
