//! Nobody gets further than their key allows, however they spell things.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bloom_runtime::error::{Error, Result};
use bloom_runtime::http::auth::{CACHE_TTL, KeyHash, hash_key};
use bloom_runtime::http::{
    Access, Authenticator, KeyStore, Policy, Scope, ScopeSet, StoredKey, limits,
};
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::http_toy::{Answer, KEY, Toy, auth, options, routes};

/// Keys in memory; can be told to be away.
#[derive(Default)]
struct Keys {
    known: Mutex<HashMap<KeyHash, StoredKey>>,
    is_away: AtomicBool,
    lookups: AtomicUsize,
}

impl Keys {
    fn add(&self, key: &str, scopes: &[Scope]) {
        let (id, scopes) = (Uuid::now_v7(), ScopeSet::of(scopes));
        let stored = StoredKey {
            id,
            name: format!("{key}-name"),
            scopes,
            expires_in: None,
        };
        self.known
            .lock()
            .unwrap()
            .insert(hash_key(key.as_bytes()), stored);
    }
}

impl KeyStore for Keys {
    fn find(&self, hash: KeyHash) -> BoxFuture<'_, Result<Option<StoredKey>>> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let is_away = self.is_away.load(Ordering::SeqCst);
        let found = self.known.lock().unwrap().get(&hash).cloned();
        Box::pin(async move {
            if is_away {
                let retry_after = Duration::from_secs(1);
                return Err(Error::Unavailable {
                    retry_after,
                    source: None,
                });
            }
            Ok(found)
        })
    }
}

fn with_store(keys: &Arc<Keys>) -> Authenticator {
    let store: Arc<dyn KeyStore> = Arc::<Keys>::clone(keys);
    Authenticator::new(Policy::Keys, Some(&SecretString::from(KEY)), Some(store))
}

/// One request with exactly these header lines beside the host.
async fn ask(toy: &Toy, line: &str, headers: &[u8]) -> Answer {
    let mut raw = toy.raw().await;
    let head = [
        line.as_bytes(),
        b" HTTP/1.1\r\nHost: localhost\r\n",
        headers,
        b"\r\n",
    ]
    .concat();
    raw.send(&head).await;
    raw.answer().await
}

fn key(key: &str) -> Vec<u8> {
    format!("X-Runtime-API-Key: {key}\r\n").into_bytes()
}

/// A request line that fits a route's template.
fn line(route: &bloom_runtime::http::Route<crate::http_toy::App>) -> String {
    let path = route
        .path()
        .replace("{id}", "x")
        .replace("{*path}", "x")
        .replace("{how}", "lost");
    format!("{} {path}", route.method())
}

#[tokio::test]
async fn every_route_but_the_open_ones_needs_a_key() {
    let toy = Toy::start().await;
    let wrong: [&[u8]; 11] = [
        b"",
        b"X-Runtime-API-Key:\r\n",
        b"X-Runtime-API-Key: wrong\r\n",
        b"X-Runtime-API-Key: \xff\xfe\r\n",
        b"Authorization: Bearer\r\n",
        b"Authorization: Bearer wrong\r\n",
        b"Authorization: Basic configured-key-0123456789abcdef\r\n",
        b"Authorization: configured-key-0123456789abcdef\r\n",
        b"X-Runtime-API-Key: CONFIGURED-KEY-0123456789ABCDEF\r\n",
        b"X-Runtime-API-Key: configured-key-0123456789abcdef\r\nX-Runtime-API-Key: b\r\n",
        b"X-Runtime-API-Key: configured-key-0123456789abcdef\r\nAuthorization: Bearer b\r\n",
    ];
    for route in routes() {
        for headers in wrong {
            let answer = ask(&toy, &line(&route), headers).await;
            if route.access() == Access::Open {
                assert_eq!(answer.status, 200, "{route:?}");
                continue;
            }
            let what = String::from_utf8_lossy(headers).into_owned();
            assert_eq!(answer.status, 401, "{route:?} {what}");
            assert_eq!(answer.error(), "Unauthorized");
        }
    }
    let huge = key(&"k".repeat(20_000));
    assert_eq!(ask(&toy, "GET /api/things", &huge).await.status, 401);
}

