//! The event log, live, for any number of listeners.
//!
//! One reader per process follows the log while somebody listens, and only then: it asks
//! `bloom.audit_read` from its place on, a few times a second and sooner when a notification hints at
//! news. What it reads goes to every listener whose filter wants it, through a queue of bounded
//! length. A listener that lets its queue fill up is left behind: it gets what is in the queue, then
//! its stream ends, and it may come back with its cursor. Nobody waits for it.
//!
//! Who comes with a cursor first reads the log by itself, at its own pace, up to where the common
//! reader is ([`Reader`]); so nothing is missed and nothing is told twice.

mod cursor;
mod filter;
mod hub;
mod reader;
mod view;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tracing::{info, warn};
use uuid::Uuid;

pub use cursor::{cursor, position};
pub use filter::Filter;
pub use reader::{Batch, Reader};
pub use view::View;

use crate::db::Db;
use crate::db::calls::audit::{Event, Position, audit_end, audit_read, task_events};
use crate::error::{Error, Kind, Result};
use crate::shutdown::Shutdown;
use hub::Hub;

/// How many events are read at once.
const PAGE: i32 = 1000;
/// How many listeners may read the log by themselves at the same moment.
const CATCHING_UP: usize = 4;
/// The shortest time from one look at the log to the next: notifications come in swarms.
const BREATH: Duration = Duration::from_millis(20);
/// The pause after a look that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How much the feed takes upon itself.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many listeners there may be.
    pub max_streams: usize,
    /// How many events may wait for a listener.
    pub buffer: usize,
    /// About how often the log is looked at while somebody listens.
    pub poll: Duration,
    /// A quiet stream says something this often, so that nobody takes it for dead.
    pub ping: Duration,
    /// A stream ends after about this long; its client comes back with a cursor, and its key is
    /// looked at anew.
    pub lifetime: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_streams: 512,
            buffer: 4096,
            poll: Duration::from_millis(250),
            ping: Duration::from_secs(15),
            lifetime: Duration::from_secs(600),
        }
    }
}

/// A cheap clonable handle.
#[derive(Clone)]
pub struct Feed {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    options: Options,
    hub: Hub,
    seats: Arc<Semaphore>,
    catching_up: Semaphore,
    /// Somebody listens now, after nobody did.
    begun: Notify,
    /// There may be news.
    news: Notify,
}

/// The right to listen; given back when dropped.
#[derive(Debug)]
pub struct Seat(#[expect(dead_code, reason = "held, not used")] OwnedSemaphorePermit);

impl Feed {
    /// Reads nothing until it is run and somebody listens.
    #[must_use]
    pub fn new(db: Db, options: Options) -> Self {
        Self {
            inner: Arc::new(Inner {
                db,
                options,
                hub: Hub::default(),
                seats: Arc::new(Semaphore::new(options.max_streams)),
                catching_up: Semaphore::new(CATCHING_UP),
                begun: Notify::new(),
                news: Notify::new(),
            }),
        }
    }

    /// Says that there may be news. Costs nothing while nobody listens.
    pub fn nudge(&self) {
        if self.inner.hub.place().is_some() {
            self.inner.news.notify_one();
        }
    }

    /// What it was told.
    #[must_use]
    pub fn options(&self) -> Options {
        self.inner.options
    }

    /// A place among the listeners.
    ///
    /// # Errors
    /// 503 `too_many_streams` when all are taken.
    pub fn seat(&self) -> Result<Seat> {
        match Arc::clone(&self.inner.seats).try_acquire_owned() {
            Ok(permit) => Ok(Seat(permit)),
            Err(_) => Err(Error::refused(
                Kind::Busy,
                "too_many_streams",
                "Too many event streams are open",
            )),
        }
    }

    /// Everything that `filter` lets through, from the cursor `after` on; without one, from now on.
    ///
    /// # Errors
    /// 409 `cursor_expired`; 503 without the database.
    pub async fn read(&self, filter: Filter, after: Option<Position>) -> Result<Reader> {
        let end = audit_end(&self.inner.db).await?;
        let mut reader = Reader::new(self.clone(), filter, after.unwrap_or(end), end);
        match after {
            None => {}
            Some(after) if after <= end => reader.look().await?,
            // A row that other transactions still hold back; or a cursor of some other server.
            Some(after) => drop(audit_read(&self.inner.db, after, 1).await?),
        }
        Ok(reader)
    }

    /// Everything that happens to one task, from its beginning or from the cursor `after` on.
    ///
    /// # Errors
    /// 404 without the task; 503 without the database.
    pub async fn read_task(&self, task: Uuid, after: Option<Position>) -> Result<Reader> {
        // First the place, then the trail: what is not in the one is after the other.
        let end = audit_end(&self.inner.db).await?;
        let (mut trail, mut last) = (Vec::new(), 0);
        loop {
            let page = task_events(&self.inner.db, task, last).await?;
            let Some(event) = page.last() else { break };
            last = event.ver.unwrap_or(i32::MAX);
            trail.extend(page.into_iter().map(Arc::new));
        }
        let start = after.unwrap_or_default();
        let reader = Reader::new(self.clone(), Filter::of_task(task), start, end);
        Ok(reader.after_trail(trail, end))
    }

    /// Follows the log while somebody listens, until `shutdown`.
    pub async fn run(self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = self.inner.begun.notified() => {}
                () = shutdown.requested() => break,
            }
            tokio::select! {
                () = self.follow() => {}
                () = shutdown.requested() => break,
            }
        }
        self.inner.hub.close();
    }

    async fn follow(&self) {
        let mut is_failing = false;
        while let Some(place) = self.inner.hub.place() {
            match audit_read(&self.inner.db, place, PAGE).await {
                Ok(events) => {
                    if std::mem::take(&mut is_failing) {
                        info!("the event log is followed again");
                    }
                    let is_full = is_full(&events);
                    let slow = self.inner.hub.deliver(events);
                    if slow > 0 {
                        info!(streams = slow, "event streams were too slow and end");
                    }
                    if !is_full {
                        self.wait().await;
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        warn!(error = error.chain(), "the event log cannot be followed");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn wait(&self) {
        let poll = self.inner.options.poll;
        sleep(BREATH.min(poll)).await;
        tokio::select! {
            () = sleep(poll.mul_f64(0.8 + 0.4 * fastrand::f64())) => {}
            () = self.inner.news.notified() => {}
        }
    }
}

/// Whether there may be more where these came from.
fn is_full(page: &[Event]) -> bool {
    i32::try_from(page.len()).is_ok_and(|rows| rows >= PAGE)
}
