//! Growing, jittered pauses between tries.

use std::time::Duration;

/// A sequence of pauses: each drawn between half of a bound and the bound, which doubles up to a
/// cap.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    bound: Duration,
}

impl Backoff {
    /// Starts at `first`, never pauses longer than `cap`.
    #[must_use]
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self {
            first,
            cap,
            bound: first.min(cap),
        }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let pause = self.bound.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.bound = (self.bound * 2).min(self.cap);
        pause
    }

    /// The next pause, or what the service asked for if that is longer.
    pub fn pause_or(&mut self, asked: Option<Duration>) -> Duration {
        self.pause().max(asked.unwrap_or_default())
    }

    /// Starts again.
    pub fn reset(&mut self) {
        self.bound = self.first.min(self.cap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_start_again() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(400));
        for bound in [100, 200, 400, 400] {
            let pause = backoff.pause();
            assert!(
                pause >= ms(bound / 2) && pause <= ms(bound),
                "{pause:?} of {bound}"
            );
        }
        backoff.reset();
        assert!(backoff.pause() <= ms(100));
        assert_eq!(backoff.pause_or(Some(ms(9000))), ms(9000));
    }
}
