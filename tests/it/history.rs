//! A checker over everything that happened in a database: the event log, folded task by task, and
//! the tables as they stand. It knows the invariants, not the verbs, so it judges any load.
//!
//! Order is never taken from the event's time inside a task: `ver` gives it. Between the tasks of a
//! worker (queue, serial context) time does: every grant and every end is written while the
//! transaction holds that worker's counter (queue's, context's), so that the times of one counter's
//! events are in commit order.

mod fold;
mod load;
mod planted;
mod rest;
mod span;

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The broken invariant: "I4" and the like, or "counts".
    pub invariant: &'static str,
    /// What was seen.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.text)
    }
}

/// What the database does not know of its own past.
#[derive(Debug, Default)]
pub struct Bounds {
    /// The most slots that a worker ever had, where it is not what it has now.
    pub workers: HashMap<String, i64>,
    /// Limits that held for a queue from its first lease on.
    pub queues: HashMap<String, i64>,
    /// Retries were made due by hand, so that their spacing says nothing.
    pub hurried: bool,
}

/// The state machine: which cause leads from which statuses to which.
pub fn edges() -> &'static [fold::Edge] {
    fold::EDGES
}

/// Every violation in the history of a database. Nothing else may be writing to it.
pub async fn violations(client: &Client, bounds: &Bounds) -> Vec<Violation> {
    let history = load::load(client).await;
    let mut found = fold::check(&history, bounds);
    found.extend(rest::check(&history, client).await);
    found.extend(span::check(&history, bounds));
    found
}

/// What `audit_verify` makes of it, page by page: how many events it saw, and the first bad one.
pub async fn verified(client: &Client) -> (usize, Value) {
    let (mut events, mut after) = (0, None::<Uuid>);
    loop {
        let sql = "select bloom.audit_verify($1, 100)";
        let row = client.query_one(sql, &[&after]).await.expect("verifies");
        let page: Value = row.get(0);
        events += usize::try_from(page["events"].as_u64().unwrap()).unwrap();
        if !page["bad"].is_null() {
            return (events, page["bad"].clone());
        }
        match page["next"].as_str() {
            Some(next) => after = Some(next.parse().unwrap()),
            None => return (events, Value::Null),
        }
    }
}

/// Panics with the first few violations, if there are any. Returns the number of events.
pub async fn assert_clean(client: &Client) -> usize {
    assert_clean_within(client, &Bounds::default()).await
}

/// The same with bounds that the database does not know.
pub async fn assert_clean_within(client: &Client, bounds: &Bounds) -> usize {
    let found = violations(client, bounds).await;
    let shown: Vec<String> = found.iter().take(12).map(ToString::to_string).collect();
    assert!(
        found.is_empty(),
        "{} violations:\n{}",
        found.len(),
        shown.join("\n")
    );
    let events = load::load(client).await.events.len();
    let (seen, bad) = verified(client).await;
    assert_eq!(
        bad,
        Value::Null,
        "audit_verify finds what the checker does not"
    );
    assert_eq!(seen, events, "audit_verify sees every event of a task");
    events
}
