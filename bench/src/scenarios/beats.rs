//! What it costs to keep leases.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio_postgres::Client as Session;
use uuid::Uuid;

use super::Bench;
use super::http::{Worker, workers};
use crate::http::Client;
use crate::measure::{closed, count, open};

/// Workers that beat.
const WORKERS: usize = 500;
/// Leases of each.
const LEASES: usize = 20;
/// How often each beats, in seconds.
const INTERVAL: f64 = 10.0;
/// How long they beat before it is looked at, so that nobody has been silent for longer than usual:
/// who is goes offline and comes back with its next beat, and that is written, too.
const WARM: Duration = Duration::from_secs(20);
/// How long it is watched.
const TIME: Duration = Duration::from_secs(20);

/// A worker that beats: its connection, the path and the body of its beat.
type Beating = (Client, String, String);

/// Row versions written so far, dead rows of the tables that hold tasks, and WAL in bytes. Sessions
/// that go on writing tell what they wrote within a second.
async fn writes(client: &Session) -> anyhow::Result<(f64, f64, f64)> {
    let sql = "select sum(n_tup_ins + n_tup_upd)::float8,
            (sum(n_dead_tup) filter (where relname ~ '^(task|ready|deferred|parked|lease|finished|attempt|event)'))::float8,
            (pg_current_wal_lsn() - '0/0')::float8
        from pg_stat_user_tables where schemaname = 'bloom_private'";
    let row = client.query_one(sql, &[]).await?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

async fn beat((mut client, path, body): Beating, _: Instant, _: u64) -> anyhow::Result<Beating> {
    client.post(&path, body.clone(), true).await?;
    Ok((client, path, body))
}

/// 10,000 live leases on 500 workers, each of which beats every ten seconds.
pub async fn beats(bench: &Bench) -> anyhow::Result<()> {
    bench.fill(u32::try_from(WORKERS * LEASES)?).await?;
    bench.register(WORKERS, LEASES).await?;
    let mut beating = Vec::new();
    for at in 0..WORKERS {
        let mut client = Client::connect(&bench.server.base).await?;
        let session = Uuid::new_v4();
        let ask = json!({"worker_id": format!("w{at}"), "session_id": session,
            "max_tasks": LEASES});
        let answer = client.call("/leases", &ask).await?;
        let leases = answer["leases"].as_array().context("no list")?;
        let listed = |lease: &Value| json!({"lease_id": lease["lease"]["id"]});
        let listed: Vec<_> = leases.iter().map(listed).collect();
        anyhow::ensure!(listed.len() == LEASES, "{} leases", listed.len());
        let body = json!({"session_id": session, "leases": listed}).to_string();
        beating.push((client, format!("/workers/w{at}/beat"), body));
    }
    let admin = bench.server.connect().await?;
    admin.batch_execute("vacuum analyze").await?;
    let rate = count(WORKERS as u64) / INTERVAL;
    let watch = async {
        tokio::time::sleep(WARM).await;
        let (begun, cpu) = (Instant::now(), bench.server.cpu_seconds());
        let before = writes(&admin).await?;
        tokio::time::sleep(TIME).await;
        let (seconds, cpu) = (
            begun.elapsed().as_secs_f64(),
            bench.server.cpu_seconds() - cpu,
        );
        anyhow::Ok((before, writes(&admin).await?, seconds, cpu))
    };
    // A little longer than it is watched.
    let beats = open(
        "beats",
        beating,
        rate,
        WARM + TIME + Duration::from_secs(2),
        beat,
    );
    let (figures, watched) = tokio::try_join!(beats, watch)?;
    let (before, after, seconds, cpu) = watched;
    let report = &bench.report;
    report.figures("beats/500x20", "beats/s", &figures)?;
    report.line(
        "beats/rows",
        (after.0 - before.0) / seconds,
        "row versions/second",
        None,
    )?;
    report.line("beats/dead", after.1 - before.1, "dead rows", None)?;
    report.line("beats/cpu", cpu / seconds * 100.0, "% of a core", None)?;
    report.line(
        "beats/wal",
        (after.2 - before.2) / (rate * seconds),
        "bytes a beat",
        None,
    )?;
    bench.clear().await?;
    Ok(())
}

/// 64 workers that each hold a lease say so again and again.
pub async fn heartbeats(bench: &Bench) -> anyhow::Result<()> {
    bench.fill(1000).await?;
    bench.register(64, 1).await?;
    let mut clients = Vec::new();
    for mut worker in workers(bench, 64, None).await? {
        let leases = worker.lease().await?;
        let lease = leases.first().context("no lease")?;
        let id = lease["task"]["id"].as_str().context("no id")?;
        let body = json!({"lease_id": lease["lease"]["id"]}).to_string();
        clients.push((worker, format!("/llm-tasks/{id}/heartbeat"), body));
    }
    let operation = |(mut worker, path, body): (Worker, String, String)| async move {
        worker.client.post(&path, body.clone(), true).await?;
        Ok(((worker, path, body), 1))
    };
    let figures = closed("heartbeats/64", clients, bench.time, operation).await?;
    bench
        .report
        .figures("heartbeats/64", "heartbeats/s", &figures)?;
    bench.clear().await?;
    Ok(())
}
