//! Budgets of requests.

use std::time::Duration;

use bloom_runtime::http::limits::{Proxies, Rate};

use crate::http_toy::{Toy, auth, options};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_spent_budget_is_429_and_says_when_to_come_back() {
    let mut options = options();
    options.limits.heavy = Rate::new(3, HOUR);
    let toy = Toy::start_with(options, auth()).await;
    for left in ["2", "1", "0"] {
        let answer = toy.ask("GET /api/heavy", b"").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), Some("3;w=3600"));
        assert_eq!(answer.header("ratelimit-limit"), Some("3"));
        assert_eq!(answer.header("ratelimit-remaining"), Some(left));
        assert!(
            answer
                .header("ratelimit-reset")
                .unwrap()
                .parse::<u64>()
                .unwrap()
                > 0
        );
        assert_eq!(answer.header("retry-after"), None);
    }
    let refused = toy.ask("GET /api/heavy", b"").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.error(), "Too many requests, please try again later");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=1200).contains(&wait), "{wait}");
    // Other classes and the probes have budgets of their own.
    assert_eq!(toy.ask("GET /api/things", b"").await.status, 200);
    assert_eq!(toy.ask("GET /api/runtime/health", b"").await.status, 200);
}

#[tokio::test]
async fn a_spent_budget_refills() {
    let mut options = options();
    options.limits.heavy = Rate::new(1, Duration::from_millis(200));
    let toy = Toy::start_with(options, auth()).await;
    assert_eq!(toy.ask("GET /api/heavy", b"").await.status, 200);
    let deadline = tokio::time::Instant::now() + crate::http_toy::DEADLINE;
    while toy.ask("GET /api/heavy", b"").await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn unknown_paths_and_missing_keys_count_too() {
    let mut options = options();
    options.limits.general = Rate::new(2, HOUR);
    let toy = Toy::start_with(options, auth()).await;
    assert_eq!(toy.ask("GET /api/nothing", b"").await.status, 404);
    let mut raw = toy.raw().await;
    raw.send(b"GET /api/things HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(raw.answer().await.status, 401);
    assert_eq!(toy.ask("GET /api/nothing", b"").await.status, 429);
    raw.send(b"GET /api/things HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(raw.answer().await.status, 429);
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_budget() {
    let head = |client: &str| format!("GET /api/heavy\r\nX-Forwarded-For: 6.6.6.6, {client}");
    let mut options = options();
    // Per address only: the key is everybody's.
    options.limits.general = Rate::new(1, HOUR);
    options.limits.proxies = Proxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let toy = Toy::start_with(options.clone(), auth()).await;
    let ask = |client: &'static str| {
        let line = head(client).replace("/api/heavy", "/api/nothing");
        let toy = &toy;
        async move { toy.ask(&line, b"").await.status }
    };
    assert_eq!(ask("1.1.1.1").await, 404);
    assert_eq!(ask("1.1.1.1").await, 429);
    assert_eq!(ask("2.2.2.2").await, 404);
    // Without trust the header is only a claim.
    options.limits.proxies = Proxies::default();
    let toy = Toy::start_with(options, auth()).await;
    let line = |client| head(client).replace("/api/heavy", "/api/nothing");
    assert_eq!(toy.ask(&line("1.1.1.1"), b"").await.status, 404);
    assert_eq!(toy.ask(&line("2.2.2.2"), b"").await.status, 429);
}
