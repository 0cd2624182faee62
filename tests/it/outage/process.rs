//! The real program, killed and stopped at any moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::Method;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::metrics::until;
use crate::pg::TestDb;
use crate::runtime::process::{Process, Scratch, bloom};
use crate::runtime::{Api, DEADLINE, KEY, Reply, eventually, task};

/// One step of the life of a task, as a request that can be repeated word for word.
struct Step {
    method: Method,
    path: String,
    body: Value,
}

impl Step {
    fn post(path: &str, body: Value) -> Self {
        let (method, path) = (Method::POST, path.to_owned());
        Self { method, path, body }
    }

    async fn send(&self, api: &Api) -> reqwest::Result<Reply> {
        let request = api
            .request(self.method.clone(), &self.path)
            .json(&self.body);
        api.try_send(request).await
    }
}

/// Sends a step until it is answered, starting the service anew whenever it is dead.
struct Killed<'a> {
    scratch: &'a Scratch,
    arguments: Vec<String>,
    process: Process,
}

impl<'a> Killed<'a> {
    fn start(scratch: &'a Scratch, arguments: &[&str]) -> Self {
        Self {
            scratch,
            arguments: arguments
                .iter()
                .map(|argument| (*argument).to_owned())
                .collect(),
            process: Process::serve(scratch, arguments),
        }
    }

    fn restart(&mut self) {
        self.process.kill();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.process = Process::serve(self.scratch, &arguments);
    }

    /// The step's answer, which is the same before and after a kill -9; and after another one in
    /// the middle of a repetition, `delay` after it was sent.
    async fn survives(&mut self, step: &Step, delay: Duration) -> Value {
        let api = self.process.api.clone();
        let first = tokio::spawn({
            let step = Step::post(&step.path, step.body.clone());
            async move { step.send(&api).await }
        });
        sleep(delay).await;
        self.restart();
        // It may have been answered, or cut off before or after its commit.
        let first = first.await.unwrap().ok().map(|reply| checked(&reply));
        let second = checked(&step.send(&self.process.api).await.unwrap());
        self.restart();
        let third = checked(&step.send(&self.process.api).await.unwrap());
        if let Some(first) = first {
            assert_eq!(first, second, "{}", step.path);
        }
        assert_eq!(second, third, "{}", step.path);
        third
    }
}

