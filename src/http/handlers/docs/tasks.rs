//! Submitting tasks and following them.

use serde_json::{Value, json};

use super::super::{batch, bulk, submission, task_log, tasks};
use super::{any, limit, paging};
use crate::http::openapi::{Described, Operation, Param};
use crate::http::validate::Form;
use crate::http::wire;

const TAG: &str = "tasks";

pub(super) fn all() -> Described {
    let mut all = vec![
        ("POST /api/runtime/llm-tasks", submit()),
        ("POST /api/runtime/llm-tasks/batch", submit_many()),
        ("GET /api/runtime/llm-tasks", list()),
    ];
    all.extend(one());
    all.extend(steer());
    all
}

fn submit() -> Operation {
    let example = json!({
        "context_id": "invoices-2026", "agent_slug": "reader", "prompt": "Sum up this invoice: …",
        "policy": { "timeout_sec": 120 },
    });
    let key = Param::header(
        "Idempotency-Key",
        json!({ "type": "string", "minLength": 1, "maxLength": 255 }),
        "The same key with the same task is the same task, not another one. Instead of the \
         member idempotency_key.",
    );
    Operation::of(TAG, "Submits a task")
        .text("It is stored when this answers. 201 for a new one, 200 for the one with this key.")
        .params([key])
        .body(submission::fields)
        .sends(example)
        .answers::<wire::Task>(200, "The task that has this idempotency key.")
        .answers::<wire::Task>(201, "The new task.")
        .refuses(&[409])
}

fn submit_many() -> Operation {
    let item = Form::describe(submission::fields);
    let mut body = Form::describe(|form| {
        batch::read(form);
    });
    body["properties"]["tasks"]["items"] = item;
    let answer = json!({
        "type": "object",
        "properties": { "tasks": { "type": "array", "items": {
            "type": "object",
            "properties": {
                "id": { "type": "string", "format": "uuid" },
                "created": { "type": "boolean" },
                "error": {},
                "code": { "type": ["string", "null"] },
            },
        } } },
        "required": ["tasks"],
    });
    Operation::of(TAG, "Submits many tasks")
        .text("atomic: one bad task fails all. Otherwise each has an answer of its own, in order.")
        .body_schema(body, true)
        .sends(json!({ "tasks": [
            { "context_id": "a", "agent_slug": "reader", "prompt": "One" },
            { "context_id": "b", "agent_slug": "reader", "prompt": "Two" },
        ] }))
        .answers_json(201, "An answer for each, in order.", answer)
        .refuses(&[409])
}

fn list() -> Operation {
    Operation::of(TAG, "Lists tasks, newest first")
        .params(paging())
        .params([
            any("status", "Only tasks with this status."),
            any("context_id", "Only tasks of this context."),
            any("queue", "Only tasks of this queue."),
            any("agent", "Only tasks for this agent."),
            any("worker", "Only tasks that this worker has or had."),
            any("label", "Only tasks that need this label."),
            any("q", "Only tasks whose prompt holds this text."),
        ])
        .answers::<Vec<wire::Task>>(200, "A page.")
        .paged()
}

fn one() -> Described {
    let explanation = json!({
        "type": "object",
        "properties": {
            "task_id": { "type": "string", "format": "uuid" },
            "status": { "type": "string" },
            "reason": { "type": "string", "description": "A code." },
            "sentence": { "type": "string", "description": "For people." },
        },
        "required": ["task_id", "status", "reason", "sentence"],
    });
    let log_wait = json!({
        "type": "integer", "minimum": 0, "maximum": task_log::WAIT_MAX, "default": 0,
    });
    vec![
        (
            "GET /api/runtime/llm-tasks/{id}",
            Operation::of(TAG, "One task").answers::<wire::Task>(200, "The task."),
        ),
        (
            "GET /api/runtime/llm-tasks/{id}/explain",
            Operation::of(TAG, "Why a task is where it is").answers_json(
                200,
                "The reason, and a sentence.",
                explanation,
            ),
        ),
        (
            "GET /api/runtime/llm-tasks/{id}/result",
            Operation::of(TAG, "The result of a task")
                .answers::<wire::TaskResult>(200, "The last result."),
        ),
        (
            "GET /api/runtime/llm-tasks/{id}/attempts",
            Operation::of(TAG, "The attempts of a task")
                .answers::<Vec<wire::Attempt>>(200, "Every lease that it has had."),
        ),
        (
            "GET /api/runtime/llm-tasks/{id}/events",
            Operation::of(TAG, "The transitions of a task")
                .text("Asked for as text/event-stream, they are told as they happen, from the first on.")
                .params([Param::query(
                    "after",
                    json!({ "type": "integer", "minimum": 0, "maximum": i32::MAX, "default": 0 }),
                    "Only those with a larger ver.",
                )])
                .answers::<Vec<wire::TaskEvent>>(200, "In order, without a gap in ver."),
        ),
        (
            "GET /api/runtime/llm-tasks/{id}/log",
            Operation::of(TAG, "What the program of a task prints")
                .params([
                    limit(task_log::PAGE, task_log::PAGE_MAX),
                    any("after", "next_cursor of the page before."),
                    Param::query(
                        "wait_seconds",
                        log_wait,
                        "Wait so long for something to be there.",
                    ),
                ])
                .answers::<wire::LogPage>(200, "A page; end says that nothing will follow."),
        ),
        (
            "GET /api/runtime/runs",
            Operation::of(TAG, "The latest tasks").answers::<Vec<wire::Task>>(200, "Up to 50."),
        ),
    ]
}

fn steer() -> Described {
    vec![
        (
            "POST /api/runtime/llm-tasks/{id}/cancel",
            Operation::of(TAG, "Cancels a task")
                .text("One that runs is asked to stop, and ended when its time of grace is over.")
                .body_or_none(|form| drop(tasks::read_cancel(form, "")))
                .sends(json!({ "reason": "no longer needed" }))
                .answers::<wire::Task>(200, "The task as it is now.")
                .refuses(&[409]),
        ),
        (
            "POST /api/runtime/llm-tasks/{id}/requeue",
            Operation::of(
                TAG,
                "Takes up a task again that failed, died or was cancelled",
            )
            .answers::<wire::Task>(200, "The task as it is now.")
            .refuses(&[409]),
        ),
        (
            "POST /api/runtime/llm-tasks/{id}/priority",
            Operation::of(TAG, "Changes the priority of a queued task")
                .body(tasks::read_priority)
                .sends(json!({ "priority": 9 }))
                .answers::<wire::Task>(200, "The task as it is now.")
                .refuses(&[409]),
        ),
        (
            "POST /api/runtime/llm-tasks/cancel",
            Operation::of(TAG, "Cancels many tasks")
                .body(|form| {
                    drop(bulk::ids(form));
                    drop(tasks::read_cancel(form, ""));
                })
                .answers_json(200, "An answer for each, in order.", each()),
        ),
        (
            "POST /api/runtime/llm-tasks/requeue",
            Operation::of(TAG, "Takes up many tasks again")
                .body(|form| drop(bulk::ids(form)))
                .answers_json(200, "An answer for each, in order.", each()),
        ),
    ]
}

/// What many tasks in one request are answered.
fn each() -> Value {
    json!({
        "type": "object",
        "properties": { "tasks": { "type": "array", "items": {
            "type": "object",
            "properties": {
                "id": { "type": "string" },
                "status": { "type": ["string", "null"] },
                "error": { "type": "string" },
                "code": { "type": "string" },
            },
            "required": ["id", "status"],
        } } },
        "required": ["tasks"],
    })
}

/// Any JSON.
pub(super) fn anything() -> Value {
    json!({})
}
