//! The bodies of answers that are more than one entity.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::db::calls::seal::Seal;

use super::{Artifact, Granted, Lease, Task, TaskResult, Worker};

/// Declares answers: their members are described in the HTTP guide.
macro_rules! answers {
    ($( $(#[$doc:meta])* $name:ident { $( $(#[$attribute:meta])* $member:ident: $kind:ty, )* } )*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Serialize, JsonSchema)]
            #[expect(missing_docs, reason = "the members are described in the HTTP guide")]
            pub struct $name { $( $(#[$attribute])* pub $member: $kind, )* }
        )*
    };
}

answers! {
    /// What a worker that asked for work was given; empty when there was nothing.
    Pulled { leases: Vec<Granted>, }

    /// A task that was leased to a worker.
    Assigned { lease: Lease, worker: Worker, }

    /// A lease that lives on.
    Beaten { lease: Lease, expires_at: i64, }

    /// A task that ended with a result.
    Completed { task: Task, artifact: Artifact, result: TaskResult, }

    /// How one lease ended.
    Ended {
        task_id: Uuid,
        lease_id: Uuid,
        task_status: String,
        artifact_id: Uuid,
        completed_at: i64,
        replayed: bool,
    }

    /// A worker with its live leases.
    WorkerWithLeases {
        #[serde(flatten)]
        worker: Worker,
        leases: Vec<Lease>,
    }

    /// A worker that is gone.
    Removed { removed: bool, id: String, leases_ended: i32, }

    /// Whether a worker is offline now that one of its processes has left.
    Gone { offline: bool, }

    /// A credential that is exhausted no more.
    Cleared { cleared: bool, name: String, }

    /// Dead tasks that were requeued.
    Requeued { requeued: Vec<Uuid>, }

    /// Where the log of a lease goes on.
    Appended { next_offset: i64, capped: bool, }

    /// A piece of a live log.
    LogChunk {
        cursor: String,
        lease_id: Option<Uuid>,
        attempt: Option<i16>,
        fence: i32,
        at: i64,
        text: String,
    }

    /// A page of a live log.
    LogPage { chunks: Vec<LogChunk>, next_cursor: String, end: bool, }

    /// The process, as the contract has it.
    Health {
        status: &'static str,
        service: &'static str,
        uptime: f64,
        storage: &'static str,
        #[schemars(with = "Map<String, Value>")]
        membridge: Value,
        #[schemars(with = "Map<String, Value>")]
        artifacts: Value,
    }

    /// A probe's answer.
    Probe { status: &'static str, }

    /// The settings of the connection to Membridge.
    Config {
        membridge_server_url: String,
        admin_key_masked: &'static str,
        connected: bool,
        last_test: Option<i64>,
    }

    /// What a test of that connection found.
    Tested {
        connected: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        health: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    }

    /// A task that a worker's agent ran.
    Dispatched {
        dispatched: bool,
        task_id: Uuid,
        worker_id: String,
        lease_id: Uuid,
        execution: Value,
    }
}

/// Seals over the event log.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Seals {
    /// Those whose signatures the service trusts; empty where it cannot seal.
    pub public_keys: Vec<String>,
    /// In order.
    pub seals: Vec<Seal>,
}
