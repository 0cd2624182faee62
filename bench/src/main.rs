//! Load on a running service, measured from outside: see `bench/README.md`.

mod http;
mod measure;
mod scenarios;
mod server;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serde_json::json;

use measure::Report;
use server::Server;

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
        report: Report {
            settings: json!({"postgres": version, "cores": cores, "seconds": args.seconds}),
        },
        server,
    };
    let is_wanted = |name: &str| {
        args.only.is_empty() || args.only.iter().any(|only| name.starts_with(only.as_str()))
    };
    for (name, _) in scenarios::ALL {
        if is_wanted(name) {
            scenarios::run(&bench, name).await?;
        }
    }
    bench.server.stop().await
}
