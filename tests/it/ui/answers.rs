//! How the files of the UI are served, and the headers that every answer carries.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bloom_runtime::http::assets::BUNDLE;
use hyper::Method;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::runtime::{Api, Reply, Runtime, task};

/// What a browser loads before the page works, compressed.
const PAGE_LIMIT: usize = 150 * 1024;

async fn ask(api: &Api, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = api.with_key(None).request(method, &format!("/{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    api.send(request).await
}

fn asset(name: &str) -> String {
    format!("/assets/{}/{name}", BUNDLE.version)
}

#[test]
fn the_whole_page_is_small() {
    let sizes: BTreeMap<_, _> = BUNDLE
        .assets
        .iter()
        .filter(|(name, _)| !name.contains("LICENSE"))
        .map(|(name, asset)| (name, asset.packed_len()))
        .collect();
    let whole: usize = sizes.values().sum();
    assert!(sizes.len() > 20 && whole > 30_000, "{sizes:?}");
    assert!(whole < PAGE_LIMIT, "{whole} bytes: {sizes:?}");
}

#[test]
fn vendored_files_are_those_that_were_fetched_each_with_its_licence() {
    let vendor = concat!(env!("CARGO_MANIFEST_DIR"), "/ui/vendor");
    let sums = std::fs::read_to_string(format!("{vendor}/SHA256SUMS")).unwrap();
    let mut files = 0;
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let bytes = std::fs::read(format!("{vendor}/{name}")).unwrap();
        let mut found = String::new();
        for byte in Sha256::digest(&bytes) {
            write!(found, "{byte:02x}").unwrap();
        }
        assert_eq!(found, sum, "{name}");
        files += 1;
    }
    let readme = std::fs::read_to_string(format!("{vendor}/README.md")).unwrap();
    let mut code = 0;
    for entry in std::fs::read_dir(vendor).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let kind = name.rsplit('.').next().unwrap_or_default();
        if ["js", "css", "svg"].contains(&kind) {
            assert!(sums.contains(&name) && readme.contains(&name), "{name}");
            code += 1;
        }
    }
    assert_eq!(code, files);
    for line in readme.lines().filter(|line| line.contains("LICENSE-")) {
        let licence = line.rsplit_once('(').unwrap().1;
        let licence = licence.split(')').next().unwrap();
        let text = std::fs::read_to_string(format!("{vendor}/{licence}")).unwrap();
        assert!(text.len() > 500, "{licence}");
    }
}

#[tokio::test]
async fn the_page_is_asked_for_anew_and_its_files_are_kept_for_good() {
    let runtime = Runtime::start().await;
    let page = ask(&runtime.api, Method::GET, "/", &[]).await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert!(page.text.contains(&BUNDLE.version) && !page.text.contains("{{"));
    for name in BUNDLE.assets.keys().filter(|name| *name != "index.html") {
        let reply = ask(&runtime.api, Method::GET, &asset(name), &[]).await;
        assert_eq!(reply.status, 200, "{name}");
        let kept = Some("public, max-age=31536000, immutable");
        assert_eq!(reply.header("cache-control"), kept, "{name}");
    }
    // Of another version: answered, and not kept.
    let other = ask(&runtime.api, Method::GET, "/assets/0000/app/main.js", &[]).await;
    assert_eq!(
        (other.status, other.header("cache-control")),
        (200, Some("no-cache"))
    );
}

#[tokio::test]
async fn what_is_known_is_not_sent_again_and_what_is_sent_is_compressed_where_it_may_be() {
    let runtime = Runtime::start().await;
    let path = asset("app/main.js");
    let plain = ask(&runtime.api, Method::GET, &path, &[]).await;
    let gzip = [("accept-encoding", "gzip")];
    let packed = ask(&runtime.api, Method::GET, &path, &gzip).await;
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    for reply in [&plain, &packed] {
        assert_eq!(reply.header("vary"), Some("accept-encoding"));
    }
    let (tag, packed_tag) = (
        plain.header("etag").unwrap(),
        packed.header("etag").unwrap(),
    );
    assert_ne!(tag, packed_tag);
    let known = ask(&runtime.api, Method::GET, &path, &[("if-none-match", tag)]).await;
    assert_eq!((known.status, known.text.as_str()), (304, ""));
    assert_eq!(known.header("etag"), Some(tag));
    let of_other = [("if-none-match", tag), ("accept-encoding", "gzip")];
    let other = ask(&runtime.api, Method::GET, &path, &of_other).await;
    assert_eq!(other.status, 200);
    let head = ask(&runtime.api, Method::HEAD, &path, &[]).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.header("etag"), Some(tag));
}

