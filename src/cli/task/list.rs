//! `bloom task list`.

use clap::Args;
use serde_json::Value;

use crate::cli::desk::{Desk, Trouble, query, text};
use crate::cli::exit;
use crate::cli::output::brief;
use crate::cli::when;

/// How much of a prompt a listing shows, in characters.
const BRIEF: usize = 40;
/// The most tasks that one listing shows.
const MOST: u64 = 1_000_000;

/// Which tasks.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bloom task list --status dead --queue reports
  bloom task list --search 'red box' --limit 1000
  bloom task list --status failed --json | jq -r '.[].id' | bloom task requeue -")]
pub struct List {
    /// Only those with this status: queued, leased, running, completed, failed, dead or cancelled.
    #[arg(long)]
    pub status: Option<String>,
    /// Only those of this queue.
    #[arg(long)]
    pub queue: Option<String>,
    /// Only those for this agent.
    #[arg(long)]
    pub agent: Option<String>,
    /// Only those of this context.
    #[arg(long)]
    pub context: Option<String>,
    /// Only those that this worker has, or had last.
    #[arg(long)]
    pub worker: Option<String>,
    /// Only those that require this label.
    #[arg(long)]
    pub label: Option<String>,
    /// Only those whose id, context, agent or prompt contains this text.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=MOST))]
    pub limit: u64,
}

pub(super) async fn run(desk: &mut Desk, list: &List) -> Result<u8, Trouble> {
    let query = query([
        ("status", list.status.as_deref()),
        ("queue", list.queue.as_deref()),
        ("agent", list.agent.as_deref()),
        ("context_id", list.context.as_deref()),
        ("worker", list.worker.as_deref()),
        ("label", list.label.as_deref()),
        ("q", list.search.as_deref()),
    ]);
    let limit = usize::try_from(list.limit).unwrap_or(usize::MAX);
    let tasks = desk.list(&format!("/llm-tasks?{query}"), limit).await?;
    if desk.json {
        desk.out.json(&Value::Array(tasks))?;
        return Ok(exit::DONE);
    }
    let rows = tasks.iter().map(|task| {
        [
            text(task, "id"),
            text(task, "status"),
            text(task, "queue"),
            brief(&text(task, "context_id"), BRIEF),
            text(task, "agent_slug"),
            text(task, "worker_id"),
            super::show::attempts(task),
            when::age(task, "created_at"),
            brief(&text(task, "prompt"), BRIEF),
        ]
    });
    let head = [
        "id", "status", "queue", "context", "agent", "worker", "attempts", "age", "prompt",
    ];
    desk.out.table(head, rows)?;
    Ok(exit::DONE)
}