#[tokio::test]
async fn either_header_carries_the_key() {
    let toy = Toy::start().await;
    let bearer = format!("Authorization: bearer {KEY}\r\n").into_bytes();
    for headers in [key(KEY), bearer.clone(), [key(KEY), bearer].concat()] {
        assert_eq!(ask(&toy, "GET /api/things", &headers).await.status, 200);
    }
}

#[tokio::test]
async fn each_key_passes_exactly_the_routes_of_its_scopes() {
    let keys = Arc::new(Keys::default());
    for scope in Scope::ALL {
        keys.add(scope.name(), &[scope]);
    }
    keys.add("none", &[]);
    let toy = Toy::start_with(options(), with_store(&keys)).await;
    let mut table = Vec::new();
    // A slow route would wait for its release.
    for route in routes().iter().filter(|route| route.path() != "/api/slow") {
        let names = ["producer", "worker", "reader", "admin", "none"];
        let mut passed = Vec::new();
        for name in names {
            let answer = ask(&toy, &line(route), &key(name)).await;
            if answer.status == 403 {
                assert_eq!(answer.error(), "Forbidden");
            } else {
                passed.push(name);
            }
        }
        table.push(format!("{} -> {}", line(route), passed.join(" ")));
    }
    assert_eq!(
        table,
        [
            "GET /api/runtime/health -> producer worker reader admin none",
            "GET /api/things -> reader admin",
            "POST /api/things -> producer admin",
            "GET /api/things/x -> reader admin",
            "DELETE /api/things/x -> admin",
            "GET /api/files/x -> reader admin",
            "POST /api/echo -> worker admin",
            "POST /api/upload -> worker admin",
            "POST /api/ignore -> worker admin",
            "GET /api/heavy -> reader admin",
            "GET /api/stream -> reader admin",
            "GET /api/fail/lost -> reader admin",
        ]
    );
}

