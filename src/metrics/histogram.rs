//! A histogram that many threads add to without waiting for each other.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Parts of a unit that sums are kept in.
const PARTS: f64 = 1_000_000.0;

/// Counts observations in buckets. An observation costs a few additions to atomics.
#[derive(Debug)]
pub struct Histogram {
    /// The upper bounds, ascending.
    bounds: &'static [f64],
    /// One for each bound, and one for what is above all of them.
    buckets: Box<[AtomicU64]>,
    /// The sum of all observations, in millionths.
    sum: AtomicU64,
}

impl Histogram {
    /// An empty one with these upper bounds, ascending.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self {
            bounds,
            buckets,
            sum: AtomicU64::new(0),
        }
    }

    /// Adds one observation. Negative ones (clocks step back) count as zero.
    pub fn observe(&self, value: f64) {
        let value = value.max(0.0);
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Relaxed);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative, and saturating"
        )]
        let parts = (value * PARTS).round() as u64;
        self.sum.fetch_add(parts, Relaxed);
    }

    /// Adds a time, in seconds.
    pub fn observe_time(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }

    /// What was counted so far.
    #[must_use]
    pub fn read(&self) -> Counted {
        let counts: Vec<u64> = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Relaxed))
            .collect();
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        #[expect(clippy::cast_precision_loss, reason = "a sum for people and graphs")]
        let sum = self.sum.load(Relaxed) as f64 / PARTS;
        Counted {
            sum,
            count: counts.iter().sum(),
            buckets: bounds.zip(counts).collect(),
        }
    }
}

/// The state of a histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// The sum of all observations.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
    /// Upper bounds and how many observations each bucket has by itself.
    pub buckets: Vec<(f64, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_is_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&[1.0, 10.0]);
        for value in [-3.0, 1.0, 1.5, 10.0, 99.0] {
            histogram.observe(value);
        }
        let read = histogram.read();
        assert_eq!(
            read.buckets,
            [(1.0, 2), (10.0, 2), (f64::INFINITY, 1)],
            "bounds belong to their bucket"
        );
        assert_eq!(read.count, 5);
        assert!((read.sum - 111.5).abs() < 1e-6, "{}", read.sum);
    }
}
