//! Secrets stay where they belong: not in the log, however much it says, nor in any answer, nor in
//! clear in the database.

use serde_json::json;

use crate::fake_agent::{FakeAgent, Manner};
use crate::fake_membridge::{ADMIN_KEY, Answer, FakeMembridge, Seen};
use crate::pg::TestDb;
use crate::runtime::process::{Process, Scratch, bloom};
use crate::runtime::{Api, KEY, eventually, task};

const AGENT_KEY: &str = "agent-canary-51c2d0aa";
const WRONG_KEY: &str = "wrong-key-canary-90ab";
const KEK: &str = "c0ffee00c0ffee11c0ffee22c0ffee33c0ffee44c0ffee55c0ffee66c0ffee77";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log_or_in_an_answer_or_in_the_database() {
    let db = TestDb::new().await;
    let scratch = Scratch::new();
    let write = |name: &str, text: &str| {
        let path = scratch.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, mode).unwrap();
        path.display().to_string()
    };
    let (kek, agent_key) = (write("kek", KEK), write("agent", AGENT_KEY));
    let membridge = FakeMembridge::start().await;
    let agent = FakeAgent::start("http://127.0.0.1:1", Manner::Mute).await;
    let mut command = bloom();
    command
        .env("DATABASE_URL", db.url())
        .env("BLOOM_AGENT_KEYS", format!("{}={agent_key}", agent.url))
        .env("BLOOM_LOG", "trace");
    let arguments = [
        "--outbound-allow",
        "127.0.0.0/8",
        "--kek-file",
        &kek,
        "--sync-interval-ms",
        "100",
    ];
    let process = Process::start_by(command, &scratch, &arguments, Some(KEY));
    let api = &process.api;
    let mut answers = String::new();
    let mut keep = |text: String| answers.push_str(&text);
    let wrong = api.with_key(Some(WRONG_KEY));
    keep(wrong.get("/llm-tasks").await.text);
    let config = json!({ "membridge_server_url": membridge.url, "admin_key": ADMIN_KEY });
    keep(api.post("/config", config).await.text);
    keep(api.post_empty("/test-connection").await.text);
    // An error of Membridge that repeats what it was sent.
    let echo = json!({ "detail": format!("bad key {ADMIN_KEY}") });
    membridge.answer("/projects", Answer::Json(500, echo));
    for path in ["/config", "/health", "/audit", "/workers"] {
        keep(api.get(path).await.text);
    }
    let node = json!({
        "name": "n", "url": agent.url, "status": "online",
        "capabilities": { "claude_cli": true, "max_concurrency": 1, "labels": [] },
    });
    keep(api.post("/workers", node).await.text);
    let id = api.submit(task("c")).await;
    keep(
        api.post_empty(&format!("/llm-tasks/{id}/dispatch"))
            .await
            .text,
    );
    keep(api.get("/workers/n/agent-health").await.text);
    assert_eq!(api.task(&id).await["status"], "completed");
    assert!(
        agent.seen.lock().unwrap()[0].0.contains(AGENT_KEY),
        "the agent got its key"
    );
    eventually("Membridge gets its key", async || {
        membridge.seen().iter().any(Seen::has_key).then_some(())
    })
    .await;
    let admin = write("admin", ADMIN_KEY);
    let (result, said) = work(api, &membridge.url, &admin, &scratch).await;
    keep(result);
    keep(said);
    let dump = tokio::process::Command::new("pg_dump")
        .args(["--data-only", "--inserts", "--dbname", &db.url()])
        .output()
        .await
        .unwrap();
    assert!(dump.status.success(), "{dump:?}");
    let dump = String::from_utf8_lossy(&dump.stdout).into_owned();
    assert!(dump.contains("do it"), "the dump holds the tasks");
    let log = process.log();
    assert!(log.contains("dispatching"), "the log says much: {log}");
    for secret in [KEY, ADMIN_KEY, AGENT_KEY, WRONG_KEY, KEK] {
        for (place, text) in [("log", &log), ("answers", &answers), ("database", &dump)] {
            let found = text.lines().find(|line| line.contains(secret));
            assert!(found.is_none(), "{secret} is in the {place}: {found:?}");
        }
    }
}

/// Has a worker run a task whose program shows its environment: the result, and what the worker
/// logged.
async fn work(api: &Api, membridge: &str, admin: &str, scratch: &Scratch) -> (String, String) {
    let said = scratch.path().join("worker.log");
    let mut worker = bloom();
    worker
        .args([
            "worker", "--name", "w", "--exec", "env", "--server", &api.base,
        ])
        .args([
            "--membridge",
            membridge,
            "--membridge-admin-key-file",
            admin,
        ])
        .args(["--advertise-url", "http://127.0.0.1:1"])
        .args(["--work-dir", scratch.path().to_str().unwrap()])
        .env("BLOOM_API_KEY", KEY)
        .env("BLOOM_LOG", "trace")
        .stderr(std::fs::File::create(&said).unwrap());
    let mut worker = worker.spawn().unwrap();
    let id = api.submit(task("d")).await;
    api.until_status(&id, "completed").await;
    let result = api.get(&format!("/llm-tasks/{id}/result")).await.text;
    let pid = rustix::process::Pid::from_child(&worker);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(worker.wait().unwrap().success());
    (result, std::fs::read_to_string(&said).unwrap())
}
