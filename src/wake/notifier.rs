//! Telling other processes about new work, in batches and outside the submitter's transaction.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::queue::Lane;
use crate::error::Result;
use crate::shutdown::Shutdown;

/// How long announcements are collected. Every NOTIFY serialises its commit with all others, so a
/// hundred of them a second is plenty.
const COLLECT: Duration = Duration::from_millis(10);
/// Lanes that one batch may name; what does not fit is found by the others' polls.
const MAX_LANES: usize = 1_024;

/// New tasks by lane.
pub type Batch = BTreeMap<Lane, u32>;

#[derive(Default)]
struct Pending {
    batch: Mutex<Batch>,
    filled: Notify,
    dropped: AtomicU64,
}

/// Where submitters leave their announcements. A cheap clonable handle.
#[derive(Clone, Default)]
pub struct Announcer {
    pending: Arc<Pending>,
}

impl Announcer {
    /// Leaves word of `count` new tasks of a lane. Returns at once.
    pub fn announce(&self, lane: &Lane, count: u32) {
        let mut batch = self
            .pending
            .batch
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if batch.len() >= MAX_LANES && !batch.contains_key(lane) {
            self.pending.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let known = batch.entry(lane.clone()).or_default();
        *known = known.saturating_add(count);
        drop(batch);
        self.pending.filled.notify_one();
    }

    /// Announcements that came to nothing: too many at once, or the send failed.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.pending.dropped.load(Ordering::Relaxed)
    }

    fn take(&self) -> Batch {
        std::mem::take(
            &mut *self
                .pending
                .batch
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

/// The component that sends them.
pub struct Notifier {
    announcer: Announcer,
}

impl Notifier {
    /// A notifier and its handle.
    #[must_use]
    pub fn new() -> (Self, Announcer) {
        let announcer = Announcer::default();
        (
            Self {
                announcer: announcer.clone(),
            },
            announcer,
        )
    }

    /// Collects for about 10 ms after the first announcement, hands over one batch, and so on
    /// until shutdown, when what is left is handed over too. A failed batch is dropped: a
    /// notification only shortens a wait.
    pub async fn run<Send, Sent>(self, shutdown: Shutdown, mut send: Send)
    where
        Send: FnMut(Batch) -> Sent,
        Sent: Future<Output = Result<()>>,
    {
        while !shutdown.is_requested() {
            tokio::select! {
                () = self.announcer.pending.filled.notified() => {}
                () = shutdown.requested() => {}
            }
            tokio::select! {
                () = sleep(COLLECT) => {}
                () = shutdown.requested() => {}
            }
            let batch = self.announcer.take();
            if batch.is_empty() {
                continue;
            }
            let lanes = batch.len() as u64;
            if let Err(error) = send(batch).await {
                self.announcer
                    .pending
                    .dropped
                    .fetch_add(lanes, Ordering::Relaxed);
                tracing::debug!(error = error.chain(), lanes, "announcements were not sent");
            }
        }
    }
}
