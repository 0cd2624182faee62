//! Leasing one task, and everything that is said about a lease.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{App, listed, not_found, page, refuse_while_stopping, task_id};
use crate::db::calls::VerbOptions;
use crate::db::calls::lease::{self, Grant, Heartbeat};
use crate::db::calls::task::{task_explain, task_get};
use crate::db::calls::worker::worker_get;
use crate::error::{Error, Kind, Result};
use crate::http::validate::{Form, parse_uuid};
use crate::http::{Request, Response, wire};
use crate::routing::{Need, rank};

/// The actor of leases that the service itself assigns.
pub const ROUTER: &str = "router";
/// How many ranked workers are offered to the verb.
pub const OFFERED: usize = 100;
/// The longest a lease may live without a sign of life, in seconds.
const TTL_MAX: i64 = 86_400;
/// The ttl of a lease, unless told otherwise, in seconds.
pub const TTL: i64 = 300;
/// `POST /llm-tasks/:id/lease`.
pub async fn lease(app: Arc<App>, request: Request) -> Result<Response> {
    let id = task_id(&request)?;
    let body = request.json().await?;
    let mut form = Form::or_empty(body.as_ref())?;
    let (worker, ttl) = read_lease(&mut form);
    form.finish()?;
    refuse_while_stopping(&app)?;
    let ttl = i32::try_from(ttl).unwrap_or(i32::MAX);
    let grant = match worker {
        Some(worker) => lease::lease_task(&app.db, id, &[&worker], ttl, ROUTER).await?,
        None => assign(&app, id, ttl).await?,
    };
    app.metrics.leased(&grant);
    let worker = worker_get(&app.db, &grant.worker_id).await?;
    let lease = wire::Granted::from(grant).lease;
    let worker = wire::worker(&worker);
    Response::created(&wire::Assigned { lease, worker })
}

/// The worker that is wished for, and the lease's ttl.
pub(super) fn read_lease(form: &mut Form<'_>) -> (Option<String>, i64) {
    let worker = form.string("worker_id").min(1).max(128).nullable();
    let ttl = form.integer("ttl_seconds").range(1, TTL_MAX).or(TTL);
    (worker, ttl)
}

/// Leases the task to the best worker. A snapshot that has grown stale gets one second chance.
async fn assign(app: &App, id: Uuid, ttl: i32) -> Result<Grant> {
    let task = task_get(&app.db, id).await?;
    let need = Need {
        context_id: &task.context_id,
        requires: &task.requires,
        conversation_worker: task.context_worker_id.as_deref(),
    };
    for is_last in [false, true] {
        let fleet = app.fleet.candidates().await?;
        let mut ranked = rank(&need, &fleet);
        ranked.truncate(OFFERED);
        // Also with an empty list: the verb knows whether the task could be leased at all.
        match lease::lease_task(&app.db, id, &ranked, ttl, ROUTER).await {
            Err(Error::Refused {
                kind: Kind::Busy, ..
            }) if !is_last => app.fleet.forget().await,
            Err(refusal) => return Err(explained(app, id, refusal).await),
            granted => return granted,
        }
    }
    Err(Error::internal("a lease was neither granted nor refused"))
}

/// That nobody could be picked, with the reason and the sentence of the explanation.
pub async fn explained(app: &App, id: Uuid, refusal: Error) -> Error {
    match refusal {
        Error::Refused {
            kind,
            code,
            message,
            mut detail,
        } if code == "no_available_worker" => {
            if let Ok(mut why) = task_explain(&app.db, id).await {
                let members =
                    ["reason", "sentence"].map(|name| (name.to_owned(), why[name].take()));
                detail.extend(members);
            }
            Error::Refused {
                kind,
                code,
                message,
                detail,
            }
        }
        other => other,
    }
}

/// `GET /leases`.
pub async fn list(app: Arc<App>, request: Request) -> Result<Response> {
    let query = request.query()?;
    let (limit, before) = page(&query)?;
    let status = query.text("status")?;
    let rows = lease::lease_list(&app.db, status, limit, before).await?;
    let last = rows.last().map(|row| row.id);
    let rows: Vec<_> = rows.into_iter().map(wire::Lease::from).collect();
    listed(&rows, limit, last, async |id| {
        Ok(!lease::lease_list(&app.db, status, 1, Some(id))
            .await?
            .is_empty())
    })
    .await
}

