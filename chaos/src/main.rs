//! `bloom-chaos`: runs faults against BLOOM Runtime and judges what they left behind.

#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bloom_chaos::checker::{Evidence, check};
use bloom_chaos::controls::{self, Control};
use bloom_chaos::nemesis::machine::{clock_env, set_clock};
use bloom_chaos::nemesis::schedule::Fault;
use bloom_chaos::report::page::{self, Sources};
use bloom_chaos::report::{Figures, figures};
use bloom_chaos::rig::cluster::{ClusterOptions, Replica};
use bloom_chaos::rig::machine::{postgres_bin, sweep_faketime};
use bloom_chaos::rig::{Volumes, volume};
use bloom_chaos::run::{RunOptions, run};
use bloom_chaos::{program, tables::Violation};
use clap::{Parser, Subcommand};

/// Faults for BLOOM Runtime.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything, break it for a while, judge what is left.
    Run(RunArgs),
    /// Judge the evidence of an earlier run again.
    Check {
        /// Its directory.
        dir: PathBuf,
    },
    /// Write the page of figures.
    Report(ReportArgs),
    /// The program that workers run in place of the real CLI.
    #[command(hide = true)]
    Program(program::Args),
}

/// Arguments of a run.
#[derive(Debug, clap::Args)]
struct RunArgs {
    /// Decides everything that is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long the faults last.
    #[arg(long, default_value_t = 1.5)]
    minutes: f64,
    /// The program under test.
    #[arg(long, default_value = "target/debug/bloom")]
    bloom: PathBuf,
    /// Where the PostgreSQL server programs are [default: the newest that is installed].
    #[arg(long)]
    pg_bin: Option<PathBuf>,
    /// Where the evidence goes.
    #[arg(long, default_value = "target/chaos")]
    out: PathBuf,
    /// The standby.
    #[arg(long, value_enum, default_value = "sync")]
    replica: Replica,
    /// Do without volumes that can be filled.
    #[arg(long)]
    no_volumes: bool,
    /// It runs in a mount namespace of its own.
    #[arg(long, hide = true)]
    inside: bool,
    /// Let the database's clock jump (F26); then nothing is judged by times.
    #[arg(long)]
    clock_jumps: bool,
    /// Only these faults.
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// Instead: queues that are broken on purpose, which must be seen.
    #[arg(long, value_enum, value_delimiter = ',', num_args = 0.., default_missing_values = ["C0", "C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "C10"])]
    controls: Vec<Control>,
    /// About how many tasks are submitted in a second.
    #[arg(long, default_value_t = 24.0)]
    rate: f64,
}

/// Arguments of the page.
#[derive(Debug, clap::Args)]
struct ReportArgs {
    /// The directory of the main run.
    #[arg(long)]
    run: PathBuf,
    /// Short runs beside it: what each is about, `=`, its directory.
    #[arg(long)]
    beside: Vec<String>,
    /// What came of the controls.
    #[arg(long)]
    controls: PathBuf,
    /// Which commit.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// Where the page goes.
    #[arg(long)]
    page: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Run(args) => run_faults(&args).await,
        Command::Check { dir } => judge(&Evidence::read(&dir)?, &dir, 0),
        Command::Report(args) => write_page(&args),
        Command::Program(args) => program::run(&args).await,
    }
}

async fn run_faults(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let wanted = !args.no_volumes && args.controls.is_empty();
    if wanted && !args.inside && volume::are_possible() {
        let mut again: Vec<String> = std::env::args().skip(1).collect();
        again.push("--inside".to_owned());
        let code = volume::enter(&again)?.and_then(|code| u8::try_from(code).ok());
        return Ok(ExitCode::from(code.unwrap_or(1)));
    }
    let bloom = args
        .bloom
        .canonicalize()
        .context("no program under test; see --bloom")?;
    let out = args.out.join(format!("seed-{}", args.seed));
    std::fs::create_dir_all(&out)?;
    let mut options = RunOptions {
        seed: args.seed,
        long: Duration::from_secs_f64(args.minutes * 60.0),
        out: out.canonicalize()?,
        bloom,
        cluster: ClusterOptions {
            bin: postgres_bin(args.pg_bin.as_deref())?,
            replica: args.replica,
            ..ClusterOptions::default()
        },
        volumes: Volumes::default(),
        clock: None,
        faults: if args.faults.is_empty() {
            Fault::all()
        } else {
            args.faults.clone()
        },
        rate: args.rate,
        workers: 2,
        pullers: 4,
        with_keys: true,
        linger: Duration::ZERO,
        heartbeat: None,
    };
    if !args.controls.is_empty() {
        return run_controls(&args.controls, &options).await;
    }
    let mounts = std::env::temp_dir().join(format!("bloom-chaos-volumes-{}", std::process::id()));
    if args.inside {
        options.volumes = volume::make(&mounts)?;
        options.cluster.data.clone_from(&options.volumes.data);
        options.cluster.wal.clone_from(&options.volumes.wal);
    }
    let clock = std::env::temp_dir().join(format!("bloom-chaos-clock-{}", std::process::id()));
    if args.clock_jumps {
        set_clock(&clock, "+0")?;
        options.cluster.env = clock_env(&clock)?;
        options.clock = Some(clock);
    }
    sweep_faketime();
    let evidence = run(&options, &|line| println!("{line}")).await?;
    sweep_faketime();
    if args.inside {
        volume::unmake(&options.volumes);
        std::fs::remove_dir_all(&mounts)?;
    }
    // A run that did little proves little. Ten a minute: 15 in the smoke.
    let least = options.long.as_secs() / 6;
    let is_whole = args.faults.is_empty();
    judge(&evidence, &options.out, if is_whole { least } else { 0 })
}

