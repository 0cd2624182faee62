//! The connection to Membridge: settings, proxy and sync, with one that answers as it should and
//! one that does not.

mod slow;
mod sync;

use std::path::PathBuf;

use bloom_runtime::secrets::Keyring;
use serde_json::{Value, json};

use crate::fake_membridge::{ADMIN_KEY, Answer, FakeMembridge};
use crate::pg::TestDb;
use crate::runtime::{Reply, Runtime, eventually, options, task};
use crate::sql_kit::one;

/// A path outside of `/api/runtime`.
async fn get(runtime: &Runtime, path: &str) -> Reply {
    send(runtime, reqwest::Method::GET, path, None).await
}

async fn send(
    runtime: &Runtime,
    method: reqwest::Method,
    path: &str,
    body: Option<Value>,
) -> Reply {
    let mut request = runtime.api.request(method, &format!("/../membridge{path}"));
    let url = format!("{}/api/membridge{path}", runtime.api.base);
    request = match request.build() {
        Ok(built) => {
            let headers = built.headers().clone();
            let method = built.method().clone();
            reqwest::Client::new().request(method, url).headers(headers)
        }
        Err(error) => panic!("{error}"),
    };
    if let Some(body) = body {
        request = request.json(&body);
    }
    runtime.api.send(request).await
}

