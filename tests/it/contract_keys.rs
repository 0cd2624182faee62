//! Who may call what: every route of the table with every kind of key, against a list that people
//! have read. A route without a line there fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bloom_runtime::http::handlers::router;
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::pg::TestDb;
use crate::runtime::process::{Scratch, bloom, run};
use crate::runtime::{Api, DEADLINE, KEY, Runtime, eventually, options};

/// What the list says, by method and path.
const GOLDEN: &str = include_str!("../golden/routes.txt");
const COLUMNS: &str = "method path none wrong producer worker reader admin configured";
const WRONG: &str = "bloom_0000000000000000000000000000000000000000000000000000000000000000";

/// Makes a key of one scope, with its name, and returns its id and its text.
fn create_key(url: &str, scope: &str) -> (String, String) {
    create_named_key(url, scope, scope)
}

/// Makes a key with the real program and returns its id and its text.
pub fn create_named_key(url: &str, name: &str, scope: &str) -> (String, String) {
    let arguments = ["key", "create", "--name", name, "--scope", scope, "--json"];
    let output = run(&[&arguments[..], &["--database-url", url]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let made: Value = serde_json::from_str(&text).unwrap();
    let member = |name: &str| made[name].as_str().unwrap().to_owned();
    (member("id"), member("key"))
}

/// 401, 403, or "ok" for whatever lies behind the gate.
async fn verdict(api: &Api, method: &Method, path: &str) -> String {
    let request = api.request(method.clone(), &format!("/{path}"));
    let request = if method == Method::POST {
        request.json(&json!({}))
    } else {
        request
    };
    let reply = api.send(request).await;
    let error = &reply.body["error"];
    match reply.status {
        401 => assert_eq!(error, "Unauthorized"),
        403 => assert_eq!(error, "Forbidden"),
        status => {
            let is_unconfigured = status == 502 && error == "Membridge is not configured";
            assert!(status < 500 || is_unconfigured, "{method} {path} {reply:?}");
            return "ok".to_owned();
        }
    }
    reply.status.to_string()
}

#[tokio::test]
async fn every_route_asks_for_the_keys_that_the_list_says() {
    let runtime =
        Runtime::start_with(|options| options.events.lifetime = Duration::from_millis(300)).await;
    let url = runtime.db().url();
    let mut keys = vec![None, Some(WRONG.to_owned())];
    for scope in ["producer", "worker", "reader", "admin"] {
        keys.push(Some(create_key(&url, scope).1));
    }
    keys.push(Some(KEY.to_owned()));
    let mut found = String::new();
    writeln!(found, "# {COLUMNS}").unwrap();
    for route in router().unwrap().routes() {
        let path = route
            .path()
            .replace("{id}", "x")
            .replace("{name}", "q")
            .replace("{cid}", "c");
        let mut line = format!("{} {}", route.method(), route.path());
        for key in &keys {
            let api = runtime.api.with_key(key.as_deref());
            write!(line, " {}", verdict(&api, route.method(), &path).await).unwrap();
        }
        writeln!(found, "{line}").unwrap();
    }
    let lines = |text: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let split = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let route = format!("{} {}", words.next()?, words.next()?);
            Some((route, words.next()?.to_owned()))
        };
        lines.filter_map(split).collect()
    };
    assert_eq!(
        lines(&found),
        lines(GOLDEN),
        "the whole list as it is now:\n{found}"
    );
}

