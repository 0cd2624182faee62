//! `/credentials`: what workers work with, and which of it has reached its usage limit.

use std::sync::Arc;

use super::App;
use crate::db::calls::credential::{credential_clear, credential_list};
use crate::error::Result;
use crate::http::{Request, Response, wire};

/// `GET /credentials`.
pub async fn list(app: Arc<App>, _request: Request) -> Result<Response> {
    let rows = credential_list(&app.db).await?;
    Response::ok(&rows.iter().map(wire::credential).collect::<Vec<_>>())
}

/// `DELETE /credentials/:name`: it is exhausted no more.
pub async fn clear(app: Arc<App>, request: Request) -> Result<Response> {
    let name = request.param("name")?;
    credential_clear(&app.db, name, request.caller().name()).await?;
    app.fleet.forget().await;
    let (cleared, name) = (true, name.to_owned());
    Response::ok(&wire::Cleared { cleared, name })
}
