//! Telling the service how an attempt ended, until it is told or it no longer matters.

use std::time::Duration;

use serde_json::Map;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::Context;
use super::api::{Completion, Metrics, Release, Status};
use super::backoff::Backoff;
use super::held::Held;
use crate::client::Failure;

/// How long a completion is repeated at most, however long the lease can be kept alive.
const REPORT_LIMIT: Duration = Duration::from_secs(600);
/// The first and the longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How often giving back is tried.
const RELEASE_TRIES: u32 = 4;
/// The longest pause between two tries of giving back: a stopping worker has little time.
const RELEASE_PAUSE: Duration = Duration::from_millis(500);

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The service has it.
    Accepted,
    /// The lease is no longer current: somebody else's report counts.
    Superseded,
    /// Given up; the lease will run out.
    Undelivered,
}

/// Completes `task`, repeating while the lease can still be live.
pub async fn complete(
    ctx: &Context,
    held: &Held,
    task: Uuid,
    mut completion: Completion,
) -> Delivery {
    let give_up = Instant::now() + REPORT_LIMIT;
    let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
    let mut last_try = false;
    let mut shortened = false;
    loop {
        let failure = match ctx.api.complete(task, &completion).await {
            Ok(()) => return Delivery::Accepted,
            Err(failure) => failure,
        };
        tracing::warn!(task.id = %task, lease.id = %held.lease_id, error = %failure, "not completed");
        match failure.status() {
            Some(404 | 409) => return Delivery::Superseded,
            Some(400 | 413 | 415 | 422) if shortened => return Delivery::Undelivered,
            Some(400 | 413 | 415 | 422) => {
                shortened = true;
                completion = refused(&completion, &failure);
                continue;
            }
            _ => {}
        }
        if last_try || Instant::now() > held.expires().min(give_up) {
            return Delivery::Undelivered;
        }
        tokio::select! {
            () = sleep(backoff.pause_or(failure.retry_after())) => {}
            // No more waiting: one last try.
            () = ctx.hard.cancelled() => last_try = true,
        }
    }
}

/// What is reported instead of a completion that the service will not take.
fn refused(completion: &Completion, failure: &Failure) -> Completion {
    let bytes = completion.output.as_ref().map_or(0, String::len);
    let message = if failure.status() == Some(413) {
        format!("the output ({bytes} bytes) was too large for the service")
    } else {
        format!("the service refused the result ({bytes} bytes of output): {failure}")
    };
    Completion {
        status: Status::Error,
        output: None,
        error_message: Some(message),
        // What else was said of the run may be what was refused.
        metrics: Metrics {
            duration_ms: completion.metrics.duration_ms,
            tokens_used: None,
            more: Map::new(),
        },
        conversation: None,
        ..completion.clone()
    }
}

/// Gives the task back unburned; failing that, its lease runs out.
pub async fn release(ctx: &Context, task: Uuid, release: &Release) -> Delivery {
    let lease_id = release.lease_id;
    let mut backoff = Backoff::new(RELEASE_PAUSE / 4, RELEASE_PAUSE);
    for left in (0..RELEASE_TRIES).rev() {
        match ctx.api.release(task, release).await {
            Ok(()) => return Delivery::Accepted,
            Err(failure) if matches!(failure.status(), Some(404 | 409)) => {
                return Delivery::Superseded;
            }
            Err(failure) => {
                tracing::warn!(task.id = %task, lease.id = %lease_id, error = %failure,
                    "not released");
                if !failure.is_transient() || left == 0 {
                    break;
                }
                sleep(backoff.pause()).await;
            }
        }
    }
    Delivery::Undelivered
}

/// The report of a failure.
#[must_use]
pub fn error(lease_id: Uuid, message: String, ran: Duration) -> Completion {
    Completion {
        lease_id,
        status: Status::Error,
        output: None,
        error_message: Some(message),
        metrics: metrics(ran),
        retryable: None,
        conversation: None,
        stopped: None,
    }
}

/// The report of a success.
#[must_use]
pub fn success(lease_id: Uuid, output: String, ran: Duration) -> Completion {
    Completion {
        lease_id,
        status: Status::Success,
        output: Some(output),
        error_message: None,
        metrics: metrics(ran),
        retryable: None,
        conversation: None,
        stopped: None,
    }
}

fn metrics(ran: Duration) -> Metrics {
    let duration_ms = u64::try_from(ran.as_millis()).unwrap_or(u64::MAX);
    Metrics {
        duration_ms,
        tokens_used: None,
        more: Map::new(),
    }
}
