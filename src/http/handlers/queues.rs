//! `/queues`.

use std::sync::Arc;

use serde_json::json;

use super::App;
use crate::db::calls::VerbOptions;
use crate::db::calls::queue;
use crate::db::calls::task::task_requeue_dead;
use crate::error::Result;
use crate::http::validate::Form;
use crate::http::{Request, Response, wire};

/// `GET /queues`.
pub async fn list(app: Arc<App>, _request: Request) -> Result<Response> {
    let rows = queue::queue_list(&app.db).await?;
    Response::ok(&rows.iter().map(wire::queue).collect::<Vec<_>>())
}

/// `POST /queues/:name`: `max_running` (null: no limit), `serial_contexts`, `aging_seconds`,
/// `pin_wait_ms`; what is absent stays.
pub async fn configure(app: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let (limit, mut options) = read(&mut form, request.caller().name());
    form.finish()?;
    let unlimited = body.as_ref().is_some_and(|body| {
        body.get("max_running")
            .is_some_and(serde_json::Value::is_null)
    });
    if limit.is_some() || unlimited {
        options = options.with("max_running", json!(limit));
    }
    change(&app, &request, options).await
}

/// The limit of a queue, and what else is to change.
pub(super) fn read(form: &mut Form<'_>, actor: &str) -> (Option<i64>, VerbOptions) {
    let limit = form.integer("max_running").range(1, 1_000_000).nullable();
    let serial = form.boolean("serial_contexts").optional();
    let aging = form.integer("aging_seconds").range(1, 86_400).optional();
    let pin = form.integer("pin_wait_ms").range(0, 600_000).optional();
    let options = VerbOptions::of(actor)
        .maybe("serial_contexts", serial)
        .maybe("aging_seconds", aging)
        .maybe("pin_wait_ms", pin);
    (limit, options)
}

/// `POST /queues/:name/pause`.
pub async fn pause(app: Arc<App>, request: Request) -> Result<Response> {
    let options = VerbOptions::of(request.caller().name()).with("paused", true);
    change(&app, &request, options).await
}

/// `POST /queues/:name/resume`.
pub async fn resume(app: Arc<App>, request: Request) -> Result<Response> {
    let options = VerbOptions::of(request.caller().name()).with("paused", false);
    change(&app, &request, options).await
}

async fn change(app: &App, request: &Request, options: VerbOptions) -> Result<Response> {
    let row = queue::queue_configure(&app.db, request.param("name")?, options).await?;
    Response::ok(&wire::queue(&row))
}

/// `POST /queues/:name/redrive`: requeues dead tasks, newest first.
pub async fn redrive(app: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let mut form = Form::or_empty(body.as_ref())?;
    let limit = read_redrive(&mut form);
    form.finish()?;
    let limit = i32::try_from(limit).unwrap_or(1);
    let actor = request.caller().name();
    let requeued = task_requeue_dead(&app.db, request.param("name")?, limit, actor).await?;
    Response::ok(&wire::Requeued { requeued })
}

/// How many to requeue.
pub(super) fn read_redrive(form: &mut Form<'_>) -> i64 {
    form.integer("limit").range(1, 1000).or(100)
}