fn keyring() -> Keyring {
    let path: PathBuf = std::env::temp_dir().join(format!("kek-{}", uuid::Uuid::new_v4()));
    let keyring = Keyring::read_or_make(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    keyring
}

/// A service that can keep a key and is connected to `fake`.
async fn connected(fake: &FakeMembridge) -> Runtime {
    let runtime =
        Runtime::behind_nginx_with(|options| options.membridge.keyring = Some(keyring())).await;
    let body = json!({ "membridge_server_url": fake.url, "admin_key": ADMIN_KEY });
    let reply = runtime.api.post("/config", body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    runtime
}

#[tokio::test]
async fn the_settings_show_an_address_and_never_the_key() {
    let fake = FakeMembridge::start().await;
    let runtime =
        Runtime::behind_nginx_with(|options| options.membridge.keyring = Some(keyring())).await;
    let empty = json!({
        "membridge_server_url": "", "admin_key_masked": "", "connected": false, "last_test": null,
    });
    assert_eq!(runtime.api.get("/config").await.body, empty);
    let body = json!({ "membridge_server_url": fake.url, "admin_key": ADMIN_KEY });
    let set = runtime.api.post("/config", body).await;
    assert_eq!(set.status, 200, "{set:?}");
    let expected = json!({
        "membridge_server_url": fake.url, "admin_key_masked": "••••", "connected": false,
        "last_test": null,
    });
    assert_eq!(set.body, expected);
    assert_eq!(runtime.api.get("/config").await.body, expected);
    // Not in the database either, in any form.
    let client = runtime.db().connect().await;
    let dump = "select coalesce(string_agg(s::text, ' '), '') from bloom_private.setting s";
    let stored = one(&client, dump).await;
    assert!(
        !stored.contains(ADMIN_KEY) && stored.contains("nonce"),
        "{stored}"
    );
    let events = "select string_agg(e::text, ' ') from bloom_private.event e";
    assert!(!one(&client, events).await.contains(ADMIN_KEY));
    let audit = runtime.api.get("/audit").await;
    assert_eq!(audit.items()[0]["action"], "config_updated");
    assert_eq!(audit.items()[0]["entity_type"], "runtime_config");
    assert_eq!(audit.items()[0]["entity_id"], "singleton");
}

#[tokio::test]
async fn a_key_stays_with_its_origin_and_is_forgotten_with_it() {
    let (first, second) = (FakeMembridge::start().await, FakeMembridge::start().await);
    let runtime = connected(&first).await;
    for keep in [
        json!({}),
        json!({ "admin_key": "" }),
        json!({ "admin_key": null }),
    ] {
        let mut body = keep;
        body["membridge_server_url"] = json!(format!("{}/", first.url));
        let kept = runtime.api.post("/config", body).await;
        assert_eq!(kept.body["admin_key_masked"], "••••", "{kept:?}");
    }
    let moved = json!({ "membridge_server_url": second.url });
    let reply = runtime.api.post("/config", moved).await;
    assert_eq!(reply.body["admin_key_masked"], "", "{reply:?}");
    assert_eq!(get(&runtime, "/projects").await.status, 401);
    let asked = second.seen();
    assert!(!asked.is_empty());
    assert!(
        asked
            .iter()
            .all(|seen| !seen.head.contains("x-membridge-admin"))
    );
    // Back at the first, the key is still forgotten.
    let back = json!({ "membridge_server_url": first.url });
    assert_eq!(
        runtime.api.post("/config", back).await.body["admin_key_masked"],
        ""
    );
}

#[tokio::test]
async fn settings_that_cannot_be_are_refused_with_their_field() {
    let runtime =
        Runtime::behind_nginx_with(|options| options.membridge.keyring = Some(keyring())).await;
    for url in [
        json!(null),
        json!(3),
        json!(""),
        json!("membridge"),
        json!("file:///etc/passwd"),
        json!("http://169.254.169.254/"),
        json!("http://10.0.0.1:8000"),
        json!("http://u:p@h/"),
    ] {
        let reply = runtime
            .api
            .post("/config", json!({ "membridge_server_url": url }))
            .await;
        assert_eq!(reply.status, 400, "{url} {reply:?}");
        let field = &reply.body["error"]["fieldErrors"]["membridge_server_url"];
        assert!(field.is_array(), "{url} {reply:?}");
    }
    let body = json!({ "membridge_server_url": "http://127.0.0.1:1", "admin_key": "two\nlines" });
    assert_eq!(runtime.api.post("/config", body).await.status, 400);
    let body = json!({ "membridge_server_url": "membridge" });
    let reply = runtime.api.post("/config", body).await;
    let fields = json!({ "membridge_server_url": ["Invalid url"] });
    assert_eq!(reply.body["error"]["fieldErrors"], fields, "{reply:?}");
}

#[tokio::test]
async fn without_a_way_to_encrypt_it_no_key_is_stored() {
    let runtime = Runtime::behind_nginx().await;
    let body = json!({ "membridge_server_url": "http://127.0.0.1:1", "admin_key": ADMIN_KEY });
    let reply = runtime.api.post("/config", body).await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(reply.body["code"], "no_key_encryption_key");
    assert_eq!(
        runtime.api.get("/config").await.body["membridge_server_url"],
        ""
    );
    let body = json!({ "membridge_server_url": "http://127.0.0.1:1" });
    assert_eq!(runtime.api.post("/config", body).await.status, 200);
}

#[tokio::test]
async fn a_lost_encryption_key_is_a_clear_error_and_no_crash() {
    let fake = FakeMembridge::start().await;
    let db = TestDb::new().await;
    let mut first = options(db.endpoint());
    first.membridge.keyring = Some(keyring());
    let runtime = Runtime::with_options(first).await;
    let body = json!({ "membridge_server_url": fake.url, "admin_key": ADMIN_KEY });
    assert_eq!(runtime.api.post("/config", body).await.status, 200);
    drop(runtime);
    let mut second = options(db.endpoint());
    second.membridge.keyring = Some(keyring());
    let runtime = Runtime::with_options(second).await;
    let reply = get(&runtime, "/projects").await;
    assert_eq!(reply.status, 502, "{reply:?}");
    assert!(reply.text.contains("cannot be read"), "{reply:?}");
    let health = runtime.api.get("/health").await.body;
    let told = health["membridge"]["lastError"].as_str().unwrap();
    assert!(told.contains("cannot be read"), "{told}");
    assert_eq!(runtime.api.post("/llm-tasks", task("c")).await.status, 201);
}

#[tokio::test]
async fn a_test_of_the_connection_proves_the_key_too() {
    let fake = FakeMembridge::start().await;
    let runtime = connected(&fake).await;
    let reply = runtime.api.post("/test-connection", json!({})).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body["connected"], true, "{reply:?}");
    assert_eq!(reply.body["health"]["version"], "0.3.0");
    let config = runtime.api.get("/config").await.body;
    assert_eq!(config["connected"], true);
    assert!(config["last_test"].is_i64());
    let wrong = json!({ "membridge_server_url": fake.url, "admin_key": "wrong" });
    assert_eq!(
        runtime.api.post("/config", wrong).await.body["connected"],
        false
    );
    let reply = runtime.api.post_empty("/test-connection").await;
    let failed = json!({ "connected": false, "error": "Membridge returned 401" });
    assert_eq!((reply.status, reply.body), (200, failed));
}

#[tokio::test]
async fn the_proxy_passes_on_what_membridge_answers() {
    let fake = FakeMembridge::start().await;
    let runtime = connected(&fake).await;
    let projects = get(&runtime, "/projects").await;
    assert_eq!(projects.body[0]["canonical_id"], "p1", "{projects:?}");
    assert_eq!(projects.header("x-upstream"), None);
    assert_eq!(projects.header("set-cookie"), None);
    let leadership = get(&runtime, "/projects/p1/leadership").await;
    assert_eq!(leadership.body["nodes"][0]["last_seen"], 1_795_440_717.29);
    assert_eq!(
        get(&runtime, "/projects/p1/nodes").await.body[0]["role"],
        "primary"
    );
    assert_eq!(get(&runtime, "/health").await.body["status"], "ok");
    let body = json!({ "primary_node_id": "node-1", "lease_seconds": 60, "admin": true });
    let path = "/projects/p1/leadership/select";
    let selected = send(&runtime, reqwest::Method::POST, path, Some(body)).await;
    assert_eq!(selected.body["ok"], true, "{selected:?}");
    let asked = fake
        .seen()
        .into_iter()
        .find(|seen| seen.line.starts_with("POST"))
        .unwrap();
    let expected = json!({ "primary_node_id": "node-1", "lease_seconds": 60 });
    assert_eq!(
        serde_json::from_str::<Value>(&asked.body).unwrap(),
        expected
    );
    let audit = runtime.api.get("/audit").await.body;
    assert_eq!(audit[0]["action"], "leadership_promote");
    assert_eq!(audit[0]["entity_type"], "membridge_project");
    assert_eq!(audit[0]["entity_id"], "p1");
}

#[tokio::test]
async fn the_admin_key_goes_to_membridge_alone_and_a_clients_copy_nowhere() {
    let fake = FakeMembridge::start().await;
    let runtime = connected(&fake).await;
    let url = format!("{}/api/membridge/projects", runtime.api.base);
    let request = runtime
        .api
        .request(reqwest::Method::GET, "/health")
        .build()
        .unwrap();
    let reply = reqwest::Client::new()
        .get(url)
        .headers(request.headers().clone())
        .header("X-MEMBRIDGE-ADMIN", "of-the-client")
        .header("X-Forwarded-Host", "evil.example")
        .header("Connection", "x-membridge-admin")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 200);
    assert!(!format!("{:?}", reply.headers()).contains(ADMIN_KEY));
    assert!(!reply.text().await.unwrap().contains(ADMIN_KEY));
    get(&runtime, "/health").await;
    for seen in fake.seen() {
        assert!(
            !seen.head.contains("of-the-client") && !seen.head.contains("evil"),
            "{seen:?}"
        );
        let expected = usize::from(!seen.line.contains("/health"));
        assert_eq!(
            seen.head.matches("x-membridge-admin").count(),
            expected,
            "{seen:?}"
        );
    }
}

