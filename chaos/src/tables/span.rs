//! What must hold at every moment, not only at rest: the leases of a worker, of a limited queue and
//! of a serial context, replayed in the order of their counter.

use std::collections::{BTreeMap, HashMap};

use super::load::{Event, History};
use super::{Bounds, Violation};

/// A grant (+1) or the end of a lease (−1).
type Step<'a> = (i64, i64, i64, &'a Event);

/// Checks I10 for workers, limited queues and serial contexts.
pub fn check(history: &History, bounds: &Bounds) -> Vec<Violation> {
    let mut workers: BTreeMap<&str, Vec<Step<'_>>> = BTreeMap::new();
    let mut queues: BTreeMap<&str, Vec<Step<'_>>> = BTreeMap::new();
    let mut contexts: BTreeMap<&str, Vec<Step<'_>>> = BTreeMap::new();
    for events in history.by_task() {
        let serial = history.tasks.get(&events[0].task).filter(|t| t.serial);
        let mut live = false;
        for event in events {
            let now = matches!(event.status.as_str(), "leased" | "running");
            let change = i64::from(now) - i64::from(live);
            live = now;
            if change == 0 {
                continue;
            }
            let step = (event.at, event.seq, change, event);
            if let Some(worker) = &event.worker {
                workers.entry(worker).or_default().push(step);
            }
            queues.entry(&event.queue).or_default().push(step);
            if let Some(task) = serial {
                contexts.entry(&task.context).or_default().push(step);
            }
        }
    }
    let mut found = Vec::new();
    for (name, steps) in workers {
        let now = history.slots.get(name).copied().unwrap_or(32);
        let bound = bounds.workers.get(name).copied().unwrap_or(now);
        found.extend(above(steps, bound, "I10", &format!("worker {name}")));
    }
    let limits: HashMap<&str, i64> = bounds
        .queues
        .iter()
        .map(|(k, v)| (k.as_str(), *v))
        .collect();
    for (name, steps) in queues {
        if let Some(bound) = limits.get(name) {
            found.extend(above(steps, *bound, "I10", &format!("queue {name}")));
        }
    }
    for (name, steps) in contexts {
        found.extend(above(steps, 1, "serial", &format!("context {name}")));
    }
    found
}

/// The first moment at which more than `bound` leases were live, if there is one.
fn above(
    mut steps: Vec<Step<'_>>,
    bound: i64,
    invariant: &'static str,
    whose: &str,
) -> Option<Violation> {
    steps.sort_by_key(|(at, seq, ..)| (*at, *seq));
    let mut live = 0;
    for (_, _, change, event) in steps {
        live += change;
        if live > bound {
            let text = format!("{whose}: {live} leases at once, bound {bound}: {event:?}");
            return Some(Violation::new(invariant, text));
        }
        if live < 0 {
            let text = format!("{whose}: more ends than grants: {event:?}");
            return Some(Violation::new(invariant, text));
        }
    }
    None
}
