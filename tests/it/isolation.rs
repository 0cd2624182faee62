//! Two sessions step by step: what one has done and not committed, what the other then sees, waits
//! for or is refused. Each test names the promise that the interleaving would break.

mod claim;
mod configure;
mod expiry;
mod late;
mod order;
mod snapshot;
mod stale;
mod turn;
mod upkeep;
mod worker;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::pg::TestDb;

/// Longest wait for a session to block.
const BLOCK_LIMIT: Duration = Duration::from_secs(20);

/// A session whose calls can be left waiting.
#[derive(Clone)]
pub struct Session {
    client: Arc<Client>,
    pid: i32,
}

impl Session {
    /// Connects as superuser.
    pub async fn new(db: &TestDb) -> Self {
        let client = db.connect().await;
        let row = client.query_one("select pg_backend_pid()", &[]).await;
        let pid = row.expect("a pid").get(0);
        let client = Arc::new(client);
        Self { client, pid }
    }

    /// Begins a transaction at an isolation level ("read committed", …).
    pub async fn begin(&self, level: &str) {
        let sql = format!("begin isolation level {level}");
        self.batch_execute(&sql).await.expect("begins");
    }

    /// Commits.
    pub async fn commit(&self) {
        self.batch_execute("commit").await.expect("commits");
    }

    /// Returns once somebody waits for this session.
    pub async fn wait_for_waiting(&self, witness: &Client) {
        let sql = "select exists (select from pg_stat_activity
            where $1 = any (pg_blocking_pids(pid)))";
        let deadline = Instant::now() + BLOCK_LIMIT;
        while !witness
            .query_one(sql, &[&self.pid])
            .await
            .expect("asks")
            .get::<_, bool>(0)
        {
            assert!(Instant::now() < deadline, "nobody waits");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts a call and returns once it waits for another session.
    pub async fn blocked<F, T>(&self, witness: &Client, call: F) -> JoinHandle<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let handle = tokio::spawn(call);
        let deadline = Instant::now() + BLOCK_LIMIT;
        let sql = "select cardinality(pg_blocking_pids($1)) > 0";
        loop {
            let row = witness.query_one(sql, &[&self.pid]).await.expect("asks");
            if row.get(0) {
                return handle;
            }
            assert!(!handle.is_finished(), "the call did not wait");
            assert!(Instant::now() < deadline, "the call never waits");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl std::ops::Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
