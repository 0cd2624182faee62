//! Many connections at once on the same few rows. Whoever wins, one does, and the history is clean.

mod capacity;
mod load;
mod pairs;
mod serial;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Barrier;
use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::verbs;

/// Runs a call on `count` connections, all released at the same moment; their results in order.
pub async fn at_once<F, R>(db: &TestDb, count: usize, call: F) -> Vec<R::Output>
where
    F: Fn(usize, Arc<Client>) -> R,
    R: Future + Send + 'static,
    R::Output: Send + 'static,
{
    let start = Arc::new(Barrier::new(count));
    let mut running = Vec::new();
    for number in 0..count {
        let client = Arc::new(db.connect().await);
        let call = call(number, client);
        let start = Arc::clone(&start);
        running.push(tokio::spawn(async move {
            start.wait().await;
            call.await
        }));
    }
    let mut results = Vec::new();
    for task in running {
        results.push(task.await.expect("no connection panics"));
    }
    results
}

/// Repeats a call until it is not asked to try again.
pub async fn insist<F, R, T>(call: F) -> verbs::Result<T>
where
    F: Fn() -> R,
    R: Future<Output = verbs::Result<T>>,
{
    loop {
        match call().await {
            Err(error) if verbs::is_retryable(&error) => {}
            result => return result,
        }
    }
}
