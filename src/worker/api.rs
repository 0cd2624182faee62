//! The calls of the HTTP API that a worker makes, with their bodies.

use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::live::{Progress, Usage};
use crate::client::{Client, Failure, segment};

/// How long an ordinary call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// How long a goodbye may take: nothing depends on it.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
/// How long a completion may take: it may carry megabytes.
const COMPLETE_LIMIT: Duration = Duration::from_secs(60);
/// How much longer than the long-poll the client waits for its answer.
const POLL_SLACK: Duration = Duration::from_secs(10);

/// `POST /workers`.
#[derive(Debug, Serialize)]
pub struct Registration<'a> {
    /// The worker's name, which is its id.
    pub name: &'a str,
    /// Always `online`.
    pub status: &'static str,
    /// What it can do.
    pub capabilities: Capabilities<'a>,
    /// This program's version.
    pub agent_version: &'static str,
    /// Operating system and architecture.
    pub os_info: String,
    /// Always `bloom-worker`.
    pub install_method: &'static str,
    /// The credential that its tasks use up, by name: workers of one credential share its limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<&'a str>,
}

/// What a worker can do.
#[derive(Debug, Serialize)]
pub struct Capabilities<'a> {
    /// Always true: the program stands in for the CLI.
    pub claude_cli: bool,
    /// How many tasks at once.
    pub max_concurrency: u32,
    /// What tasks may require.
    pub labels: &'a [String],
}

/// `POST /leases`.
#[derive(Debug, Serialize)]
pub struct LeaseRequest<'a> {
    /// The worker's name.
    pub worker_id: &'a str,
    /// This process.
    pub session_id: Uuid,
    /// Always 1: tasks are taken as slots free up.
    pub max_tasks: u32,
    /// How long the service may hold the request while there is no work.
    pub wait_seconds: u64,
    /// How long a lease lives without a beat.
    pub ttl_seconds: u64,
    /// The same id gets the same leases again.
    pub request_id: Uuid,
}

/// The answer to [`LeaseRequest`].
#[derive(Debug, Deserialize)]
pub struct Leases {
    /// Empty when the wait ran out.
    pub leases: Vec<Granted>,
}

/// A task and the right to run it.
#[derive(Debug, Clone, Deserialize)]
pub struct Granted {
    /// The right.
    pub lease: Lease,
    /// The task.
    pub task: Task,
    /// The conversation of the task's context, where there is one.
    #[serde(default)]
    pub conversation: Option<Conversation>,
}

/// The conversation that the tasks of a context are in.
#[derive(Debug, Clone, Deserialize)]
pub struct Conversation {
    /// The CLI's name for it.
    pub session_id: String,
    /// The worker that has it on its disk.
    pub worker_id: String,
}

/// What became of the conversation in an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// The session that holds it from now on.
    pub session_id: String,
    /// How it came about.
    pub how: How,
}

/// How an attempt's session came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// There was nothing to continue.
    New,
    /// It continues the context's conversation.
    Resumed,
    /// It continues it while another attempt here does so too: the two know nothing of each other.
    Forked,
    /// The conversation is on another worker; this one begins anew.
    Moved,
}

/// The right to run a task for a while.
#[derive(Debug, Clone, Deserialize)]
pub struct Lease {
    /// Its id, which every report about the task carries.
    pub id: Uuid,
    /// Grows with every lease of the task.
    pub fence: i64,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How long it lives after each beat, in seconds.
    pub ttl_seconds: u64,
}

/// What a worker needs to know of a task.
#[derive(Debug, Clone, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: Uuid,
    /// The conversation or project it belongs to.
    pub context_id: String,
    /// Which agent it is for.
    pub agent_slug: String,
    /// The program's input.
    pub prompt: String,
    /// Its limits.
    pub policy: Policy,
    /// `text` or `json`.
    pub desired_format: String,
    /// Files of the context's directory that the program should know: paths and patterns.
    #[serde(default)]
    pub context_hints: Vec<String>,
}

