//! Requests that a proxy and the service might read differently, through a real nginx with the shipped
//! configuration: they are refused or end their connection, and what is hidden in one is never carried
//! out, neither there nor at the service without nginx.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::http_toy::Raw;
use crate::runtime::front::Nginx;
use crate::runtime::{Api, KEY, Runtime, eventually, task};
use crate::sql_kit::one;

/// Requests that are none, a line each; [`hostile`](crate::hostile) sends them to the service itself.
const CORPUS: &str = include_str!("../corpus/wire.jsonl");
/// After how long without a first byte a server is taken to wait for more, and without a further one.
const LONG: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_secs(1);
/// Longer than that takes on a machine that has hardly any time for it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many are under way at the same time.
const AT_ONCE: usize = 8;
/// How nginx itself refuses an encoding and a version that it does not know.
const REFUSED_BY_NGINX: [u16; 2] = [501, 505];

/// The corpus: names, and the bytes, each character being one.
fn corpus() -> Vec<(String, Vec<u8>)> {
    let lines = CORPUS.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let pieces = match line["pieces"].as_array() {
            Some(pieces) => pieces.clone(),
            None => vec![json!([line["text"], 1])],
        };
        let pieces = pieces.iter().map(|piece| {
            let times = usize::try_from(piece[1].as_u64().unwrap()).unwrap();
            piece[0].as_str().unwrap().repeat(times)
        });
        let text = pieces.collect::<String>().replace("{KEY}", KEY);
        let bytes = text.chars().map(|c| u8::try_from(c).expect("a byte"));
        let name = line["name"].as_str().expect("a name").to_owned();
        (name, bytes.collect())
    });
    lines.collect()
}

/// All that still comes until the other side closes; a reset is an end, too.
async fn rest(raw: &mut Raw) -> Vec<u8> {
    let (mut heard, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = raw.stream.read(&mut chunk).await {
        heard.extend_from_slice(&chunk[..count]);
    }
    heard
}

/// All that comes back for these bytes until the other side closes. One that waits for more is told,
/// after a while, that no more comes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut raw = Raw::connect(address).await;
    raw.try_send(bytes).await;
    let (mut heard, mut chunk, mut wait) = (Vec::new(), [0; 4096], LONG);
    while let Ok(Ok(count @ 1..)) = timeout(wait, raw.stream.read(&mut chunk)).await {
        heard.extend_from_slice(&chunk[..count]);
        wait = QUIET;
    }
    // It may have hung up already.
    let _closed = raw.stream.shutdown().await;
    heard.extend(rest(&mut raw).await);
    String::from_utf8_lossy(&heard).into_owned()
}

/// The answer to a request that asks for the connection to be closed.
async fn answer(address: SocketAddr, request: &str) -> String {
    let mut raw = Raw::connect(address).await;
    raw.try_send(request.as_bytes()).await;
    String::from_utf8_lossy(&rest(&mut raw).await).into_owned()
}

/// What is wrong with all that came back, if anything is.
fn complaint(answers: &str) -> Option<String> {
    let statuses = answers.split("HTTP/1.").skip(1);
    let mut statuses = statuses.map(|rest| rest.get(2..5)?.parse::<u16>().ok());
    // A request of before HTTP had heads is answered without one, and had no key.
    let is_http = answers.is_empty()
        || answers.starts_with("HTTP/1.")
        || answers.starts_with("{\"error\":\"Unauthorized\"");
    let is_fault = statuses.any(|status| match status {
        Some(status) => status >= 500 && !REFUSED_BY_NGINX.contains(&status),
        None => true,
    });
    (is_fault || !is_http).then(|| answers.chars().take(300).collect())
}

/// A service with nginx before it, and a task that nobody may touch.
struct Scene {
    runtime: Runtime,
    nginx: Nginx,
    victim: String,
}

impl Scene {
    async fn start() -> Self {
        let runtime = Runtime::start().await;
        let nginx = Nginx::start(&runtime.api.base).await;
        let victim = runtime.api.submit(task("victim")).await;
        Self {
            runtime,
            nginx,
            victim,
        }
    }

    /// Two requests, each with a key, that leave a trace: a task of this context, and the victim's end.
    fn hidden(&self, context: &str) -> String {
        let body = task(context).to_string();
        let head = format!("Host: a\r\nX-Runtime-API-Key: {KEY}\r\n");
        format!(
            "POST /api/runtime/llm-tasks HTTP/1.1\r\n{head}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}\
             POST /api/runtime/llm-tasks/{}/cancel HTTP/1.1\r\n{head}Content-Length: 0\r\n\r\n",
            body.len(),
            self.victim
        )
    }

