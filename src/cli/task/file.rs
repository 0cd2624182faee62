//! `bloom task submit --file`: many tasks, a batch a request, and safe to run again.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use super::submit::{MAX_INPUT, Submit};
use crate::cli::desk::{CALL_LIMIT, Desk, Trouble, complain, text};
use crate::cli::exit;
use crate::cli::output::{Out, clean};
use crate::client::{Client, Failure, refusal_text};

/// The most tasks of one request, and the most bytes, unless one task has more.
const BATCH: (usize, usize) = (500, 4 << 20);
/// How many requests are under way at once.
const IN_FLIGHT: usize = 4;
/// How many lines are complained of one by one.
const MAX_COMPLAINTS: usize = 20;
/// The first and the longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long the service may be away before it has answered once, and after.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// A line's number and its submission.
type Line = (usize, Value);

pub(super) async fn run(desk: &mut Desk, submit: &Submit) -> Result<u8, Trouble> {
    let path = submit.file.as_deref().unwrap_or(Path::new("-"));
    if submit.run_at.is_some_and(|at| at.is_relative) {
        let text = "give --run-at in epoch milliseconds beside --file: a moment counted from now would \
                    be another one when the command is run again";
        return Err(Trouble::Usage(anyhow!(text)));
    }
    let source = Source::open(path).map_err(Trouble::Usage)?;
    let (total, malformed) = source.check().map_err(Trouble::Usage)?;
    if malformed > 0 && !submit.skip_malformed {
        let text = format!(
            "{malformed} malformed lines; nothing was submitted. Mend them, or give --skip-malformed."
        );
        complain(&text)?;
        return Err(Trouble::Said(exit::USAGE));
    }
    let mut tally = Tally {
        code: if malformed > 0 {
            exit::USAGE
        } else {
            exit::DONE
        },
        total,
        ..Tally::default()
    };
    let bar = ProgressBar::new(total as u64).with_style(bar_style());
    let sent = tokio::select! {
        // First, so that the signal is caught before anything is sent.
        biased;
        interrupt = tokio::signal::ctrl_c() => {
            interrupt?;
            Err(Trouble::Said(exit::INTERRUPTED))
        }
        sent = send_all(desk, submit, &source, &bar, &mut tally) => sent,
    };
    bar.finish_and_clear();
    tally.tell(sent.is_err())?;
    sent.map(|()| tally.code)
}

/// What became of the lines so far.
#[derive(Default)]
struct Tally {
    total: usize,
    created: usize,
    known: usize,
    refused: usize,
    code: u8,
}

impl Tally {
    /// Says it, on standard error: standard output has the ids.
    fn tell(&self, is_cut_short: bool) -> std::io::Result<()> {
        let mut parts = vec![format!("{} submitted", self.created)];
        if self.known > 0 {
            parts.push(format!("{} were there already", self.known));
        }
        if self.refused > 0 {
            parts.push(format!("{} refused", self.refused));
        }
        let mut complaints = Out::stderr();
        complaints.line(parts.join(", "))?;
        if is_cut_short {
            let left = self.total - self.created - self.known - self.refused;
            complaints.line(format_args!(
                "{left} of {} lines are left. Run the same command again: what was submitted is not \
                 submitted twice.",
                self.total
            ))?;
        }
        Ok(())
    }
}

async fn send_all(
    desk: &mut Desk,
    submit: &Submit,
    source: &Source,
    bar: &ProgressBar,
    tally: &mut Tally,
) -> Result<(), Trouble> {
    let sender = Sender {
        client: desk.client.clone(),
        is_met: Arc::default(),
    };
    let batches = Batches::new(source, submit).map_err(Trouble::Usage)?;
    let mut answers = stream::iter(batches)
        .map(|batch| {
            let sender = sender.clone();
            async move {
                let batch = batch.map_err(Trouble::Usage)?;
                sender.send(batch).await
            }
        })
        .buffered(IN_FLIGHT);
    while let Some(batch) = answers.next().await {
        for (line, answer) in batch? {
            bar.inc(1);
            bar.suspend(|| record(desk, tally, line, &answer))?;
        }
    }
    Ok(())
}

