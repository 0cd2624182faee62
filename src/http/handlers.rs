//! The handlers of all routes. They read a request, make one call or two, and render the answer;
//! what a task's state allows is decided by the verbs.

mod artifacts;
mod audit;
mod batch;
mod bulk;
mod complete;
mod credentials;
mod dispatch;
pub mod docs;
mod events;
mod health;
mod leases;
mod membridge;
mod metrics;
mod overview;
mod pull;
mod queues;
pub(super) mod submission;
mod task_log;
mod tasks;
mod webhooks;
mod workers;

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::control::ControlPlane;
use super::query::Query;
use super::router::RouteError;
use super::{Access, BodyLimit, RateClass, Response, Route, Router, Scope, assets};
use crate::artifacts::Artifacts;
use crate::batch::complete::Completions;
use crate::batch::heartbeat::{Beats, Heartbeats};
use crate::batch::lease::Leases;
use crate::batch::submit::Submits;
use crate::db::Db;
use crate::dispatch::Dispatcher;
use crate::error::{Error, Kind, Result};
use crate::events::Feed;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::overview::Overview;
use crate::shutdown::Shutdown;
use crate::wake::{Announcer, Waiters};
use crate::webhooks::Webhooks;

/// The default number of rows of a list.
const PAGE: i64 = 100;
/// The largest number of rows of a list.
const PAGE_MAX: i64 = 1000;

/// What handlers work with.
pub struct App {
    /// The queue.
    pub db: Db,
    /// Submissions on their way to it.
    pub submits: Submits,
    /// Requests for work on their way.
    pub leases: Leases,
    /// Reports on their way.
    pub completions: Completions,
    /// Outputs in object storage.
    pub artifacts: Artifacts,
    /// Heartbeats on their way.
    pub heartbeats: Heartbeats,
    /// Beats on their way.
    pub beats: Beats,
    /// The workers, for routing.
    pub fleet: Fleet,
    /// Lease requests that wait for work.
    pub waiters: Waiters,
    /// The event log, live.
    pub feed: Feed,
    /// Where events are sent to.
    pub webhooks: Webhooks,
    /// How things are.
    pub overview: Overview,
    /// The connection to Membridge.
    pub control: Arc<dyn ControlPlane>,
    /// Pushes tasks to agents.
    pub dispatcher: Dispatcher,
    /// Tells other processes of new tasks.
    pub announcer: Announcer,
    /// Whose seals over the event log are trusted; none: nothing is sealed.
    pub seal_keys: Vec<String>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Asks requests to come to an end.
    pub shutdown: Shutdown,
    /// How many readers of live logs may wait at the same time.
    pub log_readers: Semaphore,
    /// When the process started.
    pub started: Instant,
    /// Whether heartbeats and completions must name their lease.
    pub strict_leases: bool,
}

const PRODUCERS: Access = Access::any_of(&[Scope::Producer]);
const WORKERS: Access = Access::any_of(&[Scope::Worker]);
const READERS: Access = Access::any_of(&[Scope::Reader]);
/// One thing by its id: whoever submits or works on tasks may look.
const ANYONE: Access = Access::any_of(&[Scope::Reader, Scope::Producer, Scope::Worker]);
const ADMINS: Access = Access::any_of(&[]);

/// The table of routes, with the web UI behind it.
///
/// # Errors
/// When two routes collide: a mistake in the table.
pub fn router() -> std::result::Result<Router<App>, RouteError> {
    let mut routes = task_routes();
    routes.extend(worker_routes());
    routes.extend(reading_routes());
    routes.extend(webhook_routes());
    routes.extend(membridge_routes());
    Ok(Router::new(routes)?.fallback(assets::serve))
}

fn task_routes() -> Vec<Route<App>> {
    vec![
        Route::post("/api/runtime/llm-tasks", PRODUCERS, tasks::create)
            .rate(RateClass::Worker)
            .body(BodyLimit::Large),
        Route::post("/api/runtime/llm-tasks/batch", PRODUCERS, batch::submit)
            .rate(RateClass::Worker)
            .body(BodyLimit::Large),
        Route::post("/api/runtime/llm-tasks/cancel", PRODUCERS, bulk::cancel),
        Route::post("/api/runtime/llm-tasks/requeue", PRODUCERS, bulk::requeue),
        Route::get("/api/runtime/llm-tasks", READERS, tasks::list),
        Route::get("/api/runtime/llm-tasks/{id}", ANYONE, tasks::show),
        Route::get(
            "/api/runtime/llm-tasks/{id}/explain",
            ANYONE,
            tasks::explain,
        ),
        Route::get("/api/runtime/llm-tasks/{id}/result", ANYONE, tasks::result),
        Route::get(
            "/api/runtime/llm-tasks/{id}/attempts",
            ANYONE,
            tasks::attempts,
        ),
        Route::get("/api/runtime/llm-tasks/{id}/events", ANYONE, tasks::events),
        Route::get("/api/runtime/llm-tasks/{id}/log", ANYONE, task_log::read),
        Route::post("/api/runtime/llm-tasks/{id}/log", WORKERS, task_log::append)
            .rate(RateClass::Worker),
        Route::post(
            "/api/runtime/llm-tasks/{id}/cancel",
            PRODUCERS,
            tasks::cancel,
        ),
        Route::post(
            "/api/runtime/llm-tasks/{id}/requeue",
            PRODUCERS,
            tasks::requeue,
        ),
        Route::post(
            "/api/runtime/llm-tasks/{id}/priority",
            PRODUCERS,
            tasks::prioritize,
        ),
        Route::get("/api/runtime/runs", READERS, tasks::runs),
    ]
}

