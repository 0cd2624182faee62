//! A checker over everything that happened in a database: the event log, folded task by task, and
//! the tables as they stand. It knows the invariants, not the verbs, so it judges any load.
//!
//! Order is never taken from the event's time inside a task: `ver` gives it. Between the tasks of a
//! worker (queue, serial context) time does: every grant and every end is written while the
//! transaction holds that worker's counter (queue's, context's), so that the times of one counter's
//! events are in commit order.

mod fold;
mod load;
mod rest;
mod span;

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, Error};

pub use fold::{EDGES, Edge};
pub use load::{Attempt, Event, History, State, Task, load};
pub use rest::check as at_rest;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The broken invariant: "I4" and the like, or "counts".
    pub invariant: String,
    /// What was seen.
    pub text: String,
}

impl Violation {
    /// Of this invariant, with what was seen.
    pub fn new(invariant: impl Into<String>, text: impl Into<String>) -> Self {
        let (invariant, text) = (invariant.into(), text.into());
        Self { invariant, text }
    }
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

/// Every violation that the event log and the tables of `history` show by themselves.
#[must_use]
pub fn judge(history: &History, bounds: &Bounds) -> Vec<Violation> {
    let mut found = fold::check(history, bounds);
    found.extend(span::check(history, bounds));
    found
}

/// Every violation in the history of a database. Nothing else may be writing to it.
///
/// # Errors
/// Those of the database.
pub async fn violations(client: &Client, bounds: &Bounds) -> Result<Vec<Violation>, Error> {
    let history = load(client).await?;
    let mut found = judge(&history, bounds);
    found.extend(at_rest(&history, client).await?);
    Ok(found)
}
