//! The command line.

pub mod audit;
pub mod completions;
mod database;
pub mod demo;
mod desk;
pub mod doctor;
pub mod exit;
pub mod key;
pub mod migrate;
pub mod output;
mod outside;
pub mod queue;
pub mod serve;
pub mod stats;
pub mod task;
mod when;
pub mod worker;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::LogArgs;
use crate::telemetry;

/// BLOOM Runtime: a Postgres-native job queue service for LLM-agent work.
#[derive(Debug, Parser)]
#[command(name = "bloom", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service, with a private Postgres unless `DATABASE_URL` names another.
    Serve(Box<serve::Args>),
    /// Run a worker: pull tasks and run a program on each. Or look after all workers.
    Worker(Box<worker::Args>),
    /// Submit, list, watch, cancel and explain tasks.
    Task(task::Args),
    /// List, pause and resume queues.
    Queue(queue::Args),
    /// Read the audit trail, and verify it.
    Audit(audit::Args),
    /// Show the counts of tasks, leases, workers and queues.
    Stats(stats::Args),
    /// Create, list and revoke API keys.
    Key(key::Args),
    /// Install or upgrade the schema.
    Migrate(migrate::Args),
    /// Examine the database and say what to do.
    Doctor(doctor::Args),
    /// Show the whole cycle on real texts, in under a minute.
    Demo(demo::Args),
    /// Print the completions of these commands for a shell.
    Completions(completions::Args),
}

/// The whole command line, for the reference that is generated from it.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(code) => code,
        Err(error) => {
            output::Out::stderr().line(format!("bloom: {error:#}")).ok();
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    telemetry::init(&cli.log)?;
    // Both TLS users in this program share the one provider that is compiled in.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    // It has threads of its own and may not be made or ended inside the runtime.
    let exporter = telemetry::export(&cli.log);
    let done = run(cli.command);
    if let Some(exporter) = exporter {
        exporter.finish();
    }
    done
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::Serve(args) => serve::run(*args).await,
            Command::Worker(args) => worker::run(*args).await,
            Command::Migrate(args) => migrate::run(&args).await,
            Command::Doctor(args) => doctor::run(&args).await,
            Command::Task(args) => task::run(args).await,
            Command::Queue(args) => queue::run(args).await,
            Command::Audit(args) => audit::run(args).await,
            Command::Stats(args) => stats::run(&args).await,
            Command::Completions(args) => completions::run(&args),
            Command::Key(args) => key::run(&args).await,
            Command::Demo(args) => demo::run(args).await,
        }
    })
}
