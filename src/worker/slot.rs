//! One slot: takes a task, runs it, takes the next.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::api::{Granted, LeaseRequest, Release};
use super::attempt::{self, STOPPING};
use super::backoff::Backoff;
use super::{Context, report};

/// The first and the longest pause after a lease request that failed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));
/// An empty answer that comes sooner than this did not wait for work: then we do.
const SOON: Duration = Duration::from_millis(200);
/// How long a stopping worker looks for a lease whose answer it did not wait for.
const RECOVER_LIMIT: Duration = Duration::from_secs(3);

/// Works until the worker is asked to stop.
pub async fn run(ctx: &Context) {
    while let Some(granted) = pull(ctx).await {
        attempt::run(ctx, granted).await;
    }
}

/// The next task; `None` once the worker is asked to stop.
async fn pull(ctx: &Context) -> Option<Granted> {
    let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
    loop {
        let mut drain = ctx.drain.subscribe();
        tokio::select! {
            biased;
            () = ctx.shutdown.requested() => return None,
            // The sender is a part of the context and thus alive.
            _ = drain.wait_for(|drain| !drain) => {}
        }
        // A new id only after a definite answer: after a lost one, the same id gets the leases
        // that the lost answer told of.
        let request_id = Uuid::new_v4();
        let mut leases = ask(ctx, request_id, &mut backoff).await?.into_iter();
        if let Some(granted) = leases.next() {
            for surplus in leases {
                let (lease, task) = (surplus.lease.id, surplus.task.id);
                let release = Release::new(lease, "more than was asked for");
                report::release(ctx, task, &release).await;
            }
            return Some(granted);
        }
    }
}

/// Asks with one id until there is a definite answer; `None` once the worker is asked to stop.
async fn ask(ctx: &Context, request_id: Uuid, backoff: &mut Backoff) -> Option<Vec<Granted>> {
    let request = request(ctx, request_id, ctx.options.poll_wait.as_secs());
    loop {
        let sent = Instant::now();
        let answer = tokio::select! {
            biased;
            () = ctx.shutdown.requested() => {
                give_back(ctx, request_id).await;
                return None;
            }
            answer = ctx.api.lease(&request) => answer,
        };
        let (pause, result) = match answer {
            Ok(leases) => {
                backoff.reset();
                let soon = leases.is_empty() && sent.elapsed() < SOON;
                (soon.then_some(SOON), Some(leases))
            }
            Err(failure) => {
                tracing::warn!(error = %failure, "lease request failed");
                if failure.status() == Some(404)
                    && let Err(failure) = ctx.register().await
                {
                    tracing::warn!(error = %failure, "could not register again");
                }
                let pause = backoff.pause_or(failure.retry_after());
                (Some(pause), (!failure.is_transient()).then(Vec::new))
            }
        };
        if let Some(pause) = pause {
            tokio::select! {
                biased;
                () = ctx.shutdown.requested() => {
                    if result.is_none() {
                        give_back(ctx, request_id).await;
                    }
                    return None;
                }
                () = sleep(pause) => {}
            }
        }
        if result.is_some() {
            return result;
        }
    }
}

/// The service may have granted a lease to a request that we no longer wait for: ask once more
/// with the same id and give the lease back, so that nobody waits for it to run out.
async fn give_back(ctx: &Context, request_id: Uuid) {
    let request = request(ctx, request_id, 0);
    match timeout(RECOVER_LIMIT, ctx.api.lease(&request)).await {
        Ok(Ok(leases)) => {
            for Granted { lease, task, .. } in leases {
                report::release(ctx, task.id, &Release::new(lease.id, STOPPING)).await;
            }
        }
        Ok(Err(failure)) => tracing::debug!(error = %failure, "no answer to the last request"),
        Err(_) => tracing::debug!("no answer to the last request in time"),
    }
}

fn request(ctx: &Context, request_id: Uuid, wait_seconds: u64) -> LeaseRequest<'_> {
    LeaseRequest {
        worker_id: &ctx.options.name,
        session_id: ctx.session,
        max_tasks: 1,
        wait_seconds,
        ttl_seconds: ctx.options.ttl.as_secs(),
        request_id,
    }
}
