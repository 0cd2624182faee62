//! One beat per interval for all leases of the process.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Context;
use super::api::{Beat, BeatAnswer, BeatLease, LeaseState};
use super::backoff::Backoff;
use super::held::Signal;

/// Beats per lease lifetime.
const BEATS_PER_TTL: u32 = 3;
/// The shortest time that a beat may take before it is given up.
const MIN_LIMIT: Duration = Duration::from_millis(300);
/// The first pause after a beat that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Beats until `stop`.
pub async fn run(ctx: &Context, stop: CancellationToken) {
    let mut backoff = Backoff::new(FIRST_PAUSE, interval(ctx));
    let mut pause = interval(ctx);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            beaten = once(ctx) => pause = if beaten {
                backoff.reset();
                interval(ctx)
            } else {
                backoff.pause().min(interval(ctx))
            },
        }
    }
}

fn interval(ctx: &Context) -> Duration {
    ctx.held.shortest_ttl(ctx.options.ttl) / BEATS_PER_TTL
}

/// One beat; whether it was answered.
async fn once(ctx: &Context) -> bool {
    let leases = ctx
        .held
        .all()
        .iter()
        .map(|held| {
            let (progress, usage) = held.live.shown().unzip();
            BeatLease {
                lease_id: held.lease_id,
                progress,
                usage,
            }
        })
        .collect();
    let beat = Beat {
        session_id: ctx.session,
        leases,
    };
    // Taken before the request leaves: the service renews no earlier than this.
    let sent = Instant::now();
    match ctx.api.beat(&beat, interval(ctx).max(MIN_LIMIT)).await {
        Ok(answer) => {
            apply(ctx, &answer, sent);
            true
        }
        Err(failure) if failure.status() == Some(404) => {
            tracing::warn!(worker.name = %ctx.options.name, "unknown to the service, registering");
            match ctx.register().await {
                Ok(()) => tracing::info!("registered again"),
                Err(failure) => tracing::warn!(error = %failure, "could not register again"),
            }
            false
        }
        Err(failure) => {
            tracing::warn!(error = %failure, leases = beat.leases.len(), "beat failed");
            false
        }
    }
}

fn apply(ctx: &Context, answer: &BeatAnswer, sent: Instant) {
    if ctx
        .drain
        .send_if_modified(|drain| std::mem::replace(drain, answer.drain) != answer.drain)
    {
        tracing::info!(
            drain = answer.drain,
            "the service changed whether to take new tasks"
        );
    }
    let held = ctx.held.all();
    for said in &answer.leases {
        let Some(held) = held.iter().find(|held| held.lease_id == said.lease_id) else {
            continue;
        };
        match said.state {
            LeaseState::Ok => held.renew(sent),
            LeaseState::Cancel => {
                held.renew(sent);
                held.tell(Signal::Cancel);
            }
            LeaseState::Lost => held.tell(Signal::Lost),
        }
    }
}
