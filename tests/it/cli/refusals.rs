//! Exit statuses, and messages that say what to do.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::json;

use super::{NOWHERE, ask, command, run};
use crate::pg::TestDb;
use crate::runtime::process::{Scratch, bloom};
use crate::runtime::{KEY, Runtime, eventually};

/// An id of no task.
const NOBODY: &str = "01900000-0000-7000-8000-000000000000";

/// Every command that asks the service, with arguments that would do.
const ASKING: &[&[&str]] = &[
    &["task", "submit", "x"],
    &["task", "submit", "--file", "-"],
    &["task", "list"],
    &["task", "show", NOBODY],
    &["task", "watch", NOBODY],
    &["task", "logs", NOBODY],
    &["task", "result", NOBODY],
    &["task", "explain", NOBODY],
    &["task", "cancel", NOBODY],
    &["task", "requeue", NOBODY],
    &["task", "priority", NOBODY, "1"],
    &["worker", "list"],
    &["worker", "drain", "w"],
    &["worker", "resume", "w"],
    &["worker", "remove", "w"],
    &["queue", "list"],
    &["queue", "pause", "q"],
    &["queue", "resume", "q"],
    &["audit", "tail"],
    &["audit", "verify"],
    &["stats"],
];

/// Those for which a service that is away may come back; the others give up at once.
fn waits(args: &[&str]) -> bool {
    args.starts_with(&["task", "watch"])
}

