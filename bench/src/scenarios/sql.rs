//! Through the verbs alone, and what the server itself can do.

use anyhow::Context as _;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::Bench;
use crate::measure::closed;

/// Tasks that a loop may use up.
const SUPPLY: u32 = 80_000;

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
            bench.time,
            |(client, statement): (Client, Statement)| async move {
                client.execute(&statement, &[]).await?;
                Ok(((client, statement), 1))
            },
        )
        .await?;
        bench.report.figures(name, "calls/s", &figures);
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

/// One task a call.
pub async fn one(bench: &Bench) -> anyhow::Result<()> {
    bench.fill(SUPPLY).await?;
    bench.register(8, 1).await?;
    let mut workers = Vec::new();
    for at in 0..8 {
        let complete = "select task_status from bloom.lease_complete($1, $2, 'success', 'done')";
        workers.push(Worker::connect(bench, at, complete).await?);
    }
    let figures = closed(
        "sql-one/8",
        workers,
        bench.time,
        |worker: Worker| async move {
            let (tasks, leases) = worker.lease(1).await?;
            if let (Some(task), Some(lease)) = (tasks.first(), leases.first()) {
                worker
                    .client
                    .query_one(&worker.complete, &[task, lease])
                    .await?;
            }
            let done = u64::try_from(tasks.len())?;
            Ok((worker, done))
        },
    )
    .await?;
    bench.report.figures("sql-one/8", "cycles/s", &figures);
    Ok(())
}

/// A hundred tasks a call.
pub async fn batch(bench: &Bench) -> anyhow::Result<()> {
    bench.fill(SUPPLY * 2).await?;
    bench.register(2, 100).await?;
    let mut workers = Vec::new();
    for at in 0..2 {
        let complete = "select count(*) filter (where error is null)
            from bloom.lease_complete_many($1::uuid[], $2::uuid[],
                array_fill('success'::text, array[cardinality($1::uuid[])]),
                array_fill('done'::text, array[cardinality($1::uuid[])]),
                (select jsonb_agg('{}'::jsonb) from unnest($1::uuid[])))";
        workers.push(Worker::connect(bench, at, complete).await?);
    }
    let figures = closed(
        "sql-batch/2x100",
        workers,
        bench.time,
        |worker: Worker| async move {
            let (tasks, leases) = worker.lease(100).await?;
            if tasks.is_empty() {
                return Ok((worker, 0));
            }
            let row = worker
                .client
                .query_one(&worker.complete, &[&tasks, &leases])
                .await?;
            let done = u64::try_from(row.get::<_, i64>(0))?;
            Ok((worker, done))
        },
    )
    .await?;
    bench
        .report
        .figures("sql-batch/2x100", "cycles/s", &figures);
    Ok(())
}

/// What one life writes: submitted, leased and completed alone, with nobody else about.
pub async fn wal(bench: &Bench) -> anyhow::Result<()> {
    const LIVES: u32 = 500;
    bench.fill(0).await?;
    bench.register(1, 1).await?;
    let complete = "select task_status from bloom.lease_complete($1, $2, 'success', 'done')";
    let worker = Worker::connect(bench, 0, complete).await?;
    let admin = &worker.client;
    let submit = "select bloom.task_submit('c', 'a', repeat('x', 150))";
    // Without the first images of pages, which depend on checkpoints and not on the work.
    admin.batch_execute("checkpoint").await?;
    let images = "select wal_bytes::float8, wal_fpi from pg_stat_wal";
    let position = "select (pg_current_wal_lsn() - '0/0')::float8";
    for _ in 0..100 {
        admin.query_one(submit, &[]).await?;
        live(&worker).await?;
    }
    let begun: f64 = admin.query_one(position, &[]).await?.get(0);
    for _ in 0..LIVES {
        admin.query_one(submit, &[]).await?;
        live(&worker).await?;
    }
    let ended: f64 = admin.query_one(position, &[]).await?.get(0);
    drop(admin.query_one(images, &[]).await?);
    bench.report.line(
        "wal/life",
        (ended - begun) / f64::from(LIVES),
        "bytes",
        None,
    );
    Ok(())
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