/// What of an answer must be the same again: ids and results. Times and counters may move on.
fn checked(reply: &Reply) -> Value {
    assert!([200, 201].contains(&reply.status), "{reply:?}");
    let body = &reply.body;
    if body.get("result").is_some() {
        return json!([body["result"], body["artifact"], body["task"]["status"]]);
    }
    if let Some(leases) = body.get("leases") {
        let leases = leases.as_array().unwrap();
        return leases
            .iter()
            .map(|grant| grant["lease"]["id"].clone())
            .collect();
    }
    if body.get("lease").is_some() {
        return body["lease"]["id"].clone();
    }
    body["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_killed_between_any_two_steps_answers_a_repeated_request_the_same() {
    let (db, scratch) = (TestDb::new().await, Scratch::new());
    let url = db.url();
    let mut service = Killed::start(&scratch, &["--database-url", &url]);
    service.process.api.register("w", 8).await;
    for delay in [0, 3, 12, 60] {
        let delay = Duration::from_millis(delay);
        let mut body = task("c");
        body["idempotency_key"] = json!(Uuid::new_v4());
        let id = service
            .survives(&Step::post("/llm-tasks", body), delay)
            .await;
        let id = id.as_str().unwrap().to_owned();
        let pull = json!({
            "worker_id": "w", "session_id": Uuid::new_v4(), "request_id": Uuid::new_v4(),
        });
        let leases = service.survives(&Step::post("/leases", pull), delay).await;
        let lease = leases[0].clone();
        assert!(lease.is_string(), "{leases}");
        let path = format!("/llm-tasks/{id}/heartbeat");
        let beaten = service
            .survives(&Step::post(&path, json!({ "lease_id": lease })), delay)
            .await;
        assert_eq!(beaten, lease);
        let path = format!("/llm-tasks/{id}/complete");
        let report = json!({ "lease_id": lease, "status": "success", "output": id });
        service.survives(&Step::post(&path, report), delay).await;
        let api = &service.process.api;
        let task = api.task(&id).await;
        assert_eq!(
            (&task["status"], &task["attempts"]),
            (&json!("completed"), &json!(1))
        );
        let artifacts = api.get(&format!("/artifacts?task_id={id}")).await;
        assert_eq!(artifacts.items().len(), 1);
        let events = api.get(&format!("/llm-tasks/{id}/events")).await;
        assert_eq!(events.items().len(), 4, "{events:?}");
    }
    let worker = service.process.api.get("/workers/w").await;
    assert_eq!(worker.body["active_leases"], 0);
}

/// The private server's process.
fn postmaster(data_dir: &Path) -> Option<i32> {
    let path = data_dir.join("postgres/data/postmaster.pid");
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().next()?.trim().parse().ok()
}

fn is_alive(pid: i32) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// Sends the same request until it succeeds.
async fn insist(api: &Api, path: &str, body: &Value) -> Value {
    eventually("the request gets through", || async {
        let request = api.request(Method::POST, path).json(body);
        let reply = api.try_send(request).await.ok()?;
        match reply.status {
            200 | 201 => Some(reply.body),
            503 => {
                sleep(Duration::from_millis(50)).await;
                None
            }
            _ => panic!("{path}: {reply:?}"),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_postgres_killed_under_load_loses_nothing_that_was_acknowledged() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let service = Process::serve(&scratch, &["--data-dir", data.to_str().unwrap()]);
    let api = service.api.clone();
    api.register("w", 32).await;
    let completed: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
    let client = |number: usize| {
        let (api, completed) = (api.clone(), Arc::clone(&completed));
        async move {
            for round in 0..15 {
                let mut body = task(&format!("c{number}"));
                body["idempotency_key"] = json!(format!("{number}/{round}"));
                insist(&api, "/llm-tasks", &body).await;
                let pull = json!({
                    "worker_id": "w", "session_id": Uuid::new_v4(), "request_id": Uuid::new_v4(),
                    "wait_seconds": 5,
                });
                let pulled = insist(&api, "/leases", &pull).await;
                for grant in pulled["leases"].as_array().unwrap() {
                    let id = grant["task"]["id"].as_str().unwrap();
                    let output = Uuid::new_v4().to_string();
                    let report = json!({
                        "lease_id": grant["lease"]["id"], "status": "success", "output": output,
                    });
                    insist(&api, &format!("/llm-tasks/{id}/complete"), &report).await;
                    let before = completed.lock().unwrap().insert(id.to_owned(), output);
                    assert_eq!(before, None, "{id} was handed out twice");
                }
            }
        }
    };
    let load: Vec<_> = (0..6).map(|number| tokio::spawn(client(number))).collect();
    for count in [10, 40] {
        eventually("some work is done", || async {
            (completed.lock().unwrap().len() >= count).then_some(())
        })
        .await;
        let pid = postmaster(&data).expect("it runs");
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }
    for client in load {
        timeout(2 * DEADLINE, client)
            .await
            .expect("in time")
            .unwrap();
    }
    let completed = completed.lock().unwrap().clone();
    assert!(completed.len() > 50, "{}", completed.len());
    for (id, output) in completed {
        let result = api.get(&format!("/llm-tasks/{id}/result")).await;
        assert_eq!(
            (result.status, &result.body["output"]),
            (200, &json!(output)),
            "{id}"
        );
    }
    let listed = api.get("/llm-tasks?limit=1000").await;
    assert_eq!(
        listed.items().len(),
        90,
        "each submission is there, and once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_service_answers_who_waits_and_ends_with_its_postgres() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let mut service = Process::serve(&scratch, &["--data-dir", data.to_str().unwrap()]);
    let api = service.api.clone();
    api.register("w", 4).await;
    let waiting = tokio::spawn({
        let api = api.clone();
        async move { api.pull("w", 50).await }
    });
    until(&api, "bloom_waiters", 1.0).await;
    let server = postmaster(&data).expect("it runs");
    let since = Instant::now();
    service.signal(Signal::TERM);
    let reply = timeout(Duration::from_secs(30), waiting)
        .await
        .expect("answered")
        .unwrap();
    assert_eq!(reply.leases(), [] as [Value; 0]);
    assert_eq!(
        service.ended(Duration::from_secs(15)).await,
        Some(0),
        "{}",
        service.log()
    );
    assert!(since.elapsed() < Duration::from_secs(15));
    assert!(!is_alive(server), "its Postgres is stopped");
    assert_eq!(postmaster(&data), None);
    // And starts again with everything that was there.
    let again = Process::serve(&scratch, &["--data-dir", data.to_str().unwrap()]);
    assert_eq!(again.api.get("/workers").await.items().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_any_moment_of_the_start_ends_the_process() {
    let db = TestDb::new().await;
    for delay in [0, 5, 20, 60, 150, 400] {
        let mut child = bloom()
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--database-url",
                &db.url(),
            ])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(delay)).await;
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let deadline = Instant::now() + Duration::from_secs(15);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("a stop {delay} ms after the start is not heeded");
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_12_the_log_has_a_line_for_each_request_and_no_bodies_or_keys() {
    let (db, scratch) = (TestDb::new().await, Scratch::new());
    let mut service = Process::serve(&scratch, &["--database-url", &db.url()]);
    let api = service.api.clone();
    let mut body = task("secret-context");
    body["prompt"] = json!("secret-prompt");
    let id = api.submit(body).await;
    api.get("/llm-tasks?status=secret-query").await;
    api.with_key(Some("secret-wrong-key")).get("/stats").await;
    api.post_raw("/llm-tasks", "{\"secret-json\"").await;
    service.signal(Signal::TERM);
    assert_eq!(service.ended(DEADLINE).await, Some(0), "{}", service.log());
    let log = service.log();
    for line in [
        "POST /api/runtime/llm-tasks 201 ",
        "GET /api/runtime/stats 401 ",
        "GET /api/runtime/llm-tasks 200 ",
        "POST /api/runtime/llm-tasks 400 ",
    ] {
        let found = log.lines().find(|text| text.contains(line));
        let found = found.unwrap_or_else(|| panic!("no {line}: {log}"));
        let rest = found.split_once(line).unwrap().1;
        let time = rest.split_whitespace().next().unwrap();
        assert!(time.ends_with("ms"), "{found}");
    }
    assert!(!log.contains("secret") && !log.contains(KEY), "{log}");
    assert!(Uuid::try_parse(&id).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_for_a_request_that_never_ends() {
    let scratch = Scratch::new();
    let db = TestDb::new().await;
    let arguments = ["--database-url", &db.url(), "--drain-seconds", "600"];
    let mut service = Process::serve(&scratch, &arguments);
    let address = service.api.base.strip_prefix("http://").unwrap().to_owned();
    let mut endless = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /api/runtime/llm-tasks HTTP/1.1\r\nHost: {address}\r\nX-Runtime-API-Key: {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\
         Expect: 100-continue\r\n\r\n{{"
    );
    endless.write_all(head.as_bytes()).await.unwrap();
    // Until it asks for the body it may not have seen the request, and then the connection is an
    // idle one that a first signal closes.
    let mut asked = [0; 12];
    endless.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100");
    service.signal(Signal::TERM);
    eventually("it says that it stops", async || {
        service.log().contains("stopping").then_some(())
    })
    .await;
    service.signal(Signal::TERM);
    assert_eq!(service.ended(Duration::from_secs(30)).await, Some(1));
}
