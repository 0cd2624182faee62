//! `bloom worker`: runs a worker, or looks after all of them.

mod fleet;
mod run;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

use super::desk::complain;
use super::exit;
use fleet::{Change, Names};
pub(super) use run::Signals;
pub use run::{ClaudeArgs, RunArgs, Workspace};

/// Arguments of `bloom worker`: of the worker to run, or a subcommand.
#[derive(Debug, ClapArgs)]
#[command(
    subcommand_negates_reqs = true,
    after_help = "Examples:
  bloom worker --name mine-1 --exec './answer.py' --concurrency 4
  bloom worker --name mine-2 --label gpu --credential team-a
  bloom worker list
  bloom worker drain mine-1"
)]
pub struct Args {
    /// How a worker is run.
    #[command(flatten)]
    pub run: RunArgs,
    /// What else to do.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// What `bloom worker` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a worker, the same as without a subcommand.
    #[command(after_help = "Examples:\n  bloom worker run --name mine-1 --exec 'tr a-z A-Z'")]
    Run(Box<RunArgs>),
    /// List the workers.
    #[command(after_help = "Examples:\n  bloom worker list\n  \
        bloom worker list --json | jq -r '.[] | select(.status == \"offline\").id'")]
    List {
        /// Print JSON for programs.
        #[arg(long)]
        json: bool,
    },
    /// Give workers no new tasks; what they have goes on.
    #[command(after_help = "Examples:\n  bloom worker drain mine-1 mine-2")]
    Drain(Names),
    /// Give drained workers tasks again.
    #[command(after_help = "Examples:\n  bloom worker resume mine-1")]
    Resume(Names),
    /// Forget workers; the tasks that they have are queued again.
    #[command(after_help = "Examples:\n  bloom worker remove mine-1")]
    Remove(Names),
}

/// Does it.
///
/// # Errors
/// When a worker's options are wrong or the service refuses it, or nothing can be printed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Some(verb) = args.verb else {
        return run::run(args.run).await;
    };
    if args.run.name.is_some() || args.run.exec.is_some() {
        complain("--name and --exec are for running a worker; put them behind `bloom worker run`")?;
        return Ok(ExitCode::from(exit::USAGE));
    }
    let client = &args.run.client;
    match verb {
        Verb::Run(args) => run::run(*args).await,
        Verb::List { json } => fleet::list(client, json).await,
        Verb::Drain(names) => fleet::change(client, &names, Change::Drain).await,
        Verb::Resume(names) => fleet::change(client, &names, Change::Resume).await,
        Verb::Remove(names) => fleet::change(client, &names, Change::Remove).await,
    }
}