fn record(desk: &mut Desk, tally: &mut Tally, line: usize, answer: &Value) -> std::io::Result<()> {
    let id = text(answer, "id");
    let created = answer["created"] == true;
    if desk.json {
        let mut shown = json!({ "line": line });
        if let Some(shown) = shown.as_object_mut() {
            shown.extend(answer.as_object().cloned().unwrap_or_default());
        }
        desk.out.line(&shown)?;
    }
    if id.is_empty() {
        tally.refused += 1;
        tally.code = exit::REFUSED;
        if tally.refused <= MAX_COMPLAINTS && !desk.json {
            complain(&format!("line {line}: {}", refusal_text(&answer["error"])))?;
        }
        return Ok(());
    }
    if created {
        tally.created += 1;
    } else {
        tally.known += 1;
    }
    if desk.json {
        Ok(())
    } else {
        desk.out.line(clean(&id, false))
    }
}

/// Sends batches.
#[derive(Clone)]
struct Sender {
    client: Client,
    /// Whether the service has answered before: then it will come back.
    is_met: Arc<AtomicBool>,
}

impl Sender {
    /// Sends one batch, in halves where it is too large for the service. Answers in order.
    async fn send(&self, batch: Vec<Line>) -> Result<Vec<(usize, Value)>, Trouble> {
        let mut waiting = vec![batch];
        let mut answers = Vec::new();
        while let Some(mut batch) = waiting.pop() {
            let tasks: Vec<&Value> = batch.iter().map(|(_, task)| task).collect();
            let body = json!({ "tasks": tasks, "atomic": false });
            match self.post(&body).await {
                Ok(answer) => {
                    let lines = batch.iter().map(|(line, _)| *line);
                    let given = answer["tasks"].as_array().cloned().unwrap_or_default();
                    answers.extend(lines.zip(given));
                }
                Err(failure) if failure.status() == Some(413) && batch.len() > 1 => {
                    waiting.push(batch.split_off(batch.len() / 2));
                    waiting.push(batch);
                }
                Err(failure) if failure.status() == Some(413) => {
                    answers.push((batch[0].0, json!({ "error": failure.to_string() })));
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        Ok(answers)
    }

    /// Again and again where that can help; the keys make it safe.
    async fn post(&self, body: &Value) -> Result<Value, Failure> {
        let (begun, mut pause) = (Instant::now(), PAUSE.0);
        loop {
            let answer = self.client.post("/llm-tasks/batch", body, CALL_LIMIT).await;
            let Err(failure) = answer else {
                self.is_met.store(true, Ordering::Relaxed);
                return answer;
            };
            let is_met = self.is_met.load(Ordering::Relaxed);
            let patience = if is_met { PATIENCE.1 } else { PATIENCE.0 };
            if !failure.is_transient() || begun.elapsed() >= patience {
                return Err(failure);
            }
            sleep(pause.max(failure.retry_after().unwrap_or_default())).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }
}

/// Where the lines come from. What can be read only once is kept in memory.
enum Source {
    File(std::path::PathBuf),
    Memory(Bytes),
}

impl Source {
    fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            let mut all = Vec::new();
            std::io::stdin()
                .read_to_end(&mut all)
                .context("cannot read stdin")?;
            return Ok(Self::Memory(all.into()));
        }
        let cannot = || format!("cannot read {}", path.display());
        if std::fs::metadata(path).with_context(cannot)?.is_file() {
            return Ok(Self::File(path.to_owned()));
        }
        Ok(Self::Memory(
            std::fs::read(path).with_context(cannot)?.into(),
        ))
    }

    fn lines(&self) -> anyhow::Result<Lines> {
        let reader: Box<dyn BufRead + Send> = match self {
            Self::File(path) => {
                let file = std::fs::File::open(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                Box::new(BufReader::new(file))
            }
            Self::Memory(all) => Box::new(Cursor::new(all.clone())),
        };
        Ok(Lines { reader, number: 0 })
    }

    /// How many lines are tasks, and how many are malformed; complains of the first of these.
    fn check(&self) -> anyhow::Result<(usize, usize)> {
        let (mut good, mut bad) = (0, 0);
        let mut lines = self.lines()?;
        while let Some((number, line)) = lines.next()? {
            match parse(&line) {
                Ok(_) => good += 1,
                Err(error) => {
                    bad += 1;
                    if bad <= MAX_COMPLAINTS {
                        complain(&format!("line {number}: {error:#}"))?;
                    }
                }
            }
        }
        Ok((good, bad))
    }
}

/// The lines that are not empty, with their numbers.
struct Lines {
    reader: Box<dyn BufRead + Send>,
    number: usize,
}

impl Lines {
    fn next(&mut self) -> anyhow::Result<Option<(usize, Vec<u8>)>> {
        loop {
            self.number += 1;
            let mut line = Vec::new();
            let mut reader = self.reader.by_ref().take(MAX_INPUT + 1);
            let number = self.number;
            let read = reader.read_until(b'\n', &mut line);
            let read = read.with_context(|| format!("line {number}"))?;
            if read as u64 > MAX_INPUT {
                bail!("line {number} is longer than {MAX_INPUT} bytes");
            }
            if read == 0 {
                return Ok(None);
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some((number, line)));
            }
        }
    }
}

/// A line's own fields.
fn parse(line: &[u8]) -> anyhow::Result<serde_json::Map<String, Value>> {
    match serde_json::from_slice(line).context("not JSON")? {
        Value::String(prompt) => Ok(serde_json::Map::from_iter([(
            "prompt".to_owned(),
            Value::String(prompt),
        )])),
        Value::Object(own) => Ok(own),
        _ => bail!("neither an object nor a string"),
    }
}

/// The submissions, a batch at a time.
struct Batches<'a> {
    lines: Lines,
    submit: &'a Submit,
    /// What did not fit into the batch before.
    left: Option<Line>,
    /// How often each submission has come up: two equal lines are two tasks.
    seen: HashMap<[u8; 16], u32>,
    is_over: bool,
}

impl<'a> Batches<'a> {
    fn new(source: &Source, submit: &'a Submit) -> anyhow::Result<Self> {
        Ok(Self {
            lines: source.lines()?,
            submit,
            left: None,
            seen: HashMap::new(),
            is_over: false,
        })
    }