#[tokio::test]
async fn a_wrong_key_is_5_and_the_message_says_where_keys_come_from() {
    let runtime = Runtime::start().await;
    for args in ASKING {
        for key in [Some("wrong"), None] {
            let answer = run(command(&runtime.api.base, key, args), "\"x\"\n")
                .await
                .ends(5);
            assert!(answer.out.is_empty(), "{args:?}: {answer:?}");
            let told =
                answer.err.contains("BLOOM_API_KEY") && answer.err.contains("--api-key-file");
            assert!(told, "{args:?}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_key_without_the_right_is_5() {
    let runtime = Runtime::start().await;
    let made = run(
        key_command(
            runtime.db(),
            &["create", "--name", "r", "--scope", "reader"],
        ),
        "",
    );
    let key = made.await.ends(0).out.trim().to_owned();
    let as_reader =
        async |args: &[&str]| run(command(&runtime.api.base, Some(&key), args), "").await;
    as_reader(&["task", "list"]).await.ends(0);
    for args in [
        &["task", "submit", "x"][..],
        &["queue", "pause", "q"],
        &["worker", "drain", "w"],
    ] {
        let answer = as_reader(args).await.ends(5);
        assert!(answer.err.contains("lacks the right"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_6_and_the_message_says_what_to_try() {
    for args in ASKING.iter().filter(|args| !waits(args)) {
        let answer = run(command(NOWHERE, None, args), "\"x\"\n").await.ends(6);
        assert!(answer.out.is_empty(), "{args:?}: {answer:?}");
        let told = answer.err.contains(NOWHERE)
            && answer.err.contains("bloom serve")
            && answer.err.contains("BLOOM_SERVER");
        assert!(told, "{args:?}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_no_bloom_service_is_6() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(stream.read(&mut [0; 4096]));
            let page =
                b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\nconnection: close\r\n\r\n<html></html>";
            drop(stream.write_all(page));
        }
    });
    let answer = run(command(&base, None, &["stats"]), "").await.ends(6);
    assert!(
        answer.err.contains("the address of a BLOOM service"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_3_and_what_is_refused_is_4() {
    let runtime = Runtime::start().await;
    for args in ASKING {
        let named = args.contains(&NOBODY) || (args[0] == "worker" && args.len() > 2);
        if named {
            ask(&runtime, args).await.ends(3);
        }
    }
    let long = "x".repeat(600);
    let answer = ask(&runtime, &["task", "submit", "x", "--context", &long])
        .await
        .ends(4);
    assert!(answer.err.contains("context_id"), "{answer:?}");
    let key = ["task", "submit", "--idempotency-key", "k"];
    ask(&runtime, &[&key[..], &["one"]].concat()).await.ends(0);
    ask(&runtime, &[&key[..], &["another"]].concat())
        .await
        .ends(4);
}

#[tokio::test]
async fn wrong_usage_is_2_and_nothing_is_sent() {
    let runtime = Runtime::start().await;
    for args in [
        &["task"][..],
        &["task", "show"],
        &["task", "show", "../../etc"],
        &["task", "cancel", "x"],
        &["task", "submit"],
        &["task", "submit", "x", "--priority", "10"],
        &["task", "submit", "x", "--skip-malformed"],
        &["task", "list", "--limit", "0"],
        &["task", "priority", NOBODY, "10"],
        &["worker"],
        &[
            "worker",
            "--name",
            "n",
            "--exec",
            "cat",
            "--concurrency",
            "0",
        ],
        &["worker", "--name", "n", "list"],
        &["worker", "drain"],
        &["audit", "tail", "--entity-id", "x"],
        &["audit", "tail", "--limit", "0"],
        &["completions", "tcl"],
        &["stats", "--server", "ftp://x"],
        &["stats", "--server", "nowhere"],
        &["stats", "--api-key-file", "/no/such/file"],
        &["nonsense"],
    ] {
        let answer = ask(&runtime, args).await.ends(2);
        assert!(
            answer.out.is_empty() && !answer.err.is_empty(),
            "{args:?}: {answer:?}"
        );
    }
    assert_eq!(runtime.api.get("/llm-tasks").await.body, json!([]));
}

#[tokio::test]
async fn the_key_comes_from_a_file_or_a_variable_and_is_never_shown() {
    let runtime = Runtime::start().await;
    let scratch = Scratch::new();
    let file = scratch.path().join("key");
    std::fs::write(&file, format!("{KEY}\n")).unwrap();
    let args = ["stats", "--api-key-file", file.to_str().unwrap()];
    run(command(&runtime.api.base, Some("wrong"), &args), "")
        .await
        .ends(0);
    let mut other = command(&runtime.api.base, None, &["stats"]);
    other.env("RUNTIME_API_KEY", KEY);
    run(other, "").await.ends(0);
    let answer = run(command(NOWHERE, Some(KEY), &["stats"]), "")
        .await
        .ends(6);
    assert!(!answer.err.contains(KEY), "{answer:?}");
    let answer = run(command(NOWHERE, Some("two\nlines"), &["stats"]), "")
        .await
        .ends(2);
    assert!(!answer.err.contains("two\nlines"), "{answer:?}");
    let help = run(bloom_help(), "").await.ends(0);
    assert!(
        !help.out.contains("--api-key "),
        "no flag takes a key: {help:?}"
    );
}

fn bloom_help() -> std::process::Command {
    let mut command = bloom();
    command.args(["task", "--help"]);
    command
}

/// `bloom key ARGS` on a test's database.
fn key_command(db: &TestDb, args: &[&str]) -> std::process::Command {
    let mut command = bloom();
    command.arg("key").args(args).env("DATABASE_URL", db.url());
    command
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let runtime = Runtime::start().await;
    let db = runtime.db();
    let args = [
        "create",
        "--name",
        "shop",
        "--scope",
        "producer,reader",
        "--days",
        "3",
        "--json",
    ];
    let made = run(key_command(db, &args), "").await.ends(0).json();
    let key = made["key"].as_str().unwrap();
    run(command(&runtime.api.base, Some(key), &["stats"]), "")
        .await
        .ends(0);
    let list = run(key_command(db, &["list"]), "").await.ends(0);
    assert!(
        list.out.contains("shop") && !list.out.contains(key),
        "{list:?}"
    );
    eventually("its use is noted", async || {
        let list = run(key_command(db, &["list", "--json"]), "")
            .await
            .ends(0)
            .json();
        list[0]["last_used_at"].is_number().then_some(())
    })
    .await;
    let id = made["id"].as_str().unwrap();
    run(key_command(db, &["revoke", id]), "").await.ends(0);
    let list = run(key_command(db, &["list", "--json"]), "")
        .await
        .ends(0)
        .json();
    assert!(list[0]["revoked_at"].is_number(), "{list}");
    run(key_command(db, &["revoke", NOBODY]), "").await.ends(3);
    run(
        key_command(db, &["create", "--name", "x", "--scope", "king"]),
        "",
    )
    .await
    .ends(2);
    let long = "x".repeat(200);
    run(
        key_command(db, &["create", "--name", &long, "--scope", "reader"]),
        "",
    )
    .await
    .ends(4);
    let mut away = bloom();
    away.args([
        "key",
        "list",
        "--database-url",
        "postgres://x@127.0.0.1:9/x?connect_timeout=1",
    ]);
    run(away, "").await.ends(6);
}
