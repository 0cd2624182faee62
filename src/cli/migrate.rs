//! `bloom migrate`: installs or upgrades the schema.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;

use super::database::Database;
use crate::config::DatabaseArgs;
use crate::db::Endpoint;
use crate::db::install::{self, Bundle, Functions, Options, Report, SchemaStatus};

/// Install the queue into the database, or upgrade it. Safe while services are running.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bloom migrate --check\n  DATABASE_URL=postgresql://owner@db/queue bloom migrate"
)]
pub struct Args {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Only say what would be done; exit code 1 when there is something to do.
    #[arg(long)]
    pub check: bool,
    /// Reload the functions even when nothing has changed.
    #[arg(long, conflicts_with = "check")]
    pub force: bool,
}

/// Runs the command.
///
/// # Errors
/// When the database cannot be reached, or refuses.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let database = if args.check {
        Database::existing(&args.database).await?
    } else {
        Database::reach(&args.database).await?
    };
    let result = work(args, &database.endpoint, &mut std::io::stdout()).await;
    database.close().await;
    result
}

async fn work(args: &Args, endpoint: &Endpoint, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let bundle = Bundle::embedded()?;
    let mut client = endpoint
        .connect()
        .await
        .context("cannot connect to the database")?;
    if args.check {
        let status = install::status(&client, &bundle).await?;
        writeln!(out, "{status}")?;
        let current = matches!(status, SchemaStatus::Current { .. });
        return Ok(if current {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let report = install::install(&mut client, &bundle, Options { force: args.force }).await?;
    for migration in &report.migrations {
        writeln!(out, "ran {migration}")?;
    }
    writeln!(out, "{}", summarize(&report))?;
    Ok(ExitCode::SUCCESS)
}

fn summarize(report: &Report) -> String {
    let to = report.to;
    match (report.from, report.functions) {
        (None, Functions::Loaded(files)) => {
            format!("installed schema version {to}, {files} function files")
        }
        (Some(from), Functions::Loaded(files)) if from == to => {
            format!("schema version {to} is current; reloaded {files} function files")
        }
        (Some(from), Functions::Loaded(files)) => {
            format!("upgraded schema version {from} to {to}, {files} function files")
        }
        (_, Functions::Unchanged) => format!("schema version {to} is current; nothing to do"),
        (_, Functions::KeptNewer) => {
            format!("schema version {to} is current; a newer program's functions were kept")
        }
    }
}
