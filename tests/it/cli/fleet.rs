//! Workers, queues and statistics.

use serde_json::json;

use super::{ask, command};
use crate::runtime::process::Scratch;
use crate::runtime::{KEY, Runtime, task};

#[tokio::test]
async fn workers_are_listed_drained_resumed_and_removed() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("mine/1", 4).await;
    let id = api.submit(task("c")).await;
    api.lease(&id).await;
    let list = ask(&runtime, &["worker", "list"]).await.ends(0);
    assert!(
        list.out.contains("mine/1") && list.out.contains("1/4"),
        "{list:?}"
    );
    let drained = ask(&runtime, &["worker", "drain", "mine/1"]).await.ends(0);
    assert_eq!(drained.out, "mine/1 takes no new tasks\n");
    let list = ask(&runtime, &["worker", "list"]).await.ends(0);
    assert!(list.out.contains("draining"), "{list:?}");
    let resumed = ask(&runtime, &["worker", "resume", "mine/1", "--json"])
        .await
        .ends(0);
    assert_eq!(resumed.lines()[0]["draining"], false);
    ask(&runtime, &["worker", "remove", "mine/1"]).await.ends(0);
    assert_eq!(api.task(&id).await["status"], "queued");
    let list = ask(&runtime, &["worker", "list", "--json"]).await.ends(0);
    assert_eq!(list.json(), json!([]));
    ask(&runtime, &["worker", "drain", "mine/1"]).await.ends(3);
}

#[tokio::test]
async fn queues_are_listed_paused_and_resumed() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 4).await;
    api.submit(json!({ "context_id": "c", "agent_slug": "a", "prompt": "p", "queue": "my q" }))
        .await;
    let paused = ask(&runtime, &["queue", "pause", "my q"]).await.ends(0);
    assert_eq!(paused.out, "my q is paused\n");
    assert!(api.pull("w", 0).await.leases().is_empty());
    let list = ask(&runtime, &["queue", "list"]).await.ends(0);
    assert!(
        list.out.contains("my q") && list.out.contains("paused"),
        "{list:?}"
    );
    let resumed = ask(&runtime, &["queue", "resume", "my q", "--json"])
        .await
        .ends(0)
        .json();
    assert_eq!(
        (&resumed["name"], &resumed["paused"]),
        (&json!("my q"), &json!(false))
    );
    assert_eq!(api.pull("w", 0).await.leases().len(), 1);
    let list = ask(&runtime, &["queue", "list", "--json"])
        .await
        .ends(0)
        .json();
    assert!(
        list.as_array()
            .unwrap()
            .iter()
            .any(|queue| queue["name"] == "my q"),
        "{list}"
    );
}

#[tokio::test]
async fn statistics_are_a_table_or_json() {
    let runtime = Runtime::start().await;
    runtime.api.register("w", 4).await;
    runtime.api.submit(task("c")).await;
    let table = ask(&runtime, &["stats"]).await.ends(0);
    for part in ["tasks", "queued", "1 of 1", "default"] {
        assert!(table.out.contains(part), "{part}: {table:?}");
    }
    let stats = ask(&runtime, &["stats", "--json"]).await.ends(0).json();
    assert_eq!(
        stats["tasks"],
        json!({ "total": 1, "by_status": { "queued": 1 } })
    );
    assert_eq!(stats["workers"], json!({ "total": 1, "online": 1 }));
    assert_eq!(stats["queues"][0]["name"], "default");
}

#[tokio::test]
async fn a_worker_runs_with_and_without_the_word_run() {
    let runtime = Runtime::start().await;
    let scratch = Scratch::new();
    let dir = scratch.path().to_str().unwrap();
    for (name, words) in [("plain", &["worker"][..]), ("run", &["worker", "run"])] {
        let args = [
            words,
            &["--name", name, "--exec", "tr a-z A-Z", "--work-dir", dir],
        ]
        .concat();
        let mut worker = command(&runtime.api.base, Some(KEY), &args)
            .spawn()
            .unwrap();
        let id = runtime.api.submit(task(name)).await;
        let done = runtime.api.until_status(&id, "completed").await;
        assert_eq!(done["worker_id"], name);
        let pid = rustix::process::Pid::from_child(&worker);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let ended = tokio::task::spawn_blocking(move || worker.wait());
        assert!(ended.await.unwrap().unwrap().success());
        // It said goodbye.
        let gone = runtime.api.get(&format!("/workers/{name}")).await;
        assert_eq!(gone.body["status"], "offline");
    }
}

#[tokio::test]
async fn a_worker_whose_program_is_not_there_does_not_start() {
    let runtime = Runtime::start().await;
    for program in ["/no/such/program", "no-such-program --flag"] {
        let args = ["worker", "--name", "w", "--exec", program];
        let out = command(&runtime.api.base, Some(KEY), &args)
            .output()
            .unwrap();
        assert!(!out.status.success());
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(said.contains("there is no program"), "{said}");
    }
    assert_eq!(runtime.api.get("/workers").await.body, json!([]));
}