fn worker_routes() -> Vec<Route<App>> {
    vec![
        Route::post(
            "/api/runtime/leases/complete",
            WORKERS,
            complete::complete_many,
        )
        .rate(RateClass::Worker)
        .body(BodyLimit::Large),
        Route::post("/api/runtime/llm-tasks/{id}/lease", WORKERS, leases::lease)
            .rate(RateClass::Worker),
        Route::post(
            "/api/runtime/llm-tasks/{id}/heartbeat",
            WORKERS,
            leases::heartbeat,
        )
        .rate(RateClass::Worker),
        Route::post(
            "/api/runtime/llm-tasks/{id}/complete",
            WORKERS,
            complete::complete,
        )
        .rate(RateClass::Worker)
        .body(BodyLimit::Large),
        Route::post(
            "/api/runtime/llm-tasks/{id}/release",
            WORKERS,
            leases::release,
        )
        .rate(RateClass::Worker),
        Route::post("/api/runtime/leases", WORKERS, pull::pull).rate(RateClass::Worker),
        Route::get("/api/runtime/leases", READERS, leases::list),
        Route::post("/api/runtime/workers", WORKERS, workers::register).rate(RateClass::Worker),
        Route::get("/api/runtime/workers", READERS, workers::list),
        Route::get("/api/runtime/workers/{id}", READERS, workers::show),
        Route::delete("/api/runtime/workers/{id}", ADMINS, workers::remove),
        Route::post("/api/runtime/workers/{id}/beat", WORKERS, workers::beat)
            .rate(RateClass::Worker),
        Route::post("/api/runtime/workers/{id}/leave", WORKERS, workers::leave)
            .rate(RateClass::Worker),
        Route::post("/api/runtime/workers/{id}/drain", ADMINS, workers::drain),
        Route::post("/api/runtime/workers/{id}/resume", ADMINS, workers::resume),
    ]
}

fn reading_routes() -> Vec<Route<App>> {
    vec![
        Route::get("/api/runtime/queues", READERS, queues::list),
        Route::post("/api/runtime/queues/{name}", ADMINS, queues::configure),
        Route::post("/api/runtime/queues/{name}/pause", ADMINS, queues::pause),
        Route::post("/api/runtime/queues/{name}/resume", ADMINS, queues::resume),
        Route::post(
            "/api/runtime/queues/{name}/redrive",
            ADMINS,
            queues::redrive,
        ),
        Route::get("/api/runtime/credentials", READERS, credentials::list),
        Route::delete(
            "/api/runtime/credentials/{name}",
            ADMINS,
            credentials::clear,
        ),
        Route::get("/api/runtime/artifacts", READERS, artifacts::list).rate(RateClass::Heavy),
        Route::get("/api/runtime/artifacts/{id}", ANYONE, artifacts::show),
        Route::get(
            "/api/runtime/artifacts/{id}/content",
            ANYONE,
            artifacts::content,
        ),
        Route::get("/api/runtime/artifacts/{id}/link", ANYONE, artifacts::link),
        Route::get("/api/runtime/audit", READERS, audit::list),
        Route::get("/api/runtime/audit/verify", READERS, audit::verify).rate(RateClass::Heavy),
        Route::get("/api/runtime/audit/seals", READERS, audit::seals).rate(RateClass::Heavy),
        Route::get(
            "/api/runtime/audit/seals/verify",
            READERS,
            audit::verify_seals,
        )
        .rate(RateClass::Heavy),
        Route::get("/api/runtime/events", READERS, events::stream),
        Route::get("/api/runtime/overview", READERS, overview::show),
        Route::get("/api/runtime/stats", READERS, audit::stats),
        Route::get("/api/runtime/health", Access::Open, health::health).rate(RateClass::Exempt),
        Route::get("/healthz", Access::Open, health::live).rate(RateClass::Exempt),
        Route::get("/readyz", Access::Open, health::ready).rate(RateClass::Exempt),
        Route::get("/metrics", READERS, metrics::scrape),
        Route::get("/openapi.json", Access::Open, docs::openapi),
        Route::get("/docs", Access::Open, docs::page),
        Route::get("/docs/style.css", Access::Open, docs::style),
    ]
}

