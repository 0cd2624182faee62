//! Leasing tasks, and reporting on them.

use serde_json::{Value, json};

use super::super::{complete, dispatch, leases, pull, task_log};
use super::{any, lease_header, paging};
use crate::http::openapi::{Described, Operation, Param};
use crate::http::validate::Form;
use crate::http::wire;

const TAG: &str = "work";

pub(super) fn all() -> Described {
    let mut all = asking();
    all.extend(reporting());
    all
}

fn asking() -> Described {
    let request = json!({
        "worker_id": "w1", "session_id": "01900000-0000-7000-8000-000000000001",
        "max_tasks": 1, "wait_seconds": 20, "request_id": "01900000-0000-7000-8000-000000000002",
    });
    vec![
        (
            "POST /api/runtime/leases",
            Operation::of(TAG, "Asks for work, and waits for it")
                .text(
                    "The same request_id again gets the same leases, so a lost answer loses none.",
                )
                .body(|form| drop(pull::read(form)))
                .sends(request)
                .answers::<wire::Pulled>(200, "The leases; none when the wait ran out.")
                .refuses(&[404, 409]),
        ),
        (
            "GET /api/runtime/leases",
            Operation::of(TAG, "Lists leases, newest first")
                .params(paging())
                .params([any("status", "active, or how they ended.")])
                .answers::<Vec<wire::Lease>>(200, "A page.")
                .paged(),
        ),
        (
            "POST /api/runtime/llm-tasks/{id}/lease",
            Operation::of(TAG, "Leases one task to the best worker, or to a named one")
                .body_or_none(|form| drop(leases::read_lease(form)))
                .sends(json!({ "worker_id": "w1", "ttl_seconds": 300 }))
                .answers::<wire::Assigned>(201, "The lease and its worker.")
                .refuses(&[409]),
        ),
        (
            "POST /api/runtime/llm-tasks/{id}/dispatch",
            Operation::of(TAG, "Leases a task and has the worker's agent run it")
                .text("Answers when the agent has.")
                .body_or_none(|form| drop(dispatch::read(form)))
                .answers::<wire::Dispatched>(200, "What the agent answered.")
                .refuses(&[409, 502]),
        ),
    ]
}

fn reporting() -> Described {
    vec![
        (
            "POST /api/runtime/llm-tasks/{id}/heartbeat",
            Operation::of(
                TAG,
                "Keeps a lease alive; the first one says that the work has begun",
            )
            .params([lease_header()])
            .body_schema(with_lease(|form| drop(leases::read_heartbeat(form))), false)
            .answers::<wire::Beaten>(200, "The lease, and until when it lives now.")
            .refuses(&[409]),
        ),
        (
            "POST /api/runtime/llm-tasks/{id}/complete",
            Operation::of(TAG, "Ends a lease with its result")
                .text("The same report again is answered the same.")
                .params([lease_header(), minimal()])
                .body_schema(
                    with_lease(|form| drop(complete::read(form, None, None))),
                    true,
                )
                .sends(json!({
                    "lease_id": "01900000-0000-7000-8000-000000000003", "status": "success",
                    "output": "The invoice is over 40 €.", "metrics": { "duration_ms": 1200 },
                }))
                .answers_json(
                    200,
                    "The task, its artifact and result; with Prefer: return=minimal no more than \
                     how the lease ended.",
                    json!({ "type": "object" }),
                )
                .refuses(&[409]),
        ),
        ("POST /api/runtime/leases/complete", complete_many()),
        (
            "POST /api/runtime/llm-tasks/{id}/release",
            Operation::of(TAG, "Gives a task back that was not worked on")
                .params([lease_header()])
                .body_schema(
                    with_lease(|form| drop(leases::read_release(form, ""))),
                    false,
                )
                .answers::<wire::Task>(200, "The task as it is now.")
                .refuses(&[409]),
        ),
        (
            "POST /api/runtime/llm-tasks/{id}/log",
            Operation::of(TAG, "Adds to the live log of a lease")
                .body(|form| drop(task_log::read_piece(form)))
                .answers::<wire::Appended>(200, "Where the log goes on.")
                .refuses(&[409]),
        ),
    ]
}

/// A body that may name its lease.
fn with_lease(read: impl FnOnce(&mut Form<'_>)) -> Value {
    Form::describe(|form| {
        let _lease = form.uuid("lease_id").nullable();
        read(form);
    })
}

fn minimal() -> Param {
    Param::header(
        "Prefer",
        json!({ "type": "string" }),
        "return=minimal: only how the lease ended.",
    )
}

fn complete_many() -> Operation {
    let item = Form::describe(|form| {
        complete::read_ids(form);
        drop(complete::read(form, None, None));
    });
    let mut body = Form::describe(|form| {
        form.items("items", complete::ITEMS_MAX);
    });
    body["properties"]["items"]["items"] = item;
    let answer = json!({
        "type": "object",
        "properties": { "items": { "type": "array", "items": { "type": "object" } } },
        "required": ["items"],
    });
    Operation::of(TAG, "Ends many leases with their results")
        .body_schema(body, true)
        .answers_json(200, "How each ended, or why it did not, in order.", answer)
}
