//! The procedures of docs/operations.md for backup and restore, carried out on a service at work: the
//! restored one has all that was acknowledged before the backup began, and goes on with it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::history::{Bounds, violations};
use crate::pg::Cluster;
use crate::runtime::process::{Process, Scratch, bloom, run};
use crate::runtime::{Api, eventually, task};
use crate::sql_kit::one;

const DATABASE: &str = "queue";

/// A service on a server of its own.
struct Site {
    process: Process,
    cluster: Cluster,
    _scratch: Scratch,
}

impl Site {
    fn serve(cluster: Cluster) -> Self {
        let scratch = Scratch::new();
        let mut command = bloom();
        command.env("DATABASE_URL", cluster.url(DATABASE));
        let arguments = ["--reap-grace-seconds", "0"];
        let key = Some(crate::runtime::KEY);
        let process = Process::start_by(command, &scratch, &arguments, key);
        Self {
            process,
            cluster,
            _scratch: scratch,
        }
    }

    async fn new() -> Self {
        let cluster = Cluster::start(&[]).await;
        let admin = cluster.connect("postgres").await;
        let sql = format!("create database {DATABASE}");
        admin.batch_execute(&sql).await.unwrap();
        Self::serve(cluster)
    }

    fn api(&self) -> &Api {
        &self.process.api
    }

    /// What the doctor says of the event log.
    fn event_log(&self) -> Value {
        let mut doctor = bloom();
        doctor.args(["doctor", "--json"]);
        doctor.env("DATABASE_URL", self.cluster.url(DATABASE));
        let answer = doctor.output().unwrap();
        let findings: Value = serde_json::from_slice(&answer.stdout).unwrap();
        let mut findings = findings.as_array().unwrap().iter();
        let found = findings.find(|finding| finding["name"] == "event_log");
        found.expect("it is looked at").clone()
    }
}

/// Tasks in every state, all acknowledged.
struct Work {
    done: Vec<String>,
    waiting: Vec<String>,
    /// With its lease, which a worker holds while the backup is made.
    held: (String, String),
}

async fn work(api: &Api) -> Work {
    api.register("w", 5).await;
    let mut done = Vec::new();
    for n in 0..10 {
        let id = api.submit(task("c")).await;
        let lease = api.lease(&id).await;
        let report = json!({ "lease_id": lease, "status": "success", "output": format!("o{n}") });
        assert_eq!(api.complete(&id, report).await.status, 200);
        done.push(id);
    }
    let id = api.submit(task("c")).await;
    let held = (id.clone(), api.lease(&id).await);
    let mut waiting = Vec::new();
    for _ in 0..10 {
        waiting.push(api.submit(task("c")).await);
    }
    Work {
        done,
        waiting,
        held,
    }
}

/// Submits without end, so that the backup is one of a database that changes.
fn load(api: &Api, stop: &Arc<AtomicBool>) -> JoinHandle<u32> {
    let (api, stop) = (api.clone(), Arc::clone(stop));
    tokio::spawn(async move {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            api.submit(task("load")).await;
            count += 1;
        }
        count
    })
}

/// From what.
#[derive(PartialEq, Eq)]
enum Restored {
    FromFiles,
    FromDump,
}

