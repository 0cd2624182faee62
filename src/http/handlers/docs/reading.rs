//! Artifacts, the audit trail, and numbers.

use serde_json::{Value, json};

use super::super::audit;
use super::{any, cursor, limit, paging};
use crate::http::openapi::{Described, Operation, Param};
use crate::http::wire;
use crate::seals::Found;

const TAG: &str = "reading";

pub(super) fn all() -> Described {
    vec![
        (
            "GET /api/runtime/artifacts",
            Operation::of(TAG, "Lists artifacts, newest first")
                .text("A page whose contents grow large ends early.")
                .params(paging())
                .params([any("task_id", "Only artifacts of this task.")])
                .answers::<Vec<wire::Artifact>>(200, "A page.")
                .paged(),
        ),
        (
            "GET /api/runtime/artifacts/{id}",
            Operation::of(TAG, "One artifact").answers::<wire::Artifact>(200, "The artifact."),
        ),
        (
            "GET /api/runtime/artifacts/{id}/content",
            Operation::of(TAG, "The content of an artifact, as a download").answers_text(
                200,
                "The content.",
                "text/plain",
            ),
        ),
        (
            "GET /api/runtime/artifacts/{id}/link",
            Operation::of(TAG, "An address of an artifact in object storage").answers_json(
                200,
                "It is valid for expires_in seconds and needs no key.",
                json!({
                    "type": "object",
                    "properties": {
                        "url": { "type": "string" },
                        "expires_in": { "type": "integer", "minimum": 0 },
                    },
                    "required": ["url", "expires_in"],
                }),
            ),
        ),
        (
            "GET /api/runtime/audit",
            Operation::of(TAG, "Who did what, newest first")
                .params(paging())
                .params([
                    any(
                        "entity_type",
                        "What kind of thing entity_id names: llm_task unless given.",
                    ),
                    any("entity_id", "Only the trail of this thing."),
                    any("actor", "Only what this one did."),
                    any("action", "Only these actions, with commas between them."),
                ])
                .answers::<Vec<wire::Audit>>(200, "A page.")
                .paged(),
        ),
        (
            "GET /api/runtime/audit/verify",
            Operation::of(TAG, "Checks the trails of a page of tasks, oldest first")
                .params([limit(audit::VERIFY, audit::VERIFY_MAX), cursor()])
                .answers_json(
                    200,
                    "Whether they are sound; else the first that is not.",
                    verified(),
                ),
        ),
        (
            "GET /api/runtime/audit/seals",
            Operation::of(TAG, "The seals over the event log, oldest first")
                .params([limit(audit::SEALS, audit::SEALS), seal_cursor()])
                .answers::<wire::Seals>(200, "A page."),
        ),
        (
            "GET /api/runtime/audit/seals/verify",
            Operation::of(TAG, "Holds the event log against a page of its seals")
                .params([limit(audit::SEALS, audit::SEALS), seal_cursor()])
                .answers::<Found>(
                    200,
                    "Whether all is as it was sealed; else the first that is not.",
                ),
        ),
        (
            "GET /api/runtime/stats",
            Operation::of(TAG, "Counts of tasks, leases and workers").answers_json(
                200,
                "The counts.",
                stats(),
            ),
        ),
    ]
}

/// Where a page of seals begins.
fn seal_cursor() -> Param {
    let schema = json!({ "type": "integer", "minimum": 0, "default": 0 });
    Param::query(
        "cursor",
        schema,
        "The number of the last seal of the page before.",
    )
}

/// What the counts look like.
fn stats() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "properties": {
            "tasks": { "type": "object", "properties": {
                "total": count,
                "by_status": { "type": "object", "additionalProperties": count },
            } },
            "leases": { "type": "object", "properties": { "total": count, "active": count } },
            "workers": { "type": "object", "properties": { "total": count, "online": count } },
            "stale_refused": count,
        },
        "required": ["tasks", "leases", "workers"],
    })
}

/// What a verification looks like.
fn verified() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "properties": {
            "ok": { "type": "boolean" },
            "tasks": count,
            "events": count,
            "next_cursor": { "type": ["string", "null"], "format": "uuid" },
            "bad": {},
        },
        "required": ["ok", "tasks", "events", "next_cursor", "bad"],
    })
}
