//! Health, liveness and readiness: open to everyone, so they tell little.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::App;
use crate::db::calls::setting::setting_get;
use crate::error::{Error, Kind, Result};
use crate::http::{Request, Response, wire};

/// How long the readiness probe waits for Postgres.
const READY_LIMIT: Duration = Duration::from_secs(2);

/// `GET /api/runtime/health`, as the contract has it.
pub async fn health(app: Arc<App>, _request: Request) -> Result<Response> {
    Response::ok(&wire::Health {
        status: "ok",
        service: "bloom-runtime",
        uptime: app.started.elapsed().as_secs_f64(),
        storage: "postgresql",
        membridge: app.control.status(),
        artifacts: match app.artifacts.state() {
            None => json!({ "storage": "postgresql" }),
            Some(state) => {
                json!({ "storage": state.scheme.name(), "available": state.is_available })
            }
        },
    })
}

/// `GET /healthz`: the process answers.
pub async fn live(_app: Arc<App>, _request: Request) -> Result<Response> {
    Response::ok(&wire::Probe { status: "ok" })
}

/// `GET /readyz`: Postgres answers, and the service is not about to stop.
pub async fn ready(app: Arc<App>, _request: Request) -> Result<Response> {
    super::refuse_while_stopping(&app)?;
    let answer = tokio::time::timeout(READY_LIMIT, setting_get(&app.db, "readyz")).await;
    let late = || Error::refused(Kind::Busy, "not_ready", "Postgres does not answer");
    answer.map_err(|_| late())??;
    Response::ok(&wire::Probe { status: "ready" })
}
