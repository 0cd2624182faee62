//! Pushing a leased task to the agent of a worker that does not pull (Membridge's agent 0.4.0).
//!
//! The agent answers its `POST /execute-task` when the task is done, and calls the service back
//! while that request is open: one heartbeat, and the completion, both without a lease id. It tries
//! each once. So its answer is looked at too: a result whose callback got lost is completed from it,
//! and a task that the agent did not take is given back at once, unburned.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, Url};
use secrecy::SecretString;
use serde_json::{Value, json};
use tracing::{info, warn};
use url::Origin;

use crate::db::Db;
use crate::db::calls::VerbOptions;
use crate::db::calls::lease::{Grant, lease_complete, lease_release};
use crate::error::{Error, Kind, Result};
use crate::outbound::{Failure, Guard, Request};
use crate::trace::TraceContext;

/// The header with the key of an agent.
const KEY_HEADER: &str = "x-membridge-agent";
/// What the answer may take beyond the task's own time limit.
const MARGIN: Duration = Duration::from_secs(30);
/// What the lease lives longer than that.
const LEASE_MARGIN: i64 = 60;
/// How large an agent's answer may be, in bytes.
const SIZE_LIMIT: usize = 20 << 20;
/// How long an agent may take to tell its health.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);
/// How large its health may be, in bytes.
const HEALTH_SIZE: usize = 64 << 10;
/// The time limit of a task whose policy has none, in seconds.
const TIMEOUT: i64 = 120;
/// The longest text of an agent's error that is kept, in characters.
const TEXT_MAX: usize = 4000;
/// Who gives tasks back and completes them for agents.
const ACTOR: &str = "dispatch";

/// Keys of agents, each only for the origin that the operator bound it to.
#[derive(Debug, Default)]
pub struct AgentKeys(Vec<(Origin, SecretString)>);

impl AgentKeys {
    /// From pairs of an address and its key.
    ///
    /// # Errors
    /// With an address that is none.
    pub fn new(keys: Vec<(String, SecretString)>) -> std::result::Result<Self, String> {
        let bind = |(url, key): (String, SecretString)| match Url::parse(&url) {
            Ok(parsed) if parsed.has_host() => Ok((parsed.origin(), key)),
            _ => Err(format!("'{url}' is not an address (http://HOST:PORT)")),
        };
        Ok(Self(
            keys.into_iter()
                .map(bind)
                .collect::<std::result::Result<_, _>>()?,
        ))
    }

    fn of(&self, url: &Url) -> Option<SecretString> {
        let mut keys = self.0.iter();
        keys.find(|(origin, _)| *origin == url.origin())
            .map(|(_, key)| key.clone())
    }
}

/// What dispatching has to be told.
pub struct Options {
    /// Through which it talks to agents.
    pub guard: Guard,
    /// Their keys.
    pub keys: AgentKeys,
    /// Where agents call back. Configuration, never a header of some request.
    pub public_url: Option<String>,
}

/// Pushes tasks to agents.
pub struct Dispatcher {
    db: Db,
    options: Options,
}

/// How long a lease for a task with this policy lives.
#[must_use]
pub fn lease_seconds(policy: &Value) -> i32 {
    let seconds = policy["timeout_sec"].as_i64().unwrap_or(TIMEOUT);
    let margin = i64::try_from(MARGIN.as_secs()).unwrap_or(0) + LEASE_MARGIN;
    i32::try_from(seconds.clamp(1, 3600) + margin).unwrap_or(i32::MAX)
}

impl Dispatcher {
    /// An idle one.
    #[must_use]
    pub fn new(db: Db, options: Options) -> Self {
        Self { db, options }
    }

    /// Refuses, before anything is leased, what could not be dispatched anyway.
    ///
    /// # Errors
    /// 503 without an address for the callbacks.
    pub fn check(&self) -> Result<()> {
        if self.options.public_url.is_some() {
            return Ok(());
        }
        Err(Error::refused(
            Kind::Busy,
            "no_public_url",
            "Dispatch needs the address at which agents reach this service (BLOOM_PUBLIC_URL)",
        ))
    }