    fn line(&mut self) -> anyhow::Result<Option<Line>> {
        while let Some((number, line)) = self.lines.next()? {
            let Ok(own) = parse(&line) else {
                // It was complained of, and is to be skipped.
                continue;
            };
            let mut body = self.submit.fields();
            body.extend(own);
            if !body.contains_key("idempotency_key") {
                let key = self.key(number, &body);
                body.insert("idempotency_key".to_owned(), json!(key));
            }
            return Ok(Some((number, Value::Object(body))));
        }
        Ok(None)
    }

    /// The key of a line: what it says, and the how manieth of its equals it is.
    fn key(&mut self, number: usize, body: &serde_json::Map<String, Value>) -> String {
        if let Some(key) = &self.submit.idempotency_key {
            return format!("{key}-{number}");
        }
        let digest = Sha256::digest(json!(body).to_string());
        let mut head = [0; 16];
        head.copy_from_slice(&digest[..16]);
        let nth = self.seen.entry(head).or_default();
        *nth += 1;
        format!("file-{:032x}-{nth}", u128::from_be_bytes(head))
    }

    fn batch(&mut self) -> anyhow::Result<Vec<Line>> {
        let (mut batch, mut size) = (Vec::new(), 0);
        while batch.len() < BATCH.0 {
            let next = match self.left.take() {
                Some(left) => Some(left),
                None => self.line()?,
            };
            let Some((number, body)) = next else {
                self.is_over = true;
                break;
            };
            size += body.to_string().len();
            if size > BATCH.1 && !batch.is_empty() {
                self.left = Some((number, body));
                break;
            }
            batch.push((number, body));
        }
        Ok(batch)
    }
}

impl Iterator for Batches<'_> {
    type Item = anyhow::Result<Vec<Line>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let batch = self.batch();
        self.is_over |= batch.is_err();
        Some(batch).filter(|batch| !batch.as_ref().is_ok_and(Vec::is_empty))
    }
}

/// A bar with counts, shown only on a terminal.
pub(in crate::cli) fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
