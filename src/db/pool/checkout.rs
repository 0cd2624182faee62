//! Handing connections out, in order of arrival, and getting them back settled.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bb8::{Pool, PooledConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{Connection, Opener, Shared};
use crate::db::endpoint::Endpoint;
use crate::db::{Usage, sqlstate};
use crate::error::Result;

/// Callers that may wait for a connection of one lane; further ones are refused at once.
const MAX_WAITING: usize = 4_096;
/// The wait for a connection once the database is known to be away; also how often those who wait
/// look whether it is.
const AWAY_WAIT: Duration = Duration::from_millis(600);
/// How long an abandoned call may keep its connection busy before the connection is given up.
/// A statement ends by `statement_timeout` well before; a commit that waits for a synchronous
/// standby does not.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);
/// Idle connections beyond those in use are closed after this.
const IDLE_LIMIT: Duration = Duration::from_secs(300);
/// The age at which a connection is replaced, so that none holds on to server memory for ever.
const AGE_LIMIT: Duration = Duration::from_secs(3_600);

/// One lane's connections.
pub(crate) struct Gate {
    pool: Pool<Opener>,
    /// One permit a connection. bb8 lets newcomers overtake those who wait; this does not.
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    size: u32,
    wait: Duration,
    shared: Arc<Shared>,
}

impl Gate {
    /// Opens nothing yet.
    pub(crate) fn new(endpoint: Endpoint, size: u32, wait: Duration, shared: Arc<Shared>) -> Self {
        let size = size.max(1);
        let pool = Pool::builder()
            .max_size(size)
            .test_on_check_out(false)
            .retry_connection(false)
            // Only ever reached when the server is away; `checkout` has shorter limits.
            .connection_timeout(Duration::from_secs(60))
            .idle_timeout(IDLE_LIMIT)
            .max_lifetime(AGE_LIMIT)
            // The most recently used has the warmest caches; the others may close.
            .queue_strategy(bb8::QueueStrategy::Lifo)
            .build_unchecked(Opener::new(endpoint, Arc::clone(&shared)));
        let turns = Arc::new(Semaphore::new(size as usize));
        Self {
            pool,
            turns,
            waiting: 0.into(),
            size,
            wait,
            shared,
        }
    }

    /// A connection of one's own, within a bounded time.
    pub(crate) async fn checkout(&self) -> Result<Lent> {
        let deadline = Instant::now() + self.wait;
        let turn = self.turn(deadline).await?;
        loop {
            match timeout_at(deadline.min(away_deadline()), self.pool.get_owned()).await {
                Ok(Ok(connection)) if self.shared.is_usable(&connection) => {
                    let shared = Arc::clone(&self.shared);
                    return Ok(Lent {
                        connection: Some(connection),
                        turn: Some(turn),
                        shared,
                    });
                }
                // One that died while idle: found here, not by the caller's statement.
                Ok(_) if Instant::now() < deadline => {}
                _ => self.check_hope(deadline)?,
            }
        }
    }

    /// The right to a connection.
    async fn turn(&self, deadline: Instant) -> Result<OwnedSemaphorePermit> {
        if let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(turn);
        }
        let waiting = Waiting(&self.waiting);
        if waiting.0.fetch_add(1, Relaxed) >= MAX_WAITING {
            return Err(sqlstate::unavailable(
                "too many callers wait for a connection",
            ));
        }
        // The same future throughout: it keeps its place in the queue.
        let mut turn = pin!(Arc::clone(&self.turns).acquire_owned());
        loop {
            match timeout_at(deadline.min(away_deadline()), turn.as_mut()).await {
                Ok(Ok(turn)) => return Ok(turn),
                Ok(Err(closed)) => return Err(sqlstate::unavailable(closed)),
                Err(_) => self.check_hope(deadline)?,
            }
        }
    }

    /// Whether waiting on makes sense.
    fn check_hope(&self, deadline: Instant) -> Result<()> {
        match self.shared.failure() {
            Some(failure) => Err(sqlstate::unavailable(failure)),
            None if Instant::now() >= deadline => {
                Err(sqlstate::unavailable("no connection became free in time"))
            }
            None => Ok(()),
        }
    }

    /// How the lane is used.
    pub(crate) fn usage(&self) -> Usage {
        let free = u32::try_from(self.turns.available_permits()).unwrap_or(u32::MAX);
        Usage {
            size: self.size,
            open: self.pool.state().connections,
            lent: self.size.saturating_sub(free),
            waiting: self.waiting.load(Relaxed),
        }
    }
}

fn away_deadline() -> Instant {
    Instant::now() + AWAY_WAIT
}

/// Counts a waiting caller until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// A connection on loan.
///
/// Dropped in the middle of a call (its caller went away), it is not given back before the server
/// has answered. We do not cancel the statement: a cancel that arrives during a commit turns a
/// synchronous commit into an asynchronous one.
pub(crate) struct Lent {
    connection: Option<PooledConnection<'static, Opener>>,
    turn: Option<OwnedSemaphorePermit>,
    shared: Arc<Shared>,
}

impl Lent {
    /// Runs one statement in a transaction of its own. `None` when `limit` ran out first.
    pub(crate) async fn query(
        mut self,
        limit: Duration,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Option<(Self, Result<Vec<Row>, tokio_postgres::Error>)> {
        let mut busy = Busy {
            lent: &mut self,
            done: false,
        };
        let result = match busy.lent.connection.as_mut() {
            Some(connection) => timeout(limit, connection.query(sql, params)).await.ok()?,
            None => return None,
        };
        busy.done = true;
        drop(busy);
        Some((self, result))
    }

    /// Prepares `sql` anew at its next use.
    pub(crate) fn forget(&mut self, sql: &'static str) {
        if let Some(connection) = self.connection.as_mut() {
            connection.forget(sql);
        }
    }
}

/// Guards a call: unless it is done when dropped, the connection settles in the background.
struct Busy<'a> {
    lent: &'a mut Lent,
    done: bool,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let (connection, turn) = (self.lent.connection.take(), self.lent.turn.take());
        let Some(mut connection) = connection else {
            return;
        };
        if tokio::runtime::Handle::try_current().is_err() {
            connection.poison();
            return;
        }
        self.lent.shared.tasks.spawn(async move {
            settle(&mut connection).await;
            drop(connection);
            drop(turn);
        });
    }
}

async fn settle(connection: &mut Connection) {
    if !matches!(timeout(SETTLE_LIMIT, connection.settle()).await, Ok(Ok(()))) {
        connection.poison();
    }
}
