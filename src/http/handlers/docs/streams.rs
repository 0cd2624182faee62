//! Events as they happen, where they are sent to, and how things went lately.

use serde_json::{Value, json};

use super::super::webhooks;
use super::{any, paging};
use crate::http::openapi::{Described, Operation, Param};

const TAG: &str = "events";
const WEBHOOKS: &str = "webhooks";

pub(super) fn all() -> Described {
    let mut all = vec![
        ("GET /api/runtime/events", stream()),
        ("GET /api/runtime/overview", overview()),
    ];
    all.extend(webhooks_of());
    all.extend(deliveries());
    all
}

/// The parameters with which a stream begins.
pub(super) fn resuming() -> [Param; 2] {
    let text = "The id of the last event that was read: the stream goes on behind it.";
    [
        Param::header("Last-Event-ID", json!({ "type": "string" }), text),
        any(
            "after",
            "The same, for clients that cannot send the header.",
        ),
    ]
}

fn stream() -> Operation {
    Operation::of(TAG, "Events as they happen")
        .text(
            "Server-sent events, in order for each task and without a gap. Without a cursor it \
             begins now. A comment line comes every 15 seconds.",
        )
        .params(resuming())
        .params([
            any(
                "task",
                "Only events of these tasks, with commas between them.",
            ),
            any("queue", "Only events of these queues."),
            any("worker", "Only events of these workers."),
            any("type", "Only events of these types."),
        ])
        .answers_text(200, "The stream.", "text/event-stream")
}

fn overview() -> Operation {
    let number = json!({ "type": ["number", "null"] });
    let count = json!({ "type": "integer", "minimum": 0 });
    let point = json!({
        "type": "object",
        "properties": {
            "at": { "type": "integer" },
            "submitted": count, "completed": count, "failed": count, "dead": count,
            "wait_p50_ms": number, "wait_p95_ms": number, "depth": number,
        },
        "required": ["at", "submitted", "completed"],
    });
    let schema = json!({
        "type": "object",
        "properties": {
            "window": { "type": "string", "enum": ["hour", "day"] },
            "step_seconds": count,
            "points": { "type": "array", "items": point },
            "success_rate": number,
            "workers": { "type": "object" },
            "leases": { "type": "object" },
            "oldest_waiting": { "type": ["object", "null"] },
            "warnings": { "type": "array", "items": {
                "type": "object",
                "properties": { "code": { "type": "string" }, "text": { "type": "string" } },
                "required": ["code", "text"],
            } },
        },
        "required": ["window", "step_seconds", "points", "warnings"],
    });
    let window = json!({ "type": "string", "enum": ["hour", "day"], "default": "hour" });
    Operation::of(TAG, "How things went lately, and what needs attention")
        .params([Param::query("window", window, "How far back.")])
        .answers_json(200, "A point for each step.", schema)
}

fn webhooks_of() -> Described {
    let new = || json!({ "name": "billing", "url": "https://example.org/hook", "types": ["dead"] });
    vec![
        (
            "GET /api/runtime/webhooks",
            Operation::of(WEBHOOKS, "All webhooks").answers_json(
                200,
                "All of them, without their secrets.",
                json!({ "type": "array", "items": webhook() }),
            ),
        ),
        (
            "POST /api/runtime/webhooks",
            Operation::of(WEBHOOKS, "Makes a webhook")
                .text("Its secret, with which deliveries are signed, is shown here only.")
                .body(|form| drop(webhooks::read_new(form, "")))
                .sends(new())
                .answers_json(201, "The webhook with its secret.", webhook())
                .refuses(&[409]),
        ),
        ("GET /api/runtime/webhooks/{id}", one("One webhook")),
        (
            "POST /api/runtime/webhooks/{id}",
            one("Changes a webhook")
                .text("What is absent stays. new_secret: it is answered with a new one.")
                .body(|form| drop(webhooks::read_change(form, "")))
                .sends(json!({ "max_events": 50 }))
                .refuses(&[409]),
        ),
        (
            "DELETE /api/runtime/webhooks/{id}",
            Operation::of(WEBHOOKS, "Removes a webhook").answers_json(
                200,
                "It is gone.",
                json!({ "type": "object", "required": ["deleted", "id"] }),
            ),
        ),
        (
            "POST /api/runtime/webhooks/{id}/pause",
            one("Pauses a webhook: it misses nothing"),
        ),
        (
            "POST /api/runtime/webhooks/{id}/resume",
            one("Lets a webhook go on"),
        ),
        (
            "POST /api/runtime/webhooks/{id}/test",
            Operation::of(WEBHOOKS, "Sends an event that means nothing").answers_json(
                200,
                "What became of it.",
                json!({ "type": "object", "required": ["delivery_id", "delivered"] }),
            ),
        ),
    ]
}

fn deliveries() -> Described {
    vec![
        (
            "GET /api/runtime/webhooks/{id}/deliveries",
            Operation::of(WEBHOOKS, "The deliveries of a webhook, newest first")
                .params(paging())
                .answers_json(
                    200,
                    "A page.",
                    json!({ "type": "array", "items": delivery() }),
                )
                .paged(),
        ),
        (
            "GET /api/runtime/webhooks/{id}/deliveries/{delivery}",
            Operation::of(WEBHOOKS, "One delivery with its events").answers_json(
                200,
                "The delivery.",
                delivery(),
            ),
        ),
        (
            "POST /api/runtime/webhooks/{id}/deliveries/{delivery}/redeliver",
            Operation::of(WEBHOOKS, "Makes a delivery once more")
                .answers_json(200, "The delivery, which waits again.", delivery())
                .refuses(&[409]),
        ),
    ]
}

fn one(summary: &'static str) -> Operation {
    Operation::of(WEBHOOKS, summary).answers_json(200, "The webhook.", webhook())
}

fn webhook() -> Value {
    let time = json!({ "type": ["integer", "null"] });
    json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "format": "uuid" },
            "name": { "type": "string" },
            "url": { "type": "string" },
            "types": { "type": ["array", "null"], "items": { "type": "string" } },
            "queues": { "type": ["array", "null"], "items": { "type": "string" } },
            "max_events": { "type": "integer" },
            "max_attempts": { "type": "integer" },
            "backoff_ms": { "type": "integer" },
            "paused": { "type": "boolean" },
            "paused_why": { "type": ["string", "null"] },
            "cursor": { "type": "string" },
            "next_at": time,
            "last_error": { "type": ["string", "null"] },
            "last_delivered_at": time,
            "created_at": { "type": "integer" },
            "created_by": { "type": "string" },
            "secret": { "type": "string", "description": "Only where it is new." },
        },
        "required": ["id", "name", "url", "paused", "created_at"],
    })
}

fn delivery() -> Value {
    json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "format": "uuid" },
            "webhook_id": { "type": "string", "format": "uuid" },
            "state": { "type": "string" },
            "event_count": { "type": "integer" },
            "attempts": { "type": "integer" },
            "next_at": { "type": ["integer", "null"] },
            "status": { "type": ["integer", "null"] },
            "error": { "type": ["string", "null"] },
            "duration_ms": { "type": ["integer", "null"] },
            "created_at": { "type": "integer" },
            "ended_at": { "type": ["integer", "null"] },
        },
        "required": ["id", "webhook_id", "state", "attempts", "created_at"],
    })
}
