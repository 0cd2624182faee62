//! I19, I21, I22: what happened has a cause, recovery is quick, and nobody is overtaken for long.
//! Judged by times, hence only where the clocks were left alone, and with generous bounds.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::Evidence;
use crate::journal::{Kind, Op};
use crate::tables::{Event, Violation};

/// How long after a lease was due the reaper may come, microseconds.
const REAPING: i64 = 8_000_000;
/// How long a lease goes on living of which its worker's beats say nothing any more.
const UNLISTED: i64 = 30_000_000;

/// Finds.
#[must_use]
pub fn check(evidence: &Evidence) -> Vec<Violation> {
    if !evidence.terms.clock_trusted {
        return Vec::new();
    }
    let mut found = unexplained(evidence);
    found.extend(slow_recovery(evidence));
    found.extend(overtaken(evidence));
    found.extend(slow_probes(evidence));
    found
}

/// I19: leases that ran out while nothing was wrong with their worker.
#[must_use]
pub fn unexplained(evidence: &Evidence) -> Vec<Violation> {
    let mut let_go: HashSet<Uuid> = HashSet::new();
    let mut told: HashSet<Uuid> = HashSet::new();
    let mut unknown: HashSet<&str> = HashSet::new();
    for record in &evidence.records {
        match (record.f, record.kind) {
            (Op::Abandon, _) => let_go.extend(record.lease),
            (Op::Claim, Kind::Ok) => told.extend(record.grants.iter().map(|grant| grant.lease)),
            (Op::Claim, Kind::Info) => unknown.extend(record.worker.as_deref()),
            _ => {}
        }
    }
    // Programs that kill their worker.
    let killers = evidence
        .effects
        .iter()
        .filter(|e| e.what == crate::program::What::Kill);
    let mut killed: HashMap<&str, Vec<i64>> = HashMap::new();
    for effect in killers {
        killed.entry(&effect.worker).or_default().push(effect.w);
    }
    let terms = &evidence.terms;
    let reach = terms.ttl + terms.grace + REAPING + UNLISTED;
    let mut found = Vec::new();
    for ((task, fence), attempt) in &evidence.dump.tables.attempts {
        if attempt.outcome != "expired" || attempt.cancelled || let_go.contains(&attempt.lease) {
            continue;
        }
        let near =
            |began: i64, ended: i64| began <= attempt.ended_at && ended >= attempt.ended_at - reach;
        let fault = evidence.faults.iter().any(|f| near(f.began, f.ended));
        let untold = !told.contains(&attempt.lease) && unknown.contains(attempt.worker.as_str());
        let suicide = killed
            .get(attempt.worker.as_str())
            .is_some_and(|times| times.iter().any(|at| near(*at, *at)));
        if !fault && !untold && !suicide {
            let text = format!("task {task}: lease {fence} of {} ran out", attempt.worker);
            found.push(Violation::new(
                "I19",
                format!("{text} and nothing was wrong"),
            ));
        }
    }
    found
}

/// Times of all grants, ascending.
#[must_use]
pub fn grant_times(evidence: &Evidence) -> Vec<i64> {
    let leased = evidence
        .dump
        .tables
        .events
        .iter()
        .filter(|e| e.cause == "leased");
    let mut times: Vec<i64> = leased.map(|event| event.at).collect();
    times.sort_unstable();
    times
}

/// From the end of each fault to the first grant after it, by fault: microseconds.
#[must_use]
pub fn recoveries(evidence: &Evidence) -> BTreeMap<String, Vec<i64>> {
    let grants = grant_times(evidence);
    let mut all: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for fault in evidence
        .faults
        .iter()
        .filter(|fault| fault.failed.is_none())
    {
        let next = grants.partition_point(|at| *at < fault.ended);
        // After the end of the load there may be nothing left to grant.
        if let Some(at) = grants.get(next)
            && fault.ended < evidence.terms.span.1
        {
            all.entry(fault.id.clone())
                .or_default()
                .push(at - fault.ended);
        }
    }
    all
}

/// I21.
fn slow_recovery(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for (id, times) in recoveries(evidence) {
        for time in times {
            if time > evidence.terms.recovery_limit {
                let text = format!("{id}: {} ms until the first grant after it", time / 1000);
                found.push(Violation::new("I21", text));
            }
        }
    }
    found
}

/// Each stay of a task in `ready`: its lane, when it came, and when it was leased.
fn stays(evidence: &Evidence) -> HashMap<&str, Vec<(i64, i64, Uuid)>> {
    let mut lanes: HashMap<&str, Vec<(i64, i64, Uuid)>> = HashMap::new();
    for events in evidence.dump.tables.by_task() {
        let Some(submission) = evidence.dump.submissions.get(&events[0].task) else {
            continue;
        };
        for pair in events.windows(2) {
            let fresh =
                |event: &Event| matches!(event.cause.as_str(), "submitted" | "due" | "turn");
            if fresh(&pair[0]) && pair[1].cause == "leased" {
                let stay = (pair[0].at, pair[1].at, pair[0].task);
                lanes.entry(&submission.lane).or_default().push(stay);
            }
        }
    }
    lanes
}

/// I22: within a lane nobody is served who came much later than somebody who still waits.
fn overtaken(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for (lane, mut stays) in stays(evidence) {
        stays.sort_unstable();
        // The earliest grant among those that came at or after each.
        let mut earliest = vec![i64::MAX; stays.len() + 1];
        for (i, stay) in stays.iter().enumerate().rev() {
            earliest[i] = earliest[i + 1].min(stay.1);
        }
        for (came, leased, task) in &stays {
            let limit = came + evidence.terms.fairness_limit;
            let later = stays.partition_point(|stay| stay.0 <= limit);
            if earliest[later] < *leased {
                let wait = (leased - came) / 1000;
                let text = format!("task {task} of lane {lane} was overtaken for {wait} ms");
                found.push(Violation::new("I22", text));
            }
        }
    }
    found
}

/// When each task came to be ready, and how long it waited for its lease: microseconds.
#[must_use]
pub fn waits(evidence: &Evidence) -> Vec<(i64, i64)> {
    let lanes = stays(evidence);
    lanes
        .values()
        .flatten()
        .map(|stay| (stay.0, stay.1 - stay.0))
        .collect()
}

/// How long the tasks of the queue `probe` waited: microseconds.
#[must_use]
pub fn probes(evidence: &Evidence) -> Vec<i64> {
    let lanes = stays(evidence);
    let probes = lanes.iter().filter(|(lane, _)| lane.starts_with("probe "));
    probes
        .flat_map(|(_, stays)| stays.iter().map(|stay| stay.1 - stay.0))
        .collect()
}

/// I21 for runs that watch one worker that asks all the time.
fn slow_probes(evidence: &Evidence) -> Vec<Violation> {
    let Some(limit) = evidence.terms.probe_limit else {
        return Vec::new();
    };
    let waits = probes(evidence);
    let slow = waits.iter().filter(|wait| **wait > limit);
    slow.map(|wait| {
        let text = format!(
            "a task waited {} ms for a worker that asked for it",
            wait / 1000
        );
        Violation::new("I21", text)
    })
    .collect()
}
