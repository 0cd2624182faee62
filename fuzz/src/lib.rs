//! What is fuzzed, and what must hold whatever comes in. The same functions run over the kept corpora
//! in the ordinary tests.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use bloom_runtime::http::handlers::{self, App};
use bloom_runtime::http::{Router, fuzzing, json};
use bloom_runtime::outbound::{Guard, Policy};
use bloom_runtime::worker::api::How;
use bloom_runtime::worker::claude::stream::{End, Story};
use bloom_runtime::worker::claude::{Verdict, judge};
use bloom_runtime::worker::live::{Live, MAX_TEXT, Usage};
use hyper::Method;
use serde_json::Value;

/// The body of a submission: what is accepted can be stored and is what was sent.
pub fn json_task(data: &[u8]) {
    let Ok(value) = json::parse(data) else {
        assert!(fuzzing::task(data).is_err(), "what is no JSON is no task");
        return;
    };
    let lax: Value = serde_json::from_slice(data).expect("only JSON is taken for JSON");
    assert_eq!(value, lax, "and for the same value");
    assert_storable(&value, 0);
    json::parse(value.to_string().as_bytes()).expect("what was read can be written and read again");
    let Ok(task) = fuzzing::task(data) else {
        return;
    };
    for (name, most) in [
        ("context_id", 512),
        ("agent_slug", 255),
        ("prompt", 4 << 20),
    ] {
        let text = task[name].as_str().expect("a text");
        assert_eq!(value[name], text, "{name} is kept as it is");
        assert!(
            (1..=most).contains(&text.chars().count()),
            "{name} is as long as it may be"
        );
    }
    assert!((0..=9).contains(&task["priority"].as_i64().expect("a number")));
    assert!(task["requires"].as_array().expect("an array").len() <= 16);
    assert_storable(&task, 0);
}

