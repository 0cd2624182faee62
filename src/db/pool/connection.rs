//! One connection with its prepared statements, and what opens it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};
use tokio_util::task::TaskTracker;

use crate::db::endpoint::{ConnectError, Endpoint};
use crate::error::chain;

/// How long one request for a connection keeps trying to open it.
const OPEN_SPAN: Duration = Duration::from_secs(10);
/// The first pause between two tries; doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two tries, and so roughly the delay after which a server that came
/// back is noticed.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// While the server is away, say so in the log this often.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A connection and the statements prepared on it.
pub(crate) struct Connection {
    client: Client,
    statements: HashMap<&'static str, Statement>,
    generation: u64,
    /// Set when nobody knows what the server is still doing with it.
    poisoned: bool,
}

impl Connection {
    /// Runs one statement: one round trip, two the first time on this connection.
    pub(crate) async fn query(
        &mut self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = if let Some(statement) = self.statements.get(sql) {
            statement.clone()
        } else {
            let statement = self.client.prepare(sql).await?;
            self.statements.insert(sql, statement.clone());
            statement
        };
        self.client.query(&statement, params).await
    }

    /// Prepares `sql` anew at its next use.
    pub(crate) fn forget(&mut self, sql: &'static str) {
        self.statements.remove(sql);
    }

    /// Resolves once the server has answered everything that was sent.
    pub(crate) async fn settle(&self) -> Result<(), tokio_postgres::Error> {
        self.client.check_connection().await
    }

    /// Never to be used again.
    pub(crate) fn poison(&mut self) {
        self.poisoned = true;
    }
}

/// What all connections of a process share.
#[derive(Default)]
pub(crate) struct Shared {
    generation: AtomicU64,
    failure: Mutex<Option<Failure>>,
    /// The connections' drivers, and calls whose callers have gone.
    pub(crate) tasks: TaskTracker,
}

/// The last failure to connect, with no success since.
struct Failure {
    since: Instant,
    logged: Instant,
    text: String,
}

impl Shared {
    /// Condemns every connection that is open now.
    pub(crate) fn discard_all(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a connection may be used.
    pub(crate) fn is_usable(&self, connection: &Connection) -> bool {
        !connection.poisoned
            && !connection.client.is_closed()
            && connection.generation == self.generation.load(Ordering::Relaxed)
    }

    /// Why connecting fails at present; `None` while it works.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .map(|f| f.text.clone())
    }

    fn connected(&self) {
        let failure = self
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(failure) = failure {
            let away_ms = failure.since.elapsed().as_millis();
            tracing::info!(away_ms, "the database is back");
        }
    }

    fn failed(&self, error: &ConnectError) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let text = chain(error);
        let now = Instant::now();
        if let Some(known) = failure.as_mut() {
            known.text = text;
            if now.duration_since(known.logged) >= LOG_INTERVAL {
                known.logged = now;
                tracing::warn!(error = known.text, "the database is still away");
            }
        } else {
            tracing::warn!(error = text, "the database is away");
            *failure = Some(Failure {
                since: now,
                logged: now,
                text,
            });
        }
    }
}

/// Opens connections for bb8.
#[derive(Clone)]
pub(crate) struct Opener {
    endpoint: Endpoint,
    shared: Arc<Shared>,
}

impl Opener {
    pub(crate) fn new(endpoint: Endpoint, shared: Arc<Shared>) -> Self {
        Self { endpoint, shared }
    }

    async fn open(&self) -> Result<Connection, ConnectError> {
        let generation = self.shared.generation.load(Ordering::Relaxed);
        let (client, driver) = self.endpoint.open().await?;
        // It ends with the client; its errors reach the client's callers.
        self.shared.tasks.spawn(async move { driver.await.ok() });
        Ok(Connection {
            client,
            statements: HashMap::new(),
            generation,
            poisoned: false,
        })
    }
}

impl bb8::ManageConnection for Opener {
    type Connection = Connection;
    type Error = ConnectError;

    /// Keeps trying for a while: bb8 itself would leave those who wait for a connection waiting
    /// after one failure, or pause for seconds.
    async fn connect(&self) -> Result<Connection, ConnectError> {
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.open().await {
                Ok(connection) => {
                    self.shared.connected();
                    return Ok(connection);
                }
                Err(error) => {
                    self.shared.failed(&error);
                    if started.elapsed() > OPEN_SPAN {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), ConnectError> {
        Ok(connection.settle().await?)
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        !self.shared.is_usable(connection)
    }
}
