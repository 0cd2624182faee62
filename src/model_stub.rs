//! A stand-in for the model behind the Claude CLI: a server on loopback that answers
//! `POST /v1/messages` as the real one does, as a stream of events or, where none is asked for, as
//! one object; without a model.
//!
//! It lets the unmodified CLI run where there is no account and no network: in demos and in tests.
//! An answer says how many messages it was sent and repeats the last one, so that it shows whether
//! a conversation went on. `MODE:word` in the newest message asks for one of [`Mode`]'s behaviours.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The largest request that is read, in bytes.
const MAX_BODY: usize = 32 << 20;
/// How long a very long answer is, in bytes.
const LONG: usize = 1 << 20;
/// In how many pieces a slow answer comes, and the pause before each.
const SLOW_PIECES: usize = 16;
const SLOW_PAUSE: Duration = Duration::from_millis(100);
/// How much of the last message an answer repeats, in characters.
const ECHO: usize = 200;

/// How a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `n=MESSAGES echo: TEXT`.
    Echo,
    /// A very long text.
    Long,
    /// A JSON text.
    Json,
    /// First asks for a tool, then answers.
    Tool,
    /// Asks for a tool again and again.
    Loop,
    /// Answers in pieces, over about two seconds.
    Slow,
    /// Breaks streams off, and answers in one piece when asked for that.
    Plain,
    /// Begins to answer and never ends.
    Hang,
    /// Begins to answer and breaks the connection.
    Drop,
    /// 429, a rate limit of the server.
    Busy,
    /// 429 once, then an answer.
    BusyOnce,
    /// 529.
    Overloaded,
    /// A usage limit for the next two seconds, then an answer.
    Limit,
}

impl Mode {
    fn of(text: &str) -> Self {
        let word = text
            .rsplit("MODE:")
            .next()
            .filter(|_| text.contains("MODE:"));
        let word: Option<String> = word.map(|rest| {
            rest.chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect()
        });
        match word.as_deref() {
            Some("long") => Self::Long,
            Some("json") => Self::Json,
            Some("tool") => Self::Tool,
            Some("loop") => Self::Loop,
            Some("slow") => Self::Slow,
            Some("plain") => Self::Plain,
            Some("hang") => Self::Hang,
            Some("drop") => Self::Drop,
            Some("busy") => Self::Busy,
            Some("busyonce") => Self::BusyOnce,
            Some("overloaded") => Self::Overloaded,
            Some("limit") => Self::Limit,
            _ => Self::Echo,
        }
    }
}

/// What was asked so far. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Record {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    requests: Mutex<Vec<Value>>,
    busy: AtomicU32,
    limited_until: Mutex<Option<u64>>,
}