/// The header in which a lease may be named.
pub(super) const LEASE_HEADER: &str = "x-lease-id";

/// The lease that a caller names in the body or in the header; both must agree. A header that is
/// there but says nothing sound must not pass for one that is absent: the call would then apply to
/// the current lease, whoever's that is.
pub(super) fn named_lease(app: &App, request: &Request, form: &mut Form<'_>) -> Option<Uuid> {
    let member = form.uuid("lease_id").nullable();
    if !request.headers().contains_key(LEASE_HEADER) {
        if member.is_none() && app.strict_leases {
            form.problem("lease_id", "Required");
        }
        return member;
    }
    let header = request.header(LEASE_HEADER).and_then(parse_uuid);
    match (member, header) {
        (_, None) => form.problem("lease_id", "Invalid uuid"),
        (Some(member), Some(header)) if member != header => {
            form.problem("lease_id", "Differs from the X-Lease-Id header");
        }
        (_, Some(_)) => {}
    }
    header
}

/// `POST /llm-tasks/:id/heartbeat`.
pub async fn heartbeat(app: Arc<App>, request: Request) -> Result<Response> {
    let id = request
        .uuid("id")
        .ok_or_else(|| not_found("task_not_found", "Task or lease not found"))?;
    let body = request.json().await?;
    let mut form = Form::or_empty(body.as_ref())?;
    let lease_id = named_lease(&app, &request, &mut form);
    let (worker, ttl) = read_heartbeat(&mut form);
    form.finish()?;
    let actor = request.caller().name();
    let lease = if let Some(lease_id) = lease_id {
        let heartbeat = Heartbeat {
            task_id: id,
            lease_id,
            ttl_seconds: ttl.and_then(|ttl| i32::try_from(ttl).ok()),
            worker_id: worker,
            actor: actor.to_owned(),
        };
        app.heartbeats.call(actor, heartbeat).await?
    } else {
        let options = VerbOptions::of(actor)
            .maybe("worker_id", worker)
            .maybe("ttl_seconds", ttl);
        lease::lease_heartbeat(&app.db, id, None, options).await?
    };
    let expires_at = lease.expires_at;
    let lease = wire::Lease::from(lease);
    Response::ok(&wire::Beaten { lease, expires_at })
}

/// What a heartbeat may say beside the lease's id: the worker, and for how long.
pub(super) fn read_heartbeat(form: &mut Form<'_>) -> (Option<String>, Option<i64>) {
    (
        form.string("worker_id").max(128).nullable(),
        form.integer("ttl_seconds").range(1, TTL_MAX).optional(),
    )
}

/// How the worker ended the processes of the task.
pub(super) fn stopped(form: &mut Form<'_>) -> Option<Value> {
    form.object("stopped").nullable(|stopped| {
        let gone = stopped.boolean("tree_gone").required();
        let signal = stopped
            .choice("signal", &["none", "SIGTERM", "SIGKILL"])
            .required();
        let processes = stopped
            .integer("processes")
            .range(0, i64::from(i32::MAX))
            .required();
        json!({ "tree_gone": gone, "signal": signal, "processes": processes })
    })
}

/// `POST /llm-tasks/:id/release`.
pub async fn release(app: Arc<App>, request: Request) -> Result<Response> {
    let id = task_id(&request)?;
    let body = request.json().await?;
    let mut form = Form::or_empty(body.as_ref())?;
    let lease_id = named_lease(&app, &request, &mut form);
    if lease_id.is_none() {
        form.problem("lease_id", "Required");
    }
    let options = read_release(&mut form, request.caller().name());
    form.finish()?;
    lease::lease_release(&app.db, id, lease_id.unwrap_or_default(), options).await?;
    let task = task_get(&app.db, id).await?;
    Response::ok(&wire::Task::from(task))
}

/// What a release may say beside the lease's id.
pub(super) fn read_release(form: &mut Form<'_>, actor: &str) -> VerbOptions {
    let reason = form.string("reason").max(2000).nullable();
    let limited_until = form.epoch_ms("limited_until").nullable();
    let stopped = stopped(form);
    let worker = form.string("worker_id").max(128).nullable();
    VerbOptions::of(actor)
        .maybe("reason", reason)
        .maybe("limited_until", limited_until)
        .maybe("stopped", stopped)
        .maybe("worker_id", worker)
}
