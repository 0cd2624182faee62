//! Requests that are none, each on a connection of its own.

use std::net::SocketAddr;

use futures_util::stream::{self, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::corpus::{Kind, all};
use super::scene::Scene;
use crate::http_toy::Raw;
use crate::runtime::{DEADLINE, KEY};

/// Everything that comes back for these bytes until the server closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut raw = Raw::connect(address).await;
    raw.try_send(bytes).await;
    // The server may have hung up already.
    let _closed = raw.stream.shutdown().await;
    String::from_utf8_lossy(&raw.rest().await).into_owned()
}

fn bad(answers: &str) -> bool {
    let statuses = answers
        .split("HTTP/1.1 ")
        .skip(1)
        .filter_map(|rest| rest.get(..3));
    let mut statuses = statuses.map(|status| status.parse().unwrap_or(999));
    let is_http = answers.is_empty() || answers.starts_with("HTTP/1.1 ");
    !is_http || statuses.any(|status: u16| status >= 500)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_refused_or_closed_and_harms_nobody() {
    let scene = Scene::start().await;
    let address = scene.address();
    let whole = all(Kind::Wire).into_iter().map(|input| {
        let text: String = input.bytes.iter().map(|byte| char::from(*byte)).collect();
        let text = text.replace("{KEY}", KEY);
        let bytes = text
            .chars()
            .map(|c| u8::try_from(c).unwrap())
            .collect::<Vec<_>>();
        (input.name, bytes)
    });
    // Every input as it is within a target, a method and a header.
    let kinds = [Kind::Text, Kind::Bytes, Kind::Path];
    let inputs = kinds
        .into_iter()
        .flat_map(all)
        .filter(|input| input.bytes.len() < 3000);
    let within = inputs.enumerate().map(|(number, input)| {
        let (before, after): (&[u8], &[u8]) = match number % 3 {
            0 => (
                b"GET /api/runtime/workers/",
                b" HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            1 => (b"", b" /api/runtime/stats HTTP/1.1\r\nHost: a\r\n\r\n"),
            _ => (b"GET /api/runtime/stats HTTP/1.1\r\nHost: ", b"\r\n\r\n"),
        };
        (input.name, [before, &input.bytes, after].concat())
    });
    let cases: Vec<_> = whole.chain(within).collect();
    assert!(cases.len() > 350, "{}", cases.len());
    let mut answers =
        stream::iter(cases)
            .map(|(name, bytes)| async move {
                (name, timeout(DEADLINE, exchange(address, &bytes)).await)
            })
            .buffer_unordered(8);
    let mut wrong = Vec::new();
    while let Some((name, answer)) = answers.next().await {
        match answer {
            Ok(answer) if !bad(&answer) => {}
            other => wrong.push(format!("{name}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    scene.assert_sound().await;
}
