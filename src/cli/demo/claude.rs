//! `bloom demo --claude`: conversations through the real Claude CLI, with a stand-in for the model.
//!
//! Prompts of several contexts, each context one at a time and in order, over two workers. Then the
//! proof: every context stayed on one worker, ran in order, and went on with its conversation.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use indicatif::ProgressBar;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::cli::output::Out;
use crate::cli::task;
use crate::client::Client;
use crate::config::environment;
use crate::model_stub::{self, Record};
use crate::shutdown::Shutdown;
use crate::worker::claude::Setup;
use crate::worker::claude::flags::Permits;
use crate::worker::job::Executor;
use crate::worker::{self, Options};

/// How many contexts there are, and how many prompts each has.
const PROMPTS: (usize, usize) = (5, 4);
/// How many workers there are, and how many tasks each runs at once.
const WORKERS: (usize, u32) = (2, 3);
/// How long all of it may take.
const WORK_LIMIT: Duration = Duration::from_secs(300);
/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a request may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// What became of one prompt.
struct Answer {
    worker: String,
    session: String,
    messages: u64,
    finished_at: i64,
}

/// Runs it on the service at `server`; whether everything holds.
pub(super) async fn show(
    bin: Option<&Path>,
    dir: &Path,
    server: &str,
    key: Option<&SecretString>,
) -> anyhow::Result<bool> {
    let begun = Instant::now();
    let mut out = Out::stdout();
    let client = Client::new(server, key)?;
    let bin = bin.map(Path::to_owned).or_else(environment::find_claude);
    let bin =
        bin.ok_or_else(|| anyhow!("there is no claude on PATH; name it with --claude-bin"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let model = format!("http://{}", listener.local_addr()?);
    let mut aides = JoinSet::new();
    aides.spawn(model_stub::serve(listener, Record::default()));
    out.line(format_args!(
        "A stand-in for the model answers at {model}; {} is the CLI.",
        bin.display()
    ))?;
    let run = Uuid::new_v4().to_string();
    let ids = submit(&client, &run).await?;
    out.line(format_args!(
        "{} prompts in {} contexts submitted to {}; {} workers start.",
        ids.len(),
        PROMPTS.0,
        client.root(),
        WORKERS.0
    ))?;
    let crew = Crew::start(&bin, dir, server, key, &model)?;
    let waited = wait(&client, &ids).await;
    crew.stop().await?;
    waited?;
    let contexts = collect(&client, &ids).await?;
    let faults = report(&mut out, &contexts)?;
    for fault in &faults {
        out.line(format_args!("NOT AS PROMISED: {fault}"))?;
    }
    if faults.is_empty() {
        let took = crate::cli::output::span(u64::try_from(begun.elapsed().as_millis())?);
        out.line(format_args!(
            "{} prompts answered in {took}. Every context stayed on its worker, ran in order, and \
             went on with its conversation.",
            ids.len()
        ))?;
    }
    Ok(faults.is_empty())
}

/// The tasks by context, in the order of submission; contexts take turns.
async fn submit(client: &Client, run: &str) -> anyhow::Result<Vec<(String, Uuid)>> {
    let mut ids = Vec::new();
    for round in 1..=PROMPTS.1 {
        for context in 1..=PROMPTS.0 {
            let name = format!("claude-demo-{}-{context}", &run[..8]);
            let body = json!({
                "context_id": name,
                "agent_slug": "demo",
                "prompt": format!("This is message {round} of conversation {context}."),
                "policy": { "serial": true },
                "idempotency_key": format!("{run}-{context}-{round}"),
            });
            let task = task::send(client, &body)
                .await
                .context("cannot submit a prompt")?;
            let id = task["id"].as_str().and_then(|id| id.parse().ok());
            ids.push((name, id.ok_or_else(|| anyhow!("the task has no id"))?));
        }
    }
    Ok(ids)
}

struct Crew {
    shutdown: Shutdown,
    workers: JoinSet<Result<worker::Summary, worker::Error>>,
}

impl Crew {
    fn start(
        bin: &Path,
        dir: &Path,
        server: &str,
        key: Option<&SecretString>,
        model: &str,
    ) -> anyhow::Result<Self> {
        let shutdown = Shutdown::new();
        let mut workers = JoinSet::new();
        let usual = environment::for_program(&[]).map_err(|error| anyhow!(error))?;
        for number in 1..=WORKERS.0 {
            let name = format!("claude-{number}");
            let place = |what: &str| -> anyhow::Result<PathBuf> {
                let path = dir.join(&name).join(what);
                std::fs::create_dir_all(&path)
                    .with_context(|| format!("cannot make {}", path.display()))?;
                Ok(path.canonicalize()?)
            };
            let mut options = Options::new(server, &name, "");
            options.executor = Executor::Claude(Setup {
                bin: bin.to_owned(),
                agents_dir: None,
                permits: Permits::default(),
            });
            options.api_key = key.cloned();
            options.concurrency = WORKERS.1;
            options.work_root = place("work")?;
            // Neither the caller's account nor the caller's conversations.
            let is_ours = |name: &str| {
                name == "HOME" || name.starts_with("ANTHROPIC_") || name.starts_with("CLAUDE_")
            };
            options.environment = usual
                .iter()
                .filter(|(name, _)| !is_ours(name))
                .cloned()
                .collect();
            options.environment.extend([
                ("HOME".to_owned(), place("home")?.into_os_string()),
                ("ANTHROPIC_BASE_URL".to_owned(), model.into()),
                ("ANTHROPIC_API_KEY".to_owned(), "of-nobody".into()),
            ]);
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

async fn wait(client: &Client, ids: &[(String, Uuid)]) -> anyhow::Result<()> {
    let bar = ProgressBar::new(ids.len() as u64).with_style(task::bar_style());
    let deadline = Instant::now() + WORK_LIMIT;
    for (context, id) in ids {
        bar.set_message(context.clone());
        loop {
            let task: Value = client.get(&format!("/llm-tasks/{id}"), CALL_LIMIT).await?;
            match task["status"].as_str() {
                Some("completed" | "dead" | "cancelled") => break,
                _ if Instant::now() > deadline => {
                    bail!(
                        "{context} was not answered within {} s",
                        WORK_LIMIT.as_secs()
                    )
                }
                _ => sleep(LOOK_EVERY).await,
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

async fn collect(
    client: &Client,
    ids: &[(String, Uuid)],
) -> anyhow::Result<BTreeMap<String, Vec<Answer>>> {
    let mut contexts: BTreeMap<String, Vec<Answer>> = BTreeMap::new();
    for (context, id) in ids {
        let task: Value = client.get(&format!("/llm-tasks/{id}"), CALL_LIMIT).await?;
        let result: Value = client
            .get(&format!("/llm-tasks/{id}/result"), CALL_LIMIT)
            .await?;
        if result["status"] != "success" {
            bail!("{context}: {}", result["error_message"]);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        // The model tells how many messages it was sent.
        let output = text(&result["output"]);
        let count = output
            .strip_prefix("n=")
            .and_then(|rest| rest.split(' ').next());
        contexts.entry(context.clone()).or_default().push(Answer {
            worker: text(&result["worker_id"]),
            session: text(&result["metrics"]["session"]),
            messages: count.and_then(|count| count.parse().ok()).unwrap_or(0),
            finished_at: task["finished_at"].as_i64().unwrap_or(0),
        });
    }
    Ok(contexts)
}

/// Shows each context, and returns what does not hold.
fn report(out: &mut Out, contexts: &BTreeMap<String, Vec<Answer>>) -> anyhow::Result<Vec<String>> {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for (context, answers) in contexts {
        let mut workers: Vec<_> = answers
            .iter()
            .map(|answer| answer.worker.as_str())
            .collect();
        workers.dedup();
        let in_order = answers.is_sorted_by_key(|answer| answer.finished_at);
        let grows = answers.is_sorted_by(|a, b| a.messages < b.messages);
        let resumed = answers
            .iter()
            .filter(|answer| answer.session == "resumed")
            .count();
        if workers.len() != 1 {
            faults.push(format!("{context} ran on {}", workers.join(", ")));
        }
        if !in_order {
            faults.push(format!("{context} did not run in order"));
        }
        if resumed + 1 != answers.len() || !grows {
            faults.push(format!(
                "{context} resumed {resumed} of {} times",
                answers.len() - 1
            ));
        }
        let messages = answers.iter().map(|answer| answer.messages.to_string());
        rows.push([
            context.clone(),
            workers.join(", "),
            answers.len().to_string(),
            if in_order { "yes" } else { "NO" }.to_owned(),
            resumed.to_string(),
            messages.collect::<Vec<_>>().join(" "),
        ]);
    }
    let head = [
        "context",
        "worker",
        "prompts",
        "in order",
        "resumed",
        "messages sent",
    ];
    out.table(head, rows)?;
    Ok(faults)
}
