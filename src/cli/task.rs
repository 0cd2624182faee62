//! `bloom task`: submit tasks and look after them, over HTTP.

mod logs;
mod submit;
mod watch;

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::Value;
use uuid::Uuid;

use super::output::{Out, brief, clean, span};
use crate::client::{Client, Failure};
use crate::config::client::ClientArgs;
pub(super) use submit::{bar_style, send};

/// How long one request may take.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The most tasks that one listing shows.
const MAX_LIST: i64 = 1_000;
/// How much of a prompt a listing shows, in characters.
const BRIEF: usize = 40;
/// The service refused, or there is no such task.
const REFUSED: u8 = 1;
/// Nobody answers.
const UNREACHABLE: u8 = 3;

/// Arguments of `bloom task`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Exit status: 0 done, 1 refused or not found, 2 wrong usage, 3 no answer \
    from the service; watch also 4 failed or dead, 5 cancelled."
)]
pub struct Args {
    /// Which service to ask.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What `bloom task` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Submit one task, or one per line of a file.
    Submit(submit::Submit),
    /// List tasks, newest first.
    List {
        /// Only those with this status.
        #[arg(long)]
        status: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=MAX_LIST))]
        limit: i64,
    },
    /// Show a task and its attempts.
    Show(Id),
    /// Follow a task to its end.
    Watch(Id),
    /// Cancel a task.
    Cancel(Id),
    /// Queue a failed, dead or cancelled task again.
    Requeue(Id),
    /// Say why a task is where it is.
    Explain(Id),
    /// Print a task's output.
    Result(Id),
    /// Print what a task's programs said while they ran.
    Logs {
        /// The task.
        id: Uuid,
        /// Go on until the task is over.
        #[arg(long, short)]
        follow: bool,
    },
}

/// Which task.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct Id {
    /// The task's id.
    pub id: Uuid,
}

/// Does it. The exit status says how it went, see `bloom task --help`.
///
/// # Errors
/// When the arguments cannot be used or nothing can be printed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let key = args.client.key().context("cannot read the API key file")?;
    let client = Client::new(&args.client.server, key.as_ref())?;
    let mut desk = Desk {
        client,
        json: args.json,
        out: Out::stdout(),
    };
    match desk.serve(args.verb).await {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(Trouble::Service(failure)) => {
            let mut complaints = Out::stderr();
            complaints.line(format_args!(
                "error: {}",
                clean(&failure.to_string(), false)
            ))?;
            Ok(ExitCode::from(exit_code(&failure)))
        }
        Err(Trouble::Local(error)) => Err(error),
    }
}

/// What ended a verb early.
pub(super) enum Trouble {
    /// The service refused or did not answer.
    Service(Failure),
    /// Something on this side.
    Local(anyhow::Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Service(failure)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Local(error.into())
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Local(error)
    }
}

fn exit_code(failure: &Failure) -> u8 {
    let away = matches!(failure.status(), Some(502..=504));
    if failure.is_unreachable() || away {
        UNREACHABLE
    } else {
        REFUSED
    }
}

/// What every verb needs.
pub(super) struct Desk {
    client: Client,
    json: bool,
    out: Out,
}

impl Desk {
    async fn serve(&mut self, verb: Verb) -> Result<u8, Trouble> {
        match verb {
            Verb::Submit(submit) => return submit::run(self, submit).await,
            Verb::Watch(Id { id }) => return watch::run(self, id).await,
            Verb::List { status, limit } => self.list(status.as_deref(), limit).await?,
            Verb::Show(Id { id }) => self.show(id).await?,
            Verb::Cancel(Id { id }) => self.change(id, "cancel").await?,
            Verb::Requeue(Id { id }) => self.change(id, "requeue").await?,
            Verb::Explain(Id { id }) => self.explain(id).await?,
            Verb::Result(Id { id }) => return self.result(id).await,
            Verb::Logs { id, follow } => logs::run(self, id, follow).await?,
        }
        Ok(0)
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.client.get(path, CALL_LIMIT).await
    }

