//! Workers, queues and credentials.

use serde_json::json;

use super::super::{queues, workers};
use crate::http::openapi::{Described, Operation};
use crate::http::wire;

const TAG: &str = "workers";
const QUEUES: &str = "queues";

pub(super) fn all() -> Described {
    let mut all = workers_of();
    all.extend(queues_of());
    all
}

fn workers_of() -> Described {
    let beaten = json!({
        "type": "object",
        "properties": {
            "drain": { "type": "boolean" },
            "leases": { "type": "array", "items": {
                "type": "object",
                "properties": {
                    "lease_id": { "type": "string", "format": "uuid" },
                    "state": { "type": "string", "enum": ["ok", "cancel", "lost"] },
                },
                "required": ["lease_id", "state"],
            } },
        },
        "required": ["drain", "leases"],
    });
    vec![
        (
            "POST /api/runtime/workers",
            Operation::of(TAG, "Registers a worker, or says anew what it is")
                .body(|form| drop(workers::read(form, "")))
                .sends(json!({ "name": "w1", "capabilities": { "max_concurrency": 4 } }))
                .answers::<wire::Worker>(200, "The worker that was known already.")
                .answers::<wire::Worker>(201, "The new worker.")
                .refuses(&[409]),
        ),
        (
            "GET /api/runtime/workers",
            Operation::of(TAG, "All workers").answers::<Vec<wire::Worker>>(200, "All of them."),
        ),
        (
            "GET /api/runtime/workers/{id}",
            Operation::of(TAG, "One worker with its live leases")
                .answers::<wire::WorkerWithLeases>(200, "The worker."),
        ),
        (
            "DELETE /api/runtime/workers/{id}",
            Operation::of(TAG, "Removes a worker; its tasks come back")
                .answers::<wire::Removed>(200, "How many leases ended."),
        ),
        (
            "POST /api/runtime/workers/{id}/beat",
            Operation::of(TAG, "A sign of life for a worker process and its leases")
                .text("Leases that it does not list end 30 s later. cancel: stop that task.")
                .body(|form| drop(workers::read_beat(form)))
                .sends(json!({
                    "session_id": "01900000-0000-7000-8000-000000000001",
                    "leases": [{ "lease_id": "01900000-0000-7000-8000-000000000003" }],
                }))
                .answers_json(200, "How each lease stands.", beaten)
                .refuses(&[409]),
        ),
        (
            "POST /api/runtime/workers/{id}/leave",
            Operation::of(TAG, "The last word of a worker process")
                .body(workers::read_leave)
                .sends(json!({ "session_id": "01900000-0000-7000-8000-000000000001" }))
                .answers::<wire::Gone>(200, "Whether the worker is offline now."),
        ),
        (
            "POST /api/runtime/workers/{id}/drain",
            Operation::of(TAG, "Gives a worker no new tasks")
                .answers::<wire::Worker>(200, "The worker."),
        ),
        (
            "POST /api/runtime/workers/{id}/resume",
            Operation::of(TAG, "Gives a worker tasks again")
                .answers::<wire::Worker>(200, "The worker."),
        ),
    ]
}

fn queues_of() -> Described {
    vec![
        (
            "GET /api/runtime/queues",
            Operation::of(QUEUES, "All queues").answers::<Vec<wire::Queue>>(200, "All of them."),
        ),
        (
            "POST /api/runtime/queues/{name}",
            Operation::of(QUEUES, "Changes a queue, or makes it")
                .text("What is absent stays. max_running null is no limit.")
                .body(|form| drop(queues::read(form, "")))
                .sends(json!({ "max_running": 10 }))
                .answers::<wire::Queue>(200, "The queue."),
        ),
        (
            "POST /api/runtime/queues/{name}/pause",
            Operation::of(QUEUES, "Pauses a queue").answers::<wire::Queue>(200, "The queue."),
        ),
        (
            "POST /api/runtime/queues/{name}/resume",
            Operation::of(QUEUES, "Lets a queue go on").answers::<wire::Queue>(200, "The queue."),
        ),
        (
            "POST /api/runtime/queues/{name}/redrive",
            Operation::of(QUEUES, "Requeues dead tasks of a queue, newest first")
                .body_or_none(queues::read_redrive)
                .answers::<wire::Requeued>(200, "Which."),
        ),
        (
            "GET /api/runtime/credentials",
            Operation::of(
                QUEUES,
                "What workers work with, and what of it is exhausted",
            )
            .answers::<Vec<wire::Credential>>(200, "All of them."),
        ),
        (
            "DELETE /api/runtime/credentials/{name}",
            Operation::of(QUEUES, "Forgets that a credential is exhausted")
                .answers::<wire::Cleared>(200, "It is usable."),
        ),
    ]
}
