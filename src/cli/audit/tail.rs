//! `bloom audit tail`.

use std::collections::HashSet;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::cli::desk::{Desk, Trouble, query, text};
use crate::cli::exit;
use crate::cli::output::clean;
use crate::cli::when;
use crate::client::stream::Stream;
use crate::http::wire;

/// How long a follower puts up with a service that is away.
const PATIENCE: Duration = Duration::from_secs(120);
/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// The most rows that are shown at once.
const MOST: u64 = 100_000;
/// Members of a row, in their order.
const MEMBERS: [&str; 11] = [
    "id",
    "timestamp",
    "action",
    "entity_type",
    "entity_id",
    "actor",
    "detail",
    "task_id",
    "ver",
    "lease_id",
    "worker_id",
];

/// Which rows.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bloom audit tail --limit 100
  bloom audit tail --task 01a2096c-99ef-7b58-b821-ea3b259302ac
  bloom audit tail --follow --action task_failed,task_dead
  bloom audit tail --entity-type queue --json | jq -r .actor")]
pub struct Tail {
    /// How many rows at most, before following.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=MOST))]
    pub limit: u64,
    /// Go on with what happens from now on, until Ctrl-C.
    #[arg(long, short)]
    pub follow: bool,
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
    // Opened first, so that nothing can happen between the list and the stream.
    let mut stream = if tail.follow {
        Some(desk.client.stream("/events", None).await?)
    } else {
        None
    };
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
    if let Some(stream) = &mut stream {
        let known = rows.iter().map(|row| text(row, "id")).collect();
        follow(desk, tail, stream, known).await?;
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

/// Shows what happens, until nobody reads any more.
async fn follow(
    desk: &mut Desk,
    tail: &Tail,
    stream: &mut Stream,
    mut known: HashSet<String>,
) -> Result<(), Trouble> {
    while !desk.out.is_closed() {
        let Some(event) = stream.next().await else {
            *stream = again(desk, stream.last_id.as_deref()).await?;
            continue;
        };
        let row = row(&event);
        // What stood in the list already comes once more at the beginning.
        if wanted(tail, &row) && !known.remove(&text(&row, "id")) {
            show(desk, &row)?;
        }
    }
    Ok(())
}

async fn again(desk: &Desk, last_id: Option<&str>) -> Result<Stream, Trouble> {
    let lost = Instant::now();
    loop {
        match desk.client.stream("/events", last_id).await {
            Err(failure) if failure.is_transient() && lost.elapsed() < PATIENCE => {
                sleep(failure.retry_after().unwrap_or(PAUSE)).await;
            }
            answer => return Ok(answer?),
        }
    }
}

/// An event in the form of the list's rows.
fn row(event: &Value) -> Value {
    let cause = text(event, "action");
    let mut row = Map::new();
    for member in MEMBERS {
        let value = match member {
            "id" => event["cursor"].clone(),
            "action" => json!(wire::action(&cause)),
            "detail" => json!(detail(event)),
            "entity_type" if cause == "leased" => json!("lease"),
            "entity_id" if cause == "leased" => event["lease_id"].clone(),
            same => event[same].clone(),
        };
        row.insert(member.to_owned(), value);
    }
    Value::Object(row)
}

/// The facts of an event as a text.
fn detail(event: &Value) -> String {
    let (prior, status) = (text(event, "prior"), text(event, "status"));
    let mut parts = vec![match (prior.is_empty(), status.is_empty()) {
        (false, false) => format!("{prior} -> {status}"),
        _ => status,
    }];
    let worker = text(event, "worker_id");
    if !worker.is_empty() {
        parts[0].push_str(" on ");
        parts[0].push_str(&worker);
    }
    let facts = event["detail"].as_object().into_iter().flatten();
    parts.extend(facts.map(|(name, _)| format!("{name}: {}", text(&event["detail"], name))));
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

/// Whether the list would have shown it.
fn wanted(tail: &Tail, row: &Value) -> bool {
    let task = tail.task.map(|id| id.to_string());
    let is = |wanted: Option<&str>, name: &str| wanted.is_none_or(|wanted| row[name] == *wanted);
    let is_action = |action: &String| wire::cause(&text(row, "action")) == wire::cause(action);
    is(task.as_deref(), "task_id")
        && is(tail.entity_type.as_deref(), "entity_type")
        && is(tail.entity_id.as_deref(), "entity_id")
        && is(tail.actor.as_deref(), "actor")
        && (tail.action.is_empty() || tail.action.iter().any(is_action))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_like_a_row_of_the_list() {
        let event = json!({
            "cursor": "c", "timestamp": 1, "action": "leased", "entity_type": "llm_task",
            "entity_id": "t", "actor": "w", "task_id": "t", "ver": 2, "worker_id": "w",
            "lease_id": "l", "prior": "queued", "status": "leased", "detail": { "n": 3 },
        });
        let expected = json!({
            "id": "c", "timestamp": 1, "action": "task_leased", "entity_type": "lease",
            "entity_id": "l", "actor": "w", "detail": "queued -> leased on w; n: 3",
            "task_id": "t", "ver": 2, "lease_id": "l", "worker_id": "w",
        });
        assert_eq!(row(&event), expected);
    }
}
