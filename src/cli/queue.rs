//! `bloom queue`: see how queues stand, and stop and start them, over HTTP.

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::desk::{Desk, Trouble, text};
use super::exit;
use super::output::clean;
use super::when;
use crate::client::segment;
use crate::config::client::ClientArgs;

/// Arguments of `bloom queue`.
#[derive(Debug, ClapArgs)]
#[command(after_help = exit::HELP)]
pub struct Args {
    /// Which service to ask.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Print JSON for programs.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What `bloom queue` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the queues with what is in them.
    #[command(after_help = "Examples:\n  bloom queue list\n  \
        bloom queue list --json | jq '.[] | select(.paused).name'")]
    List,
    /// Hand out no task of a queue until it is resumed. What runs goes on.
    #[command(after_help = "Examples:\n  bloom queue pause reports")]
    Pause(Name),
    /// Hand out tasks of a queue again.
    #[command(after_help = "Examples:\n  bloom queue resume reports")]
    Resume(Name),
}

/// Which queue.
#[derive(Debug, ClapArgs)]
pub struct Name {
    /// The queue's name.
    pub name: String,
}

/// Does it.
///
/// # Errors
/// When nothing can be printed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let verb = args.verb;
    Desk::serve(&args.client, args.json, async |desk| match &verb {
        Verb::List => list(desk).await,
        Verb::Pause(Name { name }) => change(desk, name, "pause").await,
        Verb::Resume(Name { name }) => change(desk, name, "resume").await,
    })
    .await
}

async fn list(desk: &mut Desk) -> Result<u8, Trouble> {
    let queues = desk.get("/queues").await?;
    if desk.json {
        desk.out.json(&queues)?;
    } else {
        table(desk, &queues)?;
    }
    Ok(exit::DONE)
}

/// The queues as a table.
pub(super) fn table(desk: &mut Desk, queues: &Value) -> std::io::Result<()> {
    let rows = queues.as_array().into_iter().flatten().map(|queue| {
        let tasks = &queue["tasks"];
        let count = |status: &str| tasks[status].as_u64().unwrap_or_default();
        let running = count("leased") + count("running");
        let limit = text(queue, "max_running");
        [
            text(queue, "name"),
            if queue["paused"] == true {
                "paused"
            } else {
                "open"
            }
            .to_owned(),
            count("queued").to_string(),
            if limit.is_empty() {
                running.to_string()
            } else {
                format!("{running}/{limit}")
            },
            count("failed").to_string(),
            count("dead").to_string(),
            count("completed").to_string(),
            when::age(queue, "oldest_ready_at"),
        ]
    });
    let head = [
        "queue",
        "state",
        "queued",
        "running",
        "failed",
        "dead",
        "completed",
        "oldest waits",
    ];
    desk.out.table(head, rows)
}

async fn change(desk: &mut Desk, name: &str, verb: &str) -> Result<u8, Trouble> {
    let path = format!("/queues/{}/{verb}", segment(name));
    let queue = desk.post(&path, &json!({})).await?;
    if desk.json {
        desk.out.json(&queue)?;
    } else {
        let state = if queue["paused"] == true {
            "paused"
        } else {
            "open"
        };
        desk.out
            .line(format_args!("{} is {state}", clean(name, false)))?;
    }
    Ok(exit::DONE)
}
