//! `/audit` and `/stats`.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{App, PAGE_MAX, cursor, listed, page};
use crate::db::calls::audit::{self, EventFilter};
use crate::db::calls::seal::audit_seals;
use crate::error::Result;
use crate::http::query::Query;
use crate::http::{Request, Response, wire};
use crate::seals::check;

/// How many tasks one request may verify.
pub(super) const VERIFY_MAX: i64 = 10_000;
/// How many it does unless it says.
pub(super) const VERIFY: i64 = PAGE_MAX;
/// How many seals one request reads or checks: each may cover thousands of events.
pub(super) const SEALS: i64 = 50;

/// `GET /audit`: newest first. `?entity_type=`, `?entity_id=` (of a task, unless a type is given),
/// `?actor=` and `?action=` (one or several, with commas) narrow it.
pub async fn list(app: Arc<App>, request: Request) -> Result<Response> {
    let query = request.query()?;
    let (limit, before) = page(&query)?;
    let Some(filter) = filter(&query)? else {
        return Response::ok(&[(); 0]);
    };
    let position = before.map(wire::event_position);
    let rows = audit::audit_list(&app.db, limit, position, &filter).await?;
    let last = rows.last().map(wire::event_id);
    let shown: Vec<_> = rows.iter().map(wire::audit).collect();
    if filter.is_narrow() && i32::try_from(rows.len()).is_ok_and(|rows| rows < limit) {
        // Each page looks through so many rows only. A short one may thus have a next one.
        let response = Response::ok(&shown)?;
        return match audit::audit_reach(&app.db, position, &filter).await? {
            Some(reach) => response.header("x-next-cursor", &wire::position_id(reach).to_string()),
            None => Ok(response),
        };
    }
    listed(&shown, limit, last, async |id| {
        let position = Some(wire::event_position(id));
        let next = audit::audit_list(&app.db, 1, position, &filter).await?;
        if next.is_empty() && filter.is_narrow() {
            let reach = audit::audit_reach(&app.db, position, &filter).await?;
            return Ok(reach.is_some());
        }
        Ok(!next.is_empty())
    })
    .await
}

/// What a query asks for; `None` where nothing can be it.
fn filter(query: &Query) -> Result<Option<EventFilter>> {
    let kind = query.text("entity_type")?;
    let mut filter = EventFilter {
        actor: query.text("actor")?.map(str::to_owned),
        causes: query.text("action")?.map(|actions| {
            let actions = actions.split(',').map(str::trim);
            actions
                .map(|action| wire::cause(action).to_owned())
                .collect()
        }),
        ..EventFilter::default()
    };
    match (kind, query.text("entity_id")?) {
        (None, None) => {}
        (Some("llm_task"), None) => filter.kind = Some("task".to_owned()),
        (Some("runtime_config"), _) => filter.subject = Some("setting/membridge".to_owned()),
        (Some(kind), None) => filter.kind = Some(kind.to_owned()),
        (Some("llm_task") | None, Some(id)) => match Uuid::try_parse(id) {
            Ok(id) => filter.task_id = Some(id),
            Err(_) => return Ok(None),
        },
        (Some("lease"), Some(id)) => match Uuid::try_parse(id) {
            Ok(id) => (filter.kind, filter.lease_id) = (Some("lease".to_owned()), Some(id)),
            Err(_) => return Ok(None),
        },
        (Some(kind), Some(id)) => filter.subject = Some(format!("{kind}/{id}")),
    }
    Ok(Some(filter))
}

/// `GET /audit/verify`: checks the trails of a page of tasks, oldest first.
pub async fn verify(app: Arc<App>, request: Request) -> Result<Response> {
    let query = request.query()?;
    let limit = query.limit(VERIFY, VERIFY_MAX)?;
    let after = cursor(&query)?;
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let found: Value = audit::audit_verify(&app.db, after, limit).await?;
    Response::ok(&json!({
        "ok": found["bad"].is_null(),
        "tasks": found["tasks"],
        "events": found["events"],
        "next_cursor": found["next"],
        "bad": found["bad"],
    }))
}

/// `GET /audit/seals`: the seals with numbers above `?cursor=`, oldest first.
pub async fn seals(app: Arc<App>, request: Request) -> Result<Response> {
    let (after, limit) = seal_page(&request)?;
    let stored = audit_seals(&app.db, Some(after), limit).await?;
    let seals = stored.into_iter().map(|stored| stored.seal).collect();
    let public_keys = app.seal_keys.clone();
    Response::ok(&wire::Seals { public_keys, seals })
}

/// `GET /audit/seals/verify`: holds the log against a page of its seals, oldest first.
pub async fn verify_seals(app: Arc<App>, request: Request) -> Result<Response> {
    let (after, limit) = seal_page(&request)?;
    Response::ok(&check(&app.db, &app.seal_keys, after, limit).await?)
}

fn seal_page(request: &Request) -> Result<(i64, i32)> {
    let query = request.query()?;
    let limit = query.limit(SEALS, SEALS)?;
    let after = query.integer("cursor", 0..=i64::MAX - 1)?.unwrap_or(0);
    Ok((after, i32::try_from(limit).unwrap_or(i32::MAX)))
}

/// `GET /stats`.
pub async fn stats(app: Arc<App>, _request: Request) -> Result<Response> {
    Response::ok(&audit::stats(&app.db).await?)
}
