//! Through the verbs alone, and what the server itself can do.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::Bench;
use super::http::SUPPLY;
use crate::measure::{Figures, Until, closed};

/// How long the floor is measured: it comes before everything else.
const FLOOR_TIME: Duration = Duration::from_secs(2);

/// What everything else is compared with.
pub async fn floor(bench: &Bench) -> anyhow::Result<()> {
    let admin = bench.server.connect().await?;
    admin
        .batch_execute("create table if not exists floor (id bigserial primary key, payload text)")
        .await?;
    for (name, sql) in [
        (
            "floor/insert",
            "insert into floor (payload) values (repeat('x', 150))",
        ),
        ("floor/select-1", "select 1"),
    ] {
        let mut clients = Vec::new();
        for _ in 0..8 {
            let client = bench.server.connect().await?;
            let statement = client.prepare(sql).await?;
            clients.push((client, statement));
        }
        let figures = closed(
            name,
            clients,
            bench.time.min(FLOOR_TIME),
            |(client, statement): (Client, Statement)| async move {
                client.execute(&statement, &[]).await?;
                Ok(((client, statement), 1))
            },
        )
        .await?;
        bench.report.figures(name, "calls/s", &figures)?;
    }
    Ok(())
}

/// A session of one worker.
struct Worker {
    client: Client,
    lease: Statement,
    complete: Statement,
    name: String,
    session: Uuid,
}

impl Worker {
    async fn connect(bench: &Bench, at: usize, complete: &str) -> anyhow::Result<Self> {
        let client = bench.server.connect().await?;
        let lease = client
            .prepare("select task_id, lease_id from bloom.lease_next($1, $2, $3)")
            .await?;
        let complete = client.prepare(complete).await?;
        Ok(Self {
            client,
            lease,
            complete,
            name: format!("w{at}"),
            session: Uuid::new_v4(),
        })
    }

    async fn lease(&self, most: i32) -> anyhow::Result<(Vec<Uuid>, Vec<Uuid>)> {
        let rows = self
            .client
            .query(&self.lease, &[&self.name, &self.session, &most])
            .await?;
        let ids = |row: &tokio_postgres::Row| (row.get::<_, Uuid>(0), row.get::<_, Uuid>(1));
        Ok(rows.iter().map(ids).unzip())
    }
}

/// What ends one lease.
const COMPLETE: &str = "select task_status from bloom.lease_complete($1, $2, 'success', 'done')";
/// What ends many: how many.
const COMPLETE_MANY: &str = "select count(*) filter (where error is null)
    from bloom.lease_complete_many($1::uuid[], $2::uuid[],
        array_fill('success'::text, array[cardinality($1::uuid[])]),
        array_fill('done'::text, array[cardinality($1::uuid[])]),
        (select jsonb_agg('{}'::jsonb) from unnest($1::uuid[])))";

/// One task a call.
pub async fn one(bench: &Bench, name: &str) -> anyhow::Result<()> {
    bench.fill(SUPPLY).await?;
    cycles(bench, name, 8, 1, bench.time.into()).await?;
    Ok(())
}

/// A hundred tasks a call.
pub async fn batch(bench: &Bench, name: &str) -> anyhow::Result<()> {
    bench.fill(SUPPLY * 3).await?;
    cycles(bench, name, 2, 100, bench.time.into()).await?;
    Ok(())
}

/// Workers that lease and complete `most` tasks a call, on a connection each.
pub(super) async fn cycles(
    bench: &Bench,
    name: &str,
    connections: usize,
    most: i32,
    until: Until,
) -> anyhow::Result<Figures> {
    bench.register(connections, usize::try_from(most)?).await?;
    let complete = if most == 1 { COMPLETE } else { COMPLETE_MANY };
    let mut workers = Vec::new();
    for at in 0..connections {
        workers.push(Worker::connect(bench, at, complete).await?);
    }
    let operation = move |worker: Worker| async move {
        let (tasks, leases) = worker.lease(most).await?;
        let client = &worker.client;
        match (tasks.first(), leases.first()) {
            (Some(task), Some(lease)) if most == 1 => {
                client.query_one(&worker.complete, &[task, lease]).await?;
            }
            (Some(_), _) => {
                let row = client
                    .query_one(&worker.complete, &[&tasks, &leases])
                    .await?;
                ensure!(
                    row.get::<_, i64>(0) == i64::try_from(tasks.len())?,
                    "refused"
                );
            }
            _ => {}
        }
        let done = u64::try_from(tasks.len())?;
        Ok((worker, done))
    };
    let figures = closed(name, workers, until, operation).await?;
    bench.report.curve(name, &figures)?;
    bench.report.figures(name, "cycles/s", &figures)?;
    Ok(figures)
}