#[tokio::test]
async fn keys_in_disguise_open_nothing() {
    let runtime = Runtime::start().await;
    let anonymous = runtime.api.with_key(None);
    let upper = KEY.to_uppercase();
    let padded = format!("{KEY}x");
    let long = "k".repeat(20_000);
    let headers: &[&[(&str, &[u8])]] = &[
        &[("x-runtime-api-key", b"")],
        &[("x-runtime-api-key", upper.as_bytes())],
        &[("x-runtime-api-key", padded.as_bytes())],
        &[("x-runtime-api-key", &KEY.as_bytes()[1..])],
        &[("x-runtime-api-key", b"\xff\xfe")],
        &[("x-runtime-api-key", long.as_bytes())],
        &[
            ("x-runtime-api-key", KEY.as_bytes()),
            ("x-runtime-api-key", WRONG.as_bytes()),
        ],
        &[("authorization", KEY.as_bytes())],
        &[("authorization", b"Basic dGhlOmtleQ==")],
        &[("authorization", b"Bearer")],
        &[("cookie", KEY.as_bytes())],
    ];
    for headers in headers {
        let mut request = anonymous.request(Method::GET, "/stats");
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        let reply = anonymous.send(request).await;
        assert_eq!(
            (reply.status, &reply.body["error"]),
            (401, &json!("Unauthorized")),
            "{headers:?}"
        );
    }
    let reply = anonymous
        .get(&format!("/stats?api_key={KEY}&key={KEY}"))
        .await;
    assert_eq!(reply.status, 401, "{reply:?}");
    for path in [
        "//API/runtime/stats",
        "//api/runtime/./stats",
        "//api//runtime/stats",
        "//api/runtime/health/../stats",
        "//api/runtime/%73tats",
        "//healthz/../api/runtime/stats",
    ] {
        let reply = anonymous.get(path).await;
        assert!([401, 404].contains(&reply.status), "{path} {reply:?}");
    }
    let request = anonymous.request(Method::GET, "/stats");
    let reply = anonymous
        .send(request.header("authorization", format!("Bearer {KEY}")))
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn a_revoked_key_stops_working_within_two_seconds() {
    let runtime = Runtime::start().await;
    let url = runtime.db().url();
    let (id, key) = create_key(&url, "reader");
    let api = runtime.api.with_key(Some(&key));
    assert_eq!(api.get("/stats").await.status, 200);
    assert_eq!(api.delete("/workers/w").await.status, 403);
    let output = run(&["key", "revoke", "--database-url", &url, &id]);
    assert!(output.status.success(), "{output:?}");
    let since = Instant::now();
    eventually("the key is refused", || async {
        (api.get("/stats").await.status == 401).then_some(())
    })
    .await;
    assert!(
        since.elapsed() < Duration::from_millis(2500),
        "{:?}",
        since.elapsed()
    );
    let dump = run(&["key", "list", "--database-url", &url, "--json"]);
    assert!(
        !String::from_utf8(dump.stdout).unwrap().contains(&key),
        "keys are shown once"
    );
}

#[tokio::test]
async fn without_any_key_only_loopback_is_served() {
    let db = TestDb::new().await;
    let mut child = bloom()
        .args([
            "serve",
            "--listen",
            "0.0.0.0:0",
            "--database-url",
            &db.url(),
        ])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it serves everybody without a key");
        }
        sleep(Duration::from_millis(10)).await;
    };
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!status.success(), "{text}");
    assert!(
        text.contains("refusing to serve") && text.contains("RUNTIME_API_KEY"),
        "{text}"
    );
    // On loopback it does, to programs of this machine, not to web pages of others.
    let mut options = options(db.endpoint());
    options.api_key = None;
    options.policy = bloom_runtime::http::Policy::Open;
    let open = Runtime::with_options(options).await;
    let api = open.api.with_key(None);
    assert_eq!(api.get("/stats").await.status, 200);
    let page = api
        .request(Method::GET, "/stats")
        .header("origin", "https://evil.example");
    assert_eq!(api.send(page).await.status, 403);
}

#[tokio::test]
async fn a_key_in_the_database_is_enough_to_be_asked_for_one() {
    let db = TestDb::new().await;
    let (_, key) = create_key(&db.url(), "admin");
    let scratch = Scratch::new();
    let service = crate::runtime::process::Process::serve_without_key(
        &scratch,
        &["--database-url", &db.url()],
    );
    assert_eq!(service.api.with_key(None).get("/stats").await.status, 401);
    assert_eq!(
        service.api.with_key(Some(&key)).get("/stats").await.status,
        200
    );
}
