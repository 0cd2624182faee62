//! Through the whole HTTP path.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Bench;
use crate::http::Client;
use crate::measure::{Figures, closed, open};

/// Tasks that a loop may use up.
pub(super) const SUPPLY: u32 = 50_000;
/// How many tasks a batch has.
const BATCH: usize = 100;
/// Clients of the usual loop.
const CLIENTS: usize = 64;
/// Cycles a second that the open loop begins.
const OPEN_RATE: f64 = 1000.0;

/// A task of 150 bytes.
fn task() -> Value {
    json!({"context_id": "c", "agent_slug": "a", "prompt": "x".repeat(150)})
}

/// 64 clients submit, each one task after the other.
pub async fn submit(bench: &Bench) -> anyhow::Result<()> {
    let body = task().to_string();
    for (name, minimal) in [("submit/64", false), ("submit/64/minimal", true)] {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push((Client::connect(&bench.server.base).await?, body.clone()));
        }
        let operation = move |(mut client, body): (Client, String)| async move {
            client.post("/llm-tasks", body.clone(), minimal).await?;
            Ok(((client, body), 1))
        };
        let figures = closed(name, clients, bench.time, operation).await?;
        bench.report.figures(name, "tasks/s", &figures)?;
    }
    Ok(())
}

/// Two clients submit a thousand tasks a request.
pub async fn submit_batch(bench: &Bench) -> anyhow::Result<()> {
    const TASKS: u64 = 1000;
    let tasks: Vec<_> = (0..TASKS).map(|_| task()).collect();
    let body = json!({ "tasks": tasks }).to_string();
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push((Client::connect(&bench.server.base).await?, body.clone()));
    }
    let name = "submit-batch/2x1000";
    let operation = |(mut client, body): (Client, String)| async move {
        client.post("/llm-tasks/batch", body.clone(), false).await?;
        Ok(((client, body), TASKS))
    };
    let figures = closed(name, clients, bench.time, operation).await?;
    bench.report.figures(name, "tasks/s", &figures)
}

/// A connection of one worker.
pub(super) struct Worker {
    pub client: Client,
    /// Its request for work.
    ask: String,
}

impl Worker {
    pub async fn connect(base: &str, at: usize, most: usize) -> anyhow::Result<Self> {
        let ask = json!({"worker_id": format!("w{at}"), "session_id": Uuid::new_v4(),
            "max_tasks": most});
        Ok(Self {
            client: Client::connect(base).await?,
            ask: ask.to_string(),
        })
    }

    /// Leases what there is.
    pub async fn lease(&mut self) -> anyhow::Result<Vec<Value>> {
        let bytes = self.client.post("/leases", self.ask.clone(), false).await?;
        let mut answer: Value = serde_json::from_slice(&bytes)?;
        match answer["leases"].take() {
            Value::Array(leases) => Ok(leases),
            _ => anyhow::bail!("no list"),
        }
    }

    /// Reports that a task is done.
    pub async fn complete(&mut self, lease: &Value) -> anyhow::Result<()> {
        let id = lease["task"]["id"].as_str().context("no id")?;
        let report = json!({"lease_id": lease["lease"]["id"], "status": "success",
            "output": "done"});
        let path = format!("/llm-tasks/{id}/complete");
        self.client.post(&path, report.to_string(), true).await?;
        Ok(())
    }

    /// Leases one task and completes it.
    pub async fn cycle(mut self) -> anyhow::Result<(Self, u64)> {
        let leases = self.lease().await?;
        let Some(lease) = leases.first() else {
            return Ok((self, 0));
        };
        self.complete(lease).await?;
        Ok((self, 1))
    }
}

/// So many workers with a connection each; those with odd numbers go to `other`, if there is one.
pub(super) async fn workers(
    bench: &Bench,
    count: usize,
    other: Option<&str>,
) -> anyhow::Result<Vec<Worker>> {
    let mut workers = Vec::new();
    for at in 0..count {
        let base = other.filter(|_| at % 2 == 1).unwrap_or(&bench.server.base);
        workers.push(Worker::connect(base, at, 1).await?);
    }
    Ok(workers)
}

