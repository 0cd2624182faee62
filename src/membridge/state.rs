//! How the connection does, and when to leave Membridge alone.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// After so many failures in a row callers are answered without asking.
const TRIPS_AT: u32 = 5;
/// For so long; then one call may try again.
const OPEN_FOR: Duration = Duration::from_secs(10);
/// The longest text of an error that is kept, in characters.
const TEXT_MAX: usize = 200;

/// How the connection does, for people and programs.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Calls that failed since the last success.
    pub consecutive_failures: u32,
    /// The last success, in epoch milliseconds of this machine's clock.
    pub last_success: Option<i64>,
    /// What failed last, if something did since.
    pub last_error: Option<String>,
    /// Whether the last call succeeded.
    pub connected: bool,
    /// Whether callers are answered without asking at present.
    pub tripped: bool,
    /// What the last sync did.
    pub last_sync: Option<Value>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    status: Status,
    /// Failures in a row that are a reason to leave it alone: it did not answer.
    silent: u32,
    failed_at: Option<Instant>,
}

impl State {
    pub(super) fn status(&self) -> Status {
        let now = self.lock();
        let mut status = now.status.clone();
        status.tripped = now.is_tripped();
        status
    }

    /// Whether to leave Membridge alone now. Where the time is over, the caller is the one that
    /// tries, and the others go on waiting for it.
    pub(super) fn is_tripped(&self) -> bool {
        let mut now = self.lock();
        if now.is_tripped() {
            return true;
        }
        if now.silent >= TRIPS_AT {
            now.failed_at = Some(Instant::now());
        }
        false
    }

    pub(super) fn succeeded(&self) {
        let mut now = self.lock();
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        now.status.last_success = since
            .ok()
            .and_then(|since| i64::try_from(since.as_millis()).ok());
        now.status.consecutive_failures = 0;
        now.silent = 0;
        now.status.last_error = None;
        now.status.connected = true;
        now.failed_at = None;
    }

    /// It did not answer, or not with sense.
    pub(super) fn failed(&self, text: &str) {
        self.lock().silent += 1;
        self.refused(text);
    }

    /// It answered, with an error that asking less will not mend, such as a wrong key.
    pub(super) fn refused(&self, text: &str) {
        let mut now = self.lock();
        now.status.consecutive_failures = now.status.consecutive_failures.saturating_add(1);
        now.status.last_error = Some(text.chars().take(TEXT_MAX).collect());
        now.status.connected = false;
        now.failed_at = Some(Instant::now());
    }

    pub(super) fn synced(&self, report: Value) {
        self.lock().status.last_sync = Some(report);
    }

    /// Another Membridge: what was learned of the old one does not hold.
    pub(super) fn forget(&self) {
        *self.lock() = Now::default();
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn is_tripped(&self) -> bool {
        self.silent >= TRIPS_AT && self.failed_at.is_some_and(|at| at.elapsed() < OPEN_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_trip_it_and_a_success_heals_it() {
        let state = State::default();
        for _ in 1..TRIPS_AT {
            state.failed("away");
            assert!(!state.is_tripped());
        }
        state.failed(&"x".repeat(1000));
        assert!(state.is_tripped());
        let status = state.status();
        assert!(status.tripped && !status.connected);
        assert_eq!(status.last_error.map(|text| text.len()), Some(TEXT_MAX));
        state.succeeded();
        for _ in 0..TRIPS_AT * 2 {
            state.refused("wrong key");
        }
        assert!(!state.is_tripped() && !state.status().connected);
        state.succeeded();
        let status = state.status();
        assert!(!status.tripped && status.connected && status.last_success.is_some());
        assert_eq!((status.consecutive_failures, status.last_error), (0, None));
    }

    #[test]
    fn when_its_time_is_over_one_caller_tries() {
        let state = State::default();
        for _ in 0..TRIPS_AT {
            state.failed("away");
        }
        state.lock().failed_at = Instant::now().checked_sub(OPEN_FOR);
        assert!(!state.is_tripped());
        assert!(state.is_tripped());
    }
}
