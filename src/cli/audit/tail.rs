//! `bloom audit tail`.

use clap::Args;
use serde_json::Value;

use crate::cli::desk::{Desk, Trouble, query, text};
use crate::cli::exit;
use crate::cli::output::clean;
use crate::cli::when;

/// The most rows that are shown at once.
const MOST: u64 = 100_000;

/// Which rows.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bloom audit tail --limit 100
  bloom audit tail --task 01a2096c-99ef-7b58-b821-ea3b259302ac
  bloom audit tail --action task_failed,task_dead
  bloom audit tail --entity-type queue --json | jq -r .actor")]
pub struct Tail {
    /// How many rows at most.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=MOST))]
    pub limit: u64,
    /// Only those of this task.
    #[arg(long, value_name = "ID", conflicts_with_all = ["entity_type", "entity_id"])]
    pub task: Option<uuid::Uuid>,
    /// Only those of this kind: `llm_task`, `lease`, `worker`, `queue`, `key`, `setting`, …
    #[arg(long, value_name = "KIND")]
    pub entity_type: Option<String>,
    /// Only those of this one.
    #[arg(long, value_name = "ID", requires = "entity_type")]
    pub entity_id: Option<String>,
    /// Only what this one did.
    #[arg(long)]
    pub actor: Option<String>,
    /// Only these actions (separated by commas), e.g. `task_created`, `queue_paused`.
    #[arg(long, value_delimiter = ',')]
    pub action: Vec<String>,
}

pub(super) async fn run(desk: &mut Desk, tail: &Tail) -> Result<u8, Trouble> {
    let task = tail.task.map(|id| id.to_string());
    let actions = tail.action.join(",");
    let query = query([
        ("entity_type", tail.entity_type.as_deref()),
        ("entity_id", tail.entity_id.as_deref().or(task.as_deref())),
        ("actor", tail.actor.as_deref()),
        ("action", Some(actions.as_str()).filter(|it| !it.is_empty())),
    ]);
    let limit = usize::try_from(tail.limit).unwrap_or(usize::MAX);
    let mut rows = desk.list(&format!("/audit?{query}"), limit).await?;
    rows.reverse();
    for row in &rows {
        show(desk, row)?;
    }
    Ok(exit::DONE)
}

fn show(desk: &mut Desk, row: &Value) -> std::io::Result<()> {
    if desk.json {
        return desk.out.line(row);
    }
    let line = format!(
        "{}  {:<22} {} {}  by {}  {}",
        when::at(row, "timestamp"),
        text(row, "action"),
        text(row, "entity_type"),
        text(row, "entity_id"),
        text(row, "actor"),
        text(row, "detail")
    );
    desk.out.line(clean(line.trim_end(), false))
}
