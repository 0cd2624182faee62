//! I4, I5, I11, I13 from the clients' side: what they were told about leases against what is there.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Evidence;
use crate::journal::{Kind, Op, Record};
use crate::tables::{Attempt, Violation};

/// What came of leases, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAccount {
    /// Grants in the event log.
    pub grants: usize,
    /// Grants beyond the first of an epoch.
    pub extra: usize,
    /// Leases that ran out.
    pub expired: usize,
    /// Reports and heartbeats that were refused because their lease was not current.
    pub stale_refused: usize,
    /// Those that were accepted all the same.
    pub stale_accepted: usize,
}

/// Operations that only the holder of a current lease may do.
fn is_holders(op: Op) -> bool {
    matches!(op, Op::Heartbeat | Op::Complete | Op::Release | Op::Log)
}

/// Counts.
#[must_use]
pub fn account(evidence: &Evidence) -> LeaseAccount {
    let tables = &evidence.dump.tables;
    let mut account = LeaseAccount::default();
    for events in tables.by_task() {
        let mut fresh = true;
        for event in events {
            if event.cause == "requeued" {
                fresh = true;
            }
            if event.cause == "leased" {
                account.grants += 1;
                account.extra += usize::from(!fresh);
                fresh = false;
            }
        }
    }
    account.expired = tables
        .attempts
        .values()
        .filter(|a| a.outcome == "expired")
        .count();
    let refused = evidence.records.iter().filter(|record| {
        let code = record.code.as_deref();
        record.kind == Kind::Fail
            && is_holders(record.f)
            && matches!(code, Some("lease_lost" | "already_completed"))
    });
    account.stale_refused = refused.count();
    account.stale_accepted = check(evidence)
        .iter()
        .filter(|v| v.invariant == "I5")
        .count();
    account
}

/// The same lease, by its id.
fn attempts_by_lease(evidence: &Evidence) -> HashMap<Uuid, (Uuid, i32, &Attempt)> {
    let attempts = evidence.dump.tables.attempts.iter();
    attempts
        .map(|((task, fence), attempt)| (attempt.lease, (*task, *fence, attempt)))
        .collect()
}

/// From when on some client knew that a lease was not current any more.
fn superseded(evidence: &Evidence, found: &mut Vec<Violation>) -> HashMap<Uuid, u64> {
    let mut grants: HashMap<Uuid, Vec<(i32, Uuid, u64)>> = HashMap::new();
    let mut known: HashMap<Uuid, u64> = HashMap::new();
    for record in evidence.records.iter().filter(|r| r.kind == Kind::Ok) {
        if record.f == Op::Superseded
            && let Some(lease) = record.lease
        {
            let at = known.entry(lease).or_insert(record.t);
            *at = record.t.min(*at);
        }
        if record.f == Op::Claim {
            for grant in &record.grants {
                let seen = grants.entry(grant.task).or_default();
                seen.push((grant.fence, grant.lease, record.t));
            }
        }
    }
    for (task, mut seen) in grants {
        // Answers may come late: of each lease the first time that it was seen.
        seen.sort_unstable();
        seen.dedup_by_key(|(fence, lease, _)| (*fence, *lease));
        for pair in seen.windows(2) {
            let ((low, old, _), (high, new, at)) = (pair[0], pair[1]);
            if low == high {
                let text = format!("task {task}: fence {low} was granted as {old} and as {new}");
                found.push(Violation::new("I4", text));
            }
            let first = known.entry(old).or_insert(at);
            *first = at.min(*first);
        }
    }
    known
}

