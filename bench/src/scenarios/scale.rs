//! With much in the tables, with much in the way.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio_postgres::Client as Session;

use super::http::{SUPPLY, cycle_on};
use super::{Bench, sql};
use crate::http::Client;
use crate::measure::{Figures, Until, closed, count};

/// Cycles while a snapshot is held open.
const HELD: u64 = 300_000;
/// Tasks more than that: the loop may not run dry.
const SPARE: u32 = 20_000;
/// Finished tasks in the tables.
const FINISHED: u32 = 1_000_000;
/// Labels of the mixed load.
const LABELS: [&str; 4] = ["gpu", "large", "eu", "fast"];

/// Ten priorities and five sets of labels; every worker has all labels.
pub async fn mixed(bench: &Bench) -> anyhow::Result<()> {
    bench.fill(0).await?;
    let mut client = Client::connect(&bench.server.base).await?;
    for chunk in 0..SUPPLY / 1000 {
        let task = |at: u32| {
            let labels = &LABELS[..(at / 10 % 5) as usize];
            json!({"context_id": format!("m{chunk}-{at}"), "agent_slug": "a",
                "prompt": "x".repeat(150), "priority": at % 10, "requires": labels})
        };
        let tasks: Vec<Value> = (0..1000).map(task).collect();
        client
            .call("/llm-tasks/batch", &json!({ "tasks": tasks }))
            .await?;
    }
    bench.register_with(64, 1, &LABELS).await?;
    bench
        .server
        .connect()
        .await?
        .batch_execute("vacuum analyze")
        .await?;
    cycle_on(bench, "mixed/64", 64).await?;
    // Other scenarios' workers have no labels.
    bench.register(64, 1).await
}

/// 300,000 cycles in batches of ten, with or without a snapshot that somebody holds open.
pub async fn held(bench: &Bench, is_held: bool) -> anyhow::Result<()> {
    let cycles = u32::try_from(HELD)? + SPARE;
    bench.fill(cycles).await?;
    let holder = bench.server.connect().await?;
    if is_held {
        let hold =
            "begin isolation level repeatable read; select count(*) from bloom_private.queue";
        holder.batch_execute(hold).await?;
    }
    let name = if is_held { "held" } else { "free" };
    let whole = format!("{name}/8x10");
    let figures = sql::cycles(bench, &whole, 8, 10, Until::Done(HELD)).await?;
    for (part, from, to) in [
        ("first", 0.0, 0.333),
        ("middle", 0.333, 0.667),
        ("last", 0.667, 1.0),
    ] {
        let rate = figures.rate_between(from, to);
        bench
            .report
            .line(&format!("{name}/{part}-third"), rate, "cycles/s", None)?;
    }
    holder.batch_execute("rollback").await?;
    if is_held && let Some(free) = bench.report.said("free/8x10") {
        bench
            .report
            .line("held/of-free", figures.rate() / free, "ratio", None)?;
    }
    Ok(())
}

/// Cycles one by one and in batches with at least so many tasks queued at all times.
pub async fn backlog(bench: &Bench, queued: u32) -> anyhow::Result<()> {
    bench.fill(queued + SUPPLY * 2).await?;
    bench.register(64, 1).await?;
    let rows = "select count(*) from bloom_private.ready";
    let before: i64 = bench
        .server
        .connect()
        .await?
        .query_one(rows, &[])
        .await?
        .get(0);
    let one = cycle_on(bench, &format!("backlog-{queued}/64"), 64).await?;
    let name = format!("backlog-{queued}/2x100");
    let many = sql::cycles(bench, &name, 2, 100, bench.time.into()).await?;
    let after: i64 = bench
        .server
        .connect()
        .await?
        .query_one(rows, &[])
        .await?
        .get(0);
    anyhow::ensure!(after >= i64::from(queued), "{before} tasks became {after}");
    compare(bench, "backlog", &one, &many, "backlog-10000")
}

/// Figures against those of the usual tables, where these were measured in the same run.
fn compare(
    bench: &Bench,
    name: &str,
    one: &Figures,
    many: &Figures,
    with: &str,
) -> anyhow::Result<()> {
    for (figures, kind) in [(one, "64"), (many, "2x100")] {
        if let Some(usual) = bench.report.said(&format!("{with}/{kind}")) {
            let ratio = figures.rate() / usual;
            bench
                .report
                .line(&format!("{name}/{kind}/ratio"), ratio, "ratio", None)?;
        }
    }
    Ok(())
}

/// What people look at, for each what is read.
const READS: [(&str, &str); 4] = [
    ("stats", "/stats"),
    ("completed", "/llm-tasks?status=completed"),
    ("failed", "/llm-tasks?status=failed"),
    ("runs", "/runs"),
];

