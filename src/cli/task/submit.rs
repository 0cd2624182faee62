//! `bloom task submit`: one task from the command line, or one per line of a file.

use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::cli::desk::{CALL_LIMIT, Desk, Trouble, text};
use crate::cli::exit;
use crate::cli::output::clean;
use crate::client::{Client, Failure};

/// The longest prompt or line that is read, in bytes.
pub(super) const MAX_INPUT: u64 = 16 << 20;
/// How often a request is tried.
const TRIES: u32 = 5;
/// The first pause between two tries; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// What to submit.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("input").required(true).args(["prompt", "file"]))]
#[command(after_help = "Examples:
  bloom task submit --agent painter 'Count the red boxes.'
  bloom task submit --context shop/8 --priority 0 - < prompt.txt
  bloom task watch $(bloom task submit 'Count the red boxes.')
  bloom task submit --file prompts.jsonl --queue reports | bloom task watch -

A file has one JSON object (the fields of POST /llm-tasks, at least prompt) or JSON string a line.
What is not JSON is found before anything is sent, and then nothing is. Lines that the service
refuses are named, and the others are submitted. Each line has an idempotency key made of what it
says: the same command run again, after an interruption or with lines mended or added, submits only
what is not there yet. To submit the same file once more, name a new --idempotency-key.")]
pub struct Submit {
    /// The prompt, or `-` to read it from stdin (arguments are visible in `ps`).
    pub prompt: Option<String>,
    /// A file with one task a line, or `-` for stdin. What a line leaves out comes from the options.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Name lines that are not JSON and submit the others.
    #[arg(long, requires = "file", conflicts_with = "prompt")]
    pub skip_malformed: bool,
    /// The conversation or project that the task belongs to.
    #[arg(long, default_value = "cli")]
    pub context: String,
    /// Which agent it is for.
    #[arg(long, default_value = "default")]
    pub agent: String,
    /// 0 to 9.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=9))]
    pub priority: Option<u8>,
    /// The queue.
    #[arg(long)]
    pub queue: Option<String>,
    /// A label that the worker must have (repeatable, or separated by commas).
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    pub requires: Vec<String>,
    /// Not before this time: epoch milliseconds, or from now: `+90s`, `+10m`, `+2h`, `+1d`.
    #[arg(long, value_name = "TIME", value_parser = run_at)]
    pub run_at: Option<RunAt>,
    /// Submitting twice with the same key gives the same task (with --file: KEY-LINE).
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// How long it may run, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub timeout: Option<u32>,
    /// How often it is tried.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub max_attempts: Option<u8>,
    /// `text` or `json`.
    #[arg(long, value_parser = ["text", "json"])]
    pub format: Option<String>,
}

/// A moment, and whether it was counted from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunAt {
    /// Epoch milliseconds.
    pub ms: u64,
    /// Whether it would be another one a moment later.
    pub is_relative: bool,
}

fn run_at(text: &str) -> Result<RunAt, String> {
    let wrong = || "epoch milliseconds, or +N with s, m, h or d".to_owned();
    let Some(relative) = text.strip_prefix('+') else {
        let ms = text.parse().map_err(|_| wrong())?;
        return Ok(RunAt {
            ms,
            is_relative: false,
        });
    };
    let unit_at = relative
        .find(|c: char| !c.is_ascii_digit())
        .ok_or_else(wrong)?;
    let (number, unit) = relative.split_at(unit_at);
    let factor = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let later: u64 = number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(wrong)?;
    let ms = u64::try_from(now)
        .ok()
        .and_then(|now| now.checked_add(later))
        .ok_or_else(wrong)?;
    Ok(RunAt {
        ms,
        is_relative: true,
    })
}

pub(super) async fn run(desk: &mut Desk, submit: Submit) -> Result<u8, Trouble> {
    if submit.file.is_some() {
        return super::file::run(desk, &submit).await;
    }
    let mut body = submit.fields();
    let prompt = submit.prompt_text().map_err(Trouble::Usage)?;
    let key = submit
        .idempotency_key
        .clone()
        // Of our own, so that asking again after a lost answer cannot submit twice.
        .unwrap_or_else(|| format!("cli-{}", Uuid::new_v4()));
    body.insert("prompt".to_owned(), json!(prompt));
    body.insert("idempotency_key".to_owned(), json!(key));
    let task = send(&desk.client, &Value::Object(body)).await?;
    if desk.json {
        desk.out.json(&task)?;
    } else {
        desk.out.line(clean(&text(&task, "id"), false))?;
    }
    Ok(exit::DONE)
}

impl Submit {
    fn prompt_text(&self) -> anyhow::Result<String> {
        let prompt = self.prompt.clone().unwrap_or_default();
        if prompt != "-" {
            return Ok(prompt);
        }
        let mut text = String::new();
        let read = std::io::stdin()
            .take(MAX_INPUT + 1)
            .read_to_string(&mut text);
        if read.context("cannot read the prompt from stdin")? as u64 > MAX_INPUT {
            bail!("the prompt is longer than {MAX_INPUT} bytes");
        }
        Ok(text)
    }

    /// What the options say of every task.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| {
            if !value.is_null() {
                fields.insert(name.to_owned(), value);
            }
        };
        set("context_id", json!(self.context));
        set("agent_slug", json!(self.agent));
        set("priority", json!(self.priority));
        set("queue", json!(self.queue));
        set("run_at", json!(self.run_at.map(|at| at.ms)));
        set("max_attempts", json!(self.max_attempts));
        set("desired_format", json!(self.format));
        set(
            "policy",
            json!(
                self.timeout
                    .map(|timeout| json!({ "timeout_sec": timeout }))
            ),
        );
        if !self.requires.is_empty() {
            set("requires", json!(self.requires));
        }
        fields
    }
}

/// Submits one; tries again where that can help, which the idempotency key makes safe.
pub(in crate::cli) async fn send(client: &Client, body: &Value) -> Result<Value, Failure> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match client.post("/llm-tasks", body, CALL_LIMIT).await {
            Err(failure) if failure.is_transient() => {
                sleep(pause.max(failure.retry_after().unwrap_or_default())).await;
                pause *= 2;
            }
            answer => return answer,
        }
    }
    client.post("/llm-tasks", body, CALL_LIMIT).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_at_takes_moments_and_spans() {
        let moment = run_at("1700000000000").unwrap();
        assert_eq!((moment.ms, moment.is_relative), (1_700_000_000_000, false));
        let (later, sooner) = (run_at("+2h").unwrap(), run_at("+90s").unwrap());
        assert!(later.ms > sooner.ms && later.is_relative);
        for bad in [
            "",
            "+",
            "+5",
            "+5w",
            "-1",
            "tomorrow",
            "+99999999999999999d",
        ] {
            assert!(run_at(bad).is_err(), "{bad}");
        }
    }
}
