//! `bloom task submit --file`.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Answer, ask, ask_with, command};
use crate::runtime::process::Scratch;
use crate::runtime::{KEY, Runtime};

/// More lines than one request carries, and than a pipe holds ids of.
const MANY: usize = 6000;

fn write(scratch: &Scratch, text: &str) -> PathBuf {
    let file = scratch.path().join("prompts.jsonl");
    std::fs::write(&file, text).unwrap();
    file
}

fn numbered(lines: usize) -> String {
    (0..lines).fold(String::new(), |mut text, n| {
        writeln!(text, "{}", json!({ "prompt": format!("number {n}") })).unwrap();
        text
    })
}

async fn submit(runtime: &Runtime, file: &Path, more: &[&str]) -> Answer {
    let args = [
        &["task", "submit", "--file", file.to_str().unwrap()][..],
        more,
    ]
    .concat();
    ask(runtime, &args).await
}

/// How many tasks there are.
async fn stored(runtime: &Runtime) -> usize {
    let client = runtime.db().connect().await;
    let sql = "select count(*) from bloom_private.task";
    let row = client.query_one(sql, &[]).await.unwrap();
    usize::try_from(row.get::<_, i64>(0)).unwrap()
}

#[tokio::test]
async fn each_line_becomes_a_task_with_what_it_leaves_out_from_the_options() {
    let runtime = Runtime::start().await;
    let scratch = Scratch::new();
    let text =
        "\"one\"\n\n{\"prompt\": \"two\", \"context_id\": \"own\", \"priority\": 1}\r\n\"one\"";
    let file = write(&scratch, text);
    let answer = submit(&runtime, &file, &["--context", "c", "--priority", "7"])
        .await
        .ends(0);
    let ids: Vec<_> = answer.out.lines().collect();
    assert_eq!(ids.len(), 3, "two equal lines are two tasks: {answer:?}");
    assert_eq!(answer.err, "3 submitted\n");
    let expected = [("one", "c", 7), ("two", "own", 1), ("one", "c", 7)];
    for (id, (prompt, context, priority)) in ids.iter().zip(expected) {
        let task = runtime.api.task(id).await;
        assert_eq!(task["prompt"], prompt, "in the order of the lines");
        assert_eq!(
            (&task["context_id"], &task["priority"]),
            (&json!(context), &json!(priority))
        );
    }
    let more = ["--context", "c", "--priority", "7", "--json"];
    let again = submit(&runtime, &file, &more).await.ends(0).lines();
    let lines: Vec<_> = again
        .iter()
        .map(|one| (&one["line"], &one["created"]))
        .collect();
    assert_eq!(
        lines,
        [
            (&json!(1), &json!(false)),
            (&json!(3), &json!(false)),
            (&json!(4), &json!(false))
        ]
    );
    assert_eq!(again[0]["id"], ids[0]);
}

#[tokio::test]
async fn a_submission_that_was_cut_off_goes_on_where_it_was_and_doubles_nothing() {
    let runtime = Runtime::start().await;
    let scratch = Scratch::new();
    let file = write(&scratch, &numbered(MANY));
    let args = ["task", "submit", "--file", file.to_str().unwrap()];
    let mut cut = command(&runtime.api.base, Some(KEY), &args);
    // Nobody reads on, so it stands still when the pipe is full, long before its end.
    let mut child = cut
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let first = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        (line, out)
    });
    let (line, out) = first.await.unwrap();
    assert_eq!(line.trim().len(), 36, "{line}");
    child.kill().unwrap();
    child.wait().unwrap();
    drop(out);
    let before = stored(&runtime).await;
    assert!((500..MANY).contains(&before), "{before} of {MANY}");
    let answer = submit(&runtime, &file, &[]).await.ends(0);
    assert_eq!(answer.out.lines().count(), MANY);
    assert_eq!(stored(&runtime).await, MANY);
    let ids: std::collections::BTreeSet<_> = answer.out.lines().collect();
    assert_eq!(ids.len(), MANY);
    assert!(ids.contains(line.trim()));
    // Lines that are added later, anywhere, are the only ones that are new.
    let text = format!("\"before all\"\n{}\"after all\"\n", numbered(MANY));
    let file = write(&scratch, &text);
    let answer = submit(&runtime, &file, &[]).await.ends(0);
    assert_eq!(
        answer.err,
        format!("2 submitted, {MANY} were there already\n")
    );
    assert_eq!(stored(&runtime).await, MANY + 2);
    // A key of one's own makes a new round.
    let file = write(&scratch, &numbered(3));
    for round in ["a", "b", "b"] {
        submit(&runtime, &file, &["--idempotency-key", round])
            .await
            .ends(0);
    }
    assert_eq!(stored(&runtime).await, MANY + 2 + 6);
}

#[tokio::test]
async fn ctrl_c_says_what_is_left_and_that_it_can_be_run_again() {
    let scratch = Scratch::new();
    let file = write(&scratch, &numbered(3));
    // Takes requests and answers none.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let args = ["task", "submit", "--file", file.to_str().unwrap()];
    let child = command(&base, None, &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ended = tokio::task::spawn_blocking(move || {
        let taken = listener.accept().unwrap();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(taken);
        output
    });
    let output = ended.await.unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("3 of 3 lines are left. Run the same command again"),
        "{told}"
    );
}

