//! Secrets stay where they belong: not in the log, however much it says, nor in any answer, nor in
//! clear in the database.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::Method;
use serde_json::json;
use tokio_postgres::Client;

use crate::fake_agent::{FakeAgent, Manner};
use crate::fake_membridge::{ADMIN_KEY, Answer, FakeMembridge, Seen};
use crate::pg::TestDb;
use crate::runtime::process::{Process, Scratch, bloom, run};
use crate::runtime::{Api, KEY, Reply, eventually, task};
use crate::sql_kit::one;

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

/// Every command line of this machine from here on, as `ps` shows them to everybody.
struct CommandLines {
    over: Arc<AtomicBool>,
    watcher: JoinHandle<BTreeSet<String>>,
}

impl CommandLines {
    fn watch() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let watcher = std::thread::spawn({
            let over = Arc::clone(&over);
            move || {
                let mut seen = BTreeSet::new();
                while !over.load(Ordering::SeqCst) {
                    seen.extend(command_lines());
                    std::thread::sleep(Duration::from_millis(20));
                }
                seen
            }
        });
        Self { over, watcher }
    }

    fn end(self) -> String {
        self.over.store(true, Ordering::SeqCst);
        let seen = self.watcher.join().unwrap();
        seen.into_iter().collect::<Vec<_>>().join("\n")
    }
}

fn command_lines() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    // One that has ended meanwhile has none.
    let lines = processes.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The private PostgreSQL of a service: how to get at it, and what it wrote.
struct Private {
    data: PathBuf,
    password: String,
    port: String,
    sockets: String,
}

impl Private {
    fn of(data: PathBuf) -> Self {
        let read = |name: &str| std::fs::read_to_string(data.join(name)).unwrap();
        let (pass, about) = (read("pgpass"), read("postgres/data/postmaster.pid"));
        let password = pass.trim().rsplit(':').next().unwrap().to_owned();
        assert!(password.len() >= 32, "random and long");
        let line = |number: usize| about.lines().nth(number).unwrap().trim().to_owned();
        let (port, sockets) = (line(3), line(4));
        Self {
            data,
            password,
            port,
            sockets,
        }
    }

