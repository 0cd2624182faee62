//! What workers report about leases: one at a time, or many in one request.

mod stored;

use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::leases::{LEASE_HEADER, named_lease, stopped};
use super::{App, task_id};
use crate::artifacts::Stored;
use crate::db::Lane;
use crate::db::calls::VerbOptions;
use crate::db::calls::lease::{self, Completed, Report};
use crate::db::calls::task::{TaskResult, task_get_through};
use crate::error::{Error, Result};
use crate::http::failure::{refusal_body, status_of};
use crate::http::validate::{Form, parse_uuid};
use crate::http::{Request, Response, wire};

/// The metrics that the contract knows.
const KNOWN_METRICS: [&str; 2] = ["duration_ms", "tokens_used"];
/// How many metrics of a result are kept.
const METRICS_MAX: usize = 50;
/// The longest metric that is a text, in bytes.
const METRIC_TEXT_MAX: usize = 256;
/// The longest error message that is stored, in characters.
const ERROR_MAX: usize = 1 << 20;
/// The longest output that is stored, in characters; the body limit comes first.
const OUTPUT_MAX: usize = 64 << 20;
/// How many leases one request may end.
pub(super) const ITEMS_MAX: usize = 100;

/// What a worker said of one task.
pub(super) struct Said {
    lease_id: Option<Uuid>,
    status: &'static str,
    output: Option<String>,
    error_message: Option<String>,
    metrics: Value,
    kind: String,
    tags: Vec<String>,
    options: VerbOptions,
}

/// `POST /llm-tasks/:id/complete`. With `Prefer: return=minimal` the answer is that of one item of
/// [`complete_many`].
pub async fn complete(app: Arc<App>, request: Request) -> Result<Response> {
    let id = task_id(&request)?;
    let body = request.json().await?;
    let read = || -> Result<Said> {
        let mut form = Form::new(body.as_ref())?;
        let lease_id = named_lease(&app, &request, &mut form);
        let said = read(&mut form, body.as_ref(), lease_id);
        form.finish()?;
        Ok(said)
    };
    let said = match read() {
        Ok(said) => said,
        Err(problem) => {
            // The contract's order: what is wrong with the task comes first.
            let member = body
                .as_ref()
                .and_then(|body| body.get("lease_id")?.as_str());
            let lease = request.header(LEASE_HEADER).or(member).and_then(parse_uuid);
            lease::lease_check(&app.db, id, lease).await?;
            return Err(problem);
        }
    };
    let is_minimal = request.prefers_minimal();
    let stored = stored::put(&app, id, &said).await;
    let done = end(&app, &request, id, &said, stored.as_ref()).await?;
    app.waiters.worker_freed(&done.worker_id);
    app.metrics.completed(&done);
    if is_minimal {
        return Response::ok(&shown(&done));
    }
    // The result is stored: a flood of other requests must not keep its worker from hearing so.
    let task = wire::Task::from(task_get_through(&app.db, Lane::Reserved, id).await?);
    let artifact = stored::artifact(&app, &done, &said, stored).await;
    let result = TaskResult {
        id: done.lease_id,
        task_id: id,
        worker_id: done.worker_id,
        artifact_id: done.artifact_id,
        status: said.status.to_owned(),
        output: said.output,
        error_message: said.error_message,
        metrics: said.metrics,
        completed_at: done.completed_at,
        output_url: None,
    };
    Response::ok(&wire::Completed {
        task,
        artifact: wire::artifact(&artifact),
        result: wire::result(&result),
    })
}

/// Together with other reports, unless its output is in object storage, or the lease is not named:
/// then it is the current one's.
async fn end(
    app: &App,
    request: &Request,
    id: Uuid,
    said: &Said,
    stored: Option<&Stored>,
) -> Result<Completed> {
    if let Some(stored) = stored {
        let (stored, options) = (stored.json(), said.options.clone());
        let status = said.status;
        return lease::lease_complete_stored(&app.db, id, said.lease_id, status, &stored, options)
            .await;
    }
    let Some(lease_id) = said.lease_id else {
        let output = said.output.as_deref();
        let options = said.options.clone();
        return lease::lease_complete(&app.db, id, None, said.status, output, options).await;
    };
    let report = Report {
        task_id: id,
        lease_id,
        status: said.status,
        output: said.output.clone(),
        options: said.options.clone(),
    };
    app.completions.call(request.caller().name(), report).await
}

