//! Signs of life that travel together: heartbeats of single leases, and beats of whole workers.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::{Batcher, Options, Route};
use crate::db::Db;
use crate::db::calls::lease::{Heartbeat, Lease, lease_heartbeat_many};
use crate::db::calls::worker::{Beat, worker_beat_many};
use crate::error::Result;
use crate::metrics::Histogram;
use crate::shutdown::Shutdown;

/// What a sign of life counts, in bytes, beside what it carries.
const WEIGHT: usize = 256;
/// Bounds of each of the two batchers.
const BOUNDS: Options = Options {
    flights: 1,
    crowd: 1,
    max_calls: 128,
    max_bytes: 4 << 20,
    max_waiting: 20_000,
    max_waiting_bytes: 64 << 20,
};

/// The way of heartbeats to the database.
#[derive(Clone)]
pub struct Heartbeats(Batcher<Single>);

impl Heartbeats {
    /// An idle one.
    #[must_use]
    pub fn new(db: &Db, shutdown: &Shutdown) -> Self {
        Self(Batcher::new(Single(db.clone()), BOUNDS, shutdown))
    }

    /// How many heartbeats travelled together.
    #[must_use]
    pub fn sizes(&self) -> Arc<Histogram> {
        self.0.sizes()
    }

    /// Renews one lease, in the name of `caller`.
    ///
    /// # Errors
    /// As the verb refuses, or [`Error::Unavailable`](crate::error::Error::Unavailable).
    pub async fn call(&self, caller: &str, heartbeat: Heartbeat) -> Result<Lease> {
        self.0.call(caller, heartbeat).await
    }
}

struct Single(Db);

impl Route for Single {
    type Call = Heartbeat;
    type Answer = Lease;

    fn weight(_: &Heartbeat) -> usize {
        WEIGHT
    }

    async fn fly(&self, heartbeats: &[Heartbeat]) -> Result<Vec<Result<Lease>>> {
        lease_heartbeat_many(&self.0, heartbeats).await
    }
}

/// The way of beats to the database.
#[derive(Clone)]
pub struct Beats(Batcher<Workers>);

impl Beats {
    /// An idle one.
    #[must_use]
    pub fn new(db: &Db, shutdown: &Shutdown) -> Self {
        Self(Batcher::new(Workers(db.clone()), BOUNDS, shutdown))
    }

    /// How many beats travelled together.
    #[must_use]
    pub fn sizes(&self) -> Arc<Histogram> {
        self.0.sizes()
    }

    /// Renews all leases of a worker process: `leases` is an array of `{lease_id, progress?, usage?}`;
    /// answers `{leases: [{lease_id, state}], drain}`.
    ///
    /// # Errors
    /// As the verb refuses, or [`Error::Unavailable`](crate::error::Error::Unavailable).
    pub async fn call(&self, worker: &str, session_id: Uuid, leases: Vec<Value>) -> Result<Value> {
        let beat = Beat {
            worker_id: worker.to_owned(),
            session_id,
            leases: Value::Array(leases),
        };
        self.0.call(worker, beat).await
    }
}

struct Workers(Db);

impl Route for Workers {
    type Call = Beat;
    type Answer = Value;

    fn weight(beat: &Beat) -> usize {
        // Progress and usage are the bulk of it, and not worth a second look.
        WEIGHT * (1 + beat.leases.as_array().map_or(0, Vec::len))
    }

    async fn fly(&self, beats: &[Beat]) -> Result<Vec<Result<Value>>> {
        worker_beat_many(&self.0, beats).await
    }
}
