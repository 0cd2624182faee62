//! `/artifacts`.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use uuid::Uuid;

use super::{App, listed, not_found, page};
use crate::db::calls::artifact::{Artifact, artifact_get, artifact_list};
use crate::error::{Error, Result};
use crate::http::{Request, Response, StatusCode, wire};

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
/// From object storage it is passed on, or the client is sent there.
pub async fn content(app: Arc<App>, request: Request) -> Result<Response> {
    let mut artifact = find(&app, &request).await?;
    let bytes = match (artifact.content.take(), &artifact.url) {
        (Some(content), _) => Bytes::from(content),
        (None, Some(url)) if app.artifacts.redirects() => {
            let link = app.artifacts.link(url).await?;
            return Response::empty(StatusCode::FOUND).header("location", link.url.as_str());
        }
        (None, Some(url)) => stored(&app, &artifact, url).await?,
        (None, None) => {
            let text = "The artifact has no content here";
            return Err(not_found("no_content", text));
        }
    };
    Response::bytes("text/plain; charset=utf-8", bytes).header(
        "content-disposition",
        &format!("attachment; filename=\"{}.txt\"", artifact.id),
    )
}

/// `GET /artifacts/:id/link`: an address in object storage that is valid for a short while and
/// needs no key: `{"url", "expires_in"}`, in seconds.
pub async fn link(app: Arc<App>, request: Request) -> Result<Response> {
    let Some(url) = find(&app, &request).await?.url else {
        let text = "The artifact is not in object storage; get its content instead";
        return Err(not_found("no_link", text));
    };
    let link = app.artifacts.link(&url).await?;
    Response::ok(&json!({ "url": link.url.as_str(), "expires_in": link.life.as_secs() }))
}

/// The text of a result whose output is in object storage at `url`.
pub(super) async fn stored_text(app: &App, id: Uuid, url: &str) -> Result<String> {
    let artifact = artifact_get(&app.db, id).await?;
    let bytes = stored(app, &artifact, url).await?;
    String::from_utf8(bytes.into()).map_err(Error::internal)
}

async fn stored(app: &App, artifact: &Artifact, url: &str) -> Result<Bytes> {
    let sha256 = artifact.sha256.as_deref().unwrap_or_default();
    let read = app.artifacts.read(url, sha256, artifact.size_bytes);
    Ok(read.await?)
}
