//! I15: whoever caused a transition was allowed to.

use super::Evidence;
use crate::tables::Violation;

/// Finds.
#[must_use]
pub fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    for event in &evidence.dump.tables.events {
        let Some(allowed) = evidence.terms.actors.get(&event.cause) else {
            continue;
        };
        if !allowed
            .iter()
            .any(|name| event.actor.starts_with(name.as_str()))
        {
            let text = format!("task {}: {} by {:?}", event.task, event.cause, event.actor);
            found.push(Violation::new("I15", text));
        }
    }
    found
}
