//! Reports of workers that travel together.

use std::sync::Arc;

use super::{Batcher, Options, Route};
use crate::db::Db;
use crate::db::calls::lease::{Completed, Report, lease_complete_many};
use crate::error::Result;
use crate::metrics::Histogram;
use crate::shutdown::Shutdown;

/// Bounds of the batcher.
const BOUNDS: Options = Options {
    flights: 2,
    crowd: 32,
    max_calls: 128,
    max_bytes: 4 << 20,
    max_waiting: 20_000,
    max_waiting_bytes: 256 << 20,
};

/// The way of reports to the database.
#[derive(Clone)]
pub struct Completions(Batcher<Reports>);

impl Completions {
    /// An idle one.
    #[must_use]
    pub fn new(db: &Db, shutdown: &Shutdown) -> Self {
        Self(Batcher::new(Reports(db.clone()), BOUNDS, shutdown))
    }

    /// How many reports travelled together.
    #[must_use]
    pub fn sizes(&self) -> Arc<Histogram> {
        self.0.sizes()
    }

    /// Ends a lease with its result, in the name of `caller`.
    ///
    /// # Errors
    /// As the verb refuses, or [`Error::Unavailable`](crate::error::Error::Unavailable).
    pub async fn call(&self, caller: &str, report: Report) -> Result<Completed> {
        self.0.call(caller, report).await
    }
}

struct Reports(Db);

impl Route for Reports {
    type Call = Report;
    type Answer = Completed;

    fn weight(report: &Report) -> usize {
        1024 + report.output.as_ref().map_or(0, String::len)
    }

    async fn fly(&self, reports: &[Report]) -> Result<Vec<Result<Completed>>> {
        let reports: Vec<_> = reports.iter().collect();
        lease_complete_many(&self.0, &reports).await
    }
}
