//! What is measured.

mod http;
mod sql;

use std::time::Duration;

use anyhow::bail;
use serde_json::json;

use crate::http::Client;
use crate::measure::Report;
use crate::server::Server;

/// Scenarios by name.
pub const ALL: [(&str, &str); 10] = [
    (
        "floor",
        "one-row durable inserts and round trips, 8 connections",
    ),
    ("submit", "HTTP: submissions by 64 clients"),
    (
        "cycle-1",
        "HTTP: lease, then complete, one task a request, 1 client",
    ),
    ("cycle-16", "the same, 16 clients"),
    ("cycle-64", "the same, 64 clients"),
    ("cycle-256", "the same, 256 clients"),
    (
        "batch",
        "HTTP: lease and complete 100 tasks a request, 4 clients",
    ),
    (
        "sql-one",
        "SQL: lease, then complete, one task a call, 8 connections",
    ),
    (
        "sql-batch",
        "SQL: lease and complete 100 tasks a call, 2 connections",
    ),
    ("wal", "WAL and row versions for a whole life"),
];

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

/// Runs one scenario.
pub async fn run(bench: &Bench, name: &str) -> anyhow::Result<()> {
    match name {
        "floor" => sql::floor(bench).await,
        "submit" => http::submit(bench).await,
        "cycle-1" => http::cycle(bench, 1).await,
        "cycle-16" => http::cycle(bench, 16).await,
        "cycle-64" => http::cycle(bench, 64).await,
        "cycle-256" => http::cycle(bench, 256).await,
        "batch" => http::batch(bench).await,
        "sql-one" => sql::one(bench).await,
        "sql-batch" => sql::batch(bench).await,
        "wal" => sql::wal(bench).await,
        other => bail!("there is no scenario {other}"),
    }
}

impl Bench {
    /// Removes what is queued, and queues `tasks` new ones of 150 bytes.
    pub async fn fill(&self, tasks: u32) -> anyhow::Result<()> {
        let client = self.server.connect().await?;
        client
            .batch_execute(
                "select bloom.task_cancel(task_id) from bloom_private.ready;
                 select bloom.lease_release(task_id, lease_id) from bloom_private.lease;
                 select bloom.task_cancel(task_id) from bloom_private.ready",
            )
            .await?;
        for chunk in 0..tasks.div_ceil(1000) {
            client.query(SUBMIT, &[&chunk.to_string()]).await?;
        }
        client.batch_execute("vacuum analyze").await?;
        Ok(())
    }

    /// Registers workers `w0`, `w1`, … with so many slots each.
    pub async fn register(&self, workers: usize, slots: usize) -> anyhow::Result<()> {
        let mut client = Client::connect(&self.server.base).await?;
        for at in 0..workers {
            let body = json!({
                "name": format!("w{at}"), "capabilities": {"slots": slots},
            });
            client.call("/workers", &body).await?;
        }
        Ok(())
    }
}