impl Record {
    /// The bodies of all requests for messages.
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        self.shared
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Until when the usage limit holds, in epoch seconds; it begins when it is first asked for.
    fn limited_until(&self) -> u64 {
        let mut until = self
            .shared
            .limited_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *until.get_or_insert_with(|| now() + 3)
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

type Body = BoxBody<Bytes, std::io::Error>;

/// Answers on `listener` until it is dropped.
pub async fn serve(listener: TcpListener, record: Record) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let record = record.clone();
        connections.spawn(async move {
            let answer = service_fn(move |request| {
                let record = record.clone();
                async move { Ok::<_, Infallible>(answer(&record, request).await) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            // A client that goes away is no fault of ours.
            drop(http.serve_connection(TokioIo::new(stream), answer).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(record: &Record, request: Request<Incoming>) -> Response<Body> {
    if request.method() != hyper::Method::POST || request.uri().path() != "/v1/messages" {
        return error(404, "not_found_error", "There is nothing here");
    }
    let Ok(body) = Limited::new(request.into_body(), MAX_BODY).collect().await else {
        return error(400, "invalid_request_error", "The body could not be read");
    };
    let Ok(asked) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
        return error(400, "invalid_request_error", "The body is not JSON");
    };
    record
        .shared
        .requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(asked.clone());
    let said = newest(&asked["messages"]);
    match Mode::of(&said) {
        Mode::Busy => busy(),
        Mode::BusyOnce if record.shared.busy.fetch_add(1, Ordering::Relaxed) == 0 => busy(),
        Mode::Overloaded => error(529, "overloaded_error", "Overloaded"),
        Mode::Limit if now() < record.limited_until() => {
            let text = format!("Claude AI usage limit reached|{}", record.limited_until());
            error(429, "rate_limit_error", &text)
        }
        mode if asked["stream"] == true => stream(&Said::new(&asked, &said, mode), mode),
        mode => plain(&Said::new(&asked, &said, mode), mode),
    }
}

fn busy() -> Response<Body> {
    error(
        429,
        "rate_limit_error",
        "This request would exceed your rate limit",
    )
}

/// What the person said last: the texts of the newest message that holds any.
fn newest(messages: &Value) -> String {
    let texts = |message: &Value| match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| block["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    };
    let messages = messages.as_array().into_iter().flatten().rev();
    let mut said = messages
        .filter(|message| message["role"] == "user")
        .map(texts);
    said.find(|text| !text.is_empty()).unwrap_or_default()
}

/// What the model says.
struct Said {
    id: String,
    model: Value,
    /// A text, or else the input of a tool.
    text: String,
    tool: Option<String>,
}

impl Said {
    fn new(asked: &Value, said: &str, mode: Mode) -> Self {
        let messages = asked["messages"].as_array().map_or(0, Vec::len);
        let has_answer = asked["messages"].to_string().contains("\"tool_result\"");
        let wants_tool = mode == Mode::Loop || (mode == Mode::Tool && !has_answer);
        let tail: String = said.chars().rev().take(ECHO).collect();
        let tail: String = tail.chars().rev().collect();
        let text = match mode {
            _ if wants_tool => {
                json!({"command": "echo tool-$((6*7))", "description": "count"}).to_string()
            }
            Mode::Long => format!("n={messages} {}", "long ".repeat(LONG / 5)),
            Mode::Json => format!("```json\n{{\"messages\": {messages}}}\n```"),
            _ => format!("n={messages} echo: {tail}"),
        };
        Self {
            id: format!("msg_{messages}"),
            model: asked["model"].clone(),
            text,
            tool: wants_tool.then(|| format!("toolu_{messages}")),
        }
    }

    fn stop_reason(&self) -> &'static str {
        if self.tool.is_some() {
            "tool_use"
        } else {
            "end_turn"
        }
    }

    fn message(&self, content: &Value, stop_reason: &Value, output_tokens: u32) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model,
            "content": content, "stop_reason": stop_reason, "stop_sequence": null,
            "usage": {"input_tokens": 11, "cache_creation_input_tokens": 3,
                "cache_read_input_tokens": 5, "output_tokens": output_tokens},
        })
    }

    /// Its one block, with this content.
    fn block(&self, text: &str, input: &Value) -> Value {
        match &self.tool {
            Some(id) => json!({"type": "tool_use", "id": id, "name": "Bash", "input": input}),
            None => json!({"type": "text", "text": text}),
        }
    }

    fn delta(&self, piece: &str) -> Value {
        let delta = match &self.tool {
            Some(_) => json!({"type": "input_json_delta", "partial_json": piece}),
            None => json!({"type": "text_delta", "text": piece}),
        };
        json!({"type": "content_block_delta", "index": 0, "delta": delta})
    }

    /// The events of a stream, up to where this mode ends it.
    fn events(&self, mode: Mode) -> Vec<Value> {
        let begun = self.message(&json!([]), &Value::Null, 1);
        let mut events = vec![
            json!({"type": "message_start", "message": begun}),
            json!({"type": "content_block_start", "index": 0,
                "content_block": self.block("", &json!({}))}),
        ];
        let size = if mode == Mode::Slow {
            self.text.chars().count().div_ceil(SLOW_PIECES).max(1)
        } else {
            usize::MAX
        };
        let letters: Vec<char> = self.text.chars().collect();
        let pieces = letters.chunks(size).map(String::from_iter);
        events.extend(pieces.map(|piece| self.delta(&piece)));
        if !matches!(mode, Mode::Hang | Mode::Drop | Mode::Plain) {
            events.push(json!({"type": "content_block_stop", "index": 0}));
            events.push(json!({"type": "message_delta",
                "delta": {"stop_reason": self.stop_reason(), "stop_sequence": null},
                "usage": {"output_tokens": 7}}));
            events.push(json!({"type": "message_stop"}));
        }
        events
    }
}

fn stream(said: &Said, mode: Mode) -> Response<Body> {
    let pause = match mode {
        Mode::Slow => SLOW_PAUSE,
        _ => Duration::ZERO,
    };
    let lines = futures_util::stream::iter(said.events(mode)).then(move |event| async move {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let kind = event["type"].as_str().unwrap_or_default();
        let line = format!("event: {kind}\ndata: {event}\n\n");
        Ok(Frame::data(Bytes::from(line)))
    });
    let rest = futures_util::stream::once(end(mode));
    let frames = lines.chain(rest.filter_map(std::future::ready));
    answered(
        200,
        "text/event-stream",
        BodyExt::boxed(StreamBody::new(frames)),
    )
}

/// What comes instead of an end, if anything does.
async fn end(mode: Mode) -> Option<std::io::Result<Frame<Bytes>>> {
    match mode {
        Mode::Hang => std::future::pending().await,
        Mode::Drop | Mode::Plain => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Some(Err(std::io::Error::other("broken off on purpose")))
        }
        _ => None,
    }
}

/// The answer in one piece.
fn plain(said: &Said, mode: Mode) -> Response<Body> {
    let input = serde_json::from_str(&said.text).unwrap_or_default();
    let content = json!([said.block(&said.text, &input)]);
    let message = said.message(&content, &json!(said.stop_reason()), 7);
    let text = Bytes::from(message.to_string());
    let cut = match mode {
        Mode::Hang | Mode::Drop => text.slice(..text.len() / 2),
        _ => text,
    };
    let first = futures_util::stream::once(async move {
        if mode == Mode::Slow {
            tokio::time::sleep(SLOW_PAUSE * 20).await;
        }
        Ok(Frame::data(cut))
    });
    let rest = futures_util::stream::once(async move {
        match mode {
            Mode::Hang | Mode::Drop => end(mode).await,
            _ => None,
        }
    });
    let frames = first.chain(rest.filter_map(std::future::ready));
    answered(
        200,
        "application/json",
        BodyExt::boxed(StreamBody::new(frames)),
    )
}

fn error(status: u16, kind: &str, message: &str) -> Response<Body> {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}}).to_string();
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    answered(status, "application/json", BodyExt::boxed(body))
}

fn answered(status: u16, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    let kind = hyper::header::HeaderValue::from_static(kind);
    response
        .headers_mut()
        .insert(hyper::header::CONTENT_TYPE, kind);
    response
}
