//! pickWorker: which workers may take a task, best first.
//!
//! Pure: it looks at a snapshot and decides nothing for good. SQL takes the first of the list that
//! still has room, atomically, so a snapshot that has aged costs a second choice and nothing else.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

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

/// Why no worker may take a task: the step at which the last ones dropped out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyNone {
    /// There are no workers.
    NoWorkers,
    /// None of them is online.
    NoneOnline,
    /// None that is online can run tasks.
    NoneCapable,
    /// None of those has every label.
    MissingLabels {
        /// The labels that nobody has; all that are required, when each is somewhere but never
        /// together.
        labels: Vec<String>,
    },
    /// All of those are draining.
    AllDraining {
        /// So many.
        matching: usize,
    },
    /// All of those have reached the usage limit of their credential.
    AllExhausted {
        /// So many.
        matching: usize,
        /// The first is free again then, in epoch milliseconds.
        until_ms: i64,
    },
    /// All of those are full.
    AllFull {
        /// So many.
        matching: usize,
    },
}

impl WhyNone {
    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoWorkers => "no_workers",
            Self::NoneOnline => "no_worker_online",
            Self::NoneCapable => "no_worker_capable",
            Self::MissingLabels { .. } => "no_worker_with_labels",
            Self::AllDraining { .. } => "all_workers_draining",
            Self::AllExhausted { .. } => "all_workers_exhausted",
            Self::AllFull { .. } => "all_workers_full",
        }
    }
}

impl fmt::Display for WhyNone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWorkers => f.write_str("no worker is registered"),
            Self::NoneOnline => f.write_str("no worker is online"),
            Self::NoneCapable => f.write_str("no online worker can run tasks"),
            Self::MissingLabels { labels } if labels.len() == 1 => {
                write!(f, "no live worker has label {}", labels[0])
            }
            Self::MissingLabels { labels } => {
                write!(f, "no live worker has labels {}", labels.join(", "))
            }
            Self::AllDraining { matching: 1 } => f.write_str("1 worker matches and is draining"),
            Self::AllDraining { matching } => write!(f, "{matching} workers match, all draining"),
            Self::AllExhausted { matching, until_ms } => write!(
                f,
                "{matching} matching, but the usage limit of every credential is reached until \
                 {until_ms}"
            ),
            Self::AllFull { matching: 1 } => f.write_str("1 worker matches and is full"),
            Self::AllFull { matching } => write!(f, "{matching} workers match, all full"),
        }
    }
}

/// Why [`rank`] returns nothing; `None` when it returns something.
#[must_use]
pub fn why_none(need: &Need<'_>, workers: &[Candidate]) -> Option<WhyNone> {
    if workers.is_empty() {
        return Some(WhyNone::NoWorkers);
    }
    let mut left: Vec<_> = workers.iter().filter(|worker| worker.online).collect();
    if left.is_empty() {
        return Some(WhyNone::NoneOnline);
    }
    left.retain(|worker| worker.claude_cli);
    if left.is_empty() {
        return Some(WhyNone::NoneCapable);
    }
    let nowhere = |label: &&String| !left.iter().any(|worker| worker.labels.contains(*label));
    let mut labels: Vec<_> = need.requires.iter().filter(nowhere).cloned().collect();
    left.retain(|worker| worker.offers(need.requires));
    if left.is_empty() {
        if labels.is_empty() {
            labels = need.requires.to_vec();
        }
        return Some(WhyNone::MissingLabels { labels });
    }
    // Counted before each step: the step says what all of them have in common.
    let matching = left.len();
    left.retain(|worker| !worker.draining);
    if left.is_empty() {
        return Some(WhyNone::AllDraining { matching });
    }
    let matching = left.len();
    let soonest = left
        .iter()
        .filter_map(|worker| worker.exhausted_until_ms)
        .min();
    left.retain(|worker| worker.exhausted_until_ms.is_none());
    if left.is_empty()
        && let Some(until_ms) = soonest
    {
        return Some(WhyNone::AllExhausted { matching, until_ms });
    }
    let matching = left.len();
    left.retain(|worker| worker.free() > 0);
    left.is_empty().then_some(WhyNone::AllFull { matching })
}

#[cfg(test)]
mod tests;
