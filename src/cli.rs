//! The command line.

mod database;
pub mod demo;
pub mod doctor;
pub mod key;
pub mod migrate;
pub mod output;
mod outside;
pub mod serve;
pub mod task;
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
    /// Run a worker: pull tasks and run a program on each.
    Worker(Box<worker::Args>),
    /// Install or upgrade the schema.
    Migrate(migrate::Args),
    /// Examine the database and say what to do.
    Doctor(doctor::Args),
    /// Submit, list, watch, cancel and explain tasks.
    Task(task::Args),
    /// Create, list and revoke API keys.
    Key(key::Args),
    /// Show the whole cycle on real texts, in under a minute.
    Demo(demo::Args),
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::run(*args).await,
            Command::Worker(args) => worker::run(*args).await,
            Command::Migrate(args) => migrate::run(&args).await,
            Command::Doctor(args) => doctor::run(&args).await,
            Command::Task(args) => task::run(args).await,
            Command::Key(args) => key::run(&args).await,
            Command::Demo(args) => demo::run(args).await,
        }
    })
}
