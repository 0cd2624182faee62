//! `bloom task watch`: follow tasks to their end.

use std::time::Duration;

use clap::Args;
use futures_util::{StreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Ids, bar_style};
use crate::cli::desk::{Desk, Trouble, text};
use crate::cli::exit;
use crate::cli::output::clean;
use crate::client::Failure;

/// The first and the longest pause between two looks.
const LOOK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// How long the service may be away before watching is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many tasks are looked at at once.
const IN_FLIGHT: usize = 8;

/// Which tasks.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bloom task watch 01a2096c-99ef-7b58-b821-ea3b259302ac
  bloom task submit --file prompts.jsonl | bloom task watch -
  bloom task watch ID --json | jq -r .status

Ends with 0 when all are completed, 1 when one failed for good, 7 when none failed and one was
cancelled. A task that will be tried again is not over.")]
pub struct Watch {
    /// Which.
    #[command(flatten)]
    pub ids: Ids,
}

/// What is known of one task.
struct Watched {
    id: Uuid,
    shown: String,
    end: Option<u8>,
}

pub(super) async fn run(desk: &mut Desk, watch: Watch) -> Result<u8, Trouble> {
    let ids = watch.ids.read()?;
    let many = ids.len() > 1;
    let bar = bar(ids.len());
    let mut watched: Vec<Watched> = ids
        .into_iter()
        .map(|id| Watched {
            id,
            shown: String::new(),
            end: None,
        })
        .collect();
    let (mut pause, mut answered) = (LOOK.0, Instant::now());
    loop {
        match look(desk, &mut watched, many, &bar).await {
            Ok(has_changed) => {
                answered = Instant::now();
                if has_changed {
                    pause = LOOK.0;
                }
            }
            Err(Trouble::Service(failure))
                if failure.is_transient() && answered.elapsed() < PATIENCE =>
            {
                bar.set_message("the service is away");
            }
            Err(trouble) => return Err(trouble),
        }
        let ends: Option<Vec<u8>> = watched.iter().map(|one| one.end).collect();
        if let Some(ends) = ends {
            bar.finish_and_clear();
            return Ok(worst(&ends));
        }
        if desk.out.is_closed() {
            return Ok(exit::DONE);
        }
        sleep(pause).await;
        pause = (pause * 2).min(LOOK.1);
    }
}

/// Of one task a spinner, of many a bar; on a terminal only.
fn bar(tasks: usize) -> ProgressBar {
    if tasks > 1 {
        return ProgressBar::new(tasks as u64).with_style(bar_style());
    }
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// Looks once at all that are not over, and shows what has changed; whether anything has.
async fn look(
    desk: &mut Desk,
    watched: &mut [Watched],
    many: bool,
    bar: &ProgressBar,
) -> Result<bool, Trouble> {
    let open: Vec<(usize, Uuid)> = watched
        .iter()
        .enumerate()
        .filter(|(_, one)| one.end.is_none())
        .map(|(at, one)| (at, one.id))
        .collect();
    let client = desk.client.clone();
    let mut tasks = stream::iter(open)
        .map(|(at, id)| {
            let client = client.clone();
            async move {
                let path = format!("/llm-tasks/{id}");
                let task: Value = client.get(&path, crate::cli::desk::CALL_LIMIT).await?;
                Ok::<_, Failure>((at, task))
            }
        })
        .buffered(IN_FLIGHT);
    let mut has_changed = false;
    while let Some(answer) = tasks.next().await {
        let (at, task) = answer?;
        let one = &mut watched[at];
        let line = status_line(&task);
        if line != one.shown {
            has_changed = true;
            bar.suspend(|| show(desk, &task, one.id, &line, many))?;
            one.shown = line;
        }
        if !many {
            bar.set_message(super::show::progress(&task["progress"]));
        }
        one.end = end(&task);
        if one.end.is_some() && many {
            bar.inc(1);
        }
    }
    Ok(has_changed)
}

fn show(desk: &mut Desk, task: &Value, id: Uuid, line: &str, many: bool) -> std::io::Result<()> {
    if desk.json {
        // One object a line, as a stream.
        desk.out.line(task)
    } else if many {
        desk.out.line(format_args!("{id} {}", clean(line, false)))
    } else {
        desk.out.line(clean(line, false))
    }
}

fn status_line(task: &Value) -> String {
    let mut line = format!(
        "{} (attempt {})",
        text(task, "status"),
        text(task, "attempts")
    );
    let worker = text(task, "worker_id");
    if !worker.is_empty() {
        line.push_str(" on ");
        line.push_str(&worker);
    }
    line
}

/// The exit status of a task that has ended. A failed one with `retry_at` will run again.
fn end(task: &Value) -> Option<u8> {
    match task["status"].as_str()? {
        "completed" => Some(exit::DONE),
        "failed" if task["retry_at"].is_null() => Some(exit::FAILED),
        "dead" => Some(exit::FAILED),
        "cancelled" => Some(exit::CANCELLED),
        _ => None,
    }
}

/// The exit status of several.
fn worst(ends: &[u8]) -> u8 {
    [exit::FAILED, exit::CANCELLED]
        .into_iter()
        .find(|code| ends.contains(code))
        .unwrap_or(exit::DONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_an_end_ends_watching() {
        let of = |value: Value| end(&value);
        assert_eq!(of(json!({ "status": "completed" })), Some(0));
        assert_eq!(of(json!({ "status": "failed", "retry_at": 1 })), None);
        let failed = of(json!({ "status": "failed", "retry_at": null }));
        assert_eq!(failed, Some(exit::FAILED));
        assert_eq!(of(json!({ "status": "dead" })), Some(exit::FAILED));
        assert_eq!(of(json!({ "status": "cancelled" })), Some(exit::CANCELLED));
        assert_eq!(of(json!({ "status": "running" })), None);
    }

    #[test]
    fn one_failure_among_many_is_what_is_told() {
        assert_eq!(worst(&[0, 7, 1]), exit::FAILED);
        assert_eq!(worst(&[0, 7]), exit::CANCELLED);
        assert_eq!(worst(&[0, 0]), exit::DONE);
    }
}
