//! Label values that come from outside, of which there may be only so many.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

/// What stands for all values beyond the bound.
pub const OTHER: &str = "other";

/// The values that have a label of their own: those that came first. A value keeps its label while
/// the process lives, so that no counter jumps from one to another.
#[derive(Debug)]
pub struct Labels {
    known: RwLock<HashSet<Arc<str>>>,
    limit: usize,
}

impl Labels {
    /// At most `limit` values beside [`OTHER`].
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            known: RwLock::default(),
            limit,
        }
    }

    /// The label of `value`.
    #[must_use]
    pub fn of(&self, value: &str) -> Arc<str> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(label) = known.get(value) {
            return Arc::clone(label);
        }
        let is_full = known.len() >= self.limit;
        drop(known);
        if is_full {
            return OTHER.into();
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody may have come first.
        if known.len() >= self.limit && !known.contains(value) {
            return OTHER.into();
        }
        let label: Arc<str> = value.into();
        if !known.insert(Arc::clone(&label))
            && let Some(label) = known.get(value)
        {
            return Arc::clone(label);
        }
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_bound_share_a_label_and_the_first_keep_theirs() {
        let labels = Labels::new(2);
        let seen: Vec<_> = ["a", "b", "c", "a", "d", "b"]
            .iter()
            .map(|value| labels.of(value).to_string())
            .collect();
        assert_eq!(seen, ["a", "b", OTHER, "a", OTHER, "b"]);
    }
}
