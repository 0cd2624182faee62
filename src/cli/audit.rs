//! `bloom audit`: read the audit trail, and check it, over HTTP.

mod seals;
mod tail;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::desk::{CALL_LIMIT, Desk, Trouble, text};
use super::exit;
use super::output::clean;
use super::task::bar_style;
use crate::client::Failure;
use crate::config::client::ClientArgs;

/// How many tasks one request verifies.
const PAGE: usize = 5_000;

/// Arguments of `bloom audit`.
#[derive(Debug, ClapArgs)]
#[command(after_help = exit::HELP)]
pub struct Args {
    /// Which service to ask.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Print JSON for programs.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What `bloom audit` can do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Print the last rows of the audit trail, oldest first.
    Tail(tail::Tail),
    /// Check the trail of every task: no version missing, every transition legal, the last one as
    /// the task is now. Then hold every event against the seals over the trail.
    #[command(
        after_help = "Examples:\n  bloom audit verify\n  bloom audit verify --seals seals.jsonl\n\n\
        Ends with 1 where something is wrong, and names the first row that is."
    )]
    Verify(seals::Verify),
}

/// Does it.
///
/// # Errors
/// When nothing can be printed.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let verb = args.verb;
    Desk::serve(&args.client, args.json, async |desk| match &verb {
        Verb::Tail(tail) => tail::run(desk, tail).await,
        Verb::Verify(args) => verify(desk, args).await,
    })
    .await
}

async fn verify(desk: &mut Desk, args: &seals::Verify) -> Result<u8, Trouble> {
    let kept = args.read()?;

    let stats = desk.get("/stats").await?;
    let total = stats["tasks"]["total"].as_u64().unwrap_or_default();
    let bar = ProgressBar::new(total).with_style(bar_style());
    let (mut tasks, mut events, mut bad) = (0, 0, Value::Null);
    let mut cursor = String::new();
    loop {
        let path = format!("/audit/verify?limit={PAGE}{cursor}");
        let page = patient(desk, &path).await?;
        tasks += page["tasks"].as_u64().unwrap_or_default();
        events += page["events"].as_u64().unwrap_or_default();
        bar.set_position(tasks);
        page["bad"].clone_into(&mut bad);
        match page["next_cursor"].as_str() {
            Some(next) if bad.is_null() => cursor = format!("&cursor={next}"),
            _ => break,
        }
    }
    bar.finish_and_clear();
    let mut sealed = seals::Sealed::default();
    if bad.is_null() {
        sealed = seals::verify(desk, &kept, args).await?;
        bad = sealed.bad.take();
    }
    let ok = bad.is_null();
    if desk.json {
        let found = json!({
            "ok": ok, "tasks": tasks, "events": events, "seals": sealed.seals,
            "sealed_events": sealed.events, "dropped_seals": sealed.dropped,
            "compared_seals": sealed.compared, "bad": bad,
        });
        desk.out.json(&found)?;
    } else if ok {
        desk.out.line(format_args!(
            "{tasks} tasks, {events} events: all is as it should be"
        ))?;
        desk.out.line(sealed.text())?;
    } else {
        desk.out.line(clean(&described(&bad), false))?;
    }
    Ok(if ok { exit::DONE } else { exit::FAILED })
}

/// What is wrong, for people.
fn described(bad: &Value) -> String {
    let seal = match bad["seal_id"].as_i64() {
        Some(id) => format!("seal {id}: "),
        None => String::new(),
    };
    let what = if bad["task_id"].is_string() {
        format!("task {} ver {}: ", text(bad, "task_id"), text(bad, "ver"))
    } else if bad["subject"].is_string() {
        format!("{}: ", text(bad, "subject"))
    } else {
        String::new()
    };
    format!("{seal}{what}{} ({})", text(bad, "text"), text(bad, "code"))
}

/// Asks, and waits where the service says that it has been asked too often.
async fn patient(desk: &Desk, path: &str) -> Result<Value, Failure> {
    loop {
        match desk.client.get(path, CALL_LIMIT).await {
            Err(failure) if failure.status() == Some(429) => {
                sleep(
                    failure
                        .retry_after()
                        .unwrap_or(std::time::Duration::from_secs(1)),
                )
                .await;
            }
            answer => return answer,
        }
    }
}
