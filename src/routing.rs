//! pickWorker: which workers may take a task, best first.
//!
//! Pure: it looks at a snapshot and decides nothing for good. SQL takes the first of the list that
//! still has room, atomically, so a snapshot that has aged costs a second choice and nothing else.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// What a task asks for.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// Its context: a worker that already works in it is preferred.
    pub context_id: &'a str,
    /// Labels that the worker must have, all of them.
    pub requires: &'a [String],
    /// The worker that has the conversation of its context.
    pub conversation_worker: Option<&'a str>,
}

/// A worker as the snapshot shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id, which is its name.
    pub id: String,
    /// Whether it counts as alive.
    pub online: bool,
    /// Whether it finishes what it has and takes nothing new.
    pub draining: bool,
    /// Whether it can run tasks at all: it has the CLI, or whatever stands in for it.
    pub claude_cli: bool,
    /// What it says that it offers.
    pub labels: Vec<String>,
    /// How many leases it may hold.
    pub max_concurrency: u32,
    /// How many it holds.
    pub active: u32,
    /// Its last beat, in milliseconds of the database's clock; `None` when it never beat.
    pub last_seen_ms: Option<i64>,
    /// Until when its credential has reached its usage limit, in milliseconds of the database's
    /// clock; `None` when it has not.
    pub exhausted_until_ms: Option<i64>,
    /// Contexts of the leases that it holds.
    pub live_contexts: BTreeSet<String>,
}

impl Candidate {
    /// Leases that it may still take.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.max_concurrency.saturating_sub(self.active)
    }

    fn offers(&self, requires: &[String]) -> bool {
        requires.iter().all(|label| self.labels.contains(label))
    }

    fn may_take(&self, need: &Need<'_>) -> bool {
        self.online
            && !self.draining
            && self.claude_cli
            && self.exhausted_until_ms.is_none()
            && self.free() > 0
            && self.offers(need.requires)
    }
}

/// The workers that may take the task, best first: those that hold a live lease of its context, then
/// the one that has its conversation, then by most free slots, then by freshest beat; the id settles ties, so the answer does not
/// depend on the order of the snapshot.
#[must_use]
pub fn rank<'a>(need: &Need<'_>, workers: &'a [Candidate]) -> Vec<&'a str> {
    let mut eligible: Vec<_> = workers
        .iter()
        .filter(|worker| worker.may_take(need))
        .collect();
    eligible.sort_by_key(|worker| {
        let sticky = worker.live_contexts.contains(need.context_id);
        // `None` sorts below every time, so a worker that never beat comes last.
        (
            Reverse(sticky),
            Reverse(need.conversation_worker == Some(worker.id.as_str())),
            Reverse(worker.free()),
            Reverse(worker.last_seen_ms),
            worker.id.as_str(),
        )
    });
    eligible
        .into_iter()
        .map(|worker| worker.id.as_str())
        .collect()
}

#[cfg(test)]
mod tests;
