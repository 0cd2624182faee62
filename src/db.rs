//! The database layer: the only place that speaks SQL.
//!
//! [`Db`] is the handle that everybody else has. Its calls are single statements in autocommit:
//! one round trip, and a caller that goes away in the middle leaves no transaction behind. Longer
//! transactions exist only in the installer, on a connection of its own.
//!
//! A commit that was cancelled while it waited for a synchronous standby succeeds with a mere
//! WARNING. We never send cancels, so a success is what it says.

pub mod bootstrap;
pub mod calls;
pub mod doctor;
pub mod endpoint;
pub mod horizon;
pub mod install;
pub mod listen;
mod passfile;
mod pool;
pub mod pooler;
pub mod sqlstate;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

pub use endpoint::{ConnectError, Endpoint, EndpointError};

use crate::error::{Error, Result};
use pool::{Gate, Shared};
use sqlstate::Class;

/// How often a call that lost against another transaction is made again.
const MAX_RETRIES: u32 = 6;
/// The longest pause before such a retry; the first is a 32nd of it.
const LONGEST_RETRY_PAUSE: Duration = Duration::from_millis(320);
/// What a call may take beyond `statement_timeout` before we stop waiting for the server.
const ANSWER_MARGIN: Duration = Duration::from_secs(5);

/// Which share of the connections a call uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Everything else.
    General,
    /// Heartbeats and completions: they must get through when everything else has piled up, or
    /// leases are lost for nothing.
    Reserved,
}

/// Sizes and limits of the pools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Connections for everything else.
    pub general: u32,
    /// Connections for heartbeats and completions.
    pub reserved: u32,
    /// Longest wait for a connection.
    pub checkout_wait: Duration,
    /// The server ends a statement after this.
    pub statement_timeout: Duration,
    /// The server ends a wait for a lock after this. Short: somebody's open transaction must not
    /// keep our connections.
    pub lock_timeout: Duration,
    /// The server ends a session that idles inside a transaction. We open none, so this only
    /// guards against our own mistakes.
    pub idle_in_transaction_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            general: 12,
            reserved: 4,
            checkout_wait: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(2),
            idle_in_transaction_timeout: Duration::from_secs(30),
        }
    }
}

/// How the pools are doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Why connecting fails at present; `None` while it works (or was not tried).
    pub failure: Option<String>,
    /// The general lane.
    pub general: Usage,
    /// The reserved lane.
    pub reserved: Usage,
}

/// Connections of one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// It may have so many.
    pub size: u32,
    /// It has so many.
    pub open: u32,
    /// So many are in use.
    pub lent: u32,
    /// So many calls wait for one.
    pub waiting: usize,
}

/// A cheap clonable handle on the database.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    general: Gate,
    reserved: Gate,
    shared: Arc<Shared>,
    answer_limit: Duration,
}

impl Db {
    /// Connects when first used, so that a database that is away now is no obstacle. Must be
    /// called inside a tokio runtime.
    #[must_use]
    pub fn new(endpoint: &Endpoint, options: &Options) -> Self {
        let ms = |duration: Duration| format!("{}ms", duration.as_millis());
        let endpoint = endpoint.clone().with_settings(&[
            ("statement_timeout", &ms(options.statement_timeout)),
            ("lock_timeout", &ms(options.lock_timeout)),
            (
                "idle_in_transaction_session_timeout",
                &ms(options.idle_in_transaction_timeout),
            ),
            // Whatever the role's or database's defaults say, the verbs are written for this.
            ("default_transaction_isolation", "read committed"),
            // Compiling takes longer than any of our statements should.
            ("jit", "off"),
        ]);
        let shared = Arc::new(Shared::default());
        let gate = |size| {
            Gate::new(
                endpoint.clone(),
                size,
                options.checkout_wait,
                Arc::clone(&shared),
            )
        };
        let (general, reserved) = (gate(options.general), gate(options.reserved));
        let answer_limit = options.statement_timeout + ANSWER_MARGIN;
        Self {
            inner: Arc::new(Inner {
                general,
                reserved,
                shared,
                answer_limit,
            }),
        }
    }

    /// Runs one statement in a transaction of its own and returns its rows.
    ///
    /// A call that lost against another transaction (deadlock, serialization) is made
    /// again a few times: it was rolled back, so that is safe. A call whose connection broke is
    /// not: it may have been committed.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::Fields`] as the verb said, [`Error::Unavailable`] when the
    /// database cannot answer now (the outcome is then unknown), [`Error::Internal`] otherwise.
    pub async fn call(
        &self,
        lane: Lane,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let (mut retries, mut stale) = (0, None);
        loop {
            let replanned = stale.is_some();
            let lent = match stale.take() {
                Some(lent) => lent,
                None => self.gate(lane).checkout().await?,
            };
            let answer = lent.query(self.inner.answer_limit, sql, params).await;
            let Some((mut lent, result)) = answer else {
                return Err(sqlstate::unavailable("no answer in time"));
            };
            let error = match result {
                Ok(rows) => return Ok(rows),
                Err(error) => error,
            };
            match sqlstate::class(&error) {
                Class::Retry if retries < MAX_RETRIES => {
                    // Not while holding a connection that others could use.
                    drop(lent);
                    tokio::time::sleep(retry_pause(retries)).await;
                    retries += 1;
                }
                Class::Replan if !replanned => {
                    // On the same connection: every other one may be just as stale.
                    lent.forget(sql);
                    stale = Some(lent);
                }
                Class::ReadOnly => {
                    self.inner.shared.discard_all();
                    return Err(sqlstate::to_error(error));
                }
                _ => return Err(sqlstate::to_error(error)),
            }
        }
    }

    /// [`Db::call`] for a verb that returns exactly one row.
    pub async fn call_one(
        &self,
        lane: Lane,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row> {
        let mut rows = self.call(lane, sql, params).await?;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            _ => Err(Error::internal(format!("not exactly one row from {sql:?}"))),
        }
    }

    /// [`Db::call`] for a verb that returns at most one row.
    pub async fn call_opt(
        &self,
        lane: Lane,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>> {
        let mut rows = self.call(lane, sql, params).await?;
        let row = rows.pop();
        if rows.is_empty() {
            Ok(row)
        } else {
            Err(Error::internal(format!("rows from {sql:?}")))
        }
    }

    /// How the pools are doing. Asks nobody.
    #[must_use]
    pub fn health(&self) -> Health {
        Health {
            failure: self.inner.shared.failure(),
            general: self.inner.general.usage(),
            reserved: self.inner.reserved.usage(),
        }
    }

    fn gate(&self, lane: Lane) -> &Gate {
        match lane {
            Lane::General => &self.inner.general,
            Lane::Reserved => &self.inner.reserved,
        }
    }
}

/// Full jitter below a doubling bound.
fn retry_pause(retries: u32) -> Duration {
    let bound = (LONGEST_RETRY_PAUSE / 32 * (1 << retries.min(5))).min(LONGEST_RETRY_PAUSE);
    bound.mul_f64(fastrand::f64())
}
