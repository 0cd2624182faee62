//! The checker over everything that happened in a database (`bloom_chaos::tables`), for tests, and
//! its own test.

mod planted;

pub use bloom_chaos::tables::{Bounds, Violation};

use bloom_chaos::tables;
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

/// The state machine: which cause leads from which statuses to which.
pub fn edges() -> &'static [tables::Edge] {
    tables::EDGES
}

/// Every violation in the history of a database. Nothing else may be writing to it.
pub async fn violations(client: &Client, bounds: &Bounds) -> Vec<Violation> {
    let found = tables::violations(client, bounds).await;
    found.expect("history is readable")
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
    // A service that runs may still serve what was asked of it last.
    let snapshot = "begin isolation level repeatable read";
    client.batch_execute(snapshot).await.unwrap();
    let found = violations(client, bounds).await;
    let shown: Vec<String> = found.iter().take(12).map(ToString::to_string).collect();
    assert!(
        found.is_empty(),
        "{} violations:\n{}",
        found.len(),
        shown.join("\n")
    );
    let history = tables::load(client).await.expect("history is readable");
    let (seen, bad) = verified(client).await;
    client.batch_execute("commit").await.unwrap();
    assert_eq!(
        bad,
        Value::Null,
        "audit_verify finds what the checker does not"
    );
    assert_eq!(
        seen,
        history.events.len(),
        "audit_verify sees every event of a task"
    );
    seen
}