#[tokio::test]
async fn the_page_hides_no_path_of_the_api() {
    let runtime = Runtime::start().await;
    let missing = [
        "/api",
        "/api/",
        "/api/runtime/nothing",
        "/api/runtime/llm-tasks/x/nothing",
        "/API/runtime/workers",
        "/api/membridge/nothing",
        "/index.html",
        "/tasks",
        "/assets/",
        "/assets/x/index.html",
        "/assets/x/vendor/README.md",
        "/assets/x/../../Cargo.toml",
        "/assets/x/%2e%2e/index.html",
    ];
    for path in missing {
        let reply = ask(&runtime.api, Method::GET, path, &[]).await;
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(reply.body["error"], "Not found", "{path}");
    }
    let post = ask(&runtime.api, Method::POST, "/", &[]).await;
    assert_eq!(post.status, 404);
    // The files need no key; what they ask for does.
    let data = ask(&runtime.api, Method::GET, "/api/runtime/workers", &[]).await;
    assert_eq!(data.status, 401);
}

/// The headers that protect, of one answer.
fn protection(reply: &Reply) -> String {
    let names = [
        "x-content-type-options",
        "x-frame-options",
        "referrer-policy",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "permissions-policy",
        "content-security-policy",
    ];
    let mut text = String::new();
    for name in names {
        writeln!(text, "{name}: {}", reply.header(name).unwrap_or("MISSING")).unwrap();
    }
    text
}

const COMMON: &str = "\
x-content-type-options: nosniff
x-frame-options: DENY
referrer-policy: no-referrer
cross-origin-opener-policy: same-origin
cross-origin-resource-policy: same-origin
permissions-policy: camera=(), geolocation=(), microphone=(), payment=(), usb=()
";
const DATA_POLICY: &str = "content-security-policy: default-src 'none'; base-uri 'none'; \
form-action 'none'; frame-ancestors 'none'\n";
const PAGE_POLICY: &str = "content-security-policy: default-src 'none'; script-src 'self'; \
style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\n";

#[tokio::test]
async fn every_answer_carries_the_headers_that_protect_errors_too() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let id = api.submit(task("c")).await;
    let page = ask(api, Method::GET, "/", &[]).await;
    let tag = page.header("etag").unwrap().to_owned();
    let file = ask(api, Method::GET, &asset("style.css"), &[]).await;
    let known = ask(api, Method::GET, "/", &[("if-none-match", &tag)]).await;
    assert_eq!(known.status, 304);
    for reply in [&page, &file, &known] {
        assert_eq!(protection(reply), format!("{COMMON}{PAGE_POLICY}"));
    }
    let long = "x".repeat(2_000_000);
    let answers = [
        (200, api.get(&format!("/llm-tasks/{id}")).await),
        (200, api.get("//healthz").await),
        (201, api.post("/llm-tasks", task("d")).await),
        (400, api.post("/llm-tasks", json!({})).await),
        (401, api.with_key(None).get("/llm-tasks").await),
        (404, api.get("/nothing").await),
        (404, ask(api, Method::GET, "/nothing", &[]).await),
        (405, api.delete("/llm-tasks").await),
        (
            409,
            api.post(&format!("/llm-tasks/{id}/requeue"), json!({}))
                .await,
        ),
        (413, api.post("/workers", json!({ "name": long })).await),
        (502, api.get("//api/membridge/projects").await),
        (
            503,
            api.post(&format!("/llm-tasks/{id}/lease"), json!({})).await,
        ),
    ];
    for (status, reply) in &answers {
        assert_eq!(reply.status, *status, "{reply:?}");
        assert_eq!(
            protection(reply),
            format!("{COMMON}{DATA_POLICY}"),
            "{status}"
        );
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{status}");
    }
}
