//! Violations, each planted in a clean run.

use uuid::Uuid;

use super::super::Evidence;
use super::story::{SECOND, WORKER};
use crate::journal::{Grant, Kind, Op, Record};
use crate::program::{Effect, What, digest};
use crate::tables::Event;

/// What is wrong, which invariant says so, and how it is done.
pub type Plant = (&'static str, &'static str, fn(&mut Evidence));

fn task_of(evidence: &Evidence, key: &str) -> Uuid {
    let mut all = evidence.dump.submissions.iter();
    let found = all.find(|(_, submission)| submission.key.as_deref() == Some(key));
    *found.unwrap().0
}

fn event_of<'a>(evidence: &'a mut Evidence, key: &str, cause: &str) -> &'a mut Event {
    let task = task_of(evidence, key);
    let mut events = evidence.dump.tables.events.iter_mut();
    events.find(|e| e.task == task && e.cause == cause).unwrap()
}

fn drop_task(evidence: &mut Evidence, key: &str) {
    let task = task_of(evidence, key);
    evidence.dump.submissions.remove(&task);
    let tables = &mut evidence.dump.tables;
    tables.tasks.remove(&task);
    tables.events.retain(|event| event.task != task);
    tables.states.retain(|state| state.task != task);
    tables.attempts.retain(|(of, _), _| *of != task);
}

fn refused_becomes_ok(evidence: &mut Evidence, op: Op) {
    let refused = |r: &&mut Record| r.f == op && r.kind == Kind::Fail;
    evidence.records.iter_mut().find(refused).unwrap().kind = Kind::Ok;
}

fn last_effect(evidence: &mut Evidence) -> &mut Effect {
    evidence.effects.last_mut().unwrap()
}

/// All of them.
pub const PLANTS: &[Plant] = &[
    ("an acknowledged task is gone", "I1", |e| {
        drop_task(e, "plain");
    }),
    ("a task that nobody submitted", "I2", |e| {
        let task = task_of(e, "plain");
        e.dump.submissions.get_mut(&task).unwrap().key = Some("never".to_owned());
    }),
    ("a task whose submission was refused", "I2", |e| {
        let task = task_of(e, "plain");
        e.dump.submissions.get_mut(&task).unwrap().key = Some("refused".to_owned());
    }),
    ("one key, two tasks", "I3", |e| {
        let task = task_of(e, "twice");
        e.dump.submissions.get_mut(&task).unwrap().key = Some("plain".to_owned());
    }),
    ("one key, two answers", "I3", |e| {
        let mut other = e
            .records
            .iter()
            .find(|r| r.kind == Kind::Ok)
            .unwrap()
            .clone();
        other.task = Some(Uuid::from_u128(7));
        e.records.push(other);
    }),
    ("two leases with one fence", "I4", |e| {
        let claims = e
            .records
            .iter_mut()
            .filter(|r| r.f == Op::Claim && r.kind == Kind::Ok);
        for grant in claims.flat_map(|record| &mut record.grants) {
            grant.fence = 1;
        }
    }),
    ("a grant while a lease was live", "I4", |e| {
        let event = event_of(e, "plain", "completed");
        (event.cause, event.status) = ("leased".to_owned(), "leased".to_owned());
    }),
    ("a late result was accepted", "I5", |e| {
        refused_becomes_ok(e, Op::Complete);
    }),
    ("a late heartbeat was accepted", "I5", |e| {
        refused_becomes_ok(e, Op::Heartbeat);
    }),
    ("a completion by a stranger's lease", "I5", |e| {
        event_of(e, "plain", "completed").lease = Some(Uuid::from_u128(8));
    }),
    ("a second end of one epoch", "I6", |e| {
        event_of(e, "failed", "failed").status = "dead".to_owned();
    }),
    ("a way that is none", "I7", |e| {
        event_of(e, "plain", "completed").prior = Some("failed".to_owned());
    }),
    ("a transition without its event", "I8", |e| {
        let task = task_of(e, "twice");
        e.dump
            .tables
            .events
            .retain(|event| event.task != task || event.cause != "expired");
    }),
    ("a grant that the log does not know", "I8", |e| {
        event_of(e, "after", "leased").lease = Some(Uuid::from_u128(9));
    }),
    ("a lease that is no attempt", "I9", |e| {
        event_of(e, "after", "leased").attempts = 0;
    }),
    ("more leases than slots", "I10", |e| {
        e.terms.slots.insert(WORKER.to_owned(), 0);
    }),
    ("another result than was sent", "I11", |e| {
        for stored in e.dump.results.values_mut() {
            stored.digest = digest("other");
        }
    }),
    ("a result that its program did not print", "I11", |e| {
        let end = e.effects.iter_mut().find(|effect| effect.what == What::End);
        end.unwrap().digest = Some(digest("other"));
        e.records.retain(|record| record.f != Op::Complete);
    }),
    ("a retry too soon", "I12", |e| {
        for task in e.dump.tables.tasks.values_mut() {
            task.backoff = 60 * SECOND;
        }
    }),
    ("a lease that ran out too soon", "I13", |e| {
        let expired = e
            .dump
            .tables
            .attempts
            .values_mut()
            .find(|a| a.outcome == "expired");
        expired.unwrap().expires_at += SECOND;
    }),
    ("a lease that ran out under a fresh beat", "I13", |e| {
        let expired = e
            .dump
            .tables
            .attempts
            .iter()
            .find(|(_, a)| a.outcome == "expired");
        let ((task, fence), attempt) = expired.unwrap();
        let grant = Grant {
            task: *task,
            lease: attempt.lease,
            fence: *fence,
        };
        let before = attempt.ended_at - SECOND;
        for record in e.records.iter_mut().filter(|r| r.f == Op::Beat) {
            (record.w, record.grants) = (before, vec![grant.clone()]);
        }
    }),
    ("a task that never came to its end", "I14", |e| {
        let task = task_of(e, "unknown");
        let state = e
            .dump
            .tables
            .states
            .iter_mut()
            .find(|state| state.task == task);
        state.unwrap().place = "ready".to_owned();
    }),
    ("a submission by somebody who may not", "I15", |e| {
        event_of(e, "plain", "submitted").actor = "worker".to_owned();
    }),
    ("a lease that ran out for no reason", "I19", |e| {
        e.records.retain(|record| record.f != Op::Abandon);
        e.faults.clear();
    }),
    ("the sink took an older fence", "I20", |e| {
        last_effect(e).fence = 0;
    }),
    ("a program that outlived its lease", "I20", |e| {
        last_effect(e).w += 30 * SECOND;
    }),
    ("no grant for long after a fault", "I21", |e| {
        e.terms.recovery_limit = 1;
    }),
    ("a task that waited though somebody asked", "I21", |e| {
        e.terms.probe_limit = Some(1);
    }),
    ("a task that was overtaken", "I22", |e| {
        event_of(e, "plain", "leased").at = 900 * SECOND;
        event_of(e, "plain", "completed").at = 901 * SECOND;
        e.terms.fairness_limit = SECOND;
    }),
    ("a session left in a transaction", "I18", |e| {
        e.dump.facts.idle_in_transaction = 1;
    }),
    ("an answer that nobody expects", "I18", |e| {
        e.records[0].http = Some(500);
    }),
    ("no durability", "durability", |e| {
        e.dump
            .facts
            .settings
            .insert("fsync".to_owned(), "off".to_owned());
    }),
];