/// Runs controls, and says what came of them.
async fn run_controls(which: &[Control], options: &RunOptions) -> anyhow::Result<ExitCode> {
    let mut outcomes = Vec::new();
    for control in which {
        let outcome = controls::run(*control, options).await;
        let outcome = outcome.unwrap_or_else(|error| controls::not_run(*control, &error));
        let caught = if outcome.caught {
            "as it must be"
        } else {
            "NOT AS IT MUST BE"
        };
        println!(
            "{} ({}): {caught}; {:?}",
            outcome.id, outcome.what, outcome.found
        );
        if let Some(example) = &outcome.example {
            println!("    {example}");
        }
        outcomes.push(outcome);
    }
    let text = serde_json::to_string_pretty(&outcomes)?;
    std::fs::write(options.out.join("controls.json"), text)?;
    let all = outcomes.iter().all(|outcome| outcome.caught);
    Ok(if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether all promises were kept, under at least so many faults.
fn judge(evidence: &Evidence, out: &Path, least: u64) -> anyhow::Result<ExitCode> {
    let violations = check(evidence);
    let figures = figures(evidence, &violations);
    let faults: usize = figures.faults.values().sum();
    let enough = faults as u64 >= least;
    let figures = serde_json::to_string_pretty(&figures)?;
    std::fs::write(out.join("figures.json"), &figures)?;
    println!("{figures}");
    report(&violations);
    if !enough {
        println!("only {faults} faults of at least {least}");
    }
    let clean = violations.is_empty() && enough;
    println!(
        "{} violations; the evidence is in {}",
        violations.len(),
        out.display()
    );
    Ok(if clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn read_figures(dir: &Path) -> anyhow::Result<Figures> {
    let path = dir.join("figures.json");
    let text = std::fs::read_to_string(&path);
    let text = text.with_context(|| format!("no figures in {}", dir.display()))?;
    Ok(serde_json::from_str(&text)?)
}

fn write_page(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let mut others = Vec::new();
    for beside in &args.beside {
        let (what, dir) = beside.split_once('=').context("WHAT=DIRECTORY")?;
        others.push((what.to_owned(), read_figures(Path::new(dir))?));
    }
    let machine = |name: &str| std::fs::read_to_string(name).unwrap_or_default();
    let cpus = machine("/proc/cpuinfo").matches("processor\t:").count();
    let memory = machine("/proc/meminfo");
    let memory = memory
        .lines()
        .next()
        .unwrap_or_default()
        .replace("MemTotal:", "");
    let facts = [
        ("commit", args.commit.clone()),
        (
            "kernel",
            machine("/proc/sys/kernel/osrelease").trim().to_owned(),
        ),
        (
            "processors, shared with everything that is described here",
            cpus.to_string(),
        ),
        ("memory", memory.trim().to_owned()),
    ];
    let sources = Sources {
        main: read_figures(&args.run)?,
        dir: args.run.clone(),
        others,
        controls: serde_json::from_str(&std::fs::read_to_string(&args.controls)?)?,
        facts: facts.map(|(name, value)| (name.to_owned(), value)).to_vec(),
    };
    std::fs::write(&args.page, page::write(&sources)?)?;
    println!("{}", args.page.display());
    Ok(ExitCode::SUCCESS)
}

fn report(violations: &[Violation]) {
    for violation in violations.iter().take(40) {
        println!("{violation}");
    }
}
