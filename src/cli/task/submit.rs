//! `bloom task submit`: one task from the command line, or one per line of a file.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use super::{CALL_LIMIT, Desk, REFUSED, Trouble, exit_code, text};
use crate::cli::output::{Out, clean};
use crate::client::{Client, Failure};

/// The longest prompt or line that is read, in bytes.
const MAX_INPUT: u64 = 16 << 20;
/// How many requests are under way at once.
const IN_FLIGHT: usize = 8;
/// How often a request is tried.
const TRIES: u32 = 5;
/// The first pause between two tries; it doubles.
const PAUSE: Duration = Duration::from_millis(200);
/// How many refused lines of a file are told one by one.
const MAX_COMPLAINTS: usize = 20;

/// What to submit.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("input").required(true).args(["prompt", "file"]))]
pub struct Submit {
    /// The prompt, or `-` to read it from stdin (arguments are visible in `ps`).
    pub prompt: Option<String>,
    /// A file with one JSON object per line (the fields of a submission, at least `prompt`), or one
    /// JSON string per line. What a line leaves out comes from the options.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
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
    pub run_at: Option<u64>,
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

fn run_at(text: &str) -> Result<u64, String> {
    let wrong = || "epoch milliseconds, or +N with s, m, h or d".to_owned();
    let Some(relative) = text.strip_prefix('+') else {
        return text.parse().map_err(|_| wrong());
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
    u64::try_from(now)
        .ok()
        .and_then(|now| now.checked_add(later))
        .ok_or_else(wrong)
}

pub(super) async fn run(desk: &mut Desk, submit: Submit) -> Result<u8, Trouble> {
    if let Some(path) = &submit.file {
        let bodies = read_file(path, &submit)?;
        return many(desk, bodies).await;
    }
    let mut body = submit.fields();
    body.insert("prompt".to_owned(), json!(submit.prompt_text()?));
    body.insert("idempotency_key".to_owned(), json!(submit.key(None)));
    let task = send(&desk.client, &Value::Object(body)).await?;
    if desk.json {
        desk.out.json(&task)?;
    } else {
        desk.out.line(clean(&text(&task, "id"), false))?;
    }
    Ok(0)
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

    /// The key of the submission, or of its line: one of our own if none was given, so that asking
    /// again after a lost answer cannot submit twice.
    fn key(&self, line: Option<usize>) -> String {
        match (&self.idempotency_key, line) {
            (Some(key), None) => key.clone(),
            (Some(key), Some(line)) => format!("{key}-{line}"),
            (None, _) => format!("cli-{}", Uuid::new_v4()),
        }
    }

    fn fields(&self) -> Map<String, Value> {
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
        set("run_at", json!(self.run_at));
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

/// The submissions in a file, each with its line number.
fn read_file(path: &PathBuf, submit: &Submit) -> anyhow::Result<Vec<(usize, Value)>> {
    let file =
        std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut reader = BufReader::new(file);
    let mut bodies = Vec::new();
    for number in 1.. {
        let mut line = String::new();
        let read = reader.by_ref().take(MAX_INPUT + 1).read_line(&mut line);
        let read = read.with_context(|| format!("line {number}"))?;
        if read == 0 {
            break;
        }
        if read as u64 > MAX_INPUT {
            bail!("line {number} is longer than {MAX_INPUT} bytes");
        }
        if line.trim().is_empty() {
            continue;
        }
        bodies.push((number, parse(&line, number, submit)?));
    }
    Ok(bodies)
}

fn parse(line: &str, number: usize, submit: &Submit) -> anyhow::Result<Value> {
    let mut body = submit.fields();
    body.insert(
        "idempotency_key".to_owned(),
        json!(submit.key(Some(number))),
    );
    match serde_json::from_str(line).with_context(|| format!("line {number} is not JSON"))? {
        Value::String(prompt) => {
            body.insert("prompt".to_owned(), Value::String(prompt));
        }
        Value::Object(own) => body.extend(own),
        _ => return Err(anyhow!("line {number} is neither an object nor a string")),
    }
    Ok(Value::Object(body))
}

async fn many(desk: &mut Desk, bodies: Vec<(usize, Value)>) -> Result<u8, Trouble> {
    let bar = ProgressBar::new(bodies.len() as u64).with_style(bar_style());
    let client = desk.client.clone();
    let mut answers = stream::iter(bodies)
        .map(|(line, body)| {
            let client = client.clone();
            async move { (line, send(&client, &body).await) }
        })
        .buffered(IN_FLIGHT);
    let (mut complaints, mut refused, mut code) = (Out::stderr(), 0_usize, 0);
    while let Some((line, answer)) = answers.next().await {
        bar.inc(1);
        match answer {
            Ok(task) if desk.json => bar.suspend(|| desk.out.line(&task))?,
            Ok(task) => bar.suspend(|| desk.out.line(clean(&text(&task, "id"), false)))?,
            Err(failure) => {
                refused += 1;
                code = exit_code(&failure).max(code);
                if refused <= MAX_COMPLAINTS {
                    let what = clean(&failure.to_string(), false);
                    bar.suspend(|| complaints.line(format_args!("line {line}: {what}")))?;
                }
                if code != REFUSED {
                    // Nobody is there: the other lines would only wait for the same.
                    break;
                }
            }
        }
    }
    bar.finish_and_clear();
    if refused > 0 {
        complaints.line(format_args!("{refused} not submitted"))?;
    }
    Ok(code)
}

/// A bar with counts, shown only on a terminal.
pub(in crate::cli) fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
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
        assert_eq!(run_at("1700000000000"), Ok(1_700_000_000_000));
        assert!(run_at("+2h").unwrap() > run_at("+90s").unwrap());
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
