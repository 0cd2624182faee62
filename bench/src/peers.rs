//! Other queues on the same Postgres in the same run, through their public API.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::scenarios::{self, Bench};

/// Where `make bench-peers` installs them.
pub const INSTALLED: &str = "bench/peers";
/// What a driver may take, filling its queue included.
const PATIENCE: Duration = Duration::from_secs(180);

/// A queue that is measured.
struct Peer {
    /// The name of its figure.
    name: &'static str,
    /// The program below [`INSTALLED`], and its arguments.
    command: &'static [&'static str],
    /// How many jobs it works off.
    jobs: u32,
}

/// All of them. The numbers of jobs make each take about ten seconds.
const PEERS: [Peer; 7] = [
    Peer {
        name: "graphile/defaults",
        command: &["node", "graphile.mjs"],
        jobs: 20_000,
    },
    Peer {
        name: "graphile/tuned",
        command: &["node", "graphile.mjs", "tuned"],
        jobs: 150_000,
    },
    Peer {
        name: "pg-boss/1",
        command: &["node", "pgboss.mjs", "1"],
        jobs: 2_000,
    },
    Peer {
        name: "pg-boss/100",
        command: &["node", "pgboss.mjs", "100"],
        jobs: 60_000,
    },
    Peer {
        name: "awa/64",
        command: &["build/release/bench-awa", "64"],
        jobs: 25_000,
    },
    Peer {
        name: "awa/200",
        command: &["build/release/bench-awa", "200"],
        jobs: 25_000,
    },
    Peer {
        name: "river",
        command: &["river/bin/riverqueue", "bench", "--num-total-jobs"],
        jobs: 100_000,
    },
];

/// Our scenarios that they are compared with.
const OURS: [&str; 5] = ["submit", "cycle-64", "batch", "sql-one", "sql-batch"];

/// Measures ours and theirs, each with the floor of the same minute. One that fails is named, and
/// the others go on.
#[expect(clippy::print_stderr, reason = "for people")]
pub async fn run(bench: &Bench) -> anyhow::Result<()> {
    for name in OURS {
        scenarios::run(bench, "floor").await?;
        scenarios::run(bench, name).await?;
    }
    let mut failed = Vec::new();
    for peer in &PEERS {
        scenarios::run(bench, "floor").await?;
        match measure(bench, peer).await {
            Ok(rate) => bench.report.line(peer.name, rate, "jobs/s", None)?,
            Err(error) => {
                eprintln!("{}: not measured: {error:#}", peer.name);
                failed.push(peer.name);
            }
        }
    }
    compare(bench)?;
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

/// Ours against theirs.
fn compare(bench: &Bench) -> anyhow::Result<()> {
    for (ours, theirs) in [
        ("cycle-64", "graphile/defaults"),
        ("cycle-64", "awa/64"),
        ("cycle-64", "awa/200"),
        ("cycle-64", "pg-boss/1"),
        ("batch/4x100", "river"),
        ("batch/4x100", "graphile/tuned"),
        ("batch/4x100", "pg-boss/100"),
        ("sql-batch/2x100", "graphile/tuned"),
        ("sql-batch/2x100", "river"),
        ("sql-batch/2x100", "pg-boss/100"),
    ] {
        if let (Some(us), Some(them)) = (bench.report.said(ours), bench.report.said(theirs)) {
            let name = format!("{ours} : {theirs}");
            bench.report.line(&name, us / them, "ratio", None)?;
        }
    }
    Ok(())
}

/// Runs one on a database of its own: jobs a second.
async fn measure(bench: &Bench, peer: &Peer) -> anyhow::Result<f64> {
    let database: String = peer
        .name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let database = format!("peer_{database}");
    let admin = bench.server.connect().await?;
    admin
        .batch_execute(&format!("drop database if exists {database} with (force)"))
        .await?;
    admin
        .batch_execute(&format!("create database {database}"))
        .await?;
    let url = bench.server.url_of(&database)?;
    let output = drive(peer, &url).await;
    // Its database is no longer of use, and its housekeeping would go on.
    admin
        .batch_execute(&format!("drop database if exists {database} with (force)"))
        .await?;
    let output = output?;
    if peer.name == "river" {
        return river_rate(&output);
    }
    let line = output.lines().rev().find(|line| line.starts_with('{'));
    let said: Value = serde_json::from_str(line.context("it said nothing")?)?;
    let (jobs, seconds) = (said["jobs"].as_f64(), said["seconds"].as_f64());
    Ok(jobs.context("no jobs")? / seconds.context("no time")?)
}

/// Runs the program: what it printed.
async fn drive(peer: &Peer, url: &str) -> anyhow::Result<String> {
    let root = Path::new(INSTALLED);
    let (program, arguments) = peer.command.split_first().context("no program")?;
    let program = if *program == "node" {
        Path::new(program).to_path_buf()
    } else {
        root.canonicalize()?.join(program)
    };
    if peer.name == "river" {
        let mut migrate = Command::new(&program);
        let migrate = migrate.args(["migrate-up", "--database-url", url]).output();
        let migrated = migrate.await?;
        ensure!(
            migrated.status.success(),
            "{}",
            String::from_utf8_lossy(&migrated.stderr)
        );
    }
    let mut command = Command::new(&program);
    command
        .args(arguments)
        .current_dir(root.join("node"))
        .env("DATABASE_URL", url)
        .env("JOBS", peer.jobs.to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if peer.name == "river" {
        command
            .arg(peer.jobs.to_string())
            .args(["--database-url", url]);
    }
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .context("it took too long")?
        .with_context(|| format!("{} does not start", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let problems = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{text}{problems}");
    Ok(text + &problems)
}

/// River's bench ends with a line that names its rate over the whole run.
fn river_rate(output: &str) -> anyhow::Result<f64> {
    let rate = output.lines().find_map(|line| {
        let (_, rest) = line.split_once("overall job/sec [")?;
        rest.split_once(']')?.0.trim().parse().ok()
    });
    rate.with_context(|| format!("no rate in {output}"))
}