/// `POST /leases/complete`: `{"items": [{"task_id", "lease_id", "status", …}]}`, each otherwise as
/// the body of `POST /llm-tasks/:id/complete` → `{"items": [{"task_id", "lease_id", "task_status",
/// "artifact_id", "completed_at", "replayed"} | {"error", "code", "status"}]}`, in order.
pub async fn complete_many(app: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let items = form.items("items", ITEMS_MAX);
    form.finish()?;
    let read: Vec<_> = items.iter().map(read_item).collect();
    let reports: Vec<_> = read.iter().filter_map(|item| item.as_ref().ok()).collect();
    let ended = stored::end_many(&app, &reports).await?;
    for done in ended.iter().flatten() {
        app.metrics.completed(done);
    }
    let mut workers: Vec<_> = ended.iter().flatten().map(|done| &done.worker_id).collect();
    workers.sort_unstable();
    workers.dedup();
    for worker in workers {
        app.waiters.worker_freed(worker);
    }
    let mut ended = ended.into_iter();
    let answers: Vec<_> = read
        .into_iter()
        .map(|item| match item {
            Ok(_) => ended
                .next()
                .unwrap_or_else(|| Err(Error::internal("a report without an answer"))),
            Err(problem) => Err(problem),
        })
        .map(|answer| match answer {
            Ok(done) => json!(shown(&done)),
            Err(error) => refused(&error),
        })
        .collect();
    Response::ok(&json!({ "items": answers }))
}

fn read_item(item: &Value) -> Result<Report> {
    let mut form = Form::new(Some(item))?;
    let (task_id, lease_id) = read_ids(&mut form);
    let said = read(&mut form, Some(item), Some(lease_id));
    form.finish()?;
    Ok(Report {
        task_id,
        lease_id,
        status: said.status,
        output: said.output,
        options: said.options,
    })
}

fn shown(done: &Completed) -> wire::Ended {
    wire::Ended {
        task_id: done.task_id,
        lease_id: done.lease_id,
        task_status: done.task_status.clone(),
        artifact_id: done.artifact_id,
        completed_at: done.completed_at,
        replayed: done.replayed,
    }
}

fn refused(error: &Error) -> Value {
    let mut body = refusal_body(error);
    body.insert("status".to_owned(), json!(status_of(error).as_u16()));
    Value::Object(body)
}

/// The task and the lease that an item is about.
pub(super) fn read_ids(form: &mut Form<'_>) -> (Uuid, Uuid) {
    let task_id = form.uuid("task_id").required();
    (task_id, form.uuid("lease_id").required())
}

/// What the rest of a form says.
pub(super) fn read(form: &mut Form<'_>, body: Option<&Value>, lease_id: Option<Uuid>) -> Said {
    let status = form.choice("status", &["success", "error"]).required();
    let output: Option<String> = form.string("output").max(OUTPUT_MAX).nullable();
    let error: Option<String> = form.string("error_message").max(ERROR_MAX).nullable();
    let (duration, tokens) = form.object("metrics").or_empty(|metrics| {
        let most = i64::from(i32::MAX);
        let duration = metrics.integer("duration_ms").range(0, most).or(0);
        let tokens = metrics.integer("tokens_used").range(0, most).nullable();
        (duration, tokens)
    });
    let kind: String = form
        .string("artifact_type")
        .min(1)
        .max(128)
        .or("LLM_RESULT".into());
    let tags = form
        .strings("artifact_tags")
        .max_items(100)
        .each(1, 256)
        .or(Vec::new());
    let retryable = form.boolean("retryable").or(true);
    let conversation = conversation(form);
    let stopped = stopped(form);
    let worker = form.string("worker_id").max(128).nullable();
    let tags: Vec<String> = tags.into_iter().collect();
    let mut metrics = metrics(body.and_then(|body| body.get("metrics")));
    metrics.insert("duration_ms".to_owned(), json!(duration));
    metrics.insert("tokens_used".to_owned(), json!(tokens));
    let metrics = Value::Object(metrics);
    let options = VerbOptions::default()
        .maybe("error_message", error.clone())
        .with("metrics", metrics.clone())
        .with("artifact_type", kind.clone())
        .with("artifact_tags", json!(tags))
        .with("retryable", retryable)
        .maybe("conversation", conversation)
        .maybe("stopped", stopped)
        .maybe("worker_id", worker);
    Said {
        lease_id,
        status,
        output,
        error_message: error,
        metrics,
        kind,
        tags,
        options,
    }
}

/// The metrics beside those of the contract that are kept: numbers, booleans and short texts.
fn metrics(given: Option<&Value>) -> Map<String, Value> {
    let given = given.and_then(Value::as_object).into_iter().flatten();
    let is_kept = |value: &Value| match value {
        Value::Object(_) | Value::Array(_) => false,
        Value::String(text) => text.len() <= METRIC_TEXT_MAX,
        _ => true,
    };
    given
        .filter(|(name, value)| !KNOWN_METRICS.contains(&name.as_str()) && is_kept(value))
        .take(METRICS_MAX - KNOWN_METRICS.len())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The conversation that a success leaves to the next task of its context.
fn conversation(form: &mut Form<'_>) -> Option<Value> {
    form.object("conversation").nullable(|conversation| {
        let session: String = conversation.string("session_id").min(1).max(200).required();
        let how = conversation
            .choice("how", &["new", "resumed", "forked", "moved"])
            .required();
        json!({ "session_id": session, "how": how })
    })
}
