//! The Claude CLI as an executor: `claude -p --output-format=stream-json`, the prompt on stdin.
//!
//! Nothing of a task reaches the command line unchecked: see [`flags`] and [`agent`]. What the CLI
//! does is read from its stream: see [`stream`]. Facts about the CLI are collected in
//! docs/claude-cli.md.

pub mod agent;
pub mod flags;
pub mod limit;
pub mod stream;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Options;
use super::api::{Conversation, Granted, How, Turn};
use super::hints;
use super::live::{Live, Usage};
use super::output::{head, without_nul};
use super::workspace::Workspace;
use flags::Permits;
use stream::End;

/// The longest error message that is reported, in bytes.
const MAX_MESSAGE: usize = 16 << 10;

/// How the CLI is run.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program.
    pub bin: PathBuf,
    /// Where definitions of agents stand.
    pub agents_dir: Option<PathBuf>,
    /// What tasks may ask for.
    pub permits: Permits,
}

/// What one run is started with.
#[derive(Debug)]
pub struct Plan {
    /// The program and its arguments.
    pub argv: Vec<OsString>,
    /// Variables beside the usual ones.
    pub environment: Vec<(String, OsString)>,
    /// The prompt, with the files that the task points at.
    pub stdin: String,
    /// How its session comes about.
    pub how: How,
    /// How many hints led to nothing.
    pub missing_hints: usize,
}

/// How an ended run is to be reported.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// Its result, and the session that holds the conversation now.
    Success(String, Option<Turn>),
    /// What went wrong.
    Failure(String),
    /// A usage limit: until when, in epoch milliseconds, and what the CLI said.
    Limited(i64, String),
}

impl Setup {
    /// Plans a run of `granted` by the worker of `options`. `others` attempts of the same context run
    /// here already.
    ///
    /// # Errors
    /// A text for the submitter, when the policy asks for what is not acceptable.
    pub fn plan(
        &self,
        options: &Options,
        granted: &Granted,
        workspace: &Workspace,
        others: usize,
        live: &Live,
    ) -> Result<Plan, String> {
        let task = &granted.task;
        let mut argv: Vec<String> = flags::ALWAYS.map(ToOwned::to_owned).to_vec();
        argv.extend(flags::of_policy(&task.policy, &self.permits)?);
        if let Some(prompt) = &task.policy.append_system_prompt {
            argv.push(system_prompt(&workspace.scratch, prompt)?);
        }
        match agent::flags(self.agents_dir.as_deref(), &task.agent_slug) {
            Ok(agent) => argv.extend(agent),
            Err(why) => tracing::debug!(task.id = %task.id, why, "no agent definition is used"),
        }
        let is_here = |session: &str| has_session(&options.environment, session);
        let is_retry = granted.lease.attempt > 1;
        let how = session(
            &options.name,
            granted.conversation.as_ref(),
            others > 0 || is_retry,
            is_here,
        );
        if let (How::Resumed | How::Forked, Some(conversation)) = (how, &granted.conversation) {
            argv.push(format!("--resume={}", conversation.session_id));
            if how == How::Forked {
                argv.push("--fork-session".to_owned());
            }
        }
        let found = hints::look_up(&workspace.cwd, &task.context_hints);
        for (hint, why) in &found.missing {
            live.log().line(&format!("! context hint {hint:?} {why}"));
        }
        Ok(Plan {
            argv: std::iter::once(self.bin.clone().into_os_string())
                .chain(argv.into_iter().map(OsString::from))
                .collect(),
            environment: fixed_environment(),
            stdin: prompt(&found.section, &task.prompt),
            how,
            missing_hints: found.missing.len(),
        })
    }
}

