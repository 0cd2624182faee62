//! The leases that this process holds: until when, and what the service said of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::live::Live;

/// The share of a lease's time that is kept as a margin: work ends before the lease can.
const MARGIN_SHARE: u32 = 5;
/// The largest margin.
const MAX_MARGIN: Duration = Duration::from_secs(10);

/// What the service last said of a lease. The later ones outweigh the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// Go on.
    None,
    /// End the task and report it.
    Cancel,
    /// No longer ours.
    Lost,
}

/// One lease that this process holds.
#[derive(Debug)]
pub struct Held {
    /// The lease.
    pub lease_id: Uuid,
    /// What its program shows of itself.
    pub live: Arc<Live>,
    ttl: Duration,
    renewed: watch::Sender<Instant>,
    signal: watch::Sender<Signal>,
}

impl Held {
    fn new(lease_id: Uuid, ttl: Duration, now: Instant) -> Self {
        let (renewed, signal) = (watch::Sender::new(now), watch::Sender::new(Signal::None));
        Self {
            lease_id,
            live: Arc::default(),
            ttl,
            renewed,
            signal,
        }
    }

    /// Notes that a request sent at `sent` renewed the lease. The service did so no earlier, so
    /// the lease lives at least `ttl` from then.
    pub fn renew(&self, sent: Instant) {
        self.renewed.send_if_modified(|at| {
            let later = sent > *at;
            *at = (*at).max(sent);
            later
        });
    }

    /// Notes what the service said; never takes back something graver.
    pub fn tell(&self, signal: Signal) {
        self.signal.send_if_modified(|at| {
            let graver = signal > *at;
            *at = (*at).max(signal);
            graver
        });
    }

    /// When the lease may end at the earliest, as far as this process knows.
    #[must_use]
    pub fn expires(&self) -> Instant {
        *self.renewed.borrow() + self.ttl
    }

    /// Resolves when the work must end because the lease was not renewed in time.
    pub async fn unrenewed(&self) {
        let mut renewed = self.renewed.subscribe();
        loop {
            let deadline = *renewed.borrow_and_update() + self.ttl - margin(self.ttl);
            tokio::select! {
                () = sleep_until(deadline) => {
                    if !renewed.has_changed().unwrap_or(false) {
                        return;
                    }
                }
                _ = renewed.changed() => {}
            }
        }
    }

    /// Resolves when the service has said something graver than `known`, with what it said.
    pub async fn graver(&self, known: Signal) -> Signal {
        let mut signal = self.signal.subscribe();
        // The sender is a part of `self` and thus alive.
        signal
            .wait_for(|now| *now > known)
            .await
            .map_or(Signal::Lost, |now| *now)
    }
}

fn margin(ttl: Duration) -> Duration {
    (ttl / MARGIN_SHARE).min(MAX_MARGIN)
}

/// All leases of this process.
#[derive(Debug, Default)]
pub struct Registry {
    leases: Mutex<HashMap<Uuid, Arc<Held>>>,
}

impl Registry {
    /// Adds a lease; it stays until the guard is dropped.
    pub fn hold(self: &Arc<Self>, lease_id: Uuid, ttl: Duration) -> Guard {
        let held = Arc::new(Held::new(lease_id, ttl, Instant::now()));
        self.lock().insert(lease_id, Arc::clone(&held));
        Guard {
            held,
            registry: Arc::clone(self),
        }
    }

    /// Every lease that is held now.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Held>> {
        self.lock().values().cloned().collect()
    }

    /// The shortest life of a held lease, or `most` if there is none shorter.
    #[must_use]
    pub fn shortest_ttl(&self, most: Duration) -> Duration {
        self.lock()
            .values()
            .map(|held| held.ttl)
            .min()
            .unwrap_or(most)
            .min(most)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<Held>>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a lease in its [`Registry`], and so in every beat.
#[derive(Debug)]
pub struct Guard {
    held: Arc<Held>,
    registry: Arc<Registry>,
}

impl std::ops::Deref for Guard {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.held
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.registry.lock().remove(&self.held.lease_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_only_moves_forward_and_a_signal_only_gets_graver() {
        let now = Instant::now();
        let held = Held::new(Uuid::nil(), Duration::from_secs(10), now);
        held.renew(now + Duration::from_secs(5));
        held.renew(now + Duration::from_secs(1));
        assert_eq!(held.expires(), now + Duration::from_secs(15));
        held.tell(Signal::Lost);
        held.tell(Signal::Cancel);
        assert_eq!(*held.signal.borrow(), Signal::Lost);
    }

    #[test]
    fn a_dropped_guard_leaves_the_registry() {
        let registry = Arc::new(Registry::default());
        let guard = registry.hold(Uuid::nil(), Duration::from_secs(3));
        assert_eq!(registry.all().len(), 1);
        assert_eq!(
            registry.shortest_ttl(Duration::from_secs(9)),
            Duration::from_secs(3)
        );
        drop(guard);
        assert!(registry.all().is_empty());
    }
}
