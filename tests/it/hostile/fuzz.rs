//! The fuzz targets (`fuzz/`) without a fuzzer: over the kept corpora, over all hostile input, and
//! over what a seeded generator makes of both.

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::path::PathBuf;

use super::corpus::{Kind, all};

/// How many variants of each input are tried.
const VARIANTS: usize = 200;
/// The largest input that is varied, in bytes.
const VARIED_MAX: usize = 4096;
/// What is put in where a variant grows.
const PIECES: [&[u8]; 24] = [
    b"\0",
    b"\n",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"/",
    b"..",
    b"%2e",
    b"%2f",
    b"%00",
    b"@",
    b"127.0.0.1",
    b"[::1]",
    b"http://",
    b"18446744073709551615",
    b"1e400",
    b"\xff",
];

/// The kept corpus of a target.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fuzz/corpus", target]
        .iter()
        .collect();
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

/// Another input, near this one.
fn varied(input: &[u8], others: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.usize(1..5) {
        let at = random.usize(0..=bytes.len());
        let end = (at + random.usize(0..8)).min(bytes.len());
        match random.u8(0..5) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..at, random.choice(PIECES).unwrap().iter().copied())),
            2 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
            3 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            _ => {
                let other = random.choice(others).unwrap();
                let from = random.usize(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes
}

/// Runs a target over its corpus, these kinds of hostile input behind each of `heads`, and variants.
fn run(target: &str, check: fn(&[u8]), kinds: &[Kind], heads: &[&[u8]]) {
    let mut inputs = kept(target);
    assert!(inputs.len() >= 10, "{target} has a corpus");
    for input in kinds.iter().copied().flat_map(all) {
        inputs.extend(heads.iter().map(|head| [head, &input.bytes[..]].concat()));
    }
    for input in &inputs {
        check(input);
    }
    inputs.retain(|input| input.len() <= VARIED_MAX);
    let mut random = fastrand::Rng::with_seed(6);
    for input in &inputs {
        for _ in 0..VARIANTS {
            check(&varied(input, &inputs, &mut random));
        }
    }
}

#[test]
fn what_is_read_as_a_task_can_be_stored_and_is_what_was_sent() {
    run(
        "json_task",
        targets::json_task,
        &[Kind::Json, Kind::Bytes, Kind::Text],
        &[b""],
    );
}

#[test]
fn a_route_is_reached_by_its_plain_spelling_only() {
    let heads: [&[u8]; 3] = [
        b"\0/api/runtime/llm-tasks/",
        b"\x01/api/runtime/queues/",
        b"\0/",
    ];
    run("router", targets::router, &[Kind::Path, Kind::Text], &heads);
}

#[test]
fn no_spelling_of_an_address_leads_inside() {
    let heads: [&[u8]; 2] = [b"", b"http://"];
    run(
        "url_guard",
        targets::url_guard,
        &[Kind::Text, Kind::Path],
        &heads,
    );
}

#[test]
fn a_stream_is_read_the_same_however_it_is_cut() {
    let heads: [&[u8]; 2] = [b"\x03", b"\x06{\"type\":\"result\"}\n"];
    let kinds = [Kind::Stream, Kind::Result, Kind::Bytes];
    run("stream_json", targets::stream_json, &kinds, &heads);
}