/// A task's limits, and its wishes for the Claude CLI.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Policy {
    /// How long the program may run, in seconds.
    pub timeout_sec: u64,
    /// How many tokens it may use; 0: any number.
    #[serde(default)]
    pub budget: f64,
    /// Which model.
    #[serde(default)]
    pub model: Option<String>,
    /// How many turns the agent may take.
    #[serde(default)]
    pub max_turns: Option<u32>,
    /// Tools that need no permission.
    #[serde(default)]
    pub allowed_tools: Option<Vec<String>>,
    /// How permissions are given.
    #[serde(default)]
    pub permission_mode: Option<String>,
    /// What is added to the system prompt.
    #[serde(default)]
    pub append_system_prompt: Option<String>,
    /// What caused the task, as W3C trace context.
    #[serde(default)]
    pub traceparent: Option<String>,
    /// What tracing systems add to it.
    #[serde(default)]
    pub tracestate: Option<String>,
}

/// `POST /workers/{name}/beat`.
#[derive(Debug, Serialize)]
pub struct Beat {
    /// This process.
    pub session_id: Uuid,
    /// Every lease that this process still holds.
    pub leases: Vec<BeatLease>,
}

/// One lease in a [`Beat`].
#[derive(Debug, Serialize)]
pub struct BeatLease {
    /// The lease.
    pub lease_id: Uuid,
    /// Where its program stands, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What it has used up so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// The answer to [`Beat`].
#[derive(Debug, Deserialize)]
pub struct BeatAnswer {
    /// What became of each lease.
    pub leases: Vec<BeatState>,
    /// Whether to take no new tasks for now.
    #[serde(default)]
    pub drain: bool,
}

/// What became of one lease.
#[derive(Debug, Deserialize)]
pub struct BeatState {
    /// The lease.
    pub lease_id: Uuid,
    /// Its state.
    pub state: LeaseState,
}

/// A lease's state, as a beat's answer tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseState {
    /// Renewed.
    Ok,
    /// Somebody wants the task to end; renewed until then.
    Cancel,
    /// No longer this worker's.
    Lost,
}

/// `POST /llm-tasks/{id}/complete`.
#[derive(Debug, Clone, Serialize)]
pub struct Completion {
    /// The lease it ran under.
    pub lease_id: Uuid,
    /// How it ended.
    pub status: Status,
    /// What the program printed, when it succeeded.
    pub output: Option<String>,
    /// What went wrong, when it did not.
    pub error_message: Option<String>,
    /// How long it took.
    pub metrics: Metrics,
    /// False when another try cannot help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// Where its conversation went on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Turn>,
    /// The proof that the program is gone, when it was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
}

/// How a program was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// Whether every process of its tree is known to be gone.
    pub tree_gone: bool,
    /// The strongest signal that it took: `none`, `SIGTERM` or `SIGKILL`.
    pub signal: &'static str,
    /// How many processes it had when its end began.
    pub processes: usize,
}

impl Stopped {
    /// Of a program that was never started.
    pub const UNSTARTED: Self = Self {
        tree_gone: true,
        signal: "none",
        processes: 0,
    };
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The program left with status 0.
    Success,
    /// It did not.
    Error,
}

/// What a run took.
#[derive(Debug, Clone, Serialize)]
pub struct Metrics {
    /// From the program's start to its end, in milliseconds.
    pub duration_ms: u64,
    /// Not known for a plain program.
    pub tokens_used: Option<u64>,
    /// What else is known of it: numbers, booleans and short texts.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

#[derive(Serialize)]
struct LeaseRef {
    lease_id: Uuid,
}

/// `POST /llm-tasks/{id}/release`.
#[derive(Debug, Serialize)]
pub struct Release {
    /// The lease that ends.
    pub lease_id: Uuid,
    /// Why, for people.
    pub reason: String,
    /// Until when this worker's credential is used up, in epoch milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited_until: Option<i64>,
    /// The proof that the program is gone, when it was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
}

impl Release {
    /// A plain one.
    #[must_use]
    pub fn new(lease_id: Uuid, reason: &str) -> Self {
        Self {
            lease_id,
            reason: reason.to_owned(),
            limited_until: None,
            stopped: None,
        }
    }
}

#[derive(Serialize)]
struct LogLines<'a> {
    lease_id: Uuid,
    offset: u64,
    text: &'a str,
}

