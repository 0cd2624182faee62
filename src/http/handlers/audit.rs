//! `/audit` and `/stats`.

use std::sync::Arc;

use uuid::Uuid;

use super::{App, listed, page};
use crate::db::Db;
use crate::db::calls::audit;
use crate::error::Result;
use crate::http::{Request, Response, wire};

/// `GET /audit`: newest first. `?entity_id=` (with `entity_type`, default `llm_task`) shows the
/// trail of one thing.
pub async fn list(app: Arc<App>, request: Request) -> Result<Response> {
    let query = request.query()?;
    let (limit, before) = page(&query)?;
    let kind = query.text("entity_type")?.unwrap_or("llm_task");
    let entity = query.text("entity_id")?;
    let subject = match (entity, kind) {
        (Some(id), "llm_task") => match Uuid::try_parse(id) {
            Ok(id) => Subject::Task(id),
            Err(_) => return Response::ok(&[(); 0]),
        },
        (Some(id), kind) => Subject::Other(Some(format!("{kind}/{id}"))),
        (None, _) => Subject::Other(None),
    };
    let rows = trail(&app.db, &subject, limit, before).await?;
    let last = rows.last().map(wire::event_id);
    let shown: Vec<_> = rows.iter().map(wire::audit).collect();
    listed(&shown, limit, last, async |id| {
        Ok(!trail(&app.db, &subject, 1, Some(id)).await?.is_empty())
    })
    .await
}

/// Whose trail is asked for.
enum Subject {
    Task(Uuid),
    /// Of this thing, or everybody's.
    Other(Option<String>),
}

/// At most `limit` rows of a trail, newest first, older than the one called `before`.
async fn trail(
    db: &Db,
    subject: &Subject,
    limit: i32,
    before: Option<Uuid>,
) -> Result<Vec<audit::Event>> {
    let before = before.map(wire::event_position);
    match subject {
        Subject::Task(id) => {
            let mut rows = audit::task_events(db, *id, 0).await?;
            rows.reverse();
            rows.retain(|row| before.is_none_or(|before| row.position < before));
            rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(rows)
        }
        Subject::Other(subject) => audit::audit_list(db, limit, before, subject.as_deref()).await,
    }
}

/// `GET /stats`.
pub async fn stats(app: Arc<App>, _request: Request) -> Result<Response> {
    Response::ok(&audit::stats(&app.db).await?)
}
