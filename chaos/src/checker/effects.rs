//! I11 and I20 for workers with programs: what the programs did, task by task.

use std::collections::HashMap;

use uuid::Uuid;

use super::Evidence;
use crate::program::{Effect, What};
use crate::tables::Violation;

/// Faults that stop programs for a while, which then may do one more thing when they wake up.
const PAUSES: [&str; 2] = ["F03", "F04"];

/// Finds.
#[must_use]
pub fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut by_task: HashMap<Uuid, Vec<&Effect>> = HashMap::new();
    for effect in &evidence.effects {
        by_task.entry(effect.task).or_default().push(effect);
    }
    for (task, effects) in by_task {
        sink(task, &effects, &mut found);
        outlived(evidence, task, &effects, &mut found);
        results(evidence, task, &effects, &mut found);
    }
    found
}

/// The fenced sink never took a lower fence after a higher one. The lines are in its order.
fn sink(task: Uuid, effects: &[&Effect], found: &mut Vec<Violation>) {
    let mut highest = 0;
    for effect in effects.iter().filter(|e| e.what == What::Accepted) {
        if effect.fence < highest {
            let text = format!(
                "task {task}: the sink took {} after {highest}",
                effect.fence
            );
            found.push(Violation::new("I20", text));
        }
        highest = highest.max(effect.fence);
    }
}

/// No program does anything once its lease has been over for a while.
fn outlived(evidence: &Evidence, task: Uuid, effects: &[&Effect], found: &mut Vec<Violation>) {
    let mut last: HashMap<i32, i64> = HashMap::new();
    for effect in effects {
        let at = last.entry(effect.fence).or_insert(effect.w);
        *at = effect.w.max(*at);
    }
    for (fence, at) in last {
        let Some(attempt) = evidence.dump.tables.attempts.get(&(task, fence)) else {
            continue;
        };
        let end = attempt.ended_at;
        let paused = evidence.faults.iter().filter(|fault| {
            let ids = fault.id.split('+');
            ids.into_iter().any(|id| PAUSES.contains(&id))
                && fault.began <= end + evidence.terms.orphan_limit
                && fault.ended >= end - evidence.terms.ttl
        });
        let awake = paused
            .map(|fault| fault.ended)
            .max()
            .unwrap_or(end)
            .max(end);
        if evidence.terms.clock_trusted && at > awake + evidence.terms.orphan_limit {
            let late = (at - end) / 1000;
            let text = format!("task {task}: fence {fence} still worked {late} ms after its end");
            found.push(Violation::new("I20", text));
        }
    }
}

/// A stored success is what the program of that very lease said.
fn results(evidence: &Evidence, task: Uuid, effects: &[&Effect], found: &mut Vec<Violation>) {
    for effect in effects.iter().filter(|e| e.what == What::End) {
        let Some(attempt) = evidence.dump.tables.attempts.get(&(task, effect.fence)) else {
            continue;
        };
        let stored = evidence.dump.results.get(&attempt.lease);
        if let (Some(stored), Some(digest)) = (stored, &effect.digest)
            && attempt.outcome == "completed"
            && stored.digest != *digest
        {
            let text = format!(
                "task {task}: the result of fence {} is another",
                effect.fence
            );
            found.push(Violation::new("I11", text));
        }
    }
}
