//! However a protected path is spelled and whatever the method is called, the real service and the
//! nginx before it open nothing without a key, and repeat nothing of a request.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bloom_runtime::http::Access;
use bloom_runtime::http::handlers::router;
use tokio::time::timeout;

use crate::http_toy::{Answer, Raw};
use crate::runtime::front::Nginx;
use crate::runtime::{Api, KEY, Runtime};

/// The ways to say no that tell nothing.
const CLOSED: [u16; 4] = [400, 401, 404, 405];

/// Longer than an answer takes on a machine that has hardly any time for it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a client connects to.
fn address(api: &Api) -> SocketAddr {
    api.base.strip_prefix("http://").unwrap().parse().unwrap()
}

/// A path of this template.
fn filled(template: &str) -> String {
    let parts = template.split('/').map(|part| match part {
        part if part.starts_with('{') => "x",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// One path in the spellings that some server somewhere takes for it.
fn spellings(path: &str) -> Vec<String> {
    let (parent, last) = path.rsplit_once('/').unwrap();
    let (first, rest) = last.split_at(1);
    let code = first.as_bytes()[0];
    let between = [
        "//",
        "/./",
        "/%2e/",
        "/x/../",
        "/x/%2e%2e/",
        "/x/%2E./",
        "/x/..%2f",
        "/x/..;/",
        "/x/..\\",
        "%2f",
        "%2F",
        "%252f",
        "%5c",
        "\\",
        "%c0%af",
        "%ef%bc%8f",
        ";/",
        ";x=y/",
    ];
    let after = [
        "",
        "/",
        "//",
        "/.",
        "/..",
        "/x/..",
        "/%2e",
        "/%2e%2e",
        "%20",
        "%09",
        "%00",
        "%00.css",
        "%0a",
        "%0d%0a",
        ";",
        ";x",
        ";/x",
        ".",
        ".json",
        "#",
        "#/healthz",
        "%23",
        "%3f",
        "?",
        "?x=/healthz",
        "%",
        "%zz",
        "%u002f",
        "~",
    ];
    let before = [
        "/",
        "//",
        "/.",
        "/%2e",
        "/x/..",
        "/healthz/..",
        "/healthz/%2e%2e",
        "/docs/..;",
        "/api/runtime/health/../../..",
        "http://localhost",
        "http://evil",
        "http://evil:80/healthz/..",
    ];
    let between = between.map(|text| format!("{parent}{text}{last}"));
    let after = after.map(|text| format!("{path}{text}"));
    let before = before.map(|text| format!("{text}{path}"));
    let whole = [
        path.to_uppercase(),
        path.replace('/', "//"),
        path.replace('/', "/./"),
        path.replace('/', "\\"),
        path[1..].to_owned(),
        format!("{parent}/%{code:02x}{rest}"),
        format!("{parent}/%25{code:02x}{rest}"),
    ];
    before
        .into_iter()
        .chain(between)
        .chain(after)
        .chain(whole)
        .collect()
}

/// A client without a key that keeps its connection as long as the other side does.
struct Line {
    address: SocketAddr,
    raw: Option<Raw>,
}

impl Line {
    fn to(address: SocketAddr) -> Self {
        Self { address, raw: None }
    }

    /// Sends a request with these whole header lines beside the host.
    async fn ask(&mut self, method: &str, target: &str, headers: &str) -> Option<Answer> {
        let mut raw = match self.raw.take() {
            Some(raw) => raw,
            None => Raw::connect(self.address).await,
        };
        let text = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{headers}\r\n"
        );
        raw.try_send(text.as_bytes()).await;
        let answer = timeout(PATIENCE, raw.try_answer(false)).await.ok()??;
        let goes_on = answer.header("connection") != Some("close");
        // What has no length ends with its connection.
        let is_whole = answer.header("content-length").is_some();
        self.raw = (goes_on && is_whole).then_some(raw);
        Some(answer)
    }
}

/// Every spelling of every protected route; panics with those that are not closed.
async fn assert_closed(address: SocketAddr) {
    let table = router().unwrap();
    let routes = table
        .routes()
        .iter()
        .filter(|route| route.access() != Access::Open);
    let (mut line, mut sent, mut wrong) = (Line::to(address), 0, Vec::new());
    for route in routes {
        for target in spellings(&filled(route.path())) {
            let answer = line.ask(route.method().as_str(), &target, "").await;
            let status = answer.as_ref().map(|answer| answer.status);
            if !status.is_some_and(|status| CLOSED.contains(&status)) {
                wrong.push(format!("{} {target}: {answer:?}", route.method()));
            }
            sent += 1;
        }
    }
    assert!(sent > 4000, "the list is generated: {sent}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_any_route_is_served_without_a_key() {
    let runtime = Runtime::start().await;
    assert_closed(address(&runtime.api)).await;
    assert_eq!(runtime.api.get("/stats").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_any_route_is_served_without_a_key_behind_nginx() {
    let runtime = Runtime::start().await;
    let nginx = Nginx::start(&runtime.api.base).await;
    assert_closed(address(&nginx.api)).await;
    assert_eq!(nginx.api.get("/stats").await.status, 200);
}

/// With a key that may do everything: the answer is 405 and has nothing of the request in it.
async fn assert_not_traced(address: SocketAddr) {
    const CANARY: &str = "canary-7f0d11";
    let table = router().unwrap();
    let routes = table.routes().iter();
    let paths: BTreeSet<String> = routes.map(|route| filled(route.path())).collect();
    let headers = format!("X-Runtime-API-Key: {KEY}\r\nX-Canary: {CANARY}\r\nCookie: {CANARY}\r\n");
    let mut line = Line::to(address);
    for path in paths {
        for method in ["TRACE", "TRACK"] {
            let answer = line.ask(method, &path, &headers).await;
            let answer = answer.unwrap_or_else(|| panic!("{method} {path}: no answer"));
            assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
            let text = format!("{:?} {}", answer.headers, answer.json());
            let body = String::from_utf8_lossy(&answer.body);
            for secret in [KEY, CANARY] {
                assert!(!text.contains(secret) && !body.contains(secret), "{text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trace_is_405_on_every_path_and_repeats_nothing() {
    let runtime = Runtime::start().await;
    assert_not_traced(address(&runtime.api)).await;
    let nginx = Nginx::start(&runtime.api.base).await;
    assert_not_traced(address(&nginx.api)).await;
}
