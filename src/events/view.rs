//! An event as it is told to others: in streams and to webhooks.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::cursor;
use crate::db::calls::EpochMs;
use crate::db::calls::audit::Event;

/// The outward shape of an event. What does not concern it is left out.
#[derive(Debug, Serialize)]
pub struct View<'e> {
    /// Its place in the log; readers go on from here.
    pub cursor: Uuid,
    /// When it happened.
    pub timestamp: EpochMs,
    /// What happened.
    pub action: &'e str,
    /// To what: `llm_task`, `worker`, `queue`, …
    pub entity_type: &'e str,
    /// To which one.
    pub entity_id: String,
    /// Who asked for it.
    pub actor: &'e str,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<Uuid>,
    /// The number of the task's transition: 1, 2, 3 … without a gap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ver: Option<i32>,
    /// The task's queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<&'e str>,
    /// The worker concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<&'e str>,
    /// The lease concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_id: Option<Uuid>,
    /// The task's status before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<&'e str>,
    /// The task's status since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'e str>,
    /// Further facts.
    pub detail: Option<&'e Value>,
}

impl<'e> From<&'e Event> for View<'e> {
    fn from(event: &'e Event) -> Self {
        let (entity_type, entity_id) = entity(event);
        Self {
            cursor: cursor(event.position),
            timestamp: event.at,
            action: &event.cause,
            entity_type,
            entity_id,
            actor: &event.actor,
            task_id: event.task_id,
            ver: event.ver,
            queue: event.queue.as_deref(),
            worker_id: event.worker_id.as_deref(),
            lease_id: event.lease_id,
            prior: event.prior.as_deref(),
            status: event.status.as_deref(),
            detail: event.detail.as_ref(),
        }
    }
}

fn entity(event: &Event) -> (&str, String) {
    match (event.task_id, event.subject.as_deref()) {
        (Some(id), _) => ("llm_task", id.to_string()),
        (None, subject) => match subject.unwrap_or_default().split_once('/') {
            Some((kind, id)) => (kind, id.to_owned()),
            None => ("runtime", subject.unwrap_or_default().to_owned()),
        },
    }
}
