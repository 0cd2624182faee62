//! Keeps completions from waiting for a store that is away: after a few failures in a row nobody
//! tries for a while, then one does.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many failures in a row, and nobody tries for a while.
const FAILURES: u32 = 3;
/// The first such while; each further failure doubles it.
const REST: Duration = Duration::from_secs(5);
/// The longest.
const REST_MAX: Duration = Duration::from_secs(60);

/// Counts failures. Starts closed: everybody tries.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default, Clone, Copy)]
struct State {
    failures: u32,
    /// Until when nobody tries.
    rests_until: Option<Instant>,
}

impl Breaker {
    /// Whether the caller may try now. While the store rests, and while the one trial after it is
    /// under way, others may not.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        self.with(|state| match state.rests_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                // The caller is the trial: the others wait for what comes of it.
                state.rests_until = Some(now + rest(state.failures));
                true
            }
        })
    }

    /// Whether nobody tries.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.with(|state| state.rests_until.is_some_and(|until| now < until))
    }

    /// Notes a success; true if there had been failures.
    pub(super) fn succeeded(&self) -> bool {
        self.with(|state| {
            let failed = state.failures > 0;
            *state = State::default();
            failed
        })
    }

    /// Notes a failure; true if it is the first of a row.
    pub(super) fn failed(&self, now: Instant) -> bool {
        self.with(|state| {
            state.failures = state.failures.saturating_add(1);
            if state.failures >= FAILURES {
                state.rests_until = Some(now + rest(state.failures));
            }
            state.failures == 1
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn rest(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(FAILURES).min(8);
    (REST * 2_u32.pow(doublings)).min(REST_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_failures_keeps_everybody_off_for_a_while_and_then_one_tries() {
        let breaker = Breaker::default();
        let start = Instant::now();
        assert!(breaker.failed(start), "the first is worth a word");
        assert!(!breaker.failed(start));
        assert!(breaker.may_try(start), "two may be chance");
        breaker.failed(start);
        assert!(!breaker.may_try(start) && breaker.is_open(start));
        let later = start + REST;
        assert!(breaker.may_try(later), "one tries");
        assert!(!breaker.may_try(later), "and only one");
        breaker.failed(later);
        assert!(!breaker.may_try(later + REST), "it rests longer now");
        assert!(breaker.may_try(later + 2 * REST));
        assert!(breaker.succeeded(), "that is worth a word");
        assert!(breaker.may_try(later) && breaker.may_try(later));
        assert!(!breaker.succeeded());
    }

    #[test]
    fn failures_among_successes_are_chance_and_a_rest_has_an_end() {
        let breaker = Breaker::default();
        let now = Instant::now();
        for _ in 0..10 {
            breaker.failed(now);
            breaker.failed(now);
            breaker.succeeded();
        }
        assert!(breaker.may_try(now));
        for _ in 0..1000 {
            breaker.failed(now);
        }
        assert!(breaker.may_try(now + REST_MAX));
    }
}
