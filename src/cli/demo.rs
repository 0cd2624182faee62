//! `bloom demo`: the main job on real texts, in under a minute, on an empty directory.
//!
//! A service, two workers with a real program, every text through them, and then the proof: a
//! result, an artifact and a complete audit trail for each.

mod claude;
mod service;
mod texts;
mod verify;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args as ClapArgs;
use indicatif::ProgressBar;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::output::Out;
use super::task;
use super::worker::Signals;
use crate::client::Client;
use crate::config::environment;
use crate::shutdown::Shutdown;
use crate::worker::{self, Options};
use service::Service;
use texts::Text;

/// The five most frequent longer words, with POSIX tools only.
const TOP_WORDS: &str = "tr -cs '[:alpha:]' '\\n' | tr '[:upper:]' '[:lower:]' | \
    grep -E '.{5,}' | sort | uniq -c | sort -k1,1nr -k2 | head -n 5 | \
    while read -r count word; do echo \"$word $count\"; done";
/// How many workers, and how many tasks each runs at once.
const WORKERS: (usize, u32) = (2, 2);
/// How long the texts may take.
const WORK_LIMIT: Duration = Duration::from_secs(180);
/// The pause between two looks at a task.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a request may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Arguments of `bloom demo`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  bloom demo\n  bloom demo --server http://127.0.0.1:5000")]
pub struct Args {
    /// Where the demo keeps its service's data and log.
    #[arg(default_value = "bloom-demo")]
    pub dir: PathBuf,
    /// Use this running service instead of starting one.
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// File that holds the API key of --server (otherwise `BLOOM_API_KEY` or `RUNTIME_API_KEY`).
    #[arg(long, value_name = "FILE", requires = "server")]
    pub api_key_file: Option<PathBuf>,
    /// The program that the workers run on each text.
    #[arg(long, value_name = "CMD", default_value = TOP_WORDS, hide_default_value = true)]
    pub exec: String,
    /// Run conversations through the real Claude CLI instead, with a stand-in for the model.
    #[arg(long, conflicts_with = "exec")]
    pub claude: bool,
    /// The Claude CLI [default: the first claude on PATH].
    #[arg(long, value_name = "FILE", requires = "claude")]
    pub claude_bin: Option<PathBuf>,
    /// Leave the service running until Ctrl-C. On a terminal it is left running anyway.
    #[arg(long)]
    pub keep: bool,
}

/// One submitted text.
pub(super) struct Job {
    text: Text,
    id: Uuid,
}

/// Runs the demo; the exit status is 1 when anything that it shows does not hold.
///
/// # Errors
/// When the service does not start, refuses, or does not finish the work in time.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let (service, server, key) = tokio::select! {
        () = signals.next() => bail!("interrupted"),
        started = provide(&args) => started?,
    };
    let shown = tokio::select! {
        () = signals.next() => Err(anyhow!("interrupted")),
        shown = show(&args, &server, key.as_ref()) => shown,
    };
    let Some(service) = service else {
        return code(shown);
    };
    let is_watched = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if (args.keep || is_watched) && shown.is_ok() {
        let mut out = Out::stdout();
        out.line(format_args!("The service runs on {server} until Ctrl-C."))?;
        signals.next().await;
    }
    let log = service.log().display().to_string();
    let stopped = service.stop().await;
    let shown = shown.with_context(|| format!("see {log}"))?;
    stopped?;
    code(Ok(shown))
}

