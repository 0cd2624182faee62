//! Load on a running service, measured from outside: see `bench/README.md`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use clap::Parser;
use serde_json::{Value, json};

use bloom_bench::report::{FLOOR, Report};
use bloom_bench::scenarios::{self, Bench};
use bloom_bench::server::Server;
use bloom_bench::{peers, summary};

/// What a smoke test measures: scenario, figure, and the least share of the floor (one-row durable inserts) that it must
/// reach: about a quarter of what it does reach, so that only gross regressions fail.
const SMOKE: [(&str, &str, f64); 3] = [
    ("submit", "submit/64", 0.08),
    ("cycle-64", "cycle-64", 0.04),
    ("sql-batch", "sql-batch/2x100", 0.2),
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
    /// Append figures and curves to files in this folder.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// How long each loop runs, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// The commit that is measured, for the record.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// Only scenarios whose names begin so (may be given several times).
    #[arg(value_name = "SCENARIO")]
    only: Vec<String>,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
    /// Measure a few, and fail where the service is far below the machine's own floor.
    #[arg(long, conflicts_with_all = ["only", "peers", "summary"])]
    smoke: bool,
    /// Measure other queues, too, on the same Postgres, and compare.
    #[arg(long, conflicts_with_all = ["only", "summary"])]
    peers: bool,
    /// Measure nothing: make tables and plots from the figures in this folder.
    #[arg(long, value_name = "DIR")]
    summary: Option<PathBuf>,
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
    if let Some(dir) = &args.summary {
        return summary::write(dir);
    }
    let server = Server::start(&args.bloom, args.data_dir.as_deref()).await?;
    let settings = settings(&args, &server).await?;
    let bench = Bench {
        time: Duration::from_secs(args.seconds),
        report: Report::new(settings, args.results.as_deref())?,
        server,
    };
    let measured = measure(&args, &bench).await;
    bench.server.stop().await?;
    measured
}

/// What figures were measured on.
async fn settings(args: &Args, server: &Server) -> anyhow::Result<Value> {
    let client = server.connect().await?;
    let show = async |name: &str| {
        let row = client.query_one(&format!("show {name}"), &[]).await?;
        anyhow::Ok(row.get::<_, String>(0))
    };
    let started = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |model| {
        model.trim_start_matches([' ', '\t', ':'])
    });
    Ok(json!({
        "run": started.to_string(),
        "commit": args.commit,
        "seconds": args.seconds,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu": model,
        "postgres": show("server_version").await?,
        "fsync": show("fsync").await?,
        "synchronous_commit": show("synchronous_commit").await?,
        "full_page_writes": show("full_page_writes").await?,
        "shared_buffers": show("shared_buffers").await?,
    }))
}

async fn measure(args: &Args, bench: &Bench) -> anyhow::Result<()> {
    if args.peers {
        return peers::run(bench).await;
    }
    let is_wanted = |name: &str| {
        if args.smoke {
            SMOKE.iter().any(|(scenario, ..)| *scenario == name)
        } else if args.only.is_empty() {
            name != "floor" && !scenarios::LONG.contains(&name)
        } else {
            args.only.iter().any(|only| only == name)
        }
    };
    for (name, _) in scenarios::ALL {
        if is_wanted(name) {
            // The floor of the same minute.
            scenarios::run(bench, "floor").await?;
            if name != "floor" {
                scenarios::run(bench, name).await?;
            }
        }
    }
    if args.smoke {
        judge(&bench.report)?;
    }
    Ok(())
}

/// Each figure against the floor of the same run.
fn judge(report: &Report) -> anyhow::Result<()> {
    let floor = report.said(FLOOR).context("no floor")?;
    for (_, figure, least) in SMOKE {
        let ratio = report.said(figure).context("no figure")? / floor;
        ensure!(
            ratio >= least,
            "{figure} is {ratio:.3} of the floor; less than {least} is a regression"
        );
    }
    Ok(())
}