/// A worker of its own for each client: leases one task, completes it, and so on.
pub async fn cycle(bench: &Bench, name: &str, count: usize) -> anyhow::Result<()> {
    bench.fill(SUPPLY).await?;
    bench.register(count, 1).await?;
    cycle_on(bench, name, count).await?;
    Ok(())
}

/// The same on what is queued, with workers that are registered.
pub(super) async fn cycle_on(bench: &Bench, name: &str, count: usize) -> anyhow::Result<Figures> {
    let workers = workers(bench, count, None).await?;
    let figures = closed(name, workers, bench.time, Worker::cycle).await?;
    bench.report.curve(name, &figures)?;
    bench.report.figures(name, "cycles/s", &figures)?;
    Ok(figures)
}

/// The same, begun at a fixed rate.
pub async fn cycle_open(bench: &Bench) -> anyhow::Result<()> {
    bench.fill(SUPPLY).await?;
    bench.register(CLIENTS, 1).await?;
    let (name, workers) = ("cycle-open/1000", workers(bench, CLIENTS, None).await?);
    let operation = |worker: Worker, _, _| async move { Ok(worker.cycle().await?.0) };
    let time = bench.time.max(Duration::from_secs(2));
    let figures = open(name, workers, OPEN_RATE, time, operation).await?;
    bench.report.curve(name, &figures)?;
    bench.report.figures(name, "cycles/s", &figures)
}

/// Half of the workers use a second process of the service, on the same database.
pub async fn two(bench: &Bench) -> anyhow::Result<()> {
    let second = bench.server.second().await?;
    bench.fill(SUPPLY).await?;
    bench.register(CLIENTS, 1).await?;
    let workers = workers(bench, CLIENTS, Some(&second.base)).await?;
    let figures = closed("two/64", workers, bench.time, Worker::cycle).await?;
    bench.report.figures("two/64", "cycles/s", &figures)?;
    second.stop().await
}

/// Everything that happens to a task: submitted, leased, begun, completed.
pub async fn life(bench: &Bench) -> anyhow::Result<()> {
    bench.fill(1000).await?;
    bench.register(CLIENTS, 1).await?;
    let body = task().to_string();
    let workers = workers(bench, CLIENTS, None).await?;
    let clients = workers.into_iter().map(|worker| (worker, body.clone()));
    let operation = |(mut worker, body): (Worker, String)| async move {
        worker.client.post("/llm-tasks", body.clone(), true).await?;
        // Others may have taken it; then theirs is on its way.
        let mut leases = worker.lease().await?;
        while leases.is_empty() {
            leases = worker.lease().await?;
        }
        let lease = leases.first().context("no lease")?;
        let id = lease["task"]["id"].as_str().context("no id")?;
        let begun = json!({"lease_id": lease["lease"]["id"]}).to_string();
        let path = format!("/llm-tasks/{id}/heartbeat");
        worker.client.post(&path, begun, true).await?;
        worker.complete(lease).await?;
        Ok(((worker, body), 1))
    };
    let figures = closed("life/64", clients.collect(), bench.time, operation).await?;
    bench.report.figures("life/64", "lives/s", &figures)
}

/// Four clients, a hundred tasks a request.
pub async fn batch(bench: &Bench) -> anyhow::Result<()> {
    bench.fill(SUPPLY * 2).await?;
    bench.register(4, BATCH).await?;
    let mut workers = Vec::new();
    for at in 0..4 {
        workers.push(Worker::connect(&bench.server.base, at, BATCH).await?);
    }
    let operation = |mut worker: Worker| async move {
        let leases = worker.lease().await?;
        let item = |lease: &Value| {
            json!({"task_id": lease["task"]["id"], "lease_id": lease["lease"]["id"],
                "status": "success", "output": "done"})
        };
        let items: Vec<_> = leases.iter().map(item).collect();
        let done = items.len();
        if done > 0 {
            let body = json!({ "items": items }).to_string();
            worker.client.post("/leases/complete", body, false).await?;
        }
        Ok((worker, u64::try_from(done)?))
    };
    let figures = closed("batch/4x100", workers, bench.time, operation).await?;
    bench.report.curve("batch/4x100", &figures)?;
    bench.report.figures("batch/4x100", "cycles/s", &figures)
}
