//! Connects waiters to the database: notifications come in, announcements go out, and a poll now
//! and then finds what both have missed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::debug;
use uuid::Uuid;

use crate::db::Db;
use crate::db::calls::maintenance::{lane_ready, waiting_mark, waiting_wake};
use crate::db::listen::{Event, Events};
use crate::events::Feed;
use crate::shutdown::Shutdown;
use crate::wake::{Batch, Lane, Notifier, RESYNC_SPREAD, Waiters};

/// The channel on which the verbs tell of ready tasks.
pub(super) const CHANNEL: &str = "bloom_ready";
/// How long a mark says that this process has waiters.
const MARK_SECONDS: i32 = 30;
/// When it is renewed.
const MARK_EVERY: Duration = Duration::from_secs(10);
/// About how often the database is asked, while somebody waits, whether something is ready.
const POLL_EVERY: Duration = Duration::from_millis(1500);
/// How soon a new waiter is noticed.
const TICK: Duration = Duration::from_millis(100);

/// What a notification says.
#[derive(Debug, Deserialize)]
struct Ready {
    /// Without a queue, anything may have changed.
    queue: Option<String>,
    requires: Option<BTreeSet<String>>,
    tasks: u32,
    /// The process that sent it on behalf of its clients.
    by: Option<Uuid>,
}

/// Starts the parts; they end with `shutdown`.
pub(super) fn start(
    db: &Db,
    waiters: &Waiters,
    notifier: Notifier,
    events: Events,
    shutdown: &Shutdown,
) {
    let service = Uuid::new_v4();
    let sender = db.clone();
    shutdown.spawn(notifier.run(shutdown.clone(), move |batch| {
        let db = sender.clone();
        async move { waiting_wake(&db, &lanes(batch), service).await }
    }));
    shutdown.spawn(hear(waiters.clone(), events, service, shutdown.clone()));
    shutdown.spawn(poll(db.clone(), waiters.clone(), service, shutdown.clone()));
}

fn lanes(batch: Batch) -> Value {
    let lane = |(lane, tasks): (Lane, u32)| json!({ "queue": lane.queue, "requires": lane.requires, "tasks": tasks });
    batch.into_iter().take(1000).map(lane).collect()
}

/// Passes notifications on to waiters.
async fn hear(waiters: Waiters, mut events: Events, service: Uuid, shutdown: Shutdown) {
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = shutdown.requested() => None,
        };
        match event {
            None => break,
            Some(Event::Resync) => waiters.resync(RESYNC_SPREAD),
            Some(Event::Notified { payload, .. }) => {
                if let Ok(ready) = serde_json::from_str::<Ready>(&payload) {
                    pass_on(&waiters, ready, service);
                }
            }
        }
    }
    waiters.close();
}

/// Whatever is notified of has left an event in the log.
pub(super) async fn nudge(feed: Feed, mut events: Events, shutdown: Shutdown) {
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = shutdown.requested() => None,
        };
        if event.is_none() {
            break;
        }
        feed.nudge();
    }
}

fn pass_on(waiters: &Waiters, ready: Ready, service: Uuid) {
    if ready.by == Some(service) {
        return;
    }
    match ready.queue {
        None => waiters.resync(RESYNC_SPREAD),
        Some(queue) => {
            let lane = Lane {
                queue,
                requires: ready.requires.unwrap_or_default(),
            };
            waiters.wake(&lane, ready.tasks as usize);
        }
    }
}

/// While somebody waits: says so in the database, and asks what is ready. Costs nothing otherwise.
async fn poll(db: Db, waiters: Waiters, service: Uuid, shutdown: Shutdown) {
    let (mut marked, mut polled, mut is_due) = (None, Instant::now(), false);
    while !shutdown.is_requested() {
        if !waiters.is_empty() {
            if marked.is_none_or(|at: Instant| at.elapsed() > MARK_EVERY)
                && waiting_mark(&db, service, MARK_SECONDS).await.is_ok()
            {
                // What was submitted before the mark notified nobody: look for it once.
                is_due |= marked.is_none();
                marked = Some(Instant::now());
            }
            if is_due || polled.elapsed() > POLL_EVERY.mul_f64(0.8 + 0.4 * fastrand::f64()) {
                wake_for_ready(&db, &waiters).await;
                (polled, is_due) = (Instant::now(), false);
            }
        } else if marked.is_some_and(|at| at.elapsed() > MARK_EVERY) {
            // Submissions through SQL need not notify for nobody.
            waiting_mark(&db, service, 0).await.ok();
            marked = None;
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = shutdown.requested() => {}
        }
    }
    waiting_mark(&db, service, 0).await.ok();
}

async fn wake_for_ready(db: &Db, waiters: &Waiters) {
    waiters.unpark();
    match lane_ready(db).await {
        Ok(ready) => {
            for lane in ready {
                let tasks = usize::try_from(lane.tasks).unwrap_or(0);
                let requires = lane.requires.into_iter().collect();
                waiters.wake(
                    &Lane {
                        queue: lane.queue,
                        requires,
                    },
                    tasks,
                );
            }
        }
        Err(error) => debug!(error = error.chain(), "the poll for ready tasks failed"),
    }
}
