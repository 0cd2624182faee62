//! One listener's way through the log: first by itself, then with the others.

use std::sync::Arc;

use tokio::sync::mpsc::Receiver;

use super::{Feed, Filter, PAGE, is_full};
use crate::db::calls::audit::{Event, Position, audit_read};
use crate::error::{Error, Result};

/// How many events a listener gets at once.
const BATCH: usize = 128;

/// Some events, in order, never none.
pub type Batch = Vec<Arc<Event>>;

/// Reads on from a place; every event that its filter wants, once, in order.
pub struct Reader {
    feed: Feed,
    filter: Arc<Filter>,
    /// What it wants up to here was handed out, is in `pending`, or was known to the listener.
    seen: Position,
    /// Up to here the log was read. Never beyond the log's end for readers: more would still come
    /// before it.
    read_to: Position,
    pending: Batch,
    queue: Option<Receiver<Arc<Event>>>,
    is_level: bool,
}

impl Reader {
    /// Reads the log from `end` or from `after`, whichever is less, and hands out what is after
    /// `after`.
    pub(super) fn new(feed: Feed, filter: Filter, after: Position, end: Position) -> Self {
        Self {
            feed,
            filter: Arc::new(filter),
            seen: after,
            read_to: after.min(end),
            pending: Vec::new(),
            queue: None,
            is_level: false,
        }
    }

    /// Begins with these, which are all that its filter wants up to the last of them, and to `end`.
    pub(super) fn after_trail(mut self, trail: Batch, end: Position) -> Self {
        self.take(trail);
        self.seen = self.seen.max(end);
        self.read_to = end;
        self
    }

    /// The cursor with which a reader can go on from here without a gap; `None` while events are
    /// ready to be taken.
    pub fn place(&mut self) -> Option<Position> {
        if let Some(queue) = self.queue.as_ref().filter(|_| self.is_level)
            && let Some(told) = self.feed.inner.hub.told(queue)
        {
            self.seen = self.seen.max(told);
        }
        self.pending.is_empty().then_some(self.seen)
    }

    /// The next events; `None` when the stream is over: the process ends, or this listener was too
    /// slow. May be dropped and called again at any time.
    ///
    /// # Errors
    /// While it reads by itself: 503 without the database, 409 `cursor_expired`.
    pub async fn next(&mut self) -> Result<Option<Batch>> {
        loop {
            if !self.pending.is_empty() {
                return Ok(Some(std::mem::take(&mut self.pending)));
            }
            if !self.is_level {
                self.look().await?;
                continue;
            }
            let Some(queue) = &mut self.queue else {
                return Err(Error::internal("a listener without a queue"));
            };
            let mut batch = Vec::new();
            if queue.recv_many(&mut batch, BATCH).await == 0 {
                return Ok(None);
            }
            self.take(batch);
        }
    }

    /// Reads a page by itself, and joins the others once there is no more to read.
    pub(super) async fn look(&mut self) -> Result<()> {
        let inner = Arc::clone(&self.feed.inner);
        let permit = inner.catching_up.acquire().await;
        let permit = permit.map_err(Error::internal)?;
        let page = audit_read(&inner.db, self.read_to, PAGE).await?;
        drop(permit);
        let is_full = is_full(&page);
        if let Some(last) = page.last().map(|event| event.position) {
            let wanted = page.into_iter().filter(|event| self.filter.wants(event));
            self.take(wanted.map(Arc::new).collect());
            self.read_to = last;
            self.seen = self.seen.max(last);
        }
        if is_full {
            return Ok(());
        }
        if self.queue.is_some() {
            // It joined before it read this: whatever the others were told before is read now.
            self.is_level = true;
            return Ok(());
        }
        let filter = Arc::clone(&self.filter);
        let joined = inner.hub.join(filter, self.read_to, inner.options.buffer);
        self.is_level = joined.place <= self.read_to;
        self.queue = Some(joined.queue);
        if joined.is_first {
            inner.begun.notify_one();
        }
        Ok(())
    }

    /// Adds events to those that are next. What was read before it joined may come again.
    fn take(&mut self, events: Batch) {
        for event in events {
            if event.position > self.seen {
                self.seen = event.position;
                self.pending.push(event);
            }
        }
    }
}
