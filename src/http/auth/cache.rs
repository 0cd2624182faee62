//! A short, bounded memory of key lookups.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Caller, KeyHash, StoredKey};

/// The most keys that are remembered.
const MAX_ENTRIES: usize = 4096;

/// How long a key that was good once counts as familiar. Familiar keys are still looked up while
/// wrong ones from the same address are not.
const FAMILIAR: Duration = Duration::from_secs(600);

/// Remembers callers by the digest of their key.
#[derive(Debug)]
pub(super) struct Cache {
    ttl: Duration,
    entries: Mutex<HashMap<KeyHash, Entry>>,
}

/// What is remembered of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It was just looked up: this caller's.
    Good(Caller),
    /// It was just looked up: nobody's.
    Wrong,
    /// It was good some time ago and must be looked up again.
    WasGood,
    /// It must be looked up.
    Nothing,
}

#[derive(Debug)]
struct Entry {
    found_at: Instant,
    fresh_until: Instant,
    caller: Option<Caller>,
}

impl Entry {
    fn is_of_use(&self, now: Instant) -> bool {
        now < self.fresh_until
            || (self.caller.is_some() && now.duration_since(self.found_at) < FAMILIAR)
    }
}

impl Cache {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            entries: Mutex::default(),
        }
    }

    /// What is known of a key.
    pub(super) fn get(&self, hash: &KeyHash) -> Known {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(entry) = entries.get(hash) else {
            return Known::Nothing;
        };
        match (&entry.caller, Instant::now() < entry.fresh_until) {
            (Some(caller), true) => Known::Good(caller.clone()),
            (Some(_), false) => Known::WasGood,
            (None, true) => Known::Wrong,
            (None, false) => Known::Nothing,
        }
    }

    /// Remembers a lookup and returns its outcome.
    pub(super) fn put(&self, hash: KeyHash, found: Option<(Caller, StoredKey)>) -> Option<Caller> {
        let now = Instant::now();
        let expires_in = found.as_ref().and_then(|(_, key)| key.expires_in);
        let fresh_until = now + expires_in.map_or(self.ttl, |left| left.min(self.ttl));
        let caller = found.map(|(caller, _)| caller);
        let entry = Entry {
            found_at: now,
            fresh_until,
            caller: caller.clone(),
        };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        make_room(&mut entries, now);
        entries.insert(hash, entry);
        caller
    }
}

/// Keeps the memory bounded: first what is of no use goes, then the misses, then everything.
fn make_room(entries: &mut HashMap<KeyHash, Entry>, now: Instant) {
    if entries.len() < MAX_ENTRIES {
        return;
    }
    entries.retain(|_, entry| entry.is_of_use(now));
    if entries.len() >= MAX_ENTRIES / 2 {
        entries.retain(|_, entry| entry.caller.is_some());
    }
    if entries.len() >= MAX_ENTRIES {
        entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: usize) -> KeyHash {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        hash
    }

    #[test]
    fn memory_is_bounded_and_good_keys_outlive_a_flood_of_wrong_ones() {
        let cache = Cache::new(Duration::from_secs(60));
        let key = StoredKey {
            id: uuid::Uuid::nil(),
            name: "good".to_owned(),
            scopes: super::super::ScopeSet::EMPTY,
            expires_in: None,
        };
        cache.put(hash(usize::MAX), Some((Caller::stored(&key), key)));
        for number in 0..3 * MAX_ENTRIES {
            cache.put(hash(number), None);
            assert!(cache.entries.lock().unwrap().len() <= MAX_ENTRIES);
        }
        assert!(matches!(cache.get(&hash(usize::MAX)), Known::Good(_)));
    }
}