    /// A request of somebody else, who looks at the victim.
    fn look(&self) -> String {
        format!(
            "GET /api/runtime/llm-tasks/{} HTTP/1.1\r\nHost: a\r\nX-Runtime-API-Key: {KEY}\r\n\
             Connection: close\r\n\r\n",
            self.victim
        )
    }

    /// Sends all of it; somebody else on a connection of their own gets their own answer all along.
    async fn send_all(&self, front: &Api, cases: Vec<(String, Vec<u8>)>) {
        let address = front.base.strip_prefix("http://").unwrap();
        let address: SocketAddr = address.parse().unwrap();
        let mut sent = stream::iter(cases)
            .map(|(name, bytes)| async move {
                let answers = timeout(PATIENCE, exchange(address, &bytes)).await;
                let next = timeout(PATIENCE, answer(address, &self.look())).await;
                let next = next.unwrap_or_default();
                let id = format!("{{\"id\":\"{}\"", self.victim);
                let is_own = next.starts_with("HTTP/1.1 200 ") && next.contains(&id);
                let wrong = match answers {
                    Err(_) => Some("neither answered nor closed".to_owned()),
                    Ok(_) if !is_own => Some(format!("the next one is answered {next:?}")),
                    Ok(answers) => complaint(&answers),
                };
                wrong.map(|wrong| format!("{name}: {wrong}"))
            })
            .buffer_unordered(AT_ONCE);
        let mut wrong = Vec::new();
        while let Some(found) = sent.next().await {
            wrong.extend(found);
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Once all that was begun has ended: no task but the victim, and that as it was.
    async fn assert_untouched(mut self) {
        let front = &self.nginx.api;
        assert_eq!(front.get("/health").await.status, 200);
        let own = front.submit(task("own")).await;
        assert_eq!(front.task(&own).await["context_id"], "own");
        self.runtime.shutdown.request();
        self.runtime.ended().await;
        let client = self.runtime.db().connect().await;
        let strangers = "select coalesce(string_agg(context_id, ' '), 'none')
            from bloom_private.task where context_id not in ('victim', 'own')";
        assert_eq!(one(&client, strangers).await, "none");
        let victim = format!(
            "select string_agg(cause, ' ') from bloom.task_events('{}')",
            self.victim
        );
        assert_eq!(one(&client, &victim).await, "submitted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_refused_or_closed_by_nginx_and_the_service_behind_it() {
    let scene = Scene::start().await;
    let cases = corpus();
    assert!(cases.len() > 50, "{}", cases.len());
    scene.send_all(&scene.nginx.api, cases).await;
    scene.assert_untouched().await;
}

/// Lines that some servers take for a body in chunks, and others do not.
const ENCODINGS: [&str; 22] = [
    "Transfer-Encoding: chunked",
    "Transfer-Encoding:chunked",
    "transfer-encoding: CHUNKED",
    "Transfer-Encoding: \tchunked",
    "Transfer-Encoding: chunked ",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding\t: chunked",
    "Transfer_Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding:\r\n chunked",
    "X-A: b\r\n Transfer-Encoding: chunked",
    "X-A: b\nTransfer-Encoding: chunked",
    "X-A: b\rTransfer-Encoding: chunked",
    " Transfer-Encoding: chunked",
    "X: Transfer-Encoding: chunked",
];

/// Header lines and a body that has `hidden` in it, whichever of the lengths in the head is believed,
/// or that no length fits.
fn framings(hidden: &str) -> Vec<(String, String)> {
    let length = hidden.len();
    let chunk = format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n");
    let chunked = "Transfer-Encoding: chunked\r\n";
    let said = format!("Content-Length: {length}\r\n");
    let mut all = vec![
        (said.clone(), hidden.to_owned()),
        (format!("{said}Expect: 100-continue\r\n"), hidden.to_owned()),
        (
            format!("{said}Connection: Content-Length\r\n"),
            hidden.to_owned(),
        ),
        (
            format!("{said}Connection: Upgrade\r\nUpgrade: h2c\r\n"),
            hidden.to_owned(),
        ),
        (
            format!("{said}X-HTTP-Method-Override: POST\r\n"),
            hidden.to_owned(),
        ),
        (chunked.to_owned(), chunk.clone()),
        (
            format!("{chunked}Connection: Transfer-Encoding\r\n"),
            chunk.clone(),
        ),
        (
            chunked.to_owned(),
            format!("{length:X};a=\"b\"\r\n{hidden}\r\n0\r\n\r\n"),
        ),
        (
            chunked.to_owned(),
            format!("{length:x};a\n{hidden}\r\n0\r\n\r\n"),
        ),
        (
            chunked.to_owned(),
            format!("{length:x} \r\n{hidden}\r\n0\r\n\r\n"),
        ),
        (
            chunked.to_owned(),
            format!("0{length:x}\r\n{hidden}0\r\n\r\n"),
        ),
        (chunked.to_owned(), format!("1\r\n{{\r\n{chunk}")),
        (chunked.to_owned(), format!("0\r\n{hidden}")),
        (format!("{chunked}Content-Length: 4\r\n"), chunk.clone()),
        (format!("Content-Length: 4\r\n{chunked}"), chunk),
    ];
    // An empty chunked body, and then what belongs to it where the length is believed.
    let late = format!("0\r\n\r\n{hidden}");
    let said = format!("Content-Length: {}\r\n", late.len());
    for encoding in ENCODINGS {
        all.push((format!("{said}{encoding}\r\n"), late.clone()));
        all.push((format!("{encoding}\r\n{said}"), late.clone()));
    }
    // Two lengths, or one that is read as none.
    for first in [
        "0",
        "+0",
        "-0",
        "0x0",
        " ",
        "0, 0",
        "0;",
        "zero",
        "0\r\nContent-Length : 0",
    ] {
        let lines = format!("Content-Length: {first}\r\nContent-Length: {length}\r\n");
        all.push((lines, hidden.to_owned()));
    }
    for value in [
        format!("0, {length}"),
        format!("{length}, 0"),
        format!("+{length}"),
        format!("{length} 0"),
    ] {
        all.push((format!("Content-Length: {value}\r\n"), hidden.to_owned()));
    }
    all
}

/// Every framing behind requests without a key: for what is open, for what is not, and for nothing.
fn tricks(hidden: impl Fn(&str) -> String) -> Vec<(String, Vec<u8>)> {
    let lines = [
        "GET /api/runtime/health HTTP/1.1",
        "POST /api/runtime/llm-tasks HTTP/1.1",
        "POST /api/runtime/nothing HTTP/1.1",
        "POST /api/runtime/llm-tasks HTTP/1.0",
    ];
    let mut all = Vec::new();
    for line in lines {
        let count = framings("").len();
        for number in 0..count {
            let context = format!("smuggled-{}", all.len());
            let (head, body) = framings(&hidden(&context)).swap_remove(number);
            let text = format!("{line}\r\nHost: a\r\nX-Mark: {context}\r\n{head}\r\n{body}");
            all.push((format!("{line} {head:?}"), text.into_bytes()));
        }
    }
    // Line ends within the target.
    for end in ["%0d%0a", "%0a", "\r", "\u{b}"] {
        let target = hidden("smuggled-target")
            .replace("\r\n", end)
            .replace(' ', "%20");
        let text = format!("GET /api/runtime/health?{target} HTTP/1.1\r\nHost: a\r\n\r\n");
        all.push((format!("a target with {end:?}"), text.into_bytes()));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_hidden_in_a_request_is_carried_out_behind_nginx() {
    let scene = Scene::start().await;
    let cases = tricks(|context| scene.hidden(context));
    assert!(cases.len() > 200, "{}", cases.len());
    scene.send_all(&scene.nginx.api, cases).await;
    scene.assert_untouched().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_hidden_in_a_request_is_carried_out_by_the_service() {
    let scene = Scene::start().await;
    let cases = tricks(|context| scene.hidden(context));
    scene.send_all(&scene.runtime.api, cases).await;
    scene.assert_untouched().await;
}

/// The control: what is hidden above does leave its trace where it is a request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hidden_requests_leave_a_trace_when_they_are_not_hidden() {
    let scene = Scene::start().await;
    let front = &scene.nginx.api;
    let address = front.base.strip_prefix("http://").unwrap();
    let before = "GET /api/runtime/health HTTP/1.1\r\nHost: a\r\n\r\n";
    let text = format!("{before}{}", scene.hidden("seen"));
    let mut raw = Raw::connect(address.parse().unwrap()).await;
    raw.send(text.as_bytes()).await;
    for status in [200, 201, 200] {
        assert_eq!(raw.answer().await.status, status);
    }
    let found = front.get("/llm-tasks?context_id=seen").await;
    assert_eq!(found.items().len(), 1);
    eventually("the victim has ended", async || {
        let victim = front.task(&scene.victim).await;
        (victim["status"] == "cancelled").then_some(())
    })
    .await;
}
