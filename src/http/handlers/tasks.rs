//! `/llm-tasks`.

use std::sync::Arc;

use super::artifacts::stored_text;
use super::events::{stream_task, wants_stream};
use super::submission::Outside;
use super::{App, page, submission, task_id};
use crate::db::calls::audit::task_events;
use crate::db::calls::task::{self, TaskFilter};
use crate::db::calls::{VerbOptions, audit};
use crate::error::{Error, Result};
use crate::http::validate::Form;
use crate::http::{Request, Response, StatusCode, wire};
use crate::routing::{Need, rank};
use crate::wake::Lane;

/// How many tasks `/runs` shows.
const RUNS: i32 = 50;

/// `POST /llm-tasks`.
pub async fn create(app: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let outside = Outside {
        key: idempotency_key(&request)?,
        trace: request.trace(),
    };
    let submission = submission::read(body.as_ref(), outside)?;
    let is_deferred = submission.is_deferred();
    let stored = app
        .submits
        .call(request.caller().name(), submission.task)
        .await?;
    if stored.created && !is_deferred {
        announce(&app, &submission.queue, &submission.requires, 1);
    }
    let status = if stored.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Response::json(status, &wire::Task::from(stored.task))
}

/// The `Idempotency-Key` header. One that is there but unreadable must not pass for absent: the
/// caller counts on it.
fn idempotency_key(request: &Request) -> Result<Option<&str>> {
    const NAME: &str = "idempotency-key";
    match request.header(NAME) {
        None if request.headers().contains_key(NAME) => Err(Error::field(
            "idempotency_key",
            "The Idempotency-Key header must be given once, in ASCII",
        )),
        key => Ok(key),
    }
}

/// Wakes waiters of this process, and tells other processes of what is left.
pub fn announce(app: &App, queue: &str, requires: &[String], tasks: u32) {
    let lane = Lane {
        queue: queue.to_owned(),
        requires: requires.iter().cloned().collect(),
    };
    let left = app.waiters.wake(&lane, tasks as usize);
    if left > 0 {
        app.announcer
            .announce(&lane, u32::try_from(left).unwrap_or(u32::MAX));
    }
}

/// `GET /llm-tasks`.
pub async fn list(app: Arc<App>, request: Request) -> Result<Response> {
    let query = request.query()?;
    let (limit, before) = page(&query)?;
    let text = |name| query.text(name).map(|text| text.map(str::to_owned));
    let filter = TaskFilter {
        status: text("status")?,
        context_id: text("context_id")?,
        queue: text("queue")?,
        agent_slug: text("agent")?.or(text("agent_slug")?),
        worker_id: text("worker")?.or(text("worker_id")?),
        label: text("label")?,
        text: text("q")?,
    };
    let rows = task::task_list(&app.db, &filter, limit, before).await?;
    let last = rows.last().map(|row| row.id);
    let rows: Vec<_> = rows.into_iter().map(wire::Task::from).collect();
    let is_short = i32::try_from(rows.len()).is_ok_and(|rows| rows < limit);
    let mut next = None;
    if let Some(id) = last {
        // A page may be short because its prompts are large; its length does not tell.
        let rest = task::task_list(&app.db, &filter, 1, Some(id)).await?;
        next = (!rest.is_empty()).then_some(id);
    }
    if next.is_none() && filter.is_narrow() {
        // Each page looks through so many tasks only, so there may be more beyond its reach.
        let from = if is_short { before } else { last };
        next = task::task_reach(&app.db, filter.status.as_deref(), from).await?;
    }
    let response = Response::ok(&rows)?;
    match next {
        Some(id) => response.header("x-next-cursor", &id.to_string()),
        None => Ok(response),
    }
}

/// `GET /runs`: fewer than that where their prompts pass what a page may hold.
pub async fn runs(app: Arc<App>, _request: Request) -> Result<Response> {
    let rows = task::task_list(&app.db, &TaskFilter::default(), RUNS, None).await?;
    Response::ok(&rows.into_iter().map(wire::Task::from).collect::<Vec<_>>())
}

