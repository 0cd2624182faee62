//! Events: rows of the audit trail and of a task's own.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::db::calls::audit::Event;
pub use crate::events::{cursor as position_id, position as event_position};

/// One transition in the trail of a task.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the members are described in the HTTP guide")]
pub struct TaskEvent {
    pub id: Uuid,
    pub ver: Option<i32>,
    pub action: String,
    pub at: i64,
    pub actor: String,
    pub from: Option<String>,
    pub to: Option<String>,
    pub lease_id: Option<Uuid>,
    pub fence: Option<i32>,
    pub worker_id: Option<String>,
    pub attempts: Option<i16>,
    pub detail: Option<Value>,
}

/// One transition in the trail of a task.
#[must_use]
pub fn task_event(row: &Event) -> TaskEvent {
    TaskEvent {
        id: event_id(row),
        ver: row.ver,
        action: row.cause.clone(),
        at: row.at,
        actor: row.actor.clone(),
        from: row.prior.clone(),
        to: row.status.clone(),
        lease_id: row.lease_id,
        fence: row.fence,
        worker_id: row.worker_id.clone(),
        attempts: row.attempts,
        detail: row.detail.clone(),
    }
}

/// One row of the audit trail.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the members are described in the HTTP guide")]
pub struct Audit {
    pub id: Uuid,
    pub timestamp: i64,
    pub action: String,
    pub entity_type: String,
    pub entity_id: String,
    pub actor: String,
    pub detail: String,
    pub task_id: Option<Uuid>,
    pub ver: Option<i32>,
    pub lease_id: Option<Uuid>,
    pub worker_id: Option<String>,
}

/// One row of the audit trail.
#[must_use]
pub fn audit(row: &Event) -> Audit {
    let (entity_type, entity_id) = entity(row);
    Audit {
        id: event_id(row),
        timestamp: row.at,
        action: action(&row.cause).to_owned(),
        entity_type: entity_type.to_owned(),
        entity_id,
        actor: row.actor.clone(),
        detail: detail(row),
        task_id: row.task_id,
        ver: row.ver,
        lease_id: row.lease_id,
        worker_id: row.worker_id.clone(),
    }
}

/// The cursor of an event's place in the log.
#[must_use]
pub fn event_id(row: &Event) -> Uuid {
    position_id(row.position)
}

fn entity(row: &Event) -> (&str, String) {
    match (row.task_id, &row.subject) {
        (Some(_), _) if row.cause == "leased" => (
            "lease",
            row.lease_id.map(|id| id.to_string()).unwrap_or_default(),
        ),
        (Some(id), _) => ("llm_task", id.to_string()),
        (None, Some(subject)) => match subject.split_once('/') {
            Some(("setting", "membridge")) => ("runtime_config", "singleton".to_owned()),
            Some((kind, id)) => (kind, id.to_owned()),
            None => ("runtime", subject.clone()),
        },
        (None, None) => ("runtime", String::new()),
    }
}

/// The contract's names of actions, by the causes of transitions.
const ACTIONS: [(&str, &str); 16] = [
    ("submitted", "task_created"),
    ("leased", "task_leased"),
    ("running", "task_started"),
    ("completed", "task_completed"),
    ("failed", "task_failed"),
    ("dead", "task_dead"),
    ("cancelled", "task_cancelled"),
    ("requeued", "task_requeued"),
    ("prioritized", "task_prioritized"),
    ("expired", "lease_expired"),
    ("released", "lease_released"),
    ("removed", "lease_removed"),
    ("due", "task_due"),
    ("turn", "task_turn"),
    ("cancel_requested", "task_cancel_requested"),
    ("cancel_delivered", "task_cancel_delivered"),
];

/// The contract's name of an action.
#[must_use]
pub fn action(cause: &str) -> &str {
    let known = ACTIONS.iter().find(|(name, _)| *name == cause);
    known.map_or(cause, |(_, action)| action)
}

/// The cause that an action's name stands for, whichever of the two it is.
#[must_use]
pub fn cause(action: &str) -> &str {
    let known = ACTIONS.iter().find(|(_, name)| *name == action);
    known.map_or(action, |(cause, _)| cause)
}

fn detail(row: &Event) -> String {
    let mut text = match (&row.prior, &row.status) {
        (Some(from), Some(to)) => format!("{from} -> {to}"),
        (None, Some(to)) => to.clone(),
        _ => String::new(),
    };
    if let Some(worker) = &row.worker_id {
        text.push_str(" on ");
        text.push_str(worker);
    }
    if let Some(Value::Object(facts)) = &row.detail {
        for (name, value) in facts {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(name);
            text.push_str(": ");
            text.push_str(&value);
        }
    }
    text
}
