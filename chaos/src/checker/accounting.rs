//! I1, I2, I3, I14: what was acknowledged against what is there.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Evidence;
use crate::journal::{Kind, Op};
use crate::tables::Violation;

/// Submissions, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Keys that were tried.
    pub attempted: usize,
    /// Keys that were acknowledged.
    pub acknowledged: usize,
    /// Keys of which no client knows whether they were accepted.
    pub indeterminate: usize,
    /// Those of them that were.
    pub recovered: usize,
    /// Acknowledged keys that are not there.
    pub lost: usize,
    /// Tasks that nobody asked for, or that were definitely refused.
    pub phantom: usize,
    /// Keys with more than one task.
    pub duplicates: usize,
    /// Tasks by their last status.
    pub ended: std::collections::BTreeMap<String, usize>,
}

/// What clients know of one key.
#[derive(Default)]
struct Known {
    acknowledged: HashSet<Uuid>,
    /// Operations whose end is not known.
    open: HashSet<(String, u64)>,
    unknown: bool,
}

fn known(evidence: &Evidence) -> HashMap<&str, Known> {
    let mut keys: HashMap<&str, Known> = HashMap::new();
    for record in evidence.records.iter().filter(|r| r.f == Op::Enqueue) {
        let Some(key) = record.key.as_deref() else {
            continue;
        };
        let known = keys.entry(key).or_default();
        let op = (record.proc.clone(), record.op);
        match record.kind {
            Kind::Invoke => {
                known.open.insert(op);
                continue;
            }
            Kind::Ok => known.acknowledged.extend(record.task),
            Kind::Fail => {}
            Kind::Info => known.unknown = true,
        }
        known.open.remove(&op);
    }
    keys
}

/// Counts.
#[must_use]
pub fn account(evidence: &Evidence) -> Account {
    count(evidence, &mut Vec::new())
}

/// Finds.
#[must_use]
pub fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    count(evidence, &mut found);
    if evidence.terms.drained {
        for state in &evidence.dump.tables.states {
            if state.place != "finished" {
                let text = format!(
                    "task {} is still {} in {}",
                    state.task, state.status, state.place
                );
                found.push(Violation::new("I14", text));
            }
        }
    }
    found
}

fn count(evidence: &Evidence, found: &mut Vec<Violation>) -> Account {
    let keys = known(evidence);
    let mut there: HashMap<&str, Vec<Uuid>> = HashMap::new();
    let mut account = Account::default();
    for (task, submission) in &evidence.dump.submissions {
        let known = submission.key.as_deref().and_then(|key| {
            there.entry(key).or_default().push(*task);
            keys.get(key)
        });
        let possible =
            known.is_some_and(|k| !k.acknowledged.is_empty() || k.unknown || !k.open.is_empty());
        if !possible {
            account.phantom += 1;
            let text = format!("task {task} ({:?}) was never accepted", submission.key);
            found.push(Violation::new("I2", text));
        }
    }
    for (key, known) in &keys {
        let tasks = there.get(key).map_or(&[][..], Vec::as_slice);
        account.attempted += 1;
        if tasks.len() > 1 {
            account.duplicates += 1;
            let text = format!("key {key} has {} tasks: {tasks:?}", tasks.len());
            found.push(Violation::new("I3", text));
        }
        if known.acknowledged.len() > 1 {
            let text = format!("key {key} was answered with {:?}", known.acknowledged);
            found.push(Violation::new("I3", text));
        }
        if known.acknowledged.is_empty() {
            if known.unknown || !known.open.is_empty() {
                account.indeterminate += 1;
                account.recovered += usize::from(!tasks.is_empty());
            }
            continue;
        }
        account.acknowledged += 1;
        if !known.acknowledged.iter().any(|task| tasks.contains(task)) {
            account.lost += 1;
            let text = format!("key {key} was acknowledged and is not there");
            found.push(Violation::new("I1", text));
        }
    }
    for state in &evidence.dump.tables.states {
        *account.ended.entry(state.status.clone()).or_default() += 1;
    }
    account
}
