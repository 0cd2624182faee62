//! Reading one submitted task: the contract's fields and ours.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::db::calls::VerbOptions;
use crate::error::{Error, Result};
use crate::http::validate::Form;
use crate::trace::{self, TraceContext};

/// The longest prompt, in characters.
const PROMPT_MAX: usize = 4 << 20;
/// The longest context id, in characters.
const CONTEXT_MAX: usize = 512;
/// The longest agent name or idempotency key, in characters.
const NAME_MAX: usize = 255;
/// The longest addition to the system prompt, in characters.
const SYSTEM_PROMPT_MAX: usize = 64 << 10;
/// The longest queue name or label, in characters.
const LABEL_MAX: usize = 128;

/// A task to submit, as the verb takes it, and the lane that it goes to.
#[derive(Debug)]
pub struct Submission {
    /// For `task_submit_many`.
    pub task: Value,
    /// Its queue.
    pub queue: String,
    /// The labels that it needs.
    pub requires: Vec<String>,
    /// Before this it is nobody's, in epoch milliseconds.
    run_at: Option<i64>,
}

impl Submission {
    /// Whether workers need not hear of it yet. By our own clock, which is only to spare them
    /// looks in vain: when a task becomes due, Postgres tells them.
    pub fn is_deferred(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
        self.run_at.is_some_and(|at| at > now)
    }
}

/// What a request says of its tasks outside its body.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outside<'r> {
    /// The `Idempotency-Key` header, an alternative to the member.
    pub key: Option<&'r str>,
    /// What caused the task, unless its policy says so itself.
    pub trace: Option<&'r TraceContext>,
}

/// Reads one.
pub fn read(body: Option<&Value>, outside: Outside<'_>) -> Result<Submission> {
    let mut form = Form::new(body)?;
    let Fields {
        task,
        queue,
        requires,
        run_at,
        key,
    } = fields(&mut form);
    form.finish()?;
    let task = task.maybe("idempotency_key", one_key(key, outside.key)?);
    let mut task = task.json();
    if let Some(trace) = outside.trace
        && [trace::PARENT, trace::STATE]
            .iter()
            .all(|name| task["policy"].get(name).is_none())
    {
        for (name, value) in trace.headers() {
            task["policy"][name] = Value::String(value);
        }
    }
    Ok(Submission {
        task,
        queue,
        requires,
        run_at,
    })
}

/// What a submission says, before anything is checked across fields.
pub(super) struct Fields {
    task: VerbOptions,
    queue: String,
    requires: Vec<String>,
    run_at: Option<i64>,
    key: Option<String>,
}

/// The fields of a submission.
pub(super) fn fields(form: &mut Form<'_>) -> Fields {
    let context = form.string("context_id").min(1).max(CONTEXT_MAX).required();
    let agent = form.string("agent_slug").min(1).max(NAME_MAX).required();
    let prompt = form.string("prompt").min(1).max(PROMPT_MAX).required();
    let hints = form
        .strings("context_hints")
        .max_items(1000)
        .each(1, 4096)
        .or(Vec::new());
    let policy = form.object("policy").or_empty(read_policy);
    let format = form.choice("desired_format", &["json", "text"]).or("text");
    let max_attempts = form.integer("max_attempts").range(1, 10).or(3);
    let max_crashes = form.integer("max_crashes").range(1, 10).or(5);
    let queue = form
        .string("queue")
        .min(1)
        .max(LABEL_MAX)
        .or("default".into());
    let requires = form
        .strings("requires")
        .max_items(16)
        .each(1, LABEL_MAX)
        .or(Vec::new());
    let priority = form.integer("priority").range(0, 9).or(5);
    let run_at = form.epoch_ms("run_at").nullable();
    let key = form
        .string("idempotency_key")
        .min(1)
        .max(NAME_MAX)
        .nullable();
    let task = policy
        .with("context_id", context)
        .with("agent_slug", agent)
        .with("prompt", prompt)
        .with("context_hints", json!(hints))
        .with("desired_format", format)
        .with("max_attempts", max_attempts)
        .with("max_crashes", max_crashes)
        .with("queue", queue.clone())
        .with("requires", json!(requires))
        .with("priority", priority)
        .maybe("run_at", run_at);
    Fields {
        task,
        queue,
        requires: requires.into_iter().collect(),
        run_at,
        key,
    }
}

fn read_policy(form: &mut Form<'_>) -> VerbOptions {
    let parent = form
        .string(trace::PARENT)
        .max(trace::PARENT_BYTES)
        .nullable();
    let state = form.string(trace::STATE).max(trace::STATE_BYTES).nullable();
    if parent
        .as_deref()
        .is_some_and(|parent| !trace::is_parent(parent))
    {
        form.problem(
            "policy",
            "traceparent is no W3C trace context of version 00",
        );
    }
    if state
        .as_deref()
        .is_some_and(|state| !trace::is_state(state))
    {
        form.problem("policy", "tracestate must be visible ASCII");
    }
    let policy = VerbOptions::default()
        .with(
            "timeout_sec",
            form.integer("timeout_sec").range(1, 3600).or(120),
        )
        .with(
            "budget",
            budget(form.number("budget").min(0.0).max(1e12).or(0.0)),
        )
        .maybe("serial", form.boolean("serial").optional())
        .maybe(
            "backoff_base_sec",
            form.integer("backoff_base_sec").range(1, 3600).optional(),
        )
        .maybe(
            "backoff_cap_sec",
            form.integer("backoff_cap_sec").range(1, 86_400).optional(),
        )
        .maybe("model", form.string("model").max(LABEL_MAX).optional())
        .maybe(
            "max_turns",
            form.integer("max_turns").range(1, 1000).optional(),
        )
        .maybe(
            "allowed_tools",
            form.strings("allowed_tools")
                .max_items(64)
                .each(1, 200)
                .optional()
                .map(|tools| json!(tools)),
        )
        .maybe(
            "permission_mode",
            form.string("permission_mode").max(32).optional(),
        )
        .maybe(
            "append_system_prompt",
            form.string("append_system_prompt")
                .max(SYSTEM_PROMPT_MAX)
                .optional(),
        )
        .maybe(trace::PARENT, parent)
        .maybe(trace::STATE, state);
    VerbOptions::default().with("policy", policy.json())
}

/// A whole number goes back to the client as one: `0`, not `0.0`.
fn budget(number: f64) -> Value {
    if number.fract() == 0.0 {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and at most 1e12")]
        return json!(number as i64);
    }
    json!(number)
}

/// The idempotency key, which may be given twice but not in two versions.
fn one_key(member: Option<impl Into<String>>, header: Option<&str>) -> Result<Option<String>> {
    match (member.map(Into::into), header) {
        (None, None) => Ok(None),
        (Some(key), None) => Ok(Some(key)),
        (None, Some("")) => Err(Error::field(
            "idempotency_key",
            "String must contain at least 1 character(s)",
        )),
        (None, Some(key)) if key.len() > NAME_MAX => Err(Error::field(
            "idempotency_key",
            format!("String must contain at most {NAME_MAX} character(s)"),
        )),
        (None, Some(key)) => Ok(Some(key.to_owned())),
        (Some(member), Some(header)) if member == header => Ok(Some(member)),
        (Some(_), Some(_)) => Err(Error::field(
            "idempotency_key",
            "Differs from the Idempotency-Key header",
        )),
    }
}
