//! Load on a running service, measured from outside: see `bench/README.md`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde_json::json;

use bloom_bench::measure::Report;
use bloom_bench::scenarios;
use bloom_bench::server::Server;

/// What a smoke test measures, and the least share of the floor (one-row durable inserts) that it must
/// reach: about a quarter of what it does reach, so that only gross regressions fail.
const SMOKE: [(&str, f64); 3] = [
    ("submit/64", 0.08),
    ("cycle-64", 0.04),
    ("sql-batch/2x100", 0.2),
];

/// Measures the service and the floor that its disk and its Postgres set, in one run.
///
/// Starts the program with a private Postgres in a new directory. Prints a table on stderr, and a
/// JSON line for each figure on stdout.
#[derive(Debug, Parser)]
struct Args {
    /// The program to measure.
    #[arg(long, value_name = "FILE", default_value = "target/release/bloom")]
    bloom: PathBuf,
    /// Where to put its data; kept afterwards.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// How long each loop runs, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Only scenarios whose names begin so (may be given several times).
    #[arg(value_name = "SCENARIO")]
    only: Vec<String>,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
    /// Measure a few, and fail where the service is far below the machine's own floor.
    #[arg(long, conflicts_with = "only")]
    smoke: bool,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a list was asked for")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if args.list {
        for (name, what) in scenarios::ALL {
            println!("{name:<16} {what}");
        }
        return Ok(());
    }
    let server = Server::start(&args.bloom, args.data_dir.as_deref()).await?;
    let version = server
        .connect()
        .await?
        .query_one("show server_version", &[])
        .await?
        .get::<_, String>(0);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let bench = scenarios::Bench {
        time: Duration::from_secs(args.seconds),
        report: Report::new(json!({"postgres": version, "cores": cores, "seconds": args.seconds})),
        server,
    };
    let is_wanted = |name: &str| {
        if args.smoke {
            name == "floor" || SMOKE.iter().any(|(figure, _)| figure.starts_with(name))
        } else {
            args.only.is_empty() || args.only.iter().any(|only| name.starts_with(only))
        }
    };
    for (name, _) in scenarios::ALL {
        if is_wanted(name) {
            scenarios::run(&bench, name).await?;
        }
    }
    let verdict = if args.smoke {
        judge(&bench.report)
    } else {
        Ok(())
    };
    bench.server.stop().await?;
    verdict
}

/// Each figure against the floor of the same run.
fn judge(report: &Report) -> anyhow::Result<()> {
    let floor = report.said("floor/insert").context("no floor")?;
    for (figure, least) in SMOKE {
        let ratio = report.said(figure).context("no figure")? / floor;
        ensure!(
            ratio >= least,
            "{figure} is {ratio:.3} of the floor; less than {least} is a regression"
        );
    }
    Ok(())
}