#[tokio::test]
async fn no_project_id_leads_to_another_path() {
    let fake = FakeMembridge::start().await;
    let runtime = connected(&fake).await;
    for id in [
        "..%2fagents",
        "%2e%2e%2fagents",
        "x%3fy=",
        "a%23b",
        "%40host",
        "a%0d%0aX-Evil:%20b",
        "..",
        "%2e%2e",
        ".",
        "a%2fb",
        "%00",
        "%ff",
    ] {
        for tail in ["leadership", "nodes"] {
            let reply = get(&runtime, &format!("/projects/{id}/{tail}")).await;
            assert!(matches!(reply.status, 400 | 404), "{id} {reply:?}");
        }
    }
    for seen in fake.seen() {
        let path = seen.line.split(' ').nth(1).unwrap();
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let is_known = matches!(segments[..], ["agents" | "health"])
            || matches!(segments[..], ["projects", _, "leadership" | "nodes"]);
        assert!(is_known && !path.contains(['?', '#', '@']), "{seen:?}");
        assert!(!seen.head.contains("\nx-evil"), "{seen:?}");
    }
}

#[tokio::test]
async fn whatever_membridge_answers_the_client_gets_an_array_or_an_error() {
    let fake = FakeMembridge::start().await;
    let runtime = connected(&fake).await;
    for (answer, status) in [
        (Answer::Json(200, json!({ "projects": [] })), 502),
        (Answer::Json(401, json!({ "detail": "secret detail" })), 401),
        (Answer::Json(404, json!([])), 404),
        (Answer::Json(500, json!([])), 500),
        (
            Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>".to_vec()),
            502,
        ),
        (
            Answer::Raw(
                b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
                    .to_vec(),
            ),
            502,
        ),
        (
            Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n[]".to_vec()),
            502,
        ),
        (Answer::Raw(b"nonsense".to_vec()), 502),
        (Answer::Endless, 502),
    ] {
        fake.answer("/projects", answer.clone());
        // The sync goes on meanwhile and heals what these failures would trip.
        let reply = get(&runtime, "/projects").await;
        assert_eq!(reply.status, status, "{answer:?} {reply:?}");
        assert!(reply.body["error"].is_string(), "{reply:?}");
        assert!(!reply.text.contains("secret detail"));
    }
    fake.answer("/projects", Answer::Json(200, json!([])));
    let healed = eventually("it answers again", async || {
        let reply = get(&runtime, "/projects").await;
        (reply.status == 200).then_some(reply)
    });
    assert_eq!(healed.await.body, json!([]));
}

