//! `POST /leases`: a worker asks for work, and waits if there is none.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::leases::TTL;
use super::{App, refuse_while_stopping};
use crate::db::calls::lease::{Grant, NextRequest};
use crate::db::calls::maintenance::lane_ready;
use crate::db::calls::worker::worker_get;
use crate::error::{Error, Kind, Result};
use crate::http::validate::Form;
use crate::http::{Request, Response, wire};
use crate::wake::{Found, Interest, Lane, Woken};

/// The longest that a request may wait, in seconds.
const WAIT_MAX: i64 = 60;
/// The shortest pause before a worker with a usage limit is looked at again.
const LIMIT_PAUSE: Duration = Duration::from_millis(250);
/// The most tasks that one request may lease.
const TASKS_MAX: i64 = 100;

/// `{"worker_id", "session_id", "max_tasks", "wait_seconds", "ttl_seconds", "request_id",
/// "queues"?}` → `{"leases": [{"lease", "task"}]}`, empty when the wait ran out.
pub async fn pull(app: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let (ask, wait) = read(&mut form);
    form.finish()?;
    refuse_while_stopping(&app)?;
    let grants = wait_for_work(&app, &ask, wait).await?;
    for grant in &grants {
        app.metrics.leased(grant);
    }
    let leases = grants.into_iter().map(wire::Granted::from).collect();
    Response::ok(&wire::Pulled { leases })
}

/// What is asked for, and how long to wait for it.
pub(super) fn read(form: &mut Form<'_>) -> (NextRequest, Duration) {
    let worker = form.string("worker_id").min(1).max(128).required();
    let session = form.uuid("session_id").required();
    let max_tasks = form.integer("max_tasks").range(1, TASKS_MAX).or(1);
    let wait = form.integer("wait_seconds").range(0, WAIT_MAX).or(0);
    let ttl = form.integer("ttl_seconds").range(1, 86_400).or(TTL);
    let request_id = form.uuid("request_id").nullable();
    let queues = form
        .strings("queues")
        .max_items(100)
        .each(1, 128)
        .optional();
    let ask = NextRequest {
        worker_id: worker,
        session_id: Some(session),
        max_tasks: i32::try_from(max_tasks).unwrap_or(1),
        ttl_seconds: i32::try_from(ttl).unwrap_or(1),
        request_id,
        queues: queues.map(|queues| queues.into_iter().collect()),
    };
    (ask, Duration::from_secs(wait.unsigned_abs()))
}

/// Registers interest, then asks, then sleeps: what is submitted after the question finds the
/// waiter. A full waiting room is no reason to refuse what is there already.
async fn wait_for_work(app: &App, ask: &NextRequest, wait: Duration) -> Result<Vec<Grant>> {
    let deadline = Instant::now() + wait;
    if wait.is_zero() {
        return app.leases.next(ask).await;
    }
    let interest = interest(app, ask).await?;
    let mut waiter = match app.waiters.register(interest.clone()) {
        Ok(waiter) => waiter,
        Err(refusal) => {
            let grants = app.leases.next(ask).await?;
            return if grants.is_empty() {
                Err(refusal)
            } else {
                Ok(grants)
            };
        }
    };
    let mut woken = false;
    loop {
        waiter.begin();
        let grants = app.leases.next(ask).await?;
        let limited = if grants.is_empty() {
            limited_for(app, &ask.worker_id).await?
        } else {
            None
        };
        let found = lanes(&grants);
        waiter.settle(if limited.is_some() {
            // Work is for others until the limit ends.
            Found::NoRoom
        } else if woken && grants.is_empty() {
            why_nothing(app, &interest).await?
        } else {
            Found::Tasks(&found)
        });
        if !grants.is_empty() {
            return Ok(grants);
        }
        let look_at = limited.map_or(deadline, |left| deadline.min(Instant::now() + left));
        woken = match waiter.wait(look_at).await {
            Woken::Work => true,
            Woken::TimedOut if look_at < deadline => false,
            _ => return Ok(grants),
        };
    }
}

/// How long the usage limit of the worker's credential still holds, if one does: nobody tells of its
/// end. By our own clock, which only decides when to ask again.
async fn limited_for(app: &App, worker: &str) -> Result<Option<Duration>> {
    let fleet = app.fleet.candidates().await?;
    let until = fleet.iter().find(|candidate| candidate.id == worker);
    let Some(until) = until.and_then(|candidate| candidate.exhausted_until_ms) else {
        return Ok(None);
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    });
    let left = u64::try_from(until.saturating_sub(now)).unwrap_or(0);
    Ok(Some(Duration::from_millis(left).max(LIMIT_PAUSE)))
}

/// Why a waiter that was woken for a task found none. Where the task is still there, others must
/// hear of it.
async fn why_nothing(app: &App, interest: &Interest) -> Result<Found<'static>> {
    let worker = worker_get(&app.db, &interest.worker).await?;
    if worker.active >= worker.max_concurrency || worker.draining {
        return Ok(Found::NoRoom);
    }
    let ready = lane_ready(&app.db).await?;
    let is_left = ready.into_iter().any(|lane| {
        interest.covers(&Lane {
            queue: lane.queue,
            requires: lane.requires.into_iter().collect(),
        })
    });
    Ok(if is_left {
        Found::Elsewhere
    } else {
        Found::Tasks(&[])
    })
}

fn lanes(grants: &[Grant]) -> Vec<Lane> {
    let lane = |grant: &Grant| Lane {
        queue: grant.queue.clone(),
        requires: grant.requires.iter().cloned().collect(),
    };
    grants.iter().map(lane).collect()
}

/// What the worker could take, by the last known labels of its registration.
async fn interest(app: &App, ask: &NextRequest) -> Result<Interest> {
    for is_last in [false, true] {
        let fleet = app.fleet.candidates().await?;
        if let Some(worker) = fleet.iter().find(|worker| worker.id == ask.worker_id) {
            return Ok(Interest {
                worker: ask.worker_id.clone(),
                labels: worker.labels.iter().cloned().collect(),
                queues: ask.queues.iter().flatten().cloned().collect(),
                wants: usize::try_from(ask.max_tasks).unwrap_or(1),
            });
        }
        if !is_last {
            app.fleet.forget().await;
        }
    }
    Err(Error::refused(
        Kind::NotFound,
        "worker_not_found",
        "Worker not found",
    ))
}
