//! awa: no-op jobs on so many workers in one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use awa::model::insert::params_with;
use awa::model::insert_many;
use awa::{Client, InsertOpts, JobArgs, JobResult, QueueConfig};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;

/// As much as a task of ours carries.
#[derive(Serialize, Deserialize, JobArgs)]
struct Noop {
    prompt: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let jobs: u64 = std::env::var("JOBS")?.parse()?;
    let workers: u32 = std::env::args().nth(1).unwrap_or_default().parse()?;
    let pool = PgPoolOptions::new()
        .max_connections(30)
        .connect(&std::env::var("DATABASE_URL")?)
        .await?;
    awa::migrations::run(&pool).await?;
    let done = Arc::new(AtomicU64::new(0));
    let client = || {
        let counter = Arc::clone(&done);
        let queue = QueueConfig {
            max_workers: workers,
            ..QueueConfig::default()
        };
        Client::builder(pool.clone())
            .queue("noop", queue)
            .register::<Noop, _, _>(move |_, _| {
                counter.fetch_add(1, Ordering::Relaxed);
                async { Ok(JobResult::Completed) }
            })
            .build()
    };
    // The storage that a database gets is decided at the first start.
    let first = client()?;
    first.start().await?;
    first.shutdown(Duration::from_secs(5)).await;
    let mut left = jobs;
    while left > 0 {
        let some = left.min(1000);
        let params: Result<Vec<_>, _> = (0..some)
            .map(|_| {
                let opts = InsertOpts { queue: "noop".into(), ..InsertOpts::default() };
                params_with(&Noop { prompt: "x".repeat(150) }, opts)
            })
            .collect();
        insert_many(&pool, &params?).await?;
        left -= some;
    }
    sqlx::query("vacuum analyze").execute(&pool).await?;

    let client = client()?;
    let begun = Instant::now();
    client.start().await?;
    while done.load(Ordering::Relaxed) < jobs {
        tokio::time::sleep(Duration::from_millis(5)).await;
        anyhow::ensure!(
            begun.elapsed() < Duration::from_secs(120),
            "{} of {jobs} after two minutes",
            done.load(Ordering::Relaxed)
        );
    }
    // Done is what is stored.
    let stored = "select count(*) from awa.jobs where queue = 'noop' and state = 'completed'";
    while sqlx::query_scalar::<_, i64>(stored).fetch_one(&pool).await? < i64::try_from(jobs)? {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{}", serde_json::json!({"jobs": jobs, "seconds": seconds}));
    std::process::exit(0);
}
