//! `bloom task show`, `explain` and `result`.

use serde_json::Value;
use uuid::Uuid;

use crate::cli::desk::{Desk, Trouble, text};
use crate::cli::exit;
use crate::cli::output::{Out, brief, clean};
use crate::cli::when;

/// How much of a text is shown, in characters.
const BRIEF: usize = 80;

pub(super) async fn run(desk: &mut Desk, id: Uuid) -> Result<u8, Trouble> {
    let task = desk.get(&format!("/llm-tasks/{id}")).await?;
    if desk.json {
        desk.out.json(&task)?;
        return Ok(exit::DONE);
    }
    let mut rows = facts(&task);
    if matches!(task["status"].as_str(), Some("queued" | "failed")) {
        let why = desk.get(&format!("/llm-tasks/{id}/explain")).await?;
        rows.push(["waits because".to_owned(), text(&why, "sentence")]);
    }
    desk.out.table(["", ""], rows)?;
    let attempts = desk.get(&format!("/llm-tasks/{id}/attempts")).await?;
    let rows = attempts.as_array().into_iter().flatten().map(attempt);
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        let head = [
            "attempt", "worker", "end", "began", "took", "tokens", "error",
        ];
        desk.out.table(head, rows)?;
    }
    Ok(exit::DONE)
}

/// What is known of a task; what is not is left out.
fn facts(task: &Value) -> Vec<[String; 2]> {
    let usage = &task["usage"];
    let labels = task["requires"].as_array().into_iter().flatten();
    let labels: Vec<_> = labels.filter_map(Value::as_str).collect();
    let cost = usage["cost_usd"].as_f64();
    let rows = [
        ("id", text(task, "id")),
        ("status", text(task, "status")),
        ("reason", text(task, "reason")),
        ("queue", text(task, "queue")),
        ("priority", text(task, "priority")),
        ("context", text(task, "context_id")),
        ("agent", text(task, "agent_slug")),
        ("requires", labels.join(", ")),
        ("worker", text(task, "worker_id")),
        ("attempts", attempts(task)),
        ("created", moment(task, "created_at")),
        ("not before", moment(task, "run_at")),
        ("tried again", moment(task, "retry_at")),
        ("finished", moment(task, "finished_at")),
        ("cancel asked for", moment(task, "cancel_requested_at")),
        ("progress", progress(&task["progress"])),
        ("tokens", text(usage, "tokens_used")),
        (
            "cost",
            cost.map_or_else(String::new, |cost| format!("${cost:.4}")),
        ),
        ("prompt", brief(&text(task, "prompt"), BRIEF)),
    ];
    let known = rows.into_iter().filter(|(_, value)| !value.is_empty());
    known
        .map(|(name, value)| [name.to_owned(), value])
        .collect()
}

/// A moment in local time, and how long ago it was.
fn moment(task: &Value, name: &str) -> String {
    let at = when::at(task, name);
    let is_past = matches!(name, "created_at" | "finished_at" | "cancel_requested_at");
    if at.is_empty() || !is_past {
        return at;
    }
    format!("{at} ({} ago)", when::age(task, name))
}

/// What the worker says of how far it is, on one line.
pub(super) fn progress(progress: &Value) -> String {
    let mut parts = vec![text(progress, "text")];
    if let Some(turns) = progress["turns"].as_u64() {
        parts.insert(0, format!("turn {turns}"));
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() && !progress.is_null() {
        parts.push(progress.to_string());
    }
    brief(&parts.join(" "), BRIEF)
}

fn attempt(attempt: &Value) -> [String; 7] {
    let end = match text(attempt, "outcome") {
        live if live.is_empty() => "live".to_owned(),
        outcome => outcome,
    };
    [
        text(attempt, "attempt"),
        text(attempt, "worker_id"),
        end,
        when::at(attempt, "started_at"),
        when::between(attempt, "started_at", "ended_at"),
        text(&attempt["metrics"], "tokens_used"),
        brief(&text(attempt, "error_message"), BRIEF / 2),
    ]
}

pub(super) fn attempts(task: &Value) -> String {
    format!("{}/{}", text(task, "attempts"), text(task, "max_attempts"))
}

pub(super) async fn explain(desk: &mut Desk, id: Uuid) -> Result<u8, Trouble> {
    let why = desk.get(&format!("/llm-tasks/{id}/explain")).await?;
    if desk.json {
        desk.out.json(&why)?;
    } else {
        let line = format!("{}: {}", text(&why, "status"), text(&why, "sentence"));
        desk.out.line(clean(&line, false))?;
    }
    Ok(exit::DONE)
}

pub(super) async fn result(desk: &mut Desk, id: Uuid) -> Result<u8, Trouble> {
    let result = desk.get(&format!("/llm-tasks/{id}/result")).await?;
    let failed = result["status"] == "error";
    if desk.json {
        desk.out.json(&result)?;
    } else if failed {
        let message = clean(&text(&result, "error_message"), true);
        Out::stderr().line(format_args!("the task ended with an error: {message}"))?;
    } else {
        desk.out.text(&text(&result, "output"))?;
    }
    Ok(if failed { exit::FAILED } else { exit::DONE })
}
