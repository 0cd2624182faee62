//! What is measured.

mod beats;
mod http;
mod scale;
mod sql;
mod wake;

use std::time::Duration;

use anyhow::bail;
use serde_json::json;
use tokio_postgres::Client as Session;

use crate::http::Client;
use crate::report::Report;
use crate::server::Server;

pub use scale::history;

/// Scenarios by name.
pub const ALL: [(&str, &str); 28] = [
    (
        "floor",
        "one-row durable inserts and round trips, 8 connections",
    ),
    (
        "submit",
        "HTTP: submissions by 64 clients, one task a request",
    ),
    (
        "submit-batch",
        "HTTP: submissions by 2 clients, 1,000 tasks a request",
    ),
    (
        "cycle-1",
        "HTTP: lease, then complete, one task a request, 1 client",
    ),
    ("cycle-16", "the same, 16 clients"),
    ("cycle-64", "the same, 64 clients"),
    ("cycle-256", "the same, 256 clients"),
    (
        "cycle-open",
        "the same, 64 clients, 1,000 cycles a second begun whether or not others ended",
    ),
    (
        "batch",
        "HTTP: lease and complete 100 tasks a request, 4 clients",
    ),
    ("life", "HTTP: submit, lease, start, complete, 64 clients"),
    (
        "mixed",
        "HTTP: cycles of 64 clients over ten priorities and five sets of labels",
    ),
    (
        "sql-one",
        "SQL: lease, then complete, one task a call, 8 connections",
    ),
    (
        "sql-batch",
        "SQL: lease and complete 100 tasks a call, 2 connections",
    ),
    (
        "verbs",
        "SQL: each batch verb by itself, 100 and 1,000 tasks a call",
    ),
    (
        "wake-1",
        "from submit until a waiting worker has the task, 1 waiter",
    ),
    ("wake-100", "the same, 100 waiters"),
    ("wake-1000", "the same, 1,000 waiters"),
    (
        "wake-calm",
        "the same, 1,000 waiters, 10 submissions a second",
    ),
    ("idle", "what 1,000 idle waiters cost"),
    ("beats", "what 10,000 leases on 500 beating workers cost"),
    ("heartbeats", "HTTP: one lease a heartbeat, 64 clients"),
    ("wal", "WAL and row versions for a whole life"),
    (
        "two",
        "HTTP: cycles of 64 clients, half of them on a second service process",
    ),
    (
        "free",
        "SQL: 300,000 cycles in batches of 10, 8 connections",
    ),
    ("held", "the same while a snapshot is held open"),
    (
        "backlog-small",
        "HTTP and SQL cycles with 10,000 tasks queued",
    ),
    ("backlog-large", "the same with 1,000,000 queued"),
    (
        "history",
        "HTTP and SQL cycles with 1,000,000 finished tasks in the tables",
    ),
];

/// Scenarios that take minutes: measured only when they are named.
pub const LONG: [&str; 5] = ["free", "held", "backlog-small", "backlog-large", "history"];

/// What every scenario needs.
pub struct Bench {
    /// How long a loop runs.
    pub time: Duration,
    /// Where figures go.
    pub report: Report,
    /// The service.
    pub server: Server,
}

/// Queues 1000 tasks of 150 bytes, each of a context of its own. Its argument names the thousand.
pub const SUBMIT: &str = "select count(*) from bloom.task_submit_many(
    (select jsonb_agg(jsonb_build_object('context_id', 'c' || $1 || '-' || i, 'agent_slug', 'a',
         'prompt', repeat('x', 150))) from generate_series(1, 1000) i), '{\"notify\": false}')";
/// Connections that fill the queue.
const FILLERS: u32 = 2;

/// Runs one scenario.
pub async fn run(bench: &Bench, name: &str) -> anyhow::Result<()> {
    match name {
        "floor" => sql::floor(bench).await,
        "submit" => http::submit(bench).await,
        "submit-batch" => http::submit_batch(bench).await,
        "cycle-1" => http::cycle(bench, name, 1).await,
        "cycle-16" => http::cycle(bench, name, 16).await,
        "cycle-64" => http::cycle(bench, name, 64).await,
        "cycle-256" => http::cycle(bench, name, 256).await,
        "cycle-open" => http::cycle_open(bench).await,
        "batch" => http::batch(bench).await,
        "life" => http::life(bench).await,
        "mixed" => scale::mixed(bench).await,
        "sql-one" => sql::one(bench, "sql-one/8").await,
        "sql-batch" => sql::batch(bench, "sql-batch/2x100").await,
        "verbs" => sql::verbs(bench).await,
        "wake-1" => wake::wake(bench, "wake/1", 1, 50.0).await,
        "wake-100" => wake::wake(bench, "wake/100", 100, 100.0).await,
        "wake-1000" => wake::wake(bench, "wake/1000", 1000, 100.0).await,
        "wake-calm" => wake::wake(bench, "wake/calm", 1000, 10.0).await,
        "idle" => wake::idle(bench).await,
        "beats" => beats::beats(bench).await,
        "heartbeats" => beats::heartbeats(bench).await,
        "wal" => sql::wal(bench).await,
        "two" => http::two(bench).await,
        "free" => scale::held(bench, false).await,
        "held" => scale::held(bench, true).await,
        "backlog-small" => scale::backlog(bench, 10_000).await,
        "backlog-large" => scale::backlog(bench, 1_000_000).await,
        "history" => scale::with_history(bench).await,
        other => bail!("there is no scenario {other}"),
    }
}

impl Bench {
    /// Removes what is queued, and queues `tasks` new ones of 150 bytes.
    pub async fn fill(&self, tasks: u32) -> anyhow::Result<()> {
        let client = self.clear().await?;
        let mut fillers = tokio::task::JoinSet::new();
        let chunks = tasks.div_ceil(1000);
        for first in 0..FILLERS {
            let client = self.server.connect().await?;
            fillers.spawn(async move {
                let submit = client.prepare(SUBMIT).await?;
                for chunk in (first..chunks).step_by(FILLERS as usize) {
                    client.query(&submit, &[&chunk.to_string()]).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = fillers.join_next().await {
            ended??;
        }
        client.batch_execute("vacuum analyze").await?;
        Ok(())
    }

    /// Removes what is queued.
    pub async fn clear(&self) -> anyhow::Result<Session> {
        let client = self.server.connect().await?;
        client
            .batch_execute(
                "select bloom.lease_release(task_id, lease_id) from bloom_private.lease;
                 select bloom.task_cancel(task_id) from bloom_private.ready",
            )
            .await?;
        Ok(client)
    }

    /// Registers workers `w0`, `w1`, … with so many slots each.
    pub async fn register(&self, workers: usize, slots: usize) -> anyhow::Result<()> {
        self.register_with(workers, slots, &[]).await
    }

    /// The same with labels.
    pub async fn register_with(
        &self,
        workers: usize,
        slots: usize,
        labels: &[&str],
    ) -> anyhow::Result<()> {
        let mut client = Client::connect(&self.server.base).await?;
        for at in 0..workers {
            let body = json!({
                "name": format!("w{at}"),
                "capabilities": {"slots": slots, "labels": labels},
            });
            client.call("/workers", &body).await?;
        }
        Ok(())
    }
}