/// The routes of an address of its own for scrapers, which need no key there.
///
/// # Errors
/// As [`router`].
pub fn metrics_router() -> std::result::Result<Router<App>, RouteError> {
    Router::new(vec![
        Route::get("/metrics", Access::Open, metrics::scrape).rate(RateClass::Exempt),
    ])
}

fn webhook_routes() -> Vec<Route<App>> {
    vec![
        Route::get("/api/runtime/webhooks", ADMINS, webhooks::list),
        Route::post("/api/runtime/webhooks", ADMINS, webhooks::create),
        Route::get("/api/runtime/webhooks/{id}", ADMINS, webhooks::show),
        Route::post("/api/runtime/webhooks/{id}", ADMINS, webhooks::configure),
        Route::delete("/api/runtime/webhooks/{id}", ADMINS, webhooks::remove),
        Route::post("/api/runtime/webhooks/{id}/pause", ADMINS, webhooks::pause),
        Route::post(
            "/api/runtime/webhooks/{id}/resume",
            ADMINS,
            webhooks::resume,
        ),
        Route::post("/api/runtime/webhooks/{id}/test", ADMINS, webhooks::test)
            .rate(RateClass::Heavy),
        Route::get(
            "/api/runtime/webhooks/{id}/deliveries",
            ADMINS,
            webhooks::deliveries,
        ),
        Route::get(
            "/api/runtime/webhooks/{id}/deliveries/{delivery}",
            ADMINS,
            webhooks::show_delivery,
        ),
        Route::post(
            "/api/runtime/webhooks/{id}/deliveries/{delivery}/redeliver",
            ADMINS,
            webhooks::redeliver,
        ),
    ]
}

fn membridge_routes() -> Vec<Route<App>> {
    vec![
        Route::get("/api/runtime/config", ADMINS, membridge::show),
        Route::post("/api/runtime/config", ADMINS, membridge::configure),
        Route::post("/api/runtime/test-connection", ADMINS, membridge::test).rate(RateClass::Heavy),
        Route::post(
            "/api/runtime/llm-tasks/{id}/dispatch",
            PRODUCERS,
            dispatch::dispatch,
        ),
        Route::get(
            "/api/runtime/workers/{id}/agent-health",
            READERS,
            dispatch::agent_health,
        ),
        Route::get("/api/membridge/health", Access::Open, membridge::health),
        Route::get("/api/membridge/projects", READERS, membridge::projects),
        Route::get(
            "/api/membridge/projects/{cid}/leadership",
            READERS,
            membridge::leadership,
        ),
        Route::get(
            "/api/membridge/projects/{cid}/nodes",
            READERS,
            membridge::nodes,
        ),
        Route::post(
            "/api/membridge/projects/{cid}/leadership/select",
            ADMINS,
            membridge::select,
        ),
    ]
}

/// The task id in the path. What is no UUID is no task.
fn task_id(request: &super::Request) -> Result<Uuid> {
    request
        .uuid("id")
        .ok_or_else(|| not_found("task_not_found", "Task not found"))
}

fn not_found(code: &str, text: &str) -> Error {
    Error::refused(Kind::NotFound, code, text)
}

/// The page that a list request asks for: at most so many rows, below this id.
fn page(query: &Query) -> Result<(i32, Option<Uuid>)> {
    let limit = query.limit(PAGE, PAGE_MAX)?;
    Ok((i32::try_from(limit).unwrap_or(i32::MAX), cursor(query)?))
}

/// Where a list request goes on.
fn cursor(query: &Query) -> Result<Option<Uuid>> {
    let cursor = query.text("cursor")?.map(|text| {
        Uuid::try_parse(text).map_err(|_| {
            Error::refused(
                Kind::Invalid,
                "invalid_cursor",
                "cursor is not one of our cursors",
            )
        })
    });
    cursor.transpose()
}

/// A list answer; with a cursor where there is more. Only a full page can have a next one, and
/// then `has_more` looks whether anything lies below its last id.
async fn listed<T: Serialize>(
    rows: &[T],
    limit: i32,
    last: Option<Uuid>,
    has_more: impl AsyncFnOnce(Uuid) -> Result<bool>,
) -> Result<Response> {
    let full = i32::try_from(rows.len()).is_ok_and(|rows| rows >= limit);
    let response = Response::ok(&rows)?;
    match last.filter(|_| full) {
        Some(id) if has_more(id).await? => response.header("x-next-cursor", &id.to_string()),
        _ => Ok(response),
    }
}

/// Refuses to hand out work while the service stops.
fn refuse_while_stopping(app: &Arc<App>) -> Result<()> {
    if app.shutdown.is_requested() {
        let text = "The service is shutting down";
        return Err(Error::refused(Kind::Busy, "shutting_down", text));
    }
    Ok(())
}
