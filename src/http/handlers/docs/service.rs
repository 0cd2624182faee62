//! Probes, metrics, descriptions, and the connection to Membridge.

use serde_json::json;

use super::super::membridge;
use super::tasks::anything;
use crate::http::openapi::{Described, Operation};
use crate::http::wire;

const TAG: &str = "service";
const MEMBRIDGE: &str = "membridge";

pub(super) fn all() -> Described {
    let mut all = probes();
    all.extend(of_membridge());
    all
}

fn probes() -> Described {
    vec![
        (
            "GET /api/runtime/health",
            Operation::of(TAG, "How the service and its connection to Membridge do")
                .answers::<wire::Health>(200, "It answers."),
        ),
        (
            "GET /healthz",
            Operation::of(TAG, "Whether the process answers")
                .answers::<wire::Probe>(200, "It does."),
        ),
        (
            "GET /readyz",
            Operation::of(TAG, "Whether the database answers, too")
                .answers::<wire::Probe>(200, "It does."),
        ),
        (
            "GET /metrics",
            Operation::of(TAG, "Numbers for Prometheus").answers_text(
                200,
                "In the OpenMetrics text format.",
                "text/plain",
            ),
        ),
        (
            "GET /openapi.json",
            Operation::of(TAG, "This document").answers_json(
                200,
                "OpenAPI 3.1.",
                json!({ "type": "object", "required": ["openapi", "info", "paths"] }),
            ),
        ),
        (
            "GET /docs",
            Operation::of(TAG, "This document as a page").answers_text(
                200,
                "The page.",
                "text/html",
            ),
        ),
        (
            "GET /docs/style.css",
            Operation::of(TAG, "The style sheet of the page").answers_text(
                200,
                "The style sheet.",
                "text/css",
            ),
        ),
    ]
}

fn of_membridge() -> Described {
    let object = json!({ "type": "object" });
    let list = json!({ "type": "array" });
    let passed_on = |summary, schema| {
        Operation::of(MEMBRIDGE, summary)
            .answers_json(200, "What Membridge answers.", schema)
            .refuses(&[401, 403, 404, 409, 502])
    };
    vec![
        (
            "GET /api/runtime/config",
            Operation::of(MEMBRIDGE, "The settings of the connection")
                .answers::<wire::Config>(200, "Without the key."),
        ),
        (
            "POST /api/runtime/config",
            Operation::of(MEMBRIDGE, "Changes the settings of the connection")
                .text("Without admin_key the stored one stays, unless the address changes.")
                .body(|form| drop(membridge::read(form)))
                .answers::<wire::Config>(200, "Without the key."),
        ),
        (
            "POST /api/runtime/test-connection",
            Operation::of(MEMBRIDGE, "Tests the connection")
                .answers::<wire::Tested>(200, "Whether it stands, or why not."),
        ),
        (
            "GET /api/runtime/workers/{id}/agent-health",
            Operation::of(MEMBRIDGE, "Whether a worker's agent answers").answers_json(
                200,
                "Its health, or why there is none.",
                object.clone(),
            ),
        ),
        (
            "GET /api/membridge/health",
            passed_on("The health of Membridge", anything()),
        ),
        (
            "GET /api/membridge/projects",
            passed_on("All projects", list.clone()),
        ),
        (
            "GET /api/membridge/projects/{cid}/leadership",
            passed_on("Who leads a project", object.clone()),
        ),
        (
            "GET /api/membridge/projects/{cid}/nodes",
            passed_on("The nodes of a project", anything()),
        ),
        (
            "POST /api/membridge/projects/{cid}/leadership/select",
            passed_on("Makes a node the primary of a project", anything())
                .body(|form| drop(membridge::read_select(form))),
        ),
    ]
}
