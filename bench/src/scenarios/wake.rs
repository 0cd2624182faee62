//! Waiting for work: how soon a waiter has what was submitted, and what waiting costs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Bench;
use crate::http::Client;
use crate::measure::{Figures, count, open, record};

/// How long they go on.
const TIME: Duration = Duration::from_secs(10);
/// How long a worker waits in one request, in seconds.
const WAIT_SECONDS: u32 = 50;
/// How long idleness is watched.
const IDLE: Duration = Duration::from_secs(15);

/// What waiters have got: how long after its submission was due, in microseconds.
struct Got {
    latency: Mutex<Histogram<u64>>,
    /// When each submission was due, by its number.
    due: Mutex<Vec<Instant>>,
    /// One permit for each that arrived.
    arrived: Semaphore,
}

impl Got {
    /// A submission has arrived.
    fn note(&self, number: usize, now: Instant) -> anyhow::Result<()> {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner)[number];
        let mut latency = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        record(&mut latency, now - due)?;
        self.arrived.add_permits(1);
        Ok(())
    }
}

/// A worker that waits, completes what it gets, and waits again, until it is aborted.
async fn waiter(mut client: Client, at: usize, got: Arc<Got>) -> anyhow::Result<()> {
    let ask = json!({"worker_id": format!("w{at}"), "session_id": Uuid::new_v4(),
        "wait_seconds": WAIT_SECONDS});
    loop {
        let answer = client.call("/leases", &ask).await?;
        let Some(lease) = answer["leases"].get(0) else {
            continue;
        };
        let now = Instant::now();
        let number = lease["task"]["agent_slug"].as_str().unwrap_or_default();
        let number: usize = number.trim_start_matches('n').parse()?;
        got.note(number, now)?;
        let id = lease["task"]["id"].as_str().context("no id")?;
        let report = json!({"lease_id": lease["lease"]["id"], "status": "success"});
        let path = format!("/llm-tasks/{id}/complete");
        client.post(&path, report.to_string(), true).await?;
    }
}

/// Starts waiters and waits until all of them sleep.
async fn waiters(bench: &Bench, many: usize, got: &Arc<Got>) -> anyhow::Result<JoinSet<()>> {
    bench.register(many, 1).await?;
    let admin = bench.server.connect().await?;
    let now = admin
        .query_one("select clock_timestamp()::text", &[])
        .await?;
    let now: String = now.get(0);
    let mut waiters = JoinSet::new();
    for at in 0..many {
        let client = Client::connect(&bench.server.base).await?;
        let got = Arc::clone(got);
        waiters.spawn(async move {
            drop(waiter(client, at, got).await);
        });
    }
    // Each has its session once it has asked for the first time.
    let sessions = "select count(*) from bloom_private.worker_session
        where started_at > $1::text::timestamptz";
    while admin.query_one(sessions, &[&now]).await?.get::<_, i64>(0) < i64::try_from(many)? {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(waiters)
}

fn nothing_yet() -> anyhow::Result<Arc<Got>> {
    Ok(Arc::new(Got {
        latency: Mutex::new(Histogram::new(3)?),
        due: Mutex::default(),
        arrived: Semaphore::new(0),
    }))
}

/// From the moment at which a submission was due until a waiting worker has read its lease. `rate`:
/// submissions a second.
pub async fn wake(bench: &Bench, name: &str, many: usize, rate: f64) -> anyhow::Result<()> {
    bench.clear().await?;
    let got = nothing_yet()?;
    let mut waiters = waiters(bench, many, &got).await?;
    let planned = (rate * TIME.as_secs_f64()).ceil();
    let begun = Instant::now();
    {
        let mut due = got.due.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = 0.0;
        while at < planned {
            due.push(begun + Duration::from_secs_f64(at / rate));
            at += 1.0;
        }
    }
    let mut clients = Vec::new();
    for _ in 0..32 {
        clients.push(Client::connect(&bench.server.base).await?);
    }
    let dues = Arc::clone(&got);
    let operation = move |mut client: Client, due: Instant, number: u64| {
        let got = Arc::clone(&dues);
        async move {
            if let Ok(number) = usize::try_from(number) {
                got.due.lock().unwrap_or_else(PoisonError::into_inner)[number] = due;
            }
            let body = json!({"context_id": format!("n{number}"), "prompt": "x".repeat(150),
                "agent_slug": format!("n{number}")});
            client.post("/llm-tasks", body.to_string(), true).await?;
            Ok(client)
        }
    };
    let submitted = open(name, clients, rate, TIME, operation).await?;
    let all = u32::try_from(submitted.done)?;
    let arrived = got.arrived.acquire_many(all);
    let in_time = tokio::time::timeout(Duration::from_secs(10), arrived).await;
    drop(in_time.context("not all that was submitted arrived")??);
    waiters.abort_all();
    while waiters.join_next().await.is_some() {}
    let latency = got
        .latency
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let figures = Figures {
        latency,
        ..submitted
    };
    bench.report.curve(name, &figures)?;
    bench.report.figures(name, "wake-ups/s", &figures)
}

/// Calls of the database and CPU time of the service and its Postgres, a second.
async fn cost(bench: &Bench) -> anyhow::Result<(f64, f64)> {
    let admin = bench.server.connect().await?;
    let calls = "select xact_commit::float8 + xact_rollback from pg_stat_database
        where datname = current_database()";
    let before: f64 = admin.query_one(calls, &[]).await?.get(0);
    let (begun, cpu) = (Instant::now(), bench.server.cpu_seconds());
    tokio::time::sleep(IDLE).await;
    let after: f64 = admin.query_one(calls, &[]).await?.get(0);
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = bench.server.cpu_seconds() - cpu;
    // The first question is among them.
    Ok(((after - before - 1.0) / seconds, cpu / seconds))
}

/// What a thousand waiters cost beyond what the service does anyway.
pub async fn idle(bench: &Bench) -> anyhow::Result<()> {
    bench.clear().await?;
    let (alone, alone_cpu) = cost(bench).await?;
    let mut waiters = waiters(bench, 1000, &nothing_yet()?).await?;
    let (with, with_cpu) = cost(bench).await?;
    waiters.abort_all();
    while waiters.join_next().await.is_some() {}
    let report = &bench.report;
    report.line("idle/0/queries", alone, "queries/second", None)?;
    report.line("idle/0/cpu", alone_cpu * 100.0, "% of a core", None)?;
    report.line("idle/1000/queries", with, "queries/second", None)?;
    report.line("idle/1000/cpu", with_cpu * 100.0, "% of a core", None)?;
    report.line("idle/waiters/queries", with - alone, "queries/second", None)?;
    let waiting = (with_cpu - alone_cpu) * 100.0;
    report.line("idle/waiters/cpu", waiting, "% of a core", None)?;
    report.line("idle/waiters", count(1000), "waiters", None)
}
