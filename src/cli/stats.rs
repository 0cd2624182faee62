//! `bloom stats`: the counts of everything at a glance.

use std::process::ExitCode;

use super::desk::{Desk, Trouble, text};
use super::exit;
use crate::config::client::ClientArgs;

/// Arguments of `bloom stats`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bloom stats\n  bloom stats --json | jq .tasks.by_status")]
pub struct Args {
    /// Which service to ask.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Print JSON for programs.
    #[arg(long)]
    pub json: bool,
}

/// The statuses, in the order of a task's life.
const STATUSES: [&str; 7] = [
    "queued",
    "leased",
    "running",
    "failed",
    "completed",
    "dead",
    "cancelled",
];

/// Shows them.
///
/// # Errors
/// When nothing can be printed.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    Desk::serve(&args.client, args.json, show).await
}

async fn show(desk: &mut Desk) -> Result<u8, Trouble> {
    let mut stats = desk.get("/stats").await?;
    let queues = desk.get("/queues").await?;
    if desk.json {
        if let Some(stats) = stats.as_object_mut() {
            stats.insert("queues".to_owned(), queues);
        }
        desk.out.json(&stats)?;
        return Ok(exit::DONE);
    }
    let (tasks, leases, workers) = (&stats["tasks"], &stats["leases"], &stats["workers"]);
    let mut rows = vec![["tasks".to_owned(), text(tasks, "total")]];
    for status in STATUSES {
        if let Some(count) = tasks["by_status"][status].as_u64() {
            rows.push([format!("  {status}"), count.to_string()]);
        }
    }
    rows.push(["live leases".to_owned(), text(leases, "active")]);
    rows.push([
        "workers online".to_owned(),
        format!("{} of {}", text(workers, "online"), text(workers, "total")),
    ]);
    rows.push([
        "stale reports refused".to_owned(),
        text(&stats, "stale_refused"),
    ]);
    desk.out.table(["", ""], rows)?;
    super::queue::table(desk, &queues)?;
    Ok(exit::DONE)
}