/// The usual cycles before and after a million finished tasks came into the tables.
pub async fn with_history(bench: &Bench) -> anyhow::Result<()> {
    let mut both = Vec::new();
    for name in ["history-0", "history-1000000"] {
        if name != "history-0" {
            let admin = bench.clear().await?;
            history(&admin, FINISHED).await?;
        }
        bench.fill(SUPPLY * 2).await?;
        bench.register(64, 1).await?;
        let waited = settle(bench).await?;
        let report = &bench.report;
        report.line(&format!("{name}/settled"), waited, "seconds", None)?;
        let one = cycle_on(bench, &format!("{name}/64"), 64).await?;
        let until = bench.time.into();
        let many = sql::cycles(bench, &format!("{name}/2x100"), 2, 100, until).await?;
        both.push((one, many));
    }
    let (one, many) = both.last().context("nothing was measured")?;
    compare(bench, "history", one, many, "history-0")?;
    for (name, path) in READS {
        let clients = vec![Client::connect(&bench.server.base).await?];
        let read = move |mut client: Client| async move {
            client.get(path).await?;
            Ok((client, 1))
        };
        let name = format!("history/{name}");
        let figures = closed(&name, clients, bench.time, read).await?;
        bench.report.figures(&name, "reads/s", &figures)?;
    }
    let size = "select pg_database_size(current_database())::float8 / 1048576";
    let size: f64 = bench
        .server
        .connect()
        .await?
        .query_one(size, &[])
        .await?
        .get(0);
    bench.report.line("history/size", size, "MiB", None)?;
    bench
        .report
        .line("history/tasks", count(u64::from(FINISHED)), "tasks", None)
}

/// Waits until the service and its Postgres have done what a filled table gives them to do: seals,
/// counts, vacuums. Returns how long that took, in seconds.
async fn settle(bench: &Bench) -> anyhow::Result<f64> {
    const LOOK: Duration = Duration::from_secs(5);
    /// CPU time of a service that has nothing to catch up with, as a part of a core.
    const CALM: f64 = 0.1;
    for looks in 0..120 {
        let cpu = bench.server.cpu_seconds();
        tokio::time::sleep(LOOK).await;
        if (bench.server.cpu_seconds() - cpu) < CALM * LOOK.as_secs_f64() {
            return Ok(count(looks) * LOOK.as_secs_f64());
        }
    }
    anyhow::bail!("it did not come to rest within ten minutes")
}

/// Finished tasks with all that they leave behind, written straight into the tables.
pub async fn history(admin: &Session, tasks: u32) -> anyhow::Result<()> {
    const CHUNK: u32 = 50_000;
    for chunk in 0..tasks.div_ceil(CHUNK) {
        let made = format!(
            "create temp table made on commit drop as
             select bloom_private.uuid_v7() as task_id, bloom_private.uuid_v7() as lease_id,
                 bloom_private.uuid_v7() as artifact_id, i
               from generate_series({}, {}) i",
            chunk * CHUNK,
            (chunk + 1).saturating_mul(CHUNK).min(tasks) - 1
        );
        admin
            .batch_execute(&format!("begin; {made}; {HISTORY}; commit"))
            .await?;
    }
    admin.batch_execute("vacuum analyze").await?;
    Ok(())
}

/// What `made` leaves in the tables of history.
const HISTORY: &str = "
    insert into bloom_private.task (task_id, queue, context_id, agent_slug, prompt, context_hints,
        policy, desired_format, requires, priority, max_attempts, max_crashes, serial, created_at,
        created_by)
    select task_id, 'default', 'h' || i % 5000, 'a', repeat('x', 150), '{}', '{}', 'text', '{}', 5,
        3, 5, false, now(), 'bench' from made;
    insert into bloom_private.event (cause, task_id, ver, queue, prior, status, epoch, fence,
        attempts, crashes, actor)
    select s.status, task_id, s.ver, 'default', s.prior, s.status, 0, s.fence, s.fence, 0, 'bench'
      from made cross join (values ('queued', 1, null, 0), ('leased', 2, 'queued', 1),
           ('running', 3, 'leased', 1), ('completed', 4, 'running', 1))
           s (status, ver, prior, fence);
    insert into bloom_private.attempt (task_id, fence, lease_id, worker_id, epoch, attempt,
        started_at, ended_at, expires_at, last_heartbeat, ttl_seconds, outcome, result_status,
        artifact_id, digest)
    select task_id, 1, lease_id, 'w0', 0, 1, now(), now(), now(), now(), 300, 'completed',
        'success', artifact_id, '\\x00' from made;
    insert into bloom_private.artifact (artifact_id, task_id, lease_id, type, tags, content,
        size_bytes, created_at)
    select artifact_id, task_id, lease_id, 'LLM_RESULT', '{}', 'done', 4, now() from made;
    insert into bloom_private.finished (task_id, queue, status, ver, epoch, fence, attempts,
        crashes, cause, prior, actor, lease_id, worker_id)
    select task_id, 'default', 'completed', 4, 0, 1, 1, 0, 'completed', 'running', 'bench',
        lease_id, 'w0' from made";