/// `GET /llm-tasks/:id`.
pub async fn show(app: Arc<App>, request: Request) -> Result<Response> {
    let task = task::task_get(&app.db, task_id(&request)?).await?;
    Response::ok(&wire::Task::from(task))
}

/// `GET /llm-tasks/:id/explain`. Where workers have room for it, also to which of them it would go
/// (`data.next_worker`, null for none).
pub async fn explain(app: Arc<App>, request: Request) -> Result<Response> {
    let id = task_id(&request)?;
    let mut why = task::task_explain(&app.db, id).await?;
    if matches!(why["reason"].as_str(), Some("next" | "pinned")) {
        let task = task::task_get(&app.db, id).await?;
        let need = Need {
            context_id: &task.context_id,
            requires: &task.requires,
            conversation_worker: task.context_worker_id.as_deref(),
        };
        let fleet = app.fleet.candidates().await?;
        why["data"]["next_worker"] = rank(&need, &fleet).first().copied().into();
    }
    Response::ok(&why)
}

/// `GET /llm-tasks/:id/result`.
pub async fn result(app: Arc<App>, request: Request) -> Result<Response> {
    let mut result = task::task_result(&app.db, task_id(&request)?).await?;
    if let Some(url) = &result.output_url {
        result.output = Some(stored_text(&app, result.artifact_id, url).await?);
    }
    Response::ok(&wire::result(&result))
}

/// `GET /llm-tasks/:id/attempts`.
pub async fn attempts(app: Arc<App>, request: Request) -> Result<Response> {
    let rows = task::task_attempts(&app.db, task_id(&request)?).await?;
    Response::ok(&rows.iter().map(wire::attempt).collect::<Vec<_>>())
}

/// `GET /llm-tasks/:id/events`: the transitions, from `?after=ver` on; with `Accept:
/// text/event-stream` a stream of them.
pub async fn events(app: Arc<App>, request: Request) -> Result<Response> {
    let id = task_id(&request)?;
    if wants_stream(&request) {
        return stream_task(app, request, id).await;
    }
    let after = request
        .query()?
        .integer("after", 0..=i64::from(i32::MAX))?
        .unwrap_or(0);
    let rows: Vec<audit::Event> =
        task_events(&app.db, id, i32::try_from(after).unwrap_or(i32::MAX)).await?;
    Response::ok(&rows.iter().map(wire::task_event).collect::<Vec<_>>())
}

/// `POST /llm-tasks/:id/cancel`.
pub async fn cancel(app: Arc<App>, request: Request) -> Result<Response> {
    let id = task_id(&request)?;
    let body = request.json().await?;
    let mut form = Form::or_empty(body.as_ref())?;
    let options = read_cancel(&mut form, request.caller().name());
    form.finish()?;
    task::task_cancel(&app.db, id, options).await?;
    Response::ok(&wire::Task::from(task::task_get(&app.db, id).await?))
}

/// What a cancel may say.
pub(super) fn read_cancel(form: &mut Form<'_>, actor: &str) -> VerbOptions {
    let reason = form.string("reason").max(2000).nullable();
    let grace = form.integer("grace_seconds").range(1, 3600).optional();
    VerbOptions::of(actor)
        .maybe("reason", reason)
        .maybe("grace_seconds", grace)
}

/// `POST /llm-tasks/:id/requeue`.
pub async fn requeue(app: Arc<App>, request: Request) -> Result<Response> {
    let id = task_id(&request)?;
    task::task_requeue(&app.db, id, request.caller().name()).await?;
    Response::ok(&wire::Task::from(task::task_get(&app.db, id).await?))
}

/// `POST /llm-tasks/:id/priority`: `{"priority": 0..9}`, for a queued task.
pub async fn prioritize(app: Arc<App>, request: Request) -> Result<Response> {
    let id = task_id(&request)?;
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let priority = read_priority(&mut form);
    form.finish()?;
    let priority = i32::try_from(priority).unwrap_or(i32::MAX);
    task::task_prioritize(&app.db, id, priority, request.caller().name()).await?;
    Response::ok(&wire::Task::from(task::task_get(&app.db, id).await?))
}

/// The priority to have.
pub(super) fn read_priority(form: &mut Form<'_>) -> i64 {
    form.integer("priority").range(0, 9).required()
}