#[tokio::test]
async fn an_unreachable_membridge_is_502_and_disturbs_nothing() {
    let fake = FakeMembridge::start().await;
    let runtime = connected(&fake).await;
    drop(fake);
    assert_eq!(get(&runtime, "/projects").await.status, 502);
    eventually("health tells of the failures", async || {
        let health = runtime.api.get("/health").await.body;
        let membridge = &health["membridge"];
        let is_failing = membridge["consecutiveFailures"].as_i64() >= Some(5)
            && membridge["connected"] == false
            && membridge["lastError"].is_string();
        (health["status"] == "ok" && is_failing).then_some(())
    })
    .await;
    // Now it is left alone: the answer comes without asking.
    let reply = get(&runtime, "/projects").await;
    assert_eq!(reply.status, 502);
    assert!(reply.text.contains("left alone"), "{reply:?}");
    let id = runtime.api.submit(task("c")).await;
    assert_eq!(runtime.api.task(&id).await["status"], "queued");
}

#[tokio::test]
async fn the_configured_address_is_used_until_one_is_stored() {
    let (configured, stored) = (FakeMembridge::start().await, FakeMembridge::start().await);
    let url = configured.url.clone();
    let runtime = Runtime::behind_nginx_with(|options| {
        options.membridge.keyring = Some(keyring());
        options.membridge.fallback = Some((url, Some(ADMIN_KEY.to_owned().into())));
    })
    .await;
    assert_eq!(get(&runtime, "/projects").await.status, 200);
    let config = runtime.api.get("/config").await.body;
    assert_eq!(config["membridge_server_url"], configured.url);
    assert_eq!(config["admin_key_masked"], "••••");
    let body = json!({ "membridge_server_url": stored.url, "admin_key": ADMIN_KEY });
    assert_eq!(runtime.api.post("/config", body).await.status, 200);
    get(&runtime, "/projects").await;
    assert_eq!(stored.count("/projects"), 1);
}

#[tokio::test]
async fn a_worker_announces_its_node_and_one_that_is_known_is_content() {
    for status in [201, 409] {
        let fake = FakeMembridge::start().await;
        fake.answer("/agents", Answer::Json(status, json!({})));
        let runtime = Runtime::behind_nginx().await;
        let mut options = bloom_runtime::worker::Options::new(&runtime.api.base, "node-7", "true");
        options.api_key = Some(crate::runtime::KEY.to_owned().into());
        options.announcement = Some(bloom_runtime::worker::announce::Announcement {
            membridge: fake.url.parse().unwrap(),
            key: Some(ADMIN_KEY.to_owned().into()),
            url: "http://10.0.0.7:8001".to_owned(),
        });
        let shutdown = bloom_runtime::shutdown::Shutdown::new();
        let at_once = tokio_util::sync::CancellationToken::new();
        let running = tokio::spawn(bloom_runtime::worker::run(
            options,
            shutdown.clone(),
            at_once,
        ));
        eventually("it is announced", async || {
            fake.seen()
                .first()
                .map(|seen| (seen.line.clone(), seen.body.clone()))
        })
        .await;
        let seen = fake.seen()[0].clone();
        assert!(
            seen.line.starts_with("POST /agents ") && seen.has_key(),
            "{seen:?}"
        );
        let body: Value = serde_json::from_str(&seen.body).unwrap();
        assert_eq!(
            body,
            json!({ "name": "node-7", "url": "http://10.0.0.7:8001" })
        );
        shutdown.request();
        running.await.unwrap().unwrap();
        assert_eq!(fake.count("/agents"), 1);
    }
}

#[tokio::test]
async fn a_safe_call_that_broke_off_is_made_again_and_a_change_only_once() {
    let fake = FakeMembridge::start().await;
    let runtime = connected(&fake).await;
    let select = "/projects/p1/leadership/select";
    fake.answer("/projects", Answer::Raw(Vec::new()));
    fake.answer(select, Answer::Raw(Vec::new()));
    assert_eq!(get(&runtime, "/projects").await.status, 502);
    assert_eq!(fake.count("/projects"), 3);
    let body = Some(json!({ "primary_node_id": "node-1" }));
    let changed = send(&runtime, reqwest::Method::POST, select, body).await;
    assert_eq!(changed.status, 502, "{changed:?}");
    assert_eq!(fake.count(select), 1);
}