fn code(shown: anyhow::Result<bool>) -> anyhow::Result<ExitCode> {
    Ok(if shown? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The service to use: the given one, or one of our own.
async fn provide(args: &Args) -> anyhow::Result<(Option<Service>, String, Option<SecretString>)> {
    if let Some(server) = &args.server {
        let client = crate::config::client::ClientArgs {
            server: server.clone(),
            api_key_file: args.api_key_file.clone(),
        };
        let key = client.key().context("cannot read the API key file")?;
        return Ok((None, server.clone(), key));
    }
    let mut out = Out::stdout();
    out.line(format_args!(
        "Starting a service in {} …",
        args.dir.display()
    ))?;
    let service = Service::start(&args.dir).await?;
    let url = service.url().to_owned();
    Ok((Some(service), url, None))
}

/// Submits, works, verifies; whether everything holds.
async fn show(args: &Args, server: &str, key: Option<&SecretString>) -> anyhow::Result<bool> {
    if args.claude {
        return claude::show(args.claude_bin.as_deref(), &args.dir, server, key).await;
    }
    let begun = Instant::now();
    let client = Client::new(server, key)?;
    let mut out = Out::stdout();
    let jobs = submit(&client).await?;
    let lane = format!("{} texts submitted to {}", jobs.len(), client.root());
    out.line(format_args!("{lane}; {} workers start.", WORKERS.0))?;
    let crew = Crew::start(args, server, key)?;
    let waited = wait(&client, &jobs).await;
    let crew = crew.stop().await;
    waited?;
    crew?;
    let proofs = verify::collect(&client, &jobs).await?;
    verify::table(&mut out, &jobs, &proofs)?;
    let faults = verify::faults(&jobs, &proofs);
    for fault in &faults {
        out.line(format_args!("NOT AS PROMISED: {fault}"))?;
    }
    let done = jobs.len() - faults.len().min(jobs.len());
    let took = super::output::span(u64::try_from(begun.elapsed().as_millis())?);
    if faults.is_empty() {
        out.line(format_args!(
            "{done} texts processed in {took}, each with an artifact and {} audit rows.",
            verify::AUDIT_ROWS
        ))?;
    }
    out.line(format_args!("Address: {}", client.root()))?;
    if !args.keep && args.server.is_none() {
        let data = args.dir.join(service::DATA);
        let look = format!("bloom serve --data-dir {}", data.display());
        out.line(format_args!(
            "The service stops now; to look around later: {look}"
        ))?;
    }
    Ok(faults.is_empty())
}

async fn submit(client: &Client) -> anyhow::Result<Vec<Job>> {
    let context = format!("demo-{}", Uuid::new_v4());
    let mut jobs = Vec::new();
    for text in texts::find() {
        let body = json!({
            "context_id": context,
            "agent_slug": "top-words",
            "prompt": text.body,
            "idempotency_key": format!("{context}-{}", text.name),
        });
        let task = task::send(client, &body)
            .await
            .context("cannot submit a text")?;
        let id = task["id"].as_str().and_then(|id| id.parse().ok());
        jobs.push(Job {
            text,
            id: id.ok_or_else(|| anyhow!("the task has no id"))?,
        });
    }
    Ok(jobs)
}

/// The demo's own workers.
struct Crew {
    shutdown: Shutdown,
    workers: JoinSet<Result<worker::Summary, worker::Error>>,
}

impl Crew {
    fn start(args: &Args, server: &str, key: Option<&SecretString>) -> anyhow::Result<Self> {
        let shutdown = Shutdown::new();
        let mut workers = JoinSet::new();
        for number in 1..=WORKERS.0 {
            let mut options = Options::new(server, &format!("demo-{number}"), &args.exec);
            options.api_key = key.cloned();
            options.concurrency = WORKERS.1;
            options.environment = environment::for_program(&[]).map_err(|e| anyhow!(e))?;
            workers.spawn(worker::run(
                options,
                shutdown.clone(),
                CancellationToken::new(),
            ));
        }
        Ok(Self { shutdown, workers })
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        self.shutdown.request();
        while let Some(ended) = self.workers.join_next().await {
            ended.context("a worker broke")??;
        }
        Ok(())
    }
}

/// Waits until every task has ended, showing how many have.
async fn wait(client: &Client, jobs: &[Job]) -> anyhow::Result<()> {
    let bar = ProgressBar::new(jobs.len() as u64).with_style(task::bar_style());
    let deadline = Instant::now() + WORK_LIMIT;
    for job in jobs {
        bar.set_message(job.text.name.clone());
        loop {
            let task: Value = client
                .get(&format!("/llm-tasks/{}", job.id), CALL_LIMIT)
                .await?;
            let retried = !task["retry_at"].is_null();
            match task["status"].as_str() {
                Some("completed" | "dead" | "cancelled") => break,
                Some("failed") if !retried => break,
                _ if Instant::now() > deadline => {
                    bail!(
                        "{} was not processed within {} s",
                        job.text.name,
                        WORK_LIMIT.as_secs()
                    );
                }
                _ => sleep(LOOK_EVERY).await,
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}