/// The answer to lines of a log.
#[derive(Debug, Deserialize)]
pub struct LogTaken {
    /// How many bytes of this lease's log the service has.
    pub next_offset: u64,
    /// Whether it takes no more.
    #[serde(default)]
    pub capped: bool,
}

impl LogTaken {
    /// How many of `bytes` bytes that were sent from `offset` on the service has now.
    #[must_use]
    pub fn of(&self, offset: u64, bytes: usize) -> usize {
        usize::try_from(self.next_offset.saturating_sub(offset)).map_or(bytes, |n| n.min(bytes))
    }
}

/// The worker's side of the API.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    worker_path: String,
}

impl Api {
    /// The calls of the worker called `name`.
    #[must_use]
    pub fn new(client: Client, name: &str) -> Self {
        Self {
            client,
            worker_path: format!("/workers/{}", segment(name)),
        }
    }

    /// Registers or updates the worker.
    pub async fn register(&self, body: &Registration<'_>) -> Result<(), Failure> {
        self.client
            .post::<IgnoredAny>("/workers", body, CALL_LIMIT)
            .await
            .map(drop)
    }

    /// Asks for a task; the service may hold the request for `wait_seconds`.
    pub async fn lease(&self, body: &LeaseRequest<'_>) -> Result<Vec<Granted>, Failure> {
        let limit = Duration::from_secs(body.wait_seconds) + POLL_SLACK;
        let answer: Leases = self.client.post("/leases", body, limit).await?;
        Ok(answer.leases)
    }

    /// Renews leases; the answer must come within `limit` to be of use.
    pub async fn beat(&self, body: &Beat, limit: Duration) -> Result<BeatAnswer, Failure> {
        self.client
            .post(&format!("{}/beat", self.worker_path), body, limit)
            .await
    }

    /// Says that this process ends.
    pub async fn leave(&self, session_id: Uuid) -> Result<(), Failure> {
        let path = format!("{}/leave", self.worker_path);
        let body = json!({ "session_id": session_id });
        self.client
            .post::<IgnoredAny>(&path, &body, LEAVE_LIMIT)
            .await
            .map(drop)
    }

    /// Says that the task's program starts now.
    pub async fn start(&self, task: Uuid, lease_id: Uuid) -> Result<(), Failure> {
        let path = format!("/llm-tasks/{task}/heartbeat");
        self.client
            .post::<IgnoredAny>(&path, &LeaseRef { lease_id }, CALL_LIMIT)
            .await
            .map(drop)
    }

    /// Reports how the task ended. Safe to repeat.
    pub async fn complete(&self, task: Uuid, body: &Completion) -> Result<(), Failure> {
        let path = format!("/llm-tasks/{task}/complete");
        self.client
            .post::<IgnoredAny>(&path, body, COMPLETE_LIMIT)
            .await
            .map(drop)
    }

    /// Gives the task back without burning the attempt. Safe to repeat.
    pub async fn release(&self, task: Uuid, body: &Release) -> Result<(), Failure> {
        let path = format!("/llm-tasks/{task}/release");
        self.client
            .post::<IgnoredAny>(&path, body, CALL_LIMIT)
            .await
            .map(drop)
    }

    /// Adds to the live log of a lease. Safe to repeat: the offset says what is there already.
    pub async fn log(
        &self,
        task: Uuid,
        lease_id: Uuid,
        offset: u64,
        text: &str,
    ) -> Result<LogTaken, Failure> {
        let path = format!("/llm-tasks/{task}/log");
        let body = LogLines {
            lease_id,
            offset,
            text,
        };
        self.client.post(&path, &body, CALL_LIMIT).await
    }
}
