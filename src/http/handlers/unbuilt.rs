//! Routes of the contract whose parts are not built yet.

use std::sync::Arc;

use super::App;
use crate::error::{Error, Kind, Result};
use crate::http::{Request, Response};

fn refusal(what: &str) -> Error {
    let text = format!("{what} is not available in this version of BLOOM Runtime");
    Error::refused(Kind::NotImplemented, "not_implemented", text)
}

/// The settings, the test and the proxy of Membridge.
pub async fn membridge(_app: Arc<App>, _request: Request) -> Result<Response> {
    Err(refusal("The connection to Membridge"))
}

/// `POST /llm-tasks/:id/dispatch`.
pub async fn dispatch(_app: Arc<App>, _request: Request) -> Result<Response> {
    Err(refusal("Dispatch to an agent"))
}

/// `GET /workers/:id/agent-health`.
pub async fn agent_health(_app: Arc<App>, _request: Request) -> Result<Response> {
    Err(refusal("Asking an agent for its health"))
}
