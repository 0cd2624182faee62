//! `bloom task watch`: follow a task to its end.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{Desk, Trouble, text};
use crate::cli::output::clean;

/// The first and the longest pause between two looks.
const LOOK: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));
/// How long the service may be away before watching is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The task ended without a result.
const FAILED: u8 = 4;
/// Somebody cancelled it.
const CANCELLED: u8 = 5;

pub(super) async fn run(desk: &mut Desk, id: Uuid) -> Result<u8, Trouble> {
    let path = format!("/llm-tasks/{id}");
    let (mut pause, mut seen) = (LOOK.0, String::new());
    let mut answered = Instant::now();
    loop {
        match desk.get(&path).await {
            Ok(task) => {
                answered = Instant::now();
                let now = status_line(&task);
                if now != seen {
                    pause = LOOK.0;
                    show(desk, &task, &now)?;
                    seen = now;
                }
                if let Some(code) = end(&task) {
                    return Ok(code);
                }
            }
            Err(failure) if failure.is_transient() && answered.elapsed() < PATIENCE => {}
            Err(failure) => return Err(failure.into()),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LOOK.1);
    }
}

fn show(desk: &mut Desk, task: &Value, line: &str) -> Result<(), Trouble> {
    if !desk.json {
        return Ok(desk.out.line(clean(line, false))?);
    }
    // One object a line, as a stream.
    Ok(desk.out.line(task)?)
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
        "completed" => Some(0),
        "failed" if task["retry_at"].is_null() => Some(FAILED),
        "dead" => Some(FAILED),
        "cancelled" => Some(CANCELLED),
        _ => None,
    }
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
        assert_eq!(
            of(json!({ "status": "failed", "retry_at": null })),
            Some(FAILED)
        );
        assert_eq!(of(json!({ "status": "dead" })), Some(FAILED));
        assert_eq!(of(json!({ "status": "cancelled" })), Some(CANCELLED));
        assert_eq!(of(json!({ "status": "running" })), None);
    }
}