#[tokio::test]
async fn a_malformed_line_is_named_and_nothing_is_submitted_unless_it_is_to_be_skipped() {
    let runtime = Runtime::start().await;
    let scratch = Scratch::new();
    let file = write(
        &scratch,
        "\"good\"\n{\"prompt\": \n[1]\n\"good too\"\n\u{1}\n",
    );
    let answer = submit(&runtime, &file, &[]).await.ends(2);
    for part in [
        "line 2: not JSON",
        "line 3: neither",
        "line 5: not JSON",
        "--skip-malformed",
    ] {
        assert!(answer.err.contains(part), "{part}: {answer:?}");
    }
    assert!(answer.out.is_empty());
    assert_eq!(stored(&runtime).await, 0);
    let answer = submit(&runtime, &file, &["--skip-malformed"]).await.ends(2);
    assert_eq!(answer.out.lines().count(), 2);
    assert!(answer.err.contains("line 2: not JSON"), "{answer:?}");
    assert_eq!(stored(&runtime).await, 2);
}

#[tokio::test]
async fn a_line_that_the_service_refuses_is_named_and_the_others_are_submitted() {
    let runtime = Runtime::start().await;
    let scratch = Scratch::new();
    let file = write(
        &scratch,
        "{\"prompt\": \"good\"}\n{\"prompt\": 3}\n{\"prompt\": \"x\", \"priority\": 10}\n\"last\"\n",
    );
    let answer = submit(&runtime, &file, &[]).await.ends(4);
    assert!(
        answer.err.contains("line 2: prompt: Expected string"),
        "{answer:?}"
    );
    assert!(answer.err.contains("line 3: priority:"), "{answer:?}");
    assert!(answer.err.contains("2 submitted, 2 refused"), "{answer:?}");
    assert_eq!(stored(&runtime).await, 2);
    let lines = submit(&runtime, &file, &["--json"]).await.ends(4).lines();
    assert_eq!(lines.len(), 4);
    let has = |n: usize, name: &str| !lines[n][name].is_null();
    assert!(
        has(0, "id") && has(1, "error") && has(2, "error") && has(3, "id"),
        "{lines:?}"
    );
    // Mended lines are the only new ones.
    let file = write(
        &scratch,
        "{\"prompt\": \"good\"}\n{\"prompt\": \"3\"}\n\"last\"\n",
    );
    submit(&runtime, &file, &[]).await.ends(0);
    assert_eq!(stored(&runtime).await, 3);
}

#[tokio::test]
async fn lines_come_from_stdin_and_from_what_can_be_read_only_once() {
    let runtime = Runtime::start().await;
    let answer = ask_with(
        &runtime,
        &["task", "submit", "--file", "-"],
        "\"a\"\n\"b\"\n",
    )
    .await
    .ends(0);
    assert_eq!(answer.out.lines().count(), 2);
    let mut shell = std::process::Command::new("bash");
    let program = env!("CARGO_BIN_EXE_bloom");
    shell.args([
        "-c",
        &format!("{program} task submit --file <(echo '\"c\"')"),
    ]);
    shell
        .env("BLOOM_SERVER", &runtime.api.base)
        .env("BLOOM_API_KEY", KEY);
    super::run(shell, "").await.ends(0);
    assert_eq!(stored(&runtime).await, 3);
    let empty = ask_with(&runtime, &["task", "submit", "--file", "-"], "\n")
        .await
        .ends(0);
    assert_eq!(empty.err, "0 submitted\n");
}

#[tokio::test]
async fn what_would_not_be_the_same_again_is_refused() {
    let runtime = Runtime::start().await;
    let scratch = Scratch::new();
    let file = write(&scratch, "\"x\"\n");
    let answer = submit(&runtime, &file, &["--run-at", "+1h"]).await.ends(2);
    assert!(answer.err.contains("epoch milliseconds"), "{answer:?}");
    let later = "4000000000000";
    let refused = submit(&runtime, &file, &["--run-at", later]).await.ends(4);
    assert!(
        refused.err.contains("run_at"),
        "ten years are the most: {refused:?}"
    );
    submit(&runtime, Path::new("/no/such/file"), &[])
        .await
        .ends(2);
    let one: Value = ask(
        &runtime,
        &["task", "submit", "x", "--run-at", "+1h", "--json"],
    )
    .await
    .ends(0)
    .json();
    assert!(one["run_at"].is_number(), "{one}");
}

#[tokio::test]
async fn lines_too_large_for_one_request_go_in_several() {
    let runtime = Runtime::start_with(|options| {
        options.server.large_body_bytes = 300_000;
    })
    .await;
    let scratch = Scratch::new();
    let long = "x".repeat(70_000);
    let mut text = String::new();
    for n in 0..12 {
        writeln!(text, "\"{n} {long}\"").unwrap();
    }
    writeln!(text, "\"too long {}\"", "x".repeat(400_000)).unwrap();
    let file = write(&scratch, &text);
    let answer = submit(&runtime, &file, &[]).await.ends(4);
    assert_eq!(answer.out.lines().count(), 12, "{}", answer.err);
    assert!(answer.err.contains("line 13:"), "{}", answer.err);
    assert_eq!(stored(&runtime).await, 12);
}
