//! `bloom task cancel`, `requeue` and `priority`.

use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Ids;
use crate::cli::desk::{Desk, PAGE_MAX, Trouble, complain, text};
use crate::cli::exit;
use crate::cli::output::clean;

/// Which tasks to cancel.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bloom task cancel 01a2096c-99ef-7b58-b821-ea3b259302ac --reason 'not needed'
  bloom task list --queue reports --status queued --json | jq -c '.[]' | bloom task cancel -")]
pub struct Cancel {
    /// Which.
    #[command(flatten)]
    pub ids: Ids,
    /// Why, for the audit trail.
    #[arg(long)]
    pub reason: Option<String>,
    /// How long a running task has to come to its end, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub grace: Option<u32>,
}

/// Which tasks to queue again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bloom task requeue 01a2096c-99ef-7b58-b821-ea3b259302ac
  bloom task list --status dead --json | jq -r '.[].id' | bloom task requeue -")]
pub struct Requeue {
    /// Which.
    #[command(flatten)]
    pub ids: Ids,
}

/// Which task gets which priority.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bloom task priority 01a2096c-99ef-7b58-b821-ea3b259302ac 0")]
pub struct Priority {
    /// The task's id.
    pub id: Uuid,
    /// 0 (first) to 9.
    #[arg(value_parser = clap::value_parser!(u8).range(0..=9))]
    pub priority: u8,
}

pub(super) async fn cancel(desk: &mut Desk, cancel: &Cancel) -> Result<u8, Trouble> {
    let mut more = serde_json::Map::new();
    if let Some(reason) = &cancel.reason {
        more.insert("reason".to_owned(), json!(reason));
    }
    if let Some(grace) = cancel.grace {
        more.insert("grace_seconds".to_owned(), json!(grace));
    }
    all(desk, "cancel", &cancel.ids.read()?, more).await
}

pub(super) async fn requeue(desk: &mut Desk, requeue: &Requeue) -> Result<u8, Trouble> {
    all(
        desk,
        "requeue",
        &requeue.ids.read()?,
        serde_json::Map::new(),
    )
    .await
}

/// Changes all, as many in one request as it takes. The status is that of the last refusal.
async fn all(
    desk: &mut Desk,
    verb: &str,
    ids: &[Uuid],
    more: serde_json::Map<String, Value>,
) -> Result<u8, Trouble> {
    let mut code = exit::DONE;
    for ids in ids.chunks(PAGE_MAX) {
        let mut body = more.clone();
        body.insert("ids".to_owned(), json!(ids));
        let answer = desk
            .post(&format!("/llm-tasks/{verb}"), &Value::Object(body))
            .await?;
        for task in answer["tasks"].as_array().into_iter().flatten() {
            let refusal = text(task, "error");
            if !refusal.is_empty() {
                code = exit::of_code(&text(task, "code"));
            }
            let id = text(task, "id");
            if desk.json {
                desk.out.line(task)?;
            } else if refusal.is_empty() {
                let line = format!("{id} {}", text(task, "status"));
                desk.out.line(clean(&line, false))?;
            } else {
                complain(&format!("{id}: {refusal}"))?;
            }
        }
    }
    Ok(code)
}

pub(super) async fn priority(desk: &mut Desk, change: &Priority) -> Result<u8, Trouble> {
    let Priority { id, priority } = change;
    let body = json!({ "priority": priority });
    let task = desk
        .post(&format!("/llm-tasks/{id}/priority"), &body)
        .await?;
    if desk.json {
        desk.out.json(&task)?;
    } else {
        let line = format!(
            "{id} {} priority {}",
            text(&task, "status"),
            text(&task, "priority")
        );
        desk.out.line(clean(&line, false))?;
    }
    Ok(exit::DONE)
}