    async fn list(&mut self, status: Option<&str>, limit: i64) -> Result<(), Trouble> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &limit.to_string());
        if let Some(status) = status {
            query.append_pair("status", status);
        }
        let tasks = self.get(&format!("/llm-tasks?{}", query.finish())).await?;
        if self.json {
            return Ok(self.out.json(&tasks)?);
        }
        let rows = tasks.as_array().into_iter().flatten().map(|task| {
            [
                text(task, "id"),
                text(task, "status"),
                text(task, "context_id"),
                text(task, "agent_slug"),
                attempts(task),
                age(task, "created_at"),
                brief(&text(task, "prompt"), BRIEF),
            ]
        });
        let head = [
            "id", "status", "context", "agent", "attempts", "age", "prompt",
        ];
        Ok(self.out.table(head, rows.collect::<Vec<_>>())?)
    }

    async fn show(&mut self, id: Uuid) -> Result<(), Trouble> {
        let task = self.get(&format!("/llm-tasks/{id}")).await?;
        if self.json {
            return Ok(self.out.json(&task)?);
        }
        let mut rows = vec![
            ["id".to_owned(), text(&task, "id")],
            ["status".to_owned(), text(&task, "status")],
            ["context".to_owned(), text(&task, "context_id")],
            ["agent".to_owned(), text(&task, "agent_slug")],
            ["worker".to_owned(), text(&task, "worker_id")],
            ["attempts".to_owned(), attempts(&task)],
            [
                "created".to_owned(),
                format!("{} ago", age(&task, "created_at")),
            ],
            [
                "prompt".to_owned(),
                brief(&text(&task, "prompt"), 2 * BRIEF),
            ],
        ];
        if task["status"] == "queued" {
            let why = self.get(&format!("/llm-tasks/{id}/explain")).await?;
            rows.push(["waits because".to_owned(), text(&why, "sentence")]);
        }
        self.out.table(["", ""], rows)?;
        let attempts = self.get(&format!("/llm-tasks/{id}/attempts")).await?;
        let rows = attempts.as_array().into_iter().flatten().map(|attempt| {
            let end = match text(attempt, "outcome") {
                live if live.is_empty() => "live".to_owned(),
                outcome => outcome,
            };
            [
                text(attempt, "attempt"),
                text(attempt, "worker_id"),
                end,
                took(attempt),
                brief(&text(attempt, "error_message"), BRIEF),
            ]
        });
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            return Ok(());
        }
        let head = ["attempt", "worker", "end", "took", "error"];
        Ok(self.out.table(head, rows)?)
    }

    async fn change(&mut self, id: Uuid, verb: &str) -> Result<(), Trouble> {
        let body = Value::Object(serde_json::Map::new());
        let path = format!("/llm-tasks/{id}/{verb}");
        let task: Value = self.client.post(&path, &body, CALL_LIMIT).await?;
        if self.json {
            return Ok(self.out.json(&task)?);
        }
        // Some answers hold the task, some are it.
        let task = if task["task"].is_object() {
            &task["task"]
        } else {
            &task
        };
        Ok(self
            .out
            .line(format_args!("{id} {}", clean(&text(task, "status"), false)))?)
    }

    async fn explain(&mut self, id: Uuid) -> Result<(), Trouble> {
        let why = self.get(&format!("/llm-tasks/{id}/explain")).await?;
        if self.json {
            return Ok(self.out.json(&why)?);
        }
        let line = format!("{}: {}", text(&why, "status"), text(&why, "sentence"));
        Ok(self.out.line(clean(&line, false))?)
    }

    async fn result(&mut self, id: Uuid) -> Result<u8, Trouble> {
        let result = self.get(&format!("/llm-tasks/{id}/result")).await?;
        if self.json {
            self.out.json(&result)?;
        } else if result["status"] == "error" {
            let message = clean(&text(&result, "error_message"), true);
            Out::stderr().line(format_args!("the task ended with an error: {message}"))?;
        } else {
            self.out.text(&text(&result, "output"))?;
        }
        Ok(if result["status"] == "error" {
            REFUSED
        } else {
            0
        })
    }
}

/// A member as text: strings as they are, null and absent as nothing.
pub(super) fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn attempts(task: &Value) -> String {
    format!("{}/{}", text(task, "attempts"), text(task, "max_attempts"))
}

/// How long an ended attempt lasted.
fn took(attempt: &Value) -> String {
    let ms = |name: &str| attempt[name].as_u64();
    match (ms("started_at"), ms("ended_at")) {
        (Some(from), Some(to)) => span(to.saturating_sub(from)),
        _ => String::new(),
    }
}

fn age(task: &Value, name: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    task[name]
        .as_u64()
        .map_or_else(String::new, |at| span(now.saturating_sub(at)))
}
