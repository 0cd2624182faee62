//! `/workers`.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::App;
use crate::db::Db;
use crate::db::calls::VerbOptions;
use crate::db::calls::lease::lease_list;
use crate::db::calls::worker;
use crate::error::Result;
use crate::http::validate::Form;
use crate::http::{Request, Response, StatusCode, wire};

/// How many live leases are looked at together for those of one worker.
const LEASES_PAGE: i32 = 1000;
/// How often, at most.
const LEASES_PAGES_MAX: u32 = 100;
/// How many leases a beat may list.
const BEAT_MAX: usize = 100;
/// The longest progress report of one lease, in bytes of JSON.
const PROGRESS_MAX: usize = 8 << 10;

/// `GET /workers`.
pub async fn list(app: Arc<App>, _request: Request) -> Result<Response> {
    let rows = worker::worker_list(&app.db).await?;
    Response::ok(&rows.iter().map(wire::worker).collect::<Vec<_>>())
}

/// `GET /workers/:id`.
pub async fn show(app: Arc<App>, request: Request) -> Result<Response> {
    let row = worker::worker_get(&app.db, request.param("id")?).await?;
    let leases = live_leases(&app.db, &row).await?;
    let worker = wire::worker(&row);
    Response::ok(&wire::WorkerWithLeases { worker, leases })
}

/// The live leases of a worker, newest first.
async fn live_leases(db: &Db, worker: &worker::Worker) -> Result<Vec<wire::Lease>> {
    let wanted = usize::try_from(worker.active).unwrap_or(0);
    let (mut own, mut before) = (Vec::with_capacity(wanted), None);
    for _ in 0..LEASES_PAGES_MAX {
        if own.len() >= wanted {
            break;
        }
        let page = lease_list(db, Some("active"), LEASES_PAGE, before).await?;
        before = page.last().map(|lease| lease.id);
        if before.is_none() {
            break;
        }
        let mine = page
            .into_iter()
            .filter(|lease| lease.worker_id == worker.id);
        own.extend(mine.map(wire::Lease::from));
    }
    Ok(own)
}

/// `POST /workers`.
pub async fn register(app: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let (name, options) = read(&mut form, request.caller().name());
    form.finish()?;
    let row = worker::worker_register(&app.db, &name, options).await?;
    app.fleet.forget().await;
    let status = if row.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Response::json(status, &wire::worker(&row))
}

/// A registration: the worker's name, and what it says of itself.
pub(super) fn read(form: &mut Form<'_>, actor: &str) -> (String, VerbOptions) {
    let name: String = form.string("name").min(1).max(128).required();
    let url: Option<String> = form.string("url").max(2048).optional();
    if url
        .as_deref()
        .is_some_and(|url| !url.is_empty() && !is_http_url(url))
    {
        form.problem("url", "Invalid url");
    }
    let known = &["online", "offline", "syncing", "error", "unknown"];
    let status = form.choice("status", known).or("online");
    let options = form.object("capabilities").or_empty(|capabilities| {
        let agents = capabilities.integer("max_concurrency").range(1, 32);
        let agents = agents.optional();
        let pool = capabilities.integer("slots").range(1, 1000).optional();
        VerbOptions::of(actor)
            .maybe("claude_cli", capabilities.boolean("claude_cli").optional())
            .maybe("max_concurrency", pool.or(agents))
            .maybe(
                "labels",
                capabilities
                    .strings("labels")
                    .max_items(100)
                    .each(1, 128)
                    .optional()
                    .map(|x| json!(x)),
            )
    });
    let addresses = form
        .strings("ip_addrs")
        .max_items(100)
        .each(1, 128)
        .optional();
    let version = form.string("agent_version").max(128).optional();
    let os = form.string("os_info").max(512).optional();
    let method = form.string("install_method").max(128).optional();
    let credential: Option<String> = form.string("credential").min(1).max(128).nullable();
    let options = options
        .with("status", status)
        .maybe("url", url)
        .maybe("ip_addrs", addresses.map(|list| json!(list)))
        .maybe("agent_version", version)
        .maybe("os_info", os)
        .maybe("install_method", method)
        .maybe("credential", credential);
    (name, options)
}

fn is_http_url(text: &str) -> bool {
    reqwest::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// `DELETE /workers/:id`.
pub async fn remove(app: Arc<App>, request: Request) -> Result<Response> {
    let id = request.param("id")?;
    let leases_ended = worker::worker_remove(&app.db, id, request.caller().name()).await?;
    app.fleet.forget().await;
    let (removed, id) = (true, id.to_owned());
    Response::ok(&wire::Removed {
        removed,
        id,
        leases_ended,
    })
}

/// `POST /workers/:id/beat`.
pub async fn beat(app: Arc<App>, request: Request) -> Result<Response> {
    let id = request.param("id")?;
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let (session, leases) = read_beat(&mut form);
    form.finish()?;
    let answer = app.beats.call(id, session, leases).await?;
    Response::ok(&answer)
}

/// A beat: the session, and the leases that it works on.
pub(super) fn read_beat(form: &mut Form<'_>) -> (Uuid, Vec<Value>) {
    let session = form.uuid("session_id").required();
    let leases = form
        .objects("leases", |lease| {
            let id = lease.uuid("lease_id").required();
            let progress = lease.json("progress").max_bytes(PROGRESS_MAX).nullable();
            let usage = lease.json("usage").max_bytes(PROGRESS_MAX).nullable();
            VerbOptions::default()
                .with("lease_id", id.to_string())
                .maybe("progress", progress)
                .maybe("usage", usage)
                .json()
        })
        .max_items(BEAT_MAX)
        .or(Vec::new());
    (session, leases)
}

/// `POST /workers/:id/leave`: `{"session_id"}`, the last word of a worker's process. Answers
/// `{"offline": bool}`: whether the worker is gone with it.
pub async fn leave(app: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let session = read_leave(&mut form);
    form.finish()?;
    let offline = worker::worker_leave(&app.db, request.param("id")?, session).await?;
    app.fleet.forget().await;
    Response::ok(&wire::Gone { offline })
}

/// Which process leaves.
pub(super) fn read_leave(form: &mut Form<'_>) -> Uuid {
    form.uuid("session_id").required()
}

/// `POST /workers/:id/drain`: no new leases.
pub async fn drain(app: Arc<App>, request: Request) -> Result<Response> {
    set_draining(&app, &request, true).await
}

/// `POST /workers/:id/resume`: the end of draining.
pub async fn resume(app: Arc<App>, request: Request) -> Result<Response> {
    set_draining(&app, &request, false).await
}

async fn set_draining(app: &App, request: &Request, draining: bool) -> Result<Response> {
    let options = VerbOptions::of(request.caller().name()).with("draining", draining);
    let row = worker::worker_update(&app.db, request.param("id")?, options).await?;
    app.fleet.forget().await;
    Response::ok(&wire::worker(&row))
}
