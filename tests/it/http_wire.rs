//! Clients that are slow, greedy or dishonest on the wire.

use std::time::{Duration, Instant};

use bloom_runtime::http::Options;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::http_toy::{DEADLINE, KEY, Toy, auth, options, request};

const SHORT: Duration = Duration::from_millis(300);

fn impatient() -> Options {
    Options {
        header_timeout: SHORT,
        body_timeout: SHORT,
        ..options()
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let toy = Toy::start_with(impatient(), auth()).await;
    for is_first in [true, false] {
        let mut raw = toy.raw().await;
        if !is_first {
            raw.send(&request("GET /api/things", b"")).await;
            assert_eq!(raw.answer().await.status, 200);
        }
        let start = Instant::now();
        let trickle = async {
            for byte in request("GET /api/things", b"").chunks(1) {
                raw.send(byte).await;
                let mut answer = [0; 1];
                let read = raw.stream.read(&mut answer);
                match tokio::time::timeout(Duration::from_millis(50), read).await {
                    Err(_) => {}
                    Ok(closed) => return closed.unwrap_or(0),
                }
            }
            panic!("the whole head was taken");
        };
        assert_eq!(trickle.await, 0, "closed without an answer");
        assert!(start.elapsed() >= SHORT && start.elapsed() < DEADLINE);
    }
}

#[tokio::test]
async fn an_idle_connection_outlives_the_head_timeout_but_not_the_idle_one() {
    let idle_timeout = 4 * SHORT;
    let toy = Toy::start_with(
        Options {
            idle_timeout,
            ..impatient()
        },
        auth(),
    )
    .await;
    let mut raw = toy.raw().await;
    raw.send(&request("GET /api/things", b"")).await;
    assert_eq!(raw.answer().await.status, 200);
    let start = Instant::now();
    assert_eq!(raw.rest().await, b"");
    assert!(start.elapsed() > 2 * SHORT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_body_that_trickles_in_is_408() {
    let toy = Toy::start_with(impatient(), auth()).await;
    let mut raw = toy.raw().await;
    let mut bytes = request("POST /api/upload", &[b'x'; 1000]);
    bytes.truncate(bytes.len() - 999);
    raw.send(&bytes).await;
    let answer = raw.answer().await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (408, Some("close"))
    );
    assert_eq!(raw.rest().await, b"");
}

#[tokio::test]
async fn oversized_heads_are_431() {
    let toy = Toy::start().await;
    let long = "x".repeat(64 * 1024);
    let many = "a: b\r\n".repeat(100_000);
    let heads = [
        format!("GET /api/things HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n"),
        format!("GET /api/things HTTP/1.1\r\nHost: a\r\n{many}\r\n"),
        format!(
            "GET /api/things HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "a: b\r\n".repeat(200)
        ),
        format!("GET /api/{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    for head in heads {
        let mut raw = toy.raw().await;
        // The server may hang up before it has all of it.
        let _sent = raw.stream.write_all(head.as_bytes()).await;
        let rest = String::from_utf8_lossy(&raw.rest().await).into_owned();
        assert!(
            rest.is_empty() || rest.starts_with("HTTP/1.1 431 "),
            "{rest}"
        );
    }
    // Without bytes under way that would turn the close into a reset, the answer always arrives.
    let head = format!(
        "GET /api/things HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "a: b\r\n".repeat(101)
    );
    let mut raw = toy.raw().await;
    raw.send(head.as_bytes()).await;
    assert_eq!(raw.answer().await.status, 431);
}

#[tokio::test]
async fn too_large_bodies_are_413_and_the_client_gets_to_see_it() {
    let toy = Toy::start().await;
    let mut raw = toy.raw().await;
    let large = vec![b'x'; 8_000_000];
    raw.send(&request("POST /api/upload", &large)).await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 413);
    assert!(answer.error().is_string());
    // The body was read to its end, so the connection goes on.
    raw.send(&request("POST /api/upload", &large[..100_000]))
        .await;
    assert_eq!(raw.answer().await.json()["bytes"], 100_000);
    raw.send(&request("POST /api/echo", &large[..1001])).await;
    assert_eq!(raw.answer().await.status, 413);
    // One that is nobody's business is read away, too.
    raw.send(&request("POST /api/ignore", &large)).await;
    assert_eq!(raw.answer().await.status, 200);
    raw.send(&request("GET /api/things", b"")).await;
    assert_eq!(raw.answer().await.status, 200);
}

#[tokio::test]
async fn an_endless_chunked_body_is_413_and_the_end() {
    let options = Options {
        discard_bytes: 200_000,
        ..options()
    };
    let toy = Toy::start_with(options, auth()).await;
    let mut raw = toy.raw().await;
    raw.send(&request(
        "POST /api/upload\r\nTransfer-Encoding: chunked",
        b"",
    ))
    .await;
    let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 10_000_000 {
        if raw.stream.write_all(&chunk).await.is_err() {
            break;
        }
        sent += chunk.len();
        let mut peek = [0; 16];
        let peeked = raw.stream.peek(&mut peek);
        if tokio::time::timeout(Duration::from_millis(5), peeked)
            .await
            .is_ok()
        {
            break;
        }
    }
    assert!(sent < 10_000_000, "the server stopped reading");
    let answer = raw.answer().await;
    assert_eq!(
        (answer.status, answer.header("connection")),
        (413, Some("close"))
    );
}

#[tokio::test]
async fn a_held_back_body_is_refused_without_asking_for_it() {
    let toy = Toy::start().await;
    let mut raw = toy.raw().await;
    let head = format!(
        "POST /api/upload HTTP/1.1\r\nHost: a\r\nX-Runtime-API-Key: {KEY}\r\n\
         Expect: 100-continue\r\nContent-Length: 9000000\r\n\r\n"
    );
    raw.send(head.as_bytes()).await;
    assert_eq!(raw.answer().await.status, 413);
    assert_eq!(raw.rest().await, b"");
}

/// Each text must be answered at most once with success, as one request; `GET /api/heavy` stands
/// for what an attacker wants to have smuggled in.
#[tokio::test]
async fn ambiguous_lengths_smuggle_nothing() {
    let toy = Toy::start().await;
    let smuggled = String::from_utf8(request("GET /api/heavy", b"")).unwrap();
    let head = format!("POST /api/ignore HTTP/1.1\r\nHost: a\r\nX-Runtime-API-Key: {KEY}\r\n");
    let length = smuggled.len() + 5;
    let texts = [
        format!("{head}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n0\r\n\r\n"),
        format!("{head}Content-Length: 0\r\nContent-Length: {length}\r\n\r\n"),
        format!("{head}Content-Length: 0, {length}\r\n\r\n"),
        format!("{head}Content-Length: +0\r\n\r\n"),
        format!("{head}Content-Length: 0x0\r\n\r\n"),
        format!("{head}Content-Length : 0\r\n\r\n"),
        format!("{head}Transfer-Encoding: xchunked\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n0;x=\"\n\"\r\n\r\n"),
        format!("{head}X-Folded: a\r\n Content-Length: 0\r\n\r\n"),
        format!("{head}Host: b\r\n\r\n"),
        head.replace("Host: a\r\n", "") + "\r\n",
        head.replace("HTTP/1.1", "HTTP/1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for text in texts {
        let mut raw = toy.raw().await;
        raw.send((text.clone() + &smuggled).as_bytes()).await;
        raw.stream_end().await;
        let answers = String::from_utf8_lossy(&raw.rest().await).into_owned();
        let (first, _) = answers.split_once("\r\n").unwrap_or_default();
        let sound = ["HTTP/1.1 200", "HTTP/1.1 400"]
            .iter()
            .any(|start| first.starts_with(start));
        assert!(sound, "{text}\n{answers}");
        let is_refusal = !first.contains(" 200 ");
        let next = answers.matches("HTTP/1.1 200").count();
        // A refused host leaves the framing sound, so what follows is a request of its own.
        let is_framed = text.contains("Host: b") || !text.contains("Host: ");
        assert!(
            is_framed || next == usize::from(!is_refusal),
            "{text}\n{answers}"
        );
    }
}

#[tokio::test]
async fn bare_line_feeds_end_lines_as_they_do_in_nginx() {
    let toy = Toy::start().await;
    let mut raw = toy.raw().await;
    let text = format!("GET /api/things HTTP/1.1\nHost: a\nX-Runtime-API-Key: {KEY}\n\n");
    raw.send(text.as_bytes()).await;
    assert_eq!(raw.answer().await.status, 200);
    raw.stream_end().await;
    assert_eq!(raw.rest().await, b"", "exactly one answer");
}

#[tokio::test]
async fn requests_share_a_connection_and_may_be_pipelined() {
    let toy = Toy::start().await;
    let mut raw = toy.raw().await;
    let all: Vec<u8> = (1..=20)
        .flat_map(|limit| request(&format!("GET /api/things?limit={limit}"), b""))
        .collect();
    raw.send(&all).await;
    for limit in 1..=20 {
        assert_eq!(raw.answer().await.json()["limit"], limit);
    }
}

#[tokio::test]
async fn upgrades_are_ignored() {
    let toy = Toy::start().await;
    let head = "GET /api/things\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA";
    assert_eq!(toy.ask(head, b"").await.status, 200);
    let mut raw = toy.raw().await;
    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    raw.stream_end().await;
    let rest = String::from_utf8_lossy(&raw.rest().await).into_owned();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 4"), "{rest}");
}

#[tokio::test]
async fn a_reader_that_stalls_is_let_go() {
    let write_timeout = SHORT;
    let toy = Toy::start_with(
        Options {
            write_timeout,
            ..options()
        },
        auth(),
    )
    .await;
    let raw = toy.raw().await;
    let one = request("GET /api/things", b"");
    let all: Vec<u8> = std::iter::repeat_n(one, 400).flatten().collect();
    // Answers pile up unread until the server's side is full and it gives up.
    let gave_up = async {
        let mut raw = raw;
        while raw.stream.write_all(&all).await.is_ok() {}
    };
    tokio::time::timeout(DEADLINE, gave_up)
        .await
        .expect("the server hung up");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_their_turn() {
    let toy = Toy::start_with(
        Options {
            max_connections: 2,
            ..options()
        },
        auth(),
    )
    .await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut raw = toy.raw().await;
        raw.send(&request("GET /api/things", b"")).await;
        assert_eq!(raw.answer().await.status, 200);
        held.push(raw);
    }
    let mut third = toy.raw().await;
    third.send(&request("GET /api/things", b"")).await;
    let answered = tokio::time::timeout(SHORT, third.stream.readable()).await;
    assert!(answered.is_err(), "not served yet");
    held.pop();
    assert_eq!(third.answer().await.status, 200);
}
