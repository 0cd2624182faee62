//! `bloom task logs`.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::cli::desk::{Desk, Trouble};
use crate::cli::exit;

/// How long the service may hold a request.
const WAIT_SECONDS: u64 = 25;
/// What a request may take beyond that.
const SLACK: Duration = Duration::from_secs(15);
/// How long a follower puts up with a service that is away: restarts take less.
const PATIENCE: Duration = Duration::from_secs(120);
/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints the log, and with `follow` what is added to it until the task is over. A follower goes on
/// where it was when the service comes back.
pub(super) async fn run(desk: &mut Desk, id: Uuid, follow: bool) -> Result<u8, Trouble> {
    let mut after = String::new();
    let mut away_since = None;
    loop {
        let wait = if follow { WAIT_SECONDS } else { 0 };
        let path = format!("/llm-tasks/{id}/log?after={after}&limit=1000&wait_seconds={wait}");
        let limit = Duration::from_secs(wait) + SLACK;
        let page: Value = match desk.client.get(&path, limit).await {
            Ok(page) => page,
            Err(failure) if follow && failure.is_transient() => {
                let since = *away_since.get_or_insert_with(Instant::now);
                if since.elapsed() > PATIENCE {
                    return Err(failure.into());
                }
                sleep(failure.retry_after().unwrap_or(PAUSE)).await;
                continue;
            }
            Err(failure) => return Err(failure.into()),
        };
        away_since = None;
        let chunks = page["chunks"].as_array().map_or(&[][..], Vec::as_slice);
        for chunk in chunks {
            desk.out.text(chunk["text"].as_str().unwrap_or_default())?;
        }
        if let Some(next) = page["next_cursor"].as_str() {
            next.clone_into(&mut after);
        }
        let is_over = page["end"] == true || (!follow && chunks.is_empty());
        if is_over || desk.out.is_closed() {
            return Ok(exit::DONE);
        }
    }
}