/// What the CLI is always told: no mail home, no update of itself, and no files of this machine
/// for an `@path` in a prompt.
fn fixed_environment() -> Vec<(String, OsString)> {
    [
        ("DISABLE_AUTOUPDATER", "1"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("CLAUDE_CODE_DISABLE_ATTACHMENTS", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.into()))
    .to_vec()
}

/// The prompt as the CLI reads it. A slash at its very beginning would be a command of the CLI's.
fn prompt(section: &str, prompt: &str) -> String {
    let prompt = without_nul(prompt.to_owned());
    let is_command = section.is_empty() && prompt.starts_with('/');
    format!("{section}{}{prompt}", if is_command { " " } else { "" })
}

/// The addition to the system prompt goes through a file: command lines are read by everybody.
fn system_prompt(scratch: &Path, prompt: &str) -> Result<String, String> {
    if prompt.len() > flags::MAX_SYSTEM_PROMPT {
        let most = flags::MAX_SYSTEM_PROMPT;
        return Err(format!(
            "policy.append_system_prompt is longer than {most} bytes"
        ));
    }
    let path = scratch.join(format!("system-{}", Uuid::new_v4()));
    std::fs::write(&path, prompt).map_err(|error| format!("cannot write a file: {error}"))?;
    Ok(format!("--append-system-prompt-file={}", path.display()))
}

/// How a run's session comes about. Where another attempt may be writing into the conversation, or
/// an earlier try may have left half a turn in it, a fork continues it apart.
fn session(
    name: &str,
    conversation: Option<&Conversation>,
    is_shared: bool,
    is_here: impl Fn(&str) -> bool,
) -> How {
    match conversation {
        None => How::New,
        Some(conversation) if conversation.worker_id != name => How::Moved,
        Some(conversation) if !is_session(&conversation.session_id) => How::New,
        Some(conversation) if !is_here(&conversation.session_id) => How::New,
        Some(_) if is_shared => How::Forked,
        Some(_) => How::Resumed,
    }
}

/// Whether a text can be the CLI's name of a session. Nothing else goes to its command line.
fn is_session(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

/// Whether the CLI has a session on this disk: a file in one of its projects' folders.
fn has_session(environment: &[(String, OsString)], session: &str) -> bool {
    let of = |name: &str| environment.iter().find(|(known, _)| known == name);
    let named = of("CLAUDE_CONFIG_DIR").map(|(_, dir)| PathBuf::from(dir));
    let usual = || of("HOME").map(|(_, home)| Path::new(home).join(".claude"));
    let Some(config) = named.or_else(usual) else {
        return false;
    };
    let file = format!("{session}.jsonl");
    std::fs::read_dir(config.join("projects"))
        .into_iter()
        .flatten()
        .flatten()
        .any(|project| project.path().join(&file).is_file())
}

/// What an ended stream means, where the program was not ended by the worker.
#[must_use]
pub fn judge(end: &End, how: How, is_json: bool, left_badly: Option<String>) -> Verdict {
    let Some(result) = &end.result else {
        let why = left_badly.unwrap_or_else(|| "the CLI ended without a result".to_owned());
        return match limit::in_text(&why) {
            Some(limit) => Verdict::Limited(limit.until(SystemTime::now()), head(&why, 500)),
            None => Verdict::Failure(head(&why, MAX_MESSAGE)),
        };
    };
    let said = said(result);
    if result["is_error"] == true || result["subtype"] != "success" {
        if let Some(limit) = end.limit.or_else(|| limit::in_text(&said)) {
            return Verdict::Limited(limit.until(SystemTime::now()), head(&said, 500));
        }
        return Verdict::Failure(head(&said, MAX_MESSAGE));
    }
    let output = match is_json.then(|| as_json(&said)) {
        None => said,
        Some(Ok(json)) => json,
        Some(Err(error)) => return Verdict::Failure(format!("output is not valid JSON: {error}")),
    };
    let session = result["session_id"].as_str().filter(|id| is_session(id));
    let turn = session.map(|session| Turn {
        session_id: session.to_owned(),
        how,
    });
    Verdict::Success(output, turn)
}

/// What a result says: its text, else its errors, else its kind.
fn said(result: &Value) -> String {
    let errors = result["errors"].as_array().into_iter().flatten();
    let errors: Vec<_> = errors.filter_map(Value::as_str).collect();
    let text = match result["result"].as_str() {
        Some(text) => text.to_owned(),
        None if !errors.is_empty() => errors.join("; "),
        None => format!("the CLI reported {}", result["subtype"]),
    };
    without_nul(text)
}

/// The JSON text in an answer: all of it, or all of what one fence encloses.
fn as_json(text: &str) -> Result<String, serde_json::Error> {
    let trimmed = text.trim();
    let inner = trimmed
        .strip_prefix("```json")
        .or_else(|| trimmed.strip_prefix("```"))
        .and_then(|rest| rest.strip_suffix("```"))
        .map_or(trimmed, str::trim);
    serde_json::from_str::<serde::de::IgnoredAny>(inner).map(|_| inner.to_owned())
}

/// What is known of a run, for its metrics.
#[must_use]
pub fn metrics(usage: &Usage, how: How, missing_hints: usize) -> Map<String, Value> {
    let mut more = Map::new();
    if let Ok(Value::Object(usage)) = serde_json::to_value(usage) {
        more.extend(usage);
    }
    more.remove("tokens_used");
    more.insert("session".to_owned(), json!(how));
    if missing_hints > 0 {
        more.insert("context_hints_missing".to_owned(), json!(missing_hints));
    }
    more
}

#[cfg(test)]
mod tests;