    /// Runs a leased task on the agent at `url`: what the agent answered.
    ///
    /// # Errors
    /// 502, when the agent did not run it. Slot and attempt are given back by then.
    pub async fn run(&self, grant: &Grant, url: &str) -> Result<Value> {
        let (answer, failure) = match self.push(grant, url).await {
            Ok(answer) => (answer, None),
            Err(failure) => (Value::Null, Some(failure)),
        };
        if let Some(failure) = failure {
            warn!(task.id = %grant.task_id, worker = grant.worker_id, error = failure, "not dispatched");
            self.give_back(grant, &failure).await;
            let members = BTreeMap::from([
                ("dispatched", json!(false)),
                ("task_id", json!(grant.task_id)),
                ("worker_id", json!(grant.worker_id)),
            ]);
            let detail = members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value));
            return Err(Error::Refused {
                kind: Kind::BadGateway,
                code: "dispatch_failed".to_owned(),
                message: failure,
                detail: detail.collect(),
            });
        }
        self.settle(grant, &answer).await;
        Ok(answer)
    }

    async fn push(&self, grant: &Grant, url: &str) -> std::result::Result<Value, String> {
        let base = self.options.guard.check(url)?;
        let target = format!("{}/execute-task", base.as_str().trim_end_matches('/'));
        let target = Url::parse(&target).map_err(|error| error.to_string())?;
        let seconds = grant.policy["timeout_sec"]
            .as_u64()
            .unwrap_or(TIMEOUT.unsigned_abs());
        let body = json!({
            "task_id": grant.task_id,
            "prompt": grant.prompt,
            "context_id": grant.context_id,
            "agent_slug": grant.agent_slug,
            "desired_format": grant.desired_format,
            "context_hints": grant.context_hints,
            "policy": grant.policy,
            "runtime_url": self.options.public_url,
        });
        let trace = TraceContext::of_policy(&grant.policy);
        let traced = trace.map_or_else(Vec::new, |trace| trace.headers());
        let request = Request {
            method: Method::POST,
            secret: self.options.keys.of(&target).map(|key| (KEY_HEADER, key)),
            url: target,
            headers: traced,
            body: Some(body.to_string().into_bytes()),
            time_limit: Duration::from_secs(seconds.min(3600)) + MARGIN,
            size_limit: SIZE_LIMIT,
        };
        info!(task.id = %grant.task_id, lease.id = %grant.lease_id, worker = grant.worker_id, "dispatching");
        let answer = self.options.guard.send(request).await;
        let answer =
            answer.map_err(|failure| format!("Agent did not answer: {}", told(&failure)))?;
        if answer.status != 200 {
            return Err(format!("Agent returned {}", answer.status));
        }
        match serde_json::from_slice(&answer.body) {
            Ok(answer @ Value::Object(_)) => Ok(answer),
            _ => Err("Agent answered with something that is not a JSON object".to_owned()),
        }
    }

    /// The agent ran the task. If its completion has not arrived, its answer is the completion.
    async fn settle(&self, grant: &Grant, answer: &Value) {
        let is_ok = answer["ok"] == true;
        let text = |member: &str| answer[member].as_str().map(clean);
        let output = text("output").filter(|_| is_ok);
        let why = || text("error").unwrap_or_else(|| "the agent reported a failure".to_owned());
        let why: Option<String> = (!is_ok).then(|| why().chars().take(TEXT_MAX).collect());
        let duration = answer["duration_ms"].as_i64().unwrap_or(0);
        let options = VerbOptions::of(ACTOR)
            .with(
                "metrics",
                json!({ "duration_ms": duration.clamp(0, i64::from(i32::MAX)) }),
            )
            .maybe("error_message", why);
        let status = if is_ok { "success" } else { "error" };
        let lease = Some(grant.lease_id);
        let done = lease_complete(
            &self.db,
            grant.task_id,
            lease,
            status,
            output.as_deref(),
            options,
        );
        match done.await {
            Ok(_) => {
                info!(task.id = %grant.task_id, "completed from the agent's answer: no callback came");
            }
            // It called back, or somebody else ended the lease.
            Err(Error::Refused {
                kind: Kind::Conflict | Kind::NotFound,
                ..
            }) => {}
            Err(error) => {
                warn!(task.id = %grant.task_id, error = %error.chain(), "cannot complete from the agent's answer");
            }
        }
    }

    async fn give_back(&self, grant: &Grant, why: &str) {
        let options = VerbOptions::of(ACTOR).with("reason", why);
        match lease_release(&self.db, grant.task_id, grant.lease_id, options).await {
            Ok(_)
            | Err(Error::Refused {
                kind: Kind::Conflict | Kind::NotFound,
                ..
            }) => {}
            Err(error) => {
                warn!(task.id = %grant.task_id, error = %error.chain(), "cannot give a task back; its lease will run out");
            }
        }
    }

    /// The health that the agent at `url` tells.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub async fn health(&self, url: &str) -> std::result::Result<Value, String> {
        let base = self.options.guard.check(url)?;
        let target = format!("{}/health", base.as_str().trim_end_matches('/'));
        let target = Url::parse(&target).map_err(|error| error.to_string())?;
        let request = Request::get(target, HEALTH_LIMIT, HEALTH_SIZE);
        let answer = self.options.guard.send(request).await;
        let answer = answer.map_err(|failure| told(&failure))?;
        if answer.status != 200 {
            return Err(format!("Agent returned {}", answer.status));
        }
        match serde_json::from_slice(&answer.body) {
            Ok(health @ Value::Object(_)) => Ok(health),
            _ => Err("Agent answered with something that is not a JSON object".to_owned()),
        }
    }
}

/// What a caller may know of a failure; the rest is in the log.
fn told(failure: &Failure) -> String {
    warn!(error = %failure.chain(), "an agent did not answer");
    failure.to_string()
}

/// Text that Postgres can store.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}
