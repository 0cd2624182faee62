//! `/artifacts`.

use std::sync::Arc;

use uuid::Uuid;

use super::{App, listed, not_found, page};
use crate::db::calls::artifact::{Artifact, artifact_get, artifact_list};
use crate::error::Result;
use crate::http::{Request, Response, wire};

/// `GET /artifacts`, of one task with `?task_id=`. A page whose contents grow large ends early.
pub async fn list(app: Arc<App>, request: Request) -> Result<Response> {
    let query = request.query()?;
    let (limit, before) = page(&query)?;
    let task = match query.text("task_id")?.map(Uuid::try_parse) {
        Some(Err(_)) => return Response::ok(&[(); 0]),
        Some(Ok(id)) => Some(id),
        None => None,
    };
    let rows = artifact_list(&app.db, task, limit, before).await?;
    let last = rows.last().map(|row| row.id);
    let rows: Vec<_> = rows.iter().map(wire::artifact).collect();
    // A page that was cut by size is shorter than the limit, so its length does not tell.
    listed(&rows, 0, last, async |id| {
        Ok(!artifact_list(&app.db, task, 1, Some(id)).await?.is_empty())
    })
    .await
}

async fn find(app: &App, request: &Request) -> Result<Artifact> {
    let id = request.uuid("id");
    let id = id.ok_or_else(|| not_found("artifact_not_found", "Artifact not found"))?;
    artifact_get(&app.db, id).await
}

/// `GET /artifacts/:id`.
pub async fn show(app: Arc<App>, request: Request) -> Result<Response> {
    Response::ok(&wire::artifact(&find(&app, &request).await?))
}

/// `GET /artifacts/:id/content`: the output itself, as a download: nobody's browser is to run it.
pub async fn content(app: Arc<App>, request: Request) -> Result<Response> {
    let artifact = find(&app, &request).await?;
    let Some(content) = artifact.content else {
        return Err(not_found("no_content", "The artifact has no content here"));
    };
    Response::bytes("text/plain; charset=utf-8", content.into_bytes()).header(
        "content-disposition",
        &format!("attachment; filename=\"{}.txt\"", artifact.id),
    )
}