/// Finds.
#[must_use]
pub fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    let superseded = superseded(evidence, &mut found);
    let attempts = attempts_by_lease(evidence);
    let mut begun: HashMap<(&str, u64), &Record> = HashMap::new();
    for record in &evidence.records {
        if record.kind == Kind::Invoke {
            begun.insert((&record.proc, record.op), record);
        }
        if record.kind != Kind::Ok {
            continue;
        }
        let invoke = begun.get(&(record.proc.as_str(), record.op)).copied();
        if record.f == Op::Claim {
            granted(evidence, record, &mut found);
        }
        if record.f == Op::Beat {
            beaten(
                evidence,
                record,
                invoke.unwrap_or(record),
                &attempts,
                &mut found,
            );
        }
        if let Some(lease) = record.lease.filter(|_| is_holders(record.f)) {
            let invoke = invoke.unwrap_or(record);
            let late = superseded.get(&lease).is_some_and(|at| invoke.t > *at);
            accepted(
                evidence,
                record,
                (invoke, late),
                attempts.get(&lease),
                &mut found,
            );
        }
    }
    found
}

/// A grant that a client was told of is in the log.
fn granted(evidence: &Evidence, record: &Record, found: &mut Vec<Violation>) {
    let events = &evidence.dump.tables.events;
    for grant in &record.grants {
        let from = events.partition_point(|event| event.task < grant.task);
        let logged = events[from..]
            .iter()
            .take_while(|event| event.task == grant.task)
            .any(|event| event.cause == "leased" && event.lease == Some(grant.lease));
        if !logged {
            let text = format!(
                "task {}: the grant {} is not in the log",
                grant.task, grant.lease
            );
            found.push(Violation::new("I8", text));
        }
    }
}

/// What was accepted for a lease was accepted while it was current, and is there.
fn accepted(
    evidence: &Evidence,
    record: &Record,
    (invoke, late): (&Record, bool),
    attempt: Option<&(Uuid, i32, &Attempt)>,
    found: &mut Vec<Violation>,
) {
    let lease = record.lease.unwrap_or_default();
    let stored = evidence.dump.results.get(&lease);
    if record.f == Op::Complete {
        match stored {
            None => {
                let text = format!("a result of lease {lease} was accepted and is not there");
                found.push(Violation::new("I5", text));
            }
            Some(stored) if record.digest.as_ref().is_some_and(|d| *d != stored.digest) => {
                let text = format!("what is stored for lease {lease} is not what was sent");
                found.push(Violation::new("I11", text));
            }
            // The same report again gets the same answer, at any time.
            Some(_) => {}
        }
        return;
    }
    if late {
        let text = format!(
            "{:?} of lease {lease} was accepted after it was superseded",
            record.f
        );
        found.push(Violation::new("I5", text));
    }
    match attempt {
        None => {
            let text = format!(
                "{:?} of lease {lease} was accepted, which never was",
                record.f
            );
            found.push(Violation::new("I5", text));
        }
        // The end is stamped while the row is locked: whoever asks later must be refused.
        Some((.., attempt))
            if evidence.terms.clock_trusted
                && attempt.outcome == "expired"
                && invoke.w > attempt.ended_at =>
        {
            let text = format!(
                "{:?} of lease {lease} was accepted after it ran out",
                record.f
            );
            found.push(Violation::new("I5", text));
        }
        Some(_) => {}
    }
}

/// A lease that a beat renewed does not run out before its time from then on.
fn beaten(
    evidence: &Evidence,
    record: &Record,
    invoke: &Record,
    attempts: &HashMap<Uuid, (Uuid, i32, &Attempt)>,
    found: &mut Vec<Violation>,
) {
    if !evidence.terms.clock_trusted {
        return;
    }
    for grant in &record.grants {
        let Some((.., attempt)) = attempts.get(&grant.lease) else {
            continue;
        };
        let ran_out = attempt.outcome == "expired" && !attempt.cancelled;
        let ttl = record
            .ttl
            .map_or(0, |seconds| i64::from(seconds) * 1_000_000);
        if ran_out && attempt.ended_at > invoke.w && attempt.ended_at < invoke.w + ttl {
            let text = format!("lease {} ran out before its beat was old", grant.lease);
            found.push(Violation::new("I13", text));
        }
    }
}