/// The restored service has it all, and finishes it.
async fn assert_goes_on(site: &Site, work: &Work, how: Restored) {
    let api = site.api();
    for (n, id) in work.done.iter().enumerate() {
        let result = api.get(&format!("/llm-tasks/{id}/result")).await;
        assert_eq!(result.body["output"], format!("o{n}"), "{result:?}");
    }
    for id in &work.waiting {
        assert_eq!(api.task(id).await["status"], "queued");
    }
    let log = site.event_log();
    assert_eq!(log["level"], "ok", "{log}");
    // The worker that held one still has it, and may report.
    let (held, lease) = &work.held;
    let report = json!({ "lease_id": lease, "status": "success", "output": "late" });
    let late = api.complete(held, report).await;
    assert_eq!(late.status, 200, "{late:?}");
    let mut worker = bloom();
    worker
        .args([
            "worker",
            "--name",
            "after",
            "--exec",
            "cat",
            "--concurrency",
            "4",
        ])
        .args(["--server", &api.base])
        .env("BLOOM_API_KEY", crate::runtime::KEY);
    let mut worker = worker.spawn().unwrap();
    for id in &work.waiting {
        api.until_status(id, "completed").await;
    }
    // Counts go on from where they were: folded from the event log.
    let before = api.get("/stats").await.body["tasks"]["total"].as_i64();
    api.submit(task("after")).await;
    eventually("the count moves", async || {
        let now = api.get("/stats").await.body["tasks"]["total"].as_i64();
        (now > before).then_some(())
    })
    .await;
    let newest = api.get("/audit?limit=200").await;
    let is_newest = newest.items().iter().any(|event| event["actor"] == "after");
    assert!(is_newest, "what happens now is the newest of the trail");
    worker.kill().unwrap();
    worker.wait().unwrap();
    let client = site.cluster.connect(DATABASE).await;
    // The service may still serve what the worker asked for last.
    let snapshot = "begin isolation level repeatable read";
    client.batch_execute(snapshot).await.unwrap();
    let mut found = violations(&client, &Bounds::default()).await;
    if how == Restored::FromDump {
        // All that was restored was written by one transaction, of course.
        found.retain(|one| !one.text.contains("come from different transactions"));
    }
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_backup_of_a_running_service_goes_on_elsewhere() {
    let old = Site::new().await;
    let work = work(old.api()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load = load(old.api(), &stop);
    let socket = old.cluster.dir().to_str().unwrap().to_owned();
    let new = Cluster::start_prepared(&[], |cluster| {
        let data = cluster.dir().join("data");
        cluster.tool(
            "pg_basebackup",
            &[
                "--host",
                &socket,
                "--username=postgres",
                "--checkpoint=fast",
                "--wal-method=stream",
                "--pgdata",
                data.to_str().unwrap(),
            ],
        );
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    assert!(load.await.unwrap() > 0, "it was at work meanwhile");
    let new = Site::serve(new);
    assert_goes_on(&new, &work, Restored::FromFiles).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_goes_on_in_a_cluster_whose_transaction_ids_are_ahead() {
    let old = Site::new().await;
    let work = work(old.api()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load = load(old.api(), &stop);
    let dumps = Scratch::new();
    std::fs::set_permissions(
        dumps.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o777),
    )
    .unwrap();
    let file = |name: &str| dumps.path().join(name).to_str().unwrap().to_owned();
    let (roles, dump) = (file("roles.sql"), file("queue.dump"));
    let at = [
        "--host",
        old.cluster.dir().to_str().unwrap(),
        "--username=postgres",
    ];
    let tool = |name: &str, more: &[&str]| old.cluster.tool(name, &[&at, more].concat());
    tool("pg_dumpall", &["--roles-only", "--file", &roles]);
    tool("pg_dump", &["--format=custom", "--file", &dump, DATABASE]);
    stop.store(true, Ordering::Relaxed);
    assert!(load.await.unwrap() > 0, "it was at work meanwhile");
    // After the dump: larger than whatever stands in it.
    let client = old.cluster.connect(DATABASE).await;
    let reached = one(&client, "select pg_current_xact_id()").await;
    let ahead = (reached.parse::<u64>().unwrap() + 1000).to_string();

    let new = Cluster::start_prepared(&[], |cluster| {
        let data = cluster.dir().join("data");
        let data = data.to_str().unwrap();
        let initdb = [
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--no-locale",
        ];
        cluster.tool("initdb", &[&initdb[..], &["--pgdata", data]].concat());
        cluster.tool("pg_resetwal", &["-x", &ahead, data]);
    })
    .await;
    let at = ["--host", new.dir().to_str().unwrap(), "--username=postgres"];
    let tool = |name: &str, more: &[&str]| new.tool(name, &[&at, more].concat());
    // The one role that is there already is an error that does not matter.
    tool("psql", &["--quiet", "--file", &roles, "postgres"]);
    tool("createdb", &[DATABASE]);
    tool(
        "pg_restore",
        &["--exit-on-error", "--dbname", DATABASE, &dump],
    );
    let new = Site::serve(new);
    assert_goes_on(&new, &work, Restored::FromDump).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_stopped_data_directory_goes_on_elsewhere() {
    let scratch = Scratch::new();
    let place = |name: &str| scratch.path().join(name).to_str().unwrap().to_owned();
    let (old, new) = (place("old"), place("new"));
    let mut process = Process::serve(&scratch, &["--data-dir", &old]);
    let id = process.api.submit(task("c")).await;
    process.signal(Signal::TERM);
    assert_eq!(process.ended(Duration::from_secs(30)).await, Some(0));
    let copied = Command::new("cp").args(["-a", &old, &new]).status();
    assert!(copied.unwrap().success());
    std::fs::remove_dir_all(Path::new(&old)).unwrap();
    let process = Process::serve(&scratch, &["--data-dir", &new]);
    assert_eq!(process.api.task(&id).await["status"], "queued");
    let doctor = run(&["doctor", "--json", "--data-dir", &new]);
    let findings: Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let mut findings = findings.as_array().unwrap().iter();
    assert!(
        findings.all(|finding| finding["level"] != "fail"),
        "{doctor:?}"
    );
}