/// Each batch verb by itself, one call after the other.
pub async fn verbs(bench: &Bench) -> anyhow::Result<()> {
    const CALLS: u32 = 40;
    bench.fill(0).await?;
    bench.register(1, 1000).await?;
    let worker = Worker::connect(bench, 0, COMPLETE_MANY).await?;
    let submit = worker.client.prepare(super::SUBMIT).await?;
    let begun = Instant::now();
    for call in 0..CALLS {
        worker.client.query(&submit, &[&call.to_string()]).await?;
    }
    let took = begun.elapsed().as_secs_f64();
    let rate = f64::from(CALLS * 1000) / took;
    bench
        .report
        .line("verbs/submit-1000", rate, "tasks/s", None)?;
    let (mut leasing, mut completing, mut done) = (0.0, 0.0, 0_u32);
    loop {
        let begun = Instant::now();
        let (tasks, leases) = worker.lease(100).await?;
        if tasks.is_empty() {
            break;
        }
        leasing += begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        worker
            .client
            .query_one(&worker.complete, &[&tasks, &leases])
            .await?;
        completing += begun.elapsed().as_secs_f64();
        done += u32::try_from(tasks.len())?;
    }
    let done = f64::from(done);
    bench
        .report
        .line("verbs/lease-100", done / leasing, "tasks/s", None)?;
    bench
        .report
        .line("verbs/complete-100", done / completing, "tasks/s", None)
}

/// Row versions written so far.
const WRITTEN: &str = "select sum(n_tup_ins + n_tup_upd + n_tup_del)::float8
    from pg_stat_user_tables where schemaname = 'bloom_private'";
/// Bytes of write-ahead log.
const LOGGED: &str = "select (pg_current_wal_lsn() - '0/0')::float8";

/// What one life writes: submitted, leased and completed alone, with nobody else about.
pub async fn wal(bench: &Bench) -> anyhow::Result<()> {
    const LIVES: u32 = 500;
    bench.fill(0).await?;
    bench.register(1, 1).await?;
    let worker = Worker::connect(bench, 0, COMPLETE).await?;
    let client = &worker.client;
    let submit = "select bloom.task_submit('c', 'a', repeat('x', 150))";
    // The first images of pages depend on checkpoints and not on the work: they come before.
    client.batch_execute("checkpoint").await?;
    for _ in 0..100 {
        client.query_one(submit, &[]).await?;
        live(&worker).await?;
    }
    let settled = Duration::from_secs(11);
    tokio::time::sleep(settled).await;
    let read = async |sql| anyhow::Ok(client.query_one(sql, &[]).await?.get::<_, f64>(0));
    let (rows, bytes) = (read(WRITTEN).await?, read(LOGGED).await?);
    for _ in 0..LIVES {
        client.query_one(submit, &[]).await?;
        live(&worker).await?;
    }
    let bytes = read(LOGGED).await? - bytes;
    // Sessions report what they did a while after they have done it.
    tokio::time::sleep(settled).await;
    let rows = read(WRITTEN).await? - rows;
    let report = &bench.report;
    report.line("wal/life", bytes / f64::from(LIVES), "bytes", None)?;
    report.line("wal/rows", rows / f64::from(LIVES), "row versions", None)
}

async fn live(worker: &Worker) -> anyhow::Result<()> {
    let (tasks, leases) = worker.lease(1).await?;
    let (task, lease) = (tasks.first(), leases.first());
    let (task, lease) = (task.context("nothing")?, lease.context("nothing")?);
    worker
        .client
        .query_one(&worker.complete, &[task, lease])
        .await?;
    Ok(())
}