    async fn connect(&self) -> Client {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(&self.sockets)
            .user("bloom")
            .dbname("bloom");
        config.port(self.port.parse().unwrap());
        config.password(&self.password);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// All that it logged.
    fn log(&self) -> String {
        let logs = std::fs::read_dir(self.data.join("postgres/log")).unwrap();
        let files = logs.flatten().map(|file| file.path());
        let files = files.chain([self.data.join("startup.log")]);
        // Whether there is one of the start depends on what it said.
        let texts = files.map(|file| std::fs::read_to_string(file).unwrap_or_default());
        texts.collect()
    }

    async fn dump(&self) -> String {
        let dump = tokio::process::Command::new("pg_dump")
            .args(["--inserts", "--username=bloom", "--dbname=bloom"])
            .args(["--host", &self.sockets, "--port", &self.port])
            .env("PGPASSFILE", self.data.join("pgpass"))
            .output()
            .await
            .unwrap();
        assert!(dump.status.success(), "{dump:?}");
        String::from_utf8_lossy(&dump.stdout).into_owned()
    }
}

/// Asks again while the private PostgreSQL has no time for it, as clients do.
async fn patiently(ask: impl AsyncFn() -> Reply) -> Reply {
    eventually("the database has time", async || {
        Some(ask().await).filter(|reply| reply.status != 503)
    })
    .await
}

/// Uses a stored key in every way in which a client may, rightly and wrongly; the answers.
async fn use_key(api: &Api, key: &str) -> String {
    let mut answers = String::new();
    let anonymous = api.with_key(None);
    let wrong = api.with_key(Some(&format!("{key}0")));
    let known = api.with_key(Some(key));
    for (api, header, path, status) in [
        (&known, String::new(), "/stats".to_owned(), 200),
        (&known, String::new(), "/config".to_owned(), 403),
        (&known, String::new(), format!("/stats?key={key}"), 200),
        (
            &anonymous,
            format!("Bearer {key}"),
            "/stats".to_owned(),
            200,
        ),
        (&anonymous, format!("Basic {key}"), "/stats".to_owned(), 401),
        (
            &anonymous,
            String::new(),
            format!("/stats?api_key={key}"),
            401,
        ),
        (&wrong, String::new(), "/stats".to_owned(), 401),
    ] {
        let reply = patiently(async || {
            let request = api.request(Method::GET, &path);
            let request = match header.as_str() {
                "" => request,
                header => request.header("authorization", header),
            };
            api.send(request).await
        })
        .await;
        assert_eq!(reply.status, status, "{path} {reply:?}");
        write!(answers, "{reply:?}").unwrap();
    }
    answers
}

/// Makes a webhook that cannot be reached and waits until that is known: its secret, and what was
/// answered afterwards.
async fn fail_a_webhook(api: &Api) -> (String, String) {
    let hook = json!({ "name": "h", "url": "http://127.0.0.1:9/", "backoff_ms": 100 });
    let made = patiently(async || api.post("/webhooks", hook.clone()).await).await;
    assert_eq!(made.status, 201, "{made:?}");
    let secret = made.body["secret"].as_str().expect("shown once").to_owned();
    let submitted = patiently(async || api.post("/llm-tasks", task("c")).await).await;
    assert_eq!(submitted.status, 201, "{submitted:?}");
    let path = format!("/webhooks/{}", made.id());
    let mut answers = eventually("a delivery fails", async || {
        let reply = api.get(&format!("{path}/deliveries")).await;
        let has_failed = reply.body[0]["error"].is_string();
        has_failed.then_some(reply.text)
    })
    .await;
    for path in [path.as_str(), "/webhooks", "/audit", "/config"] {
        answers.push_str(&patiently(async || api.get(path).await).await.text);
    }
    (secret, answers)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_metrics_statements_command_lines_logs_or_a_dump() {
    let lines = CommandLines::watch();
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let at = data.to_str().unwrap().to_owned();
    let mut command = bloom();
    command.env("BLOOM_LOG", "trace");
    let arguments = ["--data-dir", &at, "--outbound-allow", "127.0.0.0/8"];
    let process = Process::start_by(command, &scratch, &arguments, Some(KEY));
    let made = run(&[
        "key",
        "create",
        "--name",
        "k",
        "--scope",
        "reader",
        "--json",
        "--data-dir",
        &at,
    ]);
    assert!(made.status.success(), "{made:?}");
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let key = made["key"].as_str().unwrap().to_owned();
    let private = Private::of(data);
    let client = private.connect().await;
    let activity = "select string_agg(query, ' ') from pg_stat_activity";

    let mut answers = use_key(&process.api, &key).await;
    let (secret, more) = fail_a_webhook(&process.api).await;
    answers.push_str(&more);
    let mut statements = String::new();
    for _ in 0..10 {
        answers.push_str(&use_key(&process.api, &key).await);
        statements.push_str(&one(&client, activity).await);
    }
    let metrics = patiently(async || process.api.get("//metrics").await)
        .await
        .text;
    let dump = private.dump().await;
    let lines = lines.end();
    let kek = std::fs::read_to_string(private.data.join("kek")).unwrap();

    let digest = hex(&bloom_runtime::http::auth::hash_key(key.as_bytes())[..]);
    assert!(dump.contains(&digest), "a key is stored as its digest");
    assert!(statements.contains("bloom.key_find"), "{statements}");
    assert!(
        lines.contains("postgres -D") || lines.contains("postgres: "),
        "{lines}"
    );
    assert!(lines.contains(&format!("serve --listen 127.0.0.1:0 --data-dir {at}")));
    assert!(metrics.contains("bloom_"), "{metrics}");
    let stored = "select rolpassword from pg_authid where rolname = 'bloom'";
    let stored = one(&client, stored).await;
    assert!(stored.starts_with("SCRAM-SHA-256$"), "{stored}");
    let (_, digits) = secret.split_once('_').expect("whsec_ and digits");
    let log = process.log() + &private.log();
    for secret in [&key, &private.password, digits, kek.trim()] {
        // As text, and as a dump shows bytes.
        for secret in [secret.to_owned(), hex(secret.as_bytes())] {
            for (place, text) in [
                ("log", &log),
                ("answers", &answers),
                ("metrics", &metrics),
                ("statements", &statements),
                ("command lines", &lines),
                ("dump", &dump),
            ] {
                let found = text.lines().find(|line| line.contains(&secret));
                assert!(found.is_none(), "{secret} is in the {place}: {found:?}");
            }
        }
    }
}