/// Postgres can store it as `jsonb`.
fn assert_storable(value: &Value, depth: usize) {
    match value {
        Value::String(text) => assert!(!text.contains('\0')),
        Value::Number(number) => {
            assert!(number.is_i64() || number.as_f64().is_some_and(f64::is_finite));
            assert!(
                !number.is_u64() || number.is_i64(),
                "an integer fits 64 bits"
            );
        }
        Value::Array(items) => {
            assert!(depth < json::MAX_DEPTH);
            for item in items {
                assert_storable(item, depth + 1);
            }
        }
        Value::Object(members) => {
            assert!(depth < json::MAX_DEPTH);
            for (name, member) in members {
                assert!(!name.contains('\0'));
                assert_storable(member, depth + 1);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// A request's path: a route is reached by its plain spelling only. The first byte is the method.
pub fn router(data: &[u8]) {
    static ROUTER: LazyLock<Router<App>> =
        LazyLock::new(|| handlers::router().expect("the table is sound"));
    let Some((first, path)) = data.split_first() else {
        return;
    };
    let Ok(path) = std::str::from_utf8(path) else {
        return;
    };
    let methods = [
        Method::GET,
        Method::POST,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    let method = &methods[usize::from(*first) % methods.len()];
    let Some((template, params)) = fuzzing::route(&ROUTER, method, path) else {
        return;
    };
    assert!(
        path.is_ascii() && path.starts_with('/') && !path.contains('\\'),
        "{path}"
    );
    for (_, value) in &params {
        assert!(!value.contains('\0'), "{path}");
        let is_dots = |part: &str| matches!(part, "." | "..");
        assert!(!value.split(['/', '\\']).any(is_dots), "{path}");
    }
    if template == "/{*path}" {
        let first = path
            .trim_start_matches('/')
            .split('/')
            .next()
            .unwrap_or_default();
        assert!(
            !first.eq_ignore_ascii_case("api"),
            "the API has no pages: {path}"
        );
        return;
    }
    let (wanted, given) = (template.split('/'), path.split('/'));
    assert_eq!(
        wanted.clone().count(),
        given.clone().count(),
        "{template} for {path}"
    );
    let mut params = params.into_iter();
    for (wanted, given) in wanted.zip(given) {
        if wanted.starts_with('{') {
            let (_, value) = params.next().expect("a value for each parameter");
            let is_plain = !given.contains('%');
            assert!(!is_plain || value == given, "{path}: {value}");
            assert!(!given.is_empty(), "{path}");
        } else {
            assert_eq!(wanted, given, "{template} for {path}");
        }
    }
}

/// An address that somebody gave us: what the guard lets through leads to nobody's own network.
pub fn url_guard(data: &[u8]) {
    static GUARD: LazyLock<Guard> = LazyLock::new(|| {
        // Fails when it is installed already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        Guard::new(Policy::new(Vec::new())).expect("a client can be made")
    });
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(url) = GUARD.check(text) else { return };
    assert!(matches!(url.scheme(), "http" | "https"), "{url}");
    assert!(
        url.username().is_empty() && url.password().is_none(),
        "{url}"
    );
    assert!(url.query().is_none() && url.fragment().is_none(), "{url}");
    let host = url.host_str().expect("it has a host");
    assert!(!host.trim_end_matches('.').is_empty(), "{url}");
    let bare = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .trim_end_matches('.');
    if let Ok(address) = bare.parse::<IpAddr>() {
        assert!(!is_inside(address), "{url}");
    }
    let again = GUARD
        .check(url.as_str())
        .expect("it is let through in its own spelling, too");
    assert_eq!(again, url);
}

/// Whether an address is one of this machine or site; told without the guard's own tables.
fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || is_shared
                || a == 0
        }
        IpAddr::V6(v6) => {
            let mapped = v6.to_ipv4_mapped().is_some_and(|v4| is_inside(v4.into()));
            mapped
                || v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    }
}

/// What the CLI says: however it is cut, it is read the same, and what is made of it can be reported.
/// The first byte says how it is cut.
pub fn stream_json(data: &[u8]) {
    const LIMIT: usize = 1 << 20;
    let Some((first, stream)) = data.split_first() else {
        return;
    };
    let (whole, shown) = told(stream, usize::MAX, LIMIT);
    let (cut, shown_cut) = told(stream, usize::from(*first).max(1), LIMIT);
    assert_eq!(whole.result, cut.result);
    assert_eq!(whole.limit, cut.limit);
    assert_eq!(whole.usage, cut.usage);
    assert_eq!(shown, shown_cut);
    assert_reportable(&whole.usage);
    let left = (first % 2 == 1).then(|| "exit status 1".to_owned());
    match judge(&whole, How::New, first % 3 == 0, left) {
        Verdict::Success(text, _) | Verdict::Failure(text) | Verdict::Limited(_, text) => {
            assert!(!text.contains('\0'));
        }
    }
}

/// The stream's end, and the text shown last.
fn told(stream: &[u8], chunk: usize, limit: usize) -> (End, Option<String>) {
    let live = Arc::new(Live::default());
    let story = Story::new(&live, limit);
    for chunk in stream.chunks(chunk.min(stream.len().max(1))) {
        if !story.add(chunk) {
            break;
        }
    }
    let end = story.end();
    let shown = live.shown().map(|(progress, usage)| {
        assert!(progress.text.len() <= MAX_TEXT && !progress.text.contains('\0'));
        assert_reportable(&usage);
        progress.text
    });
    (end, shown)
}

/// The service takes these numbers in a report.
fn assert_reportable(usage: &Usage) {
    for count in [
        usage.tokens_used,
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
    ] {
        assert!(count <= 0x7fff_ffff, "{usage:?}");
    }
    assert!(usage.cost_usd.is_none_or(f64::is_finite));
    assert!(
        usage
            .model
            .as_ref()
            .is_none_or(|model| !model.contains('\0'))
    );
}
