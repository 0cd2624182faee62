//! The figures of a run.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::checker::accounting::{self, Account};
use crate::checker::leases::{self, LeaseAccount};
use crate::checker::{Evidence, timing};
use crate::journal::{Kind, Op};
use crate::tables::Violation;

pub mod page;
pub mod verdict;

/// How long after a fault times still count as its doing, microseconds.
const AFTERMATH: i64 = 2_000_000;

/// A distribution, milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// How many.
    pub count: usize,
    /// The median.
    pub p50: i64,
    /// 95 of 100 are no longer.
    pub p95: i64,
    /// 99 of 100 are no longer.
    pub p99: i64,
    /// The longest.
    pub max: i64,
}

impl Spread {
    /// Of times in microseconds.
    #[must_use]
    pub fn of(mut times: Vec<i64>) -> Self {
        times.sort_unstable();
        let at = |share: usize| {
            let index = (times.len() * share).div_ceil(100).saturating_sub(1);
            times.get(index).map_or(0, |time| time / 1000)
        };
        Self {
            count: times.len(),
            p50: at(50),
            p95: at(95),
            p99: at(99),
            max: at(100),
        }
    }
}

/// What is published of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// The seed.
    pub seed: u64,
    /// How long the load ran, seconds.
    pub seconds: i64,
    /// Faults, by kind.
    pub faults: BTreeMap<String, usize>,
    /// Faults that could not be done, by kind.
    pub not_done: BTreeMap<String, usize>,
    /// Submissions.
    pub submissions: Account,
    /// Leases.
    pub leases: LeaseAccount,
    /// Leases that ran out without a cause.
    pub unexplained: usize,
    /// Lines of the event log.
    pub events: usize,
    /// Violations, by invariant.
    pub violations: BTreeMap<String, usize>,
    /// From the end of a fault to the first grant after it, by kind.
    pub recovery: BTreeMap<String, Spread>,
    /// Whole seconds without any grant.
    pub seconds_without_grant: usize,
    /// From sending a submission to its acknowledgement: away from faults, and during them.
    pub enqueue: [Spread; 2],
    /// From a task's coming to its lease: away from faults, and during them.
    pub pickup: [Spread; 2],
    /// The most memory of a service, KiB, its most files, and the most connections of all.
    pub most: (u64, usize, i64),
    /// Settings of the server.
    pub settings: BTreeMap<String, String>,
}

/// Counts.
#[must_use]
pub fn figures(evidence: &Evidence, violations: &[Violation]) -> Figures {
    let mut by_invariant: BTreeMap<String, usize> = BTreeMap::new();
    for violation in violations {
        *by_invariant.entry(violation.invariant.clone()).or_default() += 1;
    }
    let (mut faults, mut not_done) = (BTreeMap::new(), BTreeMap::new());
    for fault in &evidence.faults {
        let kinds = if fault.failed.is_none() {
            &mut faults
        } else {
            &mut not_done
        };
        *kinds.entry(fault.id.clone()).or_default() += 1;
    }
    let recovery = timing::recoveries(evidence);
    let (from, to) = evidence.terms.span;
    let mut busy: Vec<i64> = timing::grant_times(evidence);
    busy.retain(|at| (from..to).contains(at));
    for at in &mut busy {
        *at = (*at - from) / 1_000_000;
    }
    busy.dedup();
    let seconds = (to - from) / 1_000_000;
    Figures {
        seed: evidence.terms.seed,
        seconds,
        faults,
        not_done,
        submissions: accounting::account(evidence),
        leases: leases::account(evidence),
        unexplained: timing::unexplained(evidence).len(),
        events: evidence.dump.tables.events.len(),
        violations: by_invariant,
        recovery: recovery
            .into_iter()
            .map(|(id, times)| (id, Spread::of(times)))
            .collect(),
        seconds_without_grant: usize::try_from(seconds)
            .unwrap_or(0)
            .saturating_sub(busy.len()),
        enqueue: apart(evidence, enqueues(evidence)),
        pickup: apart(evidence, timing::waits(evidence)),
        most: (
            evidence
                .samples
                .iter()
                .map(|s| s.memory_kib)
                .max()
                .unwrap_or(0),
            evidence.samples.iter().map(|s| s.files).max().unwrap_or(0),
            evidence
                .samples
                .iter()
                .map(|s| s.connections)
                .max()
                .unwrap_or(0),
        ),
        settings: evidence.dump.facts.settings.clone(),
    }
}

/// When each acknowledged submission was sent, and how long its answer took, microseconds.
fn enqueues(evidence: &Evidence) -> Vec<(i64, i64)> {
    let mut sent: HashMap<(&str, u64), (i64, u64)> = HashMap::new();
    let mut times = Vec::new();
    for record in evidence.records.iter().filter(|r| r.f == Op::Enqueue) {
        let op = (record.proc.as_str(), record.op);
        match record.kind {
            Kind::Invoke => drop(sent.insert(op, (record.w, record.t))),
            Kind::Ok => {
                let (w, t) = sent.remove(&op).unwrap_or((record.w, record.t));
                let long = i64::try_from(record.t.saturating_sub(t)).unwrap_or(i64::MAX);
                times.push((w, long));
            }
            Kind::Fail | Kind::Info => {}
        }
    }
    times
}

/// Times away from faults, and those that began while one was going on or just after.
fn apart(evidence: &Evidence, times: Vec<(i64, i64)>) -> [Spread; 2] {
    let mut faults: Vec<(i64, i64)> = evidence
        .faults
        .iter()
        .map(|fault| (fault.began, fault.ended + AFTERMATH))
        .collect();
    faults.sort_unstable();
    let is_near = |at: i64| {
        let next = faults.partition_point(|(began, _)| *began <= at);
        // A fault lasts seconds: no more than the last few can still be going on.
        faults[next.saturating_sub(8)..next]
            .iter()
            .any(|(_, ended)| *ended >= at)
    };
    let (near, away): (Vec<_>, Vec<_>) = times.into_iter().partition(|(at, _)| is_near(*at));
    [away, near].map(|times| Spread::of(times.into_iter().map(|(_, long)| long).collect()))
}
