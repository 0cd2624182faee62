//! The contract's smaller entities, each with how a row becomes one.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::db::calls::artifact::Artifact as ArtifactRow;
use crate::db::calls::credential::Credential as CredentialRow;
use crate::db::calls::queue::Queue as QueueRow;
use crate::db::calls::task::{Attempt as AttemptRow, TaskResult as ResultRow};
use crate::db::calls::worker::Worker as WorkerRow;

/// The metrics of a result. Those that the contract knows are always there.
fn metrics(given: &Value) -> Value {
    let known = [("duration_ms", json!(0)), ("tokens_used", Value::Null)];
    let known = known.map(|(name, value)| (name.to_owned(), value));
    let mut all = Map::from_iter(known);
    // A member that is there already keeps its place.
    all.extend(
        given
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    Value::Object(all)
}

/// The type of an entity and the function that makes one of a row, member by member.
macro_rules! entity {
    (
        $(#[$doc:meta])*
        $name:ident = $function:ident($row:ident: &$from:ty) {
            $( $(#[$attribute:meta])* $member:ident: $kind:ty = $value:expr, )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Serialize, JsonSchema)]
        #[expect(missing_docs, reason = "the members are described in the HTTP guide")]
        pub struct $name { $( $(#[$attribute])* pub $member: $kind, )* }

        $(#[$doc])*
        #[must_use]
        pub fn $function($row: &$from) -> $name {
            $name { $( $member: $value, )* }
        }
    };
}

/// What a worker can do.
#[derive(Debug, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the members are described in the HTTP guide")]
pub struct Capabilities {
    pub claude_cli: bool,
    pub max_concurrency: i32,
    pub labels: Vec<String>,
}

entity! {
    /// A worker.
    Worker = worker(row: &WorkerRow) {
        id: String = row.id.clone(),
        node_id: String = row.id.clone(),
        url: String = row.url.clone(),
        #[schemars(extend("enum" = ["online", "offline", "syncing", "error", "unknown"]))]
        status: String = row.status.clone(),
        capabilities: Capabilities = Capabilities {
            claude_cli: row.claude_cli,
            max_concurrency: row.max_concurrency,
            labels: row.labels.clone(),
        },
        last_heartbeat: Option<i64> = row.last_seen_at,
        ip_addrs: Vec<String> = row.ip_addrs.clone(),
        obs_count: i64 = row.obs_count,
        db_sha: String = row.db_sha.clone(),
        registered_at: i64 = row.registered_at,
        active_leases: i32 = row.active,
        agent_version: String = row.agent_version.clone(),
        os_info: String = row.os_info.clone(),
        install_method: String = row.install_method.clone(),
        draining: bool = row.draining,
        credential: String = row.credential.clone(),
        credential_exhausted_until: Option<i64> = row.credential_exhausted_until,
    }
}

entity! {
    /// A credential that workers have, or that is exhausted.
    Credential = credential(row: &CredentialRow) {
        name: String = row.name.clone(),
        exhausted_until: Option<i64> = row.exhausted_until,
        reason: Option<String> = row.reason.clone(),
        reported_by: Option<String> = row.reported_by.clone(),
        reported_at: Option<i64> = row.reported_at,
        workers: Vec<String> = row.workers.clone(),
    }
}

entity! {
    /// An artifact: what a task produced.
    Artifact = artifact(row: &ArtifactRow) {
        id: Uuid = row.id,
        task_id: Uuid = row.task_id,
        job_id: Option<Uuid> = None,
        r#type: String = row.kind.clone(),
        created_at: i64 = row.created_at,
        finalized: bool = true,
        url: Option<String> = row.url.clone(),
        entity_refs: Vec<String> = Vec::new(),
        tags: Vec<String> = row.tags.clone(),
        content: Option<String> = row.content.clone(),
        size_bytes: i64 = row.size_bytes,
        sha256: Option<String> = row.sha256.clone(),
    }
}

entity! {
    /// A result.
    TaskResult = result(row: &ResultRow) {
        id: Uuid = row.id,
        task_id: Uuid = row.task_id,
        worker_id: String = row.worker_id.clone(),
        artifact_id: Uuid = row.artifact_id,
        #[schemars(extend("enum" = ["success", "error"]))]
        status: String = row.status.clone(),
        output: Option<String> = row.output.clone(),
        error_message: Option<String> = row.error_message.clone(),
        #[schemars(with = "Map<String, Value>")]
        metrics: Value = metrics(&row.metrics),
        completed_at: i64 = row.completed_at,
    }
}

entity! {
    /// An attempt, live or ended.
    Attempt = attempt(row: &AttemptRow) {
        task_id: Uuid = row.task_id,
        lease_id: Uuid = row.lease_id,
        fence: i32 = row.fence,
        attempt: i16 = row.attempt,
        epoch: i32 = row.epoch,
        worker_id: String = row.worker_id.clone(),
        session_id: Option<Uuid> = row.session_id,
        started_at: i64 = row.started_at,
        running_at: Option<i64> = row.running_at,
        ended_at: Option<i64> = row.ended_at,
        outcome: Option<String> = row.outcome.clone(),
        status: Option<String> = row.result_status.clone(),
        error_message: Option<String> = row.error_message.clone(),
        #[schemars(with = "Option<Map<String, Value>>")]
        metrics: Option<Value> = row.metrics.clone(),
        artifact_id: Option<Uuid> = row.artifact_id,
        cancel_requested_at: Option<i64> = row.cancel_requested_at,
        cancel_delivered_at: Option<i64> = row.cancel_delivered_at,
        cancel_stopped_at: Option<i64> = row.cancel_stopped_at,
    }
}

entity! {
    /// A queue.
    Queue = queue(row: &QueueRow) {
        name: String = row.name.clone(),
        paused: bool = row.paused,
        max_running: Option<i32> = row.max_running,
        serial_contexts: bool = row.serial_contexts,
        aging_seconds: i32 = row.aging_seconds,
        pin_wait_ms: i32 = row.pin_wait_ms,
        /// How many tasks have each status.
        #[schemars(with = "Map<String, Value>")]
        tasks: Value = row.tasks.clone(),
        oldest_ready_at: Option<i64> = row.oldest_ready_at,
        created_at: i64 = row.created_at,
    }
}
