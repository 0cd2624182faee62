//! What every client may rely on, whatever the route.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use bloom_runtime::error::Result;
use bloom_runtime::http::auth::{KeyHash, hash_key};
use bloom_runtime::http::{Authenticator, KeyStore, Policy, Scope, ScopeSet, StoredKey};
use futures_util::future::BoxFuture;
use hyper::Method;
use secrecy::SecretString;
use serde_json::json;

use crate::http_toy::{KEY, Toy, options};

#[tokio::test]
async fn success_is_bare_json_with_the_usual_headers() {
    let toy = Toy::start().await;
    let answer = toy.ask("GET /api/things?limit=7&status=a%20b", b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"limit": 7, "status": "a b"}));
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("server"), None);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let id: uuid::Uuid = answer.header("x-request-id").unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
}

#[tokio::test]
async fn limits_out_of_range_are_400() {
    let toy = Toy::start().await;
    for query in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=1&limit=2",
        "status=%00",
    ] {
        let answer = toy.ask(&format!("GET /api/things?{query}"), b"").await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.error().is_string(), "{query}");
    }
}

#[tokio::test]
async fn fields_are_validated_all_at_once() {
    let toy = Toy::start().await;
    let client = toy.client();
    let create = |body| client.send(Method::POST, "/api/things", body);
    let ok = create(Some(json!({"name": "a", "count": 3.0, "unknown": {}}))).await;
    assert_eq!(ok, (201, json!({"name": "a", "count": 3, "by": "api"})));
    let (status, body) = create(Some(json!({"name": "", "count": 3.5}))).await;
    let fields = json!({
        "name": ["String must contain at least 1 character(s)"],
        "count": ["Expected integer, received float"],
    });
    assert_eq!(status, 400);
    assert_eq!(
        body["error"],
        json!({"formErrors": [], "fieldErrors": fields})
    );
    let (status, body) = create(Some(json!([]))).await;
    assert_eq!(
        (status, &body["error"]["formErrors"][0]),
        (400, &json!("Expected object, received array"))
    );
    let (status, body) = create(None).await;
    assert_eq!(
        (status, &body["error"]["formErrors"][0]),
        (400, &json!("Required"))
    );
}

#[tokio::test]
async fn only_sound_json_is_read() {
    let toy = Toy::start().await;
    let typed = "POST /api/echo\r\nContent-Type: application/json; charset=UTF-8";
    assert_eq!(
        toy.ask(typed, b"{\"a\":1}").await.json(),
        json!({"body": {"a": 1}})
    );
    assert_eq!(toy.ask(typed, b"").await.json(), json!({"body": null}));
    assert_eq!(toy.ask("POST /api/echo", b"").await.status, 200);
    let bad: [&[u8]; 8] = [
        b"{",
        b"\xef\xbb\xbf{}",
        b"\"\xff\"",
        b"{\"a\":[\"\\u0000\"]}",
        b"\"\\ud800\"",
        b"1e999",
        b"18446744073709551616",
        b"{\"a\":1,\"a\":2}",
    ];
    for body in bad {
        let answer = toy.ask(typed, body).await;
        assert_eq!(answer.status, 400, "{}", String::from_utf8_lossy(body));
        assert!(answer.error().is_string());
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=x",
    ] {
        let answer = toy
            .ask(&format!("POST /api/echo\r\nContent-Type: {kind}"), b"{}")
            .await;
        assert_eq!(answer.status, 415, "{kind}");
    }
    assert_eq!(toy.ask("POST /api/echo", b"{}").await.status, 415);
}

#[tokio::test]
async fn unknown_routes_and_methods_are_json() {
    let toy = Toy::start().await;
    let answer = toy.ask("GET /api/nothing", b"").await;
    assert_eq!((answer.status, answer.error()), (404, json!("Not found")));
    let answer = toy.ask("PATCH /api/things", b"{}").await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET, POST, HEAD, OPTIONS"))
    );
    assert!(answer.error().is_string());
    let answer = toy.ask("OPTIONS /api/things/x", b"").await;
    assert_eq!(
        (answer.status, answer.header("allow")),
        (204, Some("GET, DELETE, HEAD, OPTIONS"))
    );
    assert_eq!(toy.ask("GET /some/page", b"").await.body, b"page some/page");
    assert_eq!(toy.ask("POST /some/page", b"").await.status, 404);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let toy = Toy::start().await;
    let get = toy.ask("GET /api/things", b"").await;
    let head = toy.ask("HEAD /api/things\r\nConnection: close", b"").await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert_eq!(head.header("content-type"), get.header("content-type"));
    let mut raw = toy.raw().await;
    let request = format!(
        "HEAD /api/things HTTP/1.1\r\nHost: a\r\nX-Runtime-API-Key: {KEY}\r\nConnection: close\r\n\r\n"
    );
    raw.send(request.as_bytes()).await;
    assert!(
        raw.rest().await.ends_with(b"\r\n\r\n"),
        "no body after the head"
    );
}

#[tokio::test]
async fn parameters_are_decoded_exactly_once() {
    let toy = Toy::start().await;
    for (path, id) in [
        ("a%20b", "a b"),
        ("a%252Fb", "a%2Fb"),
        ("%C3%A9", "é"),
        ("a%2Fb", "a/b"),
    ] {
        let answer = toy.ask(&format!("GET /api/things/{path}"), b"").await;
        assert_eq!(answer.json()["id"], id);
        assert_eq!(answer.json()["uuid"], json!(null));
    }
    let id = "0191d7a0-0000-7000-8000-000000000001";
    assert_eq!(
        toy.ask(&format!("GET /api/things/{id}"), b"").await.json()["uuid"],
        id
    );
    assert_eq!(
        toy.ask("GET /api/files/a/b%20c", b"").await.json()["path"],
        "a/b c"
    );
    assert_eq!(toy.ask("GET /api/files/a%2Fb", b"").await.status, 404);
}