#[tokio::test]
async fn no_spelling_of_a_protected_path_gets_through_without_a_key() {
    let toy = Toy::start().await;
    let paths = [
        "/api/things/",
        "//api/things",
        "/api//things",
        "/api/./things",
        "/./api/things",
        "/api/x/../things",
        "/api/runtime/health/../../things",
        "/api/%2e/things",
        "/api/runtime/health/%2e%2e/%2e%2e/things",
        "/api/runtime/health%2f..%2f..%2fthings",
        "/api%2fthings",
        "/api%5cthings",
        "/api\\things",
        "/api/things;x",
        "/api/things;/x",
        "/api;x/things",
        "/api/things%00",
        "/api/things%00/x",
        "/api/%74hings",
        "/%61pi/things",
        "/%2561pi/things",
        "/API/things",
        "/Api/Things",
        "/api/THINGS",
        "/api/things.",
        "/api./things",
        "/api/things%20",
        "/api/things%0a",
        "/api/things/%2e%2e",
        "/api/runtime/health/",
        "/api/runtime/HEALTH",
        "/api/runtime/health;x",
        "/api/runtime/health%00",
        "/api/runtime/health/x",
        "/api/things#",
        "/api/things%23",
        "/api/things%3f",
        "/api/things?",
        "/api/things?x=/api/runtime/health",
        "http://localhost/api/things",
        "http://evil/api/runtime/../things",
        "*",
        "api/things",
    ];
    for path in paths {
        for method in ["GET", "HEAD", "POST", "DELETE", "get", "TRACE"] {
            let mut raw = toy.raw().await;
            let text = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            raw.send(text.as_bytes()).await;
            let answer = String::from_utf8_lossy(&raw.rest().await).into_owned();
            let status = answer.split(' ').nth(1).unwrap_or_default();
            assert!(
                ["400", "401", "404", "405"].contains(&status),
                "{method} {path}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn revocation_takes_effect_within_the_cache_time() {
    let keys = Arc::new(Keys::default());
    keys.add("reader", &[Scope::Reader]);
    let toy = Toy::start_with(options(), with_store(&keys)).await;
    for _ in 0..10 {
        assert_eq!(
            ask(&toy, "GET /api/things", &key("reader")).await.status,
            200
        );
        assert_eq!(
            ask(&toy, "GET /api/things", &key("nobody")).await.status,
            401
        );
    }
    assert!(
        keys.lookups.load(Ordering::SeqCst) <= 6,
        "lookups are remembered"
    );
    keys.known.lock().unwrap().clear();
    let revoked_at = Instant::now();
    while ask(&toy, "GET /api/things", &key("reader")).await.status == 200 {
        assert!(revoked_at.elapsed() < CACHE_TTL + Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_key_store_that_is_away_lets_nobody_in_but_the_configured_key() {
    let keys = Arc::new(Keys::default());
    keys.add("reader", &[Scope::Reader]);
    keys.is_away.store(true, Ordering::SeqCst);
    let toy = Toy::start_with(options(), with_store(&keys)).await;
    let answer = ask(&toy, "GET /api/things", &key("reader")).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(ask(&toy, "GET /api/things", &key(KEY)).await.status, 200);
    assert_eq!(ask(&toy, "GET /api/runtime/health", b"").await.status, 200);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_known_clients_are_not() {
    let keys = Arc::new(Keys::default());
    keys.add("reader", &[Scope::Reader]);
    let mut options = options();
    options.limits.wrong_keys = limits::Rate::new(5, Duration::from_secs(3600));
    let toy = Toy::start_with(options, with_store(&keys)).await;
    assert_eq!(
        ask(&toy, "GET /api/things", &key("reader")).await.status,
        200
    );
    let mut statuses = Vec::new();
    for guess in 0..8 {
        statuses.push(
            ask(&toy, "GET /api/things", &key(&format!("guess-{guess}")))
                .await
                .status,
        );
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
    let lookups = keys.lookups.load(Ordering::SeqCst);
    let answer = ask(&toy, "GET /api/things", &key("guess-9")).await;
    assert_eq!(answer.status, 429);
    assert!(
        answer
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 0
    );
    assert_eq!(
        keys.lookups.load(Ordering::SeqCst),
        lookups,
        "refused unseen"
    );
    // Also once the lookup of the good key is no longer remembered.
    tokio::time::sleep(CACHE_TTL).await;
    assert_eq!(
        ask(&toy, "GET /api/things", &key("reader")).await.status,
        200
    );
    assert_eq!(ask(&toy, "GET /api/things", &key(KEY)).await.status, 200);
    assert_eq!(ask(&toy, "GET /api/things", b"").await.status, 401);
}

#[tokio::test]
async fn an_open_service_serves_its_own_machine_and_no_foreign_page() {
    let toy = Toy::start_with(options(), Authenticator::open()).await;
    let mut raw = toy.raw().await;
    let body = b"{\"name\":\"a\"}";
    let head = format!(
        "POST /api/things HTTP/1.1\r\nHost: 127.0.0.1:1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    raw.send(&[head.as_bytes(), body].concat()).await;
    assert_eq!(raw.answer().await.json()["by"], "local");
    for headers in [
        "Origin: https://evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        let answer = ask(&toy, "POST /api/ignore", headers.as_bytes()).await;
        assert_eq!((answer.status, answer.error()), (403, json!("Forbidden")));
    }
    raw.send(b"GET /api/things HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        .await;
    assert_eq!(raw.answer().await.status, 403);
}

#[tokio::test]
async fn without_any_key_configured_everything_protected_is_closed() {
    let toy = Toy::start_with(options(), Authenticator::new(Policy::Keys, None, None)).await;
    let empty = SecretString::from("");
    let blank = Authenticator::new(Policy::Keys, Some(&empty), None);
    let other = Toy::start_with(options(), blank).await;
    for toy in [&toy, &other] {
        for headers in [key(KEY), key(""), Vec::new()] {
            assert_eq!(ask(toy, "GET /api/things", &headers).await.status, 401);
        }
    }
    assert!(!format!("{:?}", auth()).contains(KEY));
}
