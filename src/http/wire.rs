//! The bodies of answers: the contract's entities, field by field in its order. Members that the
//! contract does not know follow at the end.

mod answer;
mod entity;
mod event;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::db::calls::lease::{Grant, Lease as LeaseRow};
use crate::db::calls::task::Task as TaskRow;

pub use answer::*;
pub use entity::*;
pub use event::*;

/// The members of a policy that come first, in order. Postgres keeps an order of its own.
const POLICY: [&str; 2] = ["timeout_sec", "budget"];

/// The object with these members before its others.
fn led_by(object: Value, first: &[&str]) -> Value {
    let Value::Object(mut members) = object else {
        return object;
    };
    let mut ordered = Map::with_capacity(members.len());
    for name in first {
        if let Some(value) = members.shift_remove(*name) {
            ordered.insert((*name).to_owned(), value);
        }
    }
    ordered.extend(members);
    Value::Object(ordered)
}

/// A task.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the members are the contract's")]
pub struct Task {
    pub id: Uuid,
    pub context_id: String,
    pub agent_slug: String,
    pub prompt: String,
    pub context_hints: Vec<String>,
    #[schemars(with = "Map<String, Value>")]
    pub policy: Value,
    #[schemars(extend("enum" = ["text", "json"]))]
    pub desired_format: String,
    #[schemars(extend("enum" = ["queued", "leased", "running", "completed", "failed", "dead", "cancelled"]))]
    pub status: String,
    pub created_at: i64,
    pub updated_at: i64,
    pub lease_id: Option<Uuid>,
    pub worker_id: Option<String>,
    pub attempts: i16,
    pub max_attempts: i16,
    pub queue: String,
    pub priority: i16,
    pub requires: Vec<String>,
    pub crashes: i16,
    pub max_crashes: i16,
    pub run_at: Option<i64>,
    pub retry_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub reason: Option<String>,
    pub cancel_requested_at: Option<i64>,
    pub cancel_delivered_at: Option<i64>,
    pub cancel_stopped_at: Option<i64>,
    pub idempotency_key: Option<String>,
    pub progress: Option<Value>,
    pub usage: Option<Value>,
    pub fence: i32,
    pub ver: i32,
    pub epoch: i32,
}

impl From<TaskRow> for Task {
    fn from(row: TaskRow) -> Self {
        Self {
            id: row.id,
            context_id: row.context_id,
            agent_slug: row.agent_slug,
            prompt: row.prompt,
            context_hints: row.context_hints,
            policy: led_by(row.policy, &POLICY),
            desired_format: row.desired_format,
            status: row.status,
            created_at: row.created_at,
            updated_at: row.updated_at,
            lease_id: row.lease_id,
            worker_id: row.worker_id,
            attempts: row.attempts,
            max_attempts: row.max_attempts,
            queue: row.queue,
            priority: row.priority,
            requires: row.requires,
            crashes: row.crashes,
            max_crashes: row.max_crashes,
            run_at: row.run_at,
            retry_at: row.retry_at,
            finished_at: row.finished_at,
            reason: row.reason,
            cancel_requested_at: row.cancel_requested_at,
            cancel_delivered_at: row.cancel_delivered_at,
            cancel_stopped_at: row.cancel_stopped_at,
            idempotency_key: row.idempotency_key,
            progress: row.progress,
            usage: row.usage,
            fence: row.fence,
            ver: row.ver,
            epoch: row.epoch,
        }
    }
}

/// A lease.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the members are the contract's")]
pub struct Lease {
    pub id: Uuid,
    pub task_id: Uuid,
    pub worker_id: String,
    pub started_at: i64,
    pub expires_at: i64,
    pub ttl_seconds: i32,
    pub status: String,
    pub last_heartbeat: i64,
    pub context_id: Option<String>,
    pub fence: i32,
    pub attempt: i16,
    pub session_id: Option<Uuid>,
    pub ended_at: Option<i64>,
    pub outcome: Option<String>,
    pub error_message: Option<String>,
}

impl From<LeaseRow> for Lease {
    fn from(row: LeaseRow) -> Self {
        Self {
            id: row.id,
            task_id: row.task_id,
            worker_id: row.worker_id,
            started_at: row.started_at,
            expires_at: row.expires_at,
            ttl_seconds: row.ttl_seconds,
            status: row.status,
            last_heartbeat: row.last_heartbeat,
            context_id: Some(row.context_id),
            fence: row.fence,
            attempt: row.attempt,
            session_id: row.session_id,
            ended_at: row.ended_at,
            outcome: row.outcome,
            error_message: row.error_message,
        }
    }
}

/// A lease just granted and its task.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the members are the contract's")]
pub struct Granted {
    pub lease: Lease,
    pub task: Task,
    #[schemars(with = "Option<Map<String, Value>>")]
    pub conversation: Option<Value>,
}

impl From<Grant> for Granted {
    fn from(grant: Grant) -> Self {
        let lease = Lease {
            id: grant.lease_id,
            task_id: grant.task_id,
            worker_id: grant.worker_id.clone(),
            started_at: grant.started_at,
            expires_at: grant.expires_at,
            ttl_seconds: grant.ttl_seconds,
            status: "active".to_owned(),
            last_heartbeat: grant.last_heartbeat,
            context_id: Some(grant.context_id.clone()),
            fence: grant.fence,
            attempt: grant.attempts,
            session_id: grant.session_id,
            ended_at: None,
            outcome: None,
            error_message: None,
        };
        let task = Task {
            id: grant.task_id,
            context_id: grant.context_id,
            agent_slug: grant.agent_slug,
            prompt: grant.prompt,
            context_hints: grant.context_hints,
            policy: led_by(grant.policy, &POLICY),
            desired_format: grant.desired_format,
            status: grant.status,
            created_at: grant.created_at,
            updated_at: grant.last_heartbeat,
            lease_id: Some(grant.lease_id),
            worker_id: Some(grant.worker_id),
            attempts: grant.attempts,
            max_attempts: grant.max_attempts,
            queue: grant.queue,
            priority: grant.priority,
            requires: grant.requires,
            crashes: grant.crashes,
            max_crashes: grant.max_crashes,
            run_at: None,
            retry_at: None,
            finished_at: None,
            reason: None,
            cancel_requested_at: None,
            cancel_delivered_at: None,
            cancel_stopped_at: None,
            idempotency_key: None,
            progress: None,
            usage: None,
            fence: grant.fence,
            ver: grant.ver,
            epoch: grant.epoch,
        };
        Self {
            lease,
            task,
            conversation: grant.conversation,
        }
    }
}