#[tokio::test]
async fn failures_take_the_contracts_shapes() {
    let toy = Toy::start().await;
    let lost = toy.ask("GET /api/fail/lost", b"").await;
    assert_eq!(lost.status, 409);
    let body = json!({"error": "Lease l is lost", "code": "lease_lost", "lease_id": "l"});
    assert_eq!(lost.json(), body);
    let away = toy.ask("GET /api/fail/unavailable", b"").await;
    assert_eq!((away.status, away.header("retry-after")), (503, Some("2")));
    assert_eq!(
        away.json()["request_id"].as_str(),
        away.header("x-request-id")
    );
    let busy = toy.ask("GET /api/fail/busy", b"").await;
    assert_eq!((busy.status, busy.header("retry-after")), (503, Some("1")));
    assert_eq!(busy.error(), "No worker");
}

#[tokio::test]
async fn faults_show_nothing_but_an_id_under_which_they_are_logged() {
    let logs = Logs::install();
    let toy = Toy::start().await;
    for (how, cause) in [
        ("internal", "secret detail"),
        ("panic", "panics on purpose"),
    ] {
        let answer = toy.ask(&format!("GET /api/fail/{how}"), b"").await;
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(
            (answer.status, answer.error()),
            (500, json!("Internal server error"))
        );
        assert_eq!(answer.json()["request_id"], id);
        assert!(!String::from_utf8_lossy(&answer.body).contains(cause));
        let lines = logs.lines_with(id);
        assert!(
            lines
                .iter()
                .any(|line| line.contains("ERROR") && line.contains(cause)),
            "{lines:?}"
        );
    }
    assert_eq!(toy.ask("GET /api/runtime/health", b"").await.status, 200);
}

#[tokio::test]
async fn the_access_log_has_one_clean_line_and_no_secrets() {
    let logs = Logs::install();
    let toy = Toy::start().await;
    let head = "POST /api/echo?token=canary-query\r\nContent-Type: application/json\r\n\
                User-Agent: canary-agent";
    let answer = toy.ask(head, b"\"canary-body\"").await;
    let lines = logs.lines_with(answer.header("x-request-id").unwrap());
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("POST /api/echo 200 "), "{lines:?}");
    // Who, and from where.
    for part in ["http.client=127.0.0.1 ", "http.caller=api "] {
        assert!(lines[0].contains(part), "{lines:?}");
    }
    for canary in ["canary-query", "canary-body", "canary-agent", KEY] {
        assert_eq!(logs.lines_with(canary), [""; 0]);
    }
    let observed = toy.app.observed.lock().unwrap().clone();
    assert_eq!(observed, [(Some("/api/echo"), 200)]);
}

/// One stored key, which may read.
struct ReadersKey;

const READERS_KEY: &str = "readers-key-0123456789";

impl KeyStore for ReadersKey {
    fn find(&self, hash: KeyHash) -> BoxFuture<'_, Result<Option<StoredKey>>> {
        let is_it = hash == hash_key(READERS_KEY.as_bytes());
        let found = is_it.then(|| StoredKey {
            id: uuid::Uuid::nil(),
            name: "the reader".to_owned(),
            scopes: ScopeSet::of(&[Scope::Reader]),
            expires_in: None,
        });
        Box::pin(async move { Ok(found) })
    }
}

#[tokio::test]
async fn refusals_stand_in_the_log_with_who_was_refused() {
    let logs = Logs::install();
    let store: Arc<dyn KeyStore> = Arc::new(ReadersKey);
    let auth = Authenticator::new(Policy::Keys, Some(&SecretString::from(KEY)), Some(store));
    let toy = Toy::start_with(options(), auth).await;
    for (key, status, caller) in [
        ("canary-wrong-key", 401, "http.caller= "),
        (READERS_KEY, 403, "http.caller=the\\x20reader "),
    ] {
        let mut raw = toy.raw().await;
        let head = format!(
            "DELETE /api/things/x HTTP/1.1\r\nHost: localhost\r\nX-Runtime-API-Key: {key}\r\n\r\n"
        );
        raw.send(head.as_bytes()).await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, status);
        let lines = logs.lines_with(answer.header("x-request-id").unwrap());
        assert_eq!(lines.len(), 1, "{lines:?}");
        let path = format!("DELETE /api/things/x {status} ");
        for part in [path.as_str(), "http.client=127.0.0.1 ", caller] {
            assert!(lines[0].contains(part), "{part}: {lines:?}");
        }
        assert_eq!(logs.lines_with(key), [""; 0]);
    }
}

#[tokio::test]
async fn streams_arrive_whole() {
    let toy = Toy::start().await;
    let mut raw = toy.raw().await;
    raw.send(&crate::http_toy::request(
        "GET /api/stream\r\nConnection: close",
        b"",
    ))
    .await;
    let text = String::from_utf8(raw.rest().await).unwrap();
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    assert!(text.contains("one\n") && text.contains("two\n"), "{text}");
}

/// What all tests of this process log.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    fn install() -> Self {
        static LOGS: OnceLock<Logs> = OnceLock::new();
        let install = || {
            let logs = Self::default();
            let writer = logs.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(tracing::Level::INFO)
                .with_writer(move || writer.clone());
            // Another part's tests may have installed theirs; then these cannot pass.
            subscriber
                .try_init()
                .expect("no other subscriber in this process");
            logs
        };
        LOGS.get_or_init(install).clone()
    }

    fn lines_with(&self, text: &str) -> Vec<String> {
        let all = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
        all.lines()
            .filter(|line| line.contains(text))
            .map(str::to_owned)
            .collect()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
