//! `/webhooks`: where events are sent to.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{App, listed, not_found, page};
use crate::db::calls::VerbOptions;
use crate::db::calls::webhook::{
    Delivery, Webhook, delivery_get, delivery_list, delivery_requeue, webhook_get, webhook_list,
    webhook_remove,
};
use crate::error::{Error, Result};
use crate::events;
use crate::http::validate::Form;
use crate::http::{Request, Response};
use crate::webhooks::{Change, shown as shown_secret};

/// The longest name, in characters.
const NAME_MAX: usize = 128;
/// The longest address, in characters.
const URL_MAX: usize = 2048;
/// How many types or queues a webhook may name.
const NAMES_MAX: usize = 100;

/// `GET /webhooks`.
pub async fn list(app: Arc<App>, _request: Request) -> Result<Response> {
    let rows = webhook_list(&app.db).await?;
    Response::ok(&rows.iter().map(shown).collect::<Vec<_>>())
}

/// `GET /webhooks/:id`.
pub async fn show(app: Arc<App>, request: Request) -> Result<Response> {
    Response::ok(&shown(&webhook_get(&app.db, webhook_id(&request)?).await?))
}

/// `POST /webhooks`: `{"name", "url", "types"?, "queues"?, …}` → the webhook with its secret.
pub async fn create(app: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let new = read_new(&mut form, request.caller().name());
    form.finish()?;
    let (webhook, secret) = app.webhooks.create(new).await?;
    let mut body = shown(&webhook);
    body["secret"] = json!(shown_secret(&secret));
    Response::created(&body)
}

/// `POST /webhooks/:id`: changes what is given; `{"new_secret": true}` answers with a new secret.
pub async fn configure(app: Arc<App>, request: Request) -> Result<Response> {
    let id = webhook_id(&request)?;
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let change = read_change(&mut form, request.caller().name());
    form.finish()?;
    let (webhook, secret) = app.webhooks.configure(id, change).await?;
    let mut body = shown(&webhook);
    if let Some(secret) = secret {
        body["secret"] = json!(shown_secret(&secret));
    }
    Response::ok(&body)
}

/// A new webhook.
pub(super) fn read_new(form: &mut Form<'_>, actor: &str) -> Change {
    Change {
        name: Some(form.string("name").min(1).max(NAME_MAX).required()),
        url: Some(form.string("url").max(URL_MAX).required()),
        new_secret: true,
        options: options(form, actor),
    }
}

/// What is to be changed of one.
pub(super) fn read_change(form: &mut Form<'_>, actor: &str) -> Change {
    Change {
        name: form.string("name").min(1).max(NAME_MAX).optional(),
        url: form.string("url").max(URL_MAX).optional(),
        new_secret: form.boolean("new_secret").or(false),
        options: options(form, actor),
    }
}

fn options(form: &mut Form<'_>, actor: &str) -> VerbOptions {
    let names = |form: &mut Form<'_>, name: &'static str| {
        let names: Option<Vec<String>> = form
            .strings(name)
            .max_items(NAMES_MAX)
            .each(1, NAME_MAX)
            .optional();
        names
    };
    let types = names(form, "types");
    let queues = names(form, "queues");
    let max_events: Option<i64> = form.integer("max_events").range(1, 100).optional();
    let max_attempts: Option<i64> = form.integer("max_attempts").range(1, 50).optional();
    let backoff_ms: Option<i64> = form.integer("backoff_ms").range(100, 3_600_000).optional();
    let paused: Option<bool> = form.boolean("paused").optional();
    VerbOptions::of(actor)
        .maybe("types", types)
        .maybe("queues", queues)
        .maybe("max_events", max_events)
        .maybe("max_attempts", max_attempts)
        .maybe("backoff_ms", backoff_ms)
        .maybe("paused", paused)
}

/// `DELETE /webhooks/:id`.
pub async fn remove(app: Arc<App>, request: Request) -> Result<Response> {
    let id = webhook_id(&request)?;
    webhook_remove(&app.db, id, request.caller().name()).await?;
    Response::ok(&json!({ "deleted": true, "id": id }))
}

/// `POST /webhooks/:id/pause`.
pub async fn pause(app: Arc<App>, request: Request) -> Result<Response> {
    set_paused(&app, &request, true).await
}

/// `POST /webhooks/:id/resume`.
pub async fn resume(app: Arc<App>, request: Request) -> Result<Response> {
    set_paused(&app, &request, false).await
}

async fn set_paused(app: &App, request: &Request, paused: bool) -> Result<Response> {
    let change = Change {
        options: VerbOptions::of(request.caller().name()).with("paused", paused),
        ..Change::default()
    };
    let changed = app.webhooks.configure(webhook_id(request)?, change).await?;
    Response::ok(&shown(&changed.0))
}

/// `POST /webhooks/:id/test`: sends an event that means nothing and says what became of it.
pub async fn test(app: Arc<App>, request: Request) -> Result<Response> {
    let id = webhook_id(&request)?;
    let tested = app.webhooks.test(id, request.caller().name()).await?;
    Response::ok(&json!({
        "delivery_id": tested.delivery,
        "delivered": tested.attempt.is_delivered,
        "status": tested.attempt.status,
        "error": tested.attempt.error,
        "duration_ms": tested.attempt.duration_ms,
    }))
}

/// `GET /webhooks/:id/deliveries`: newest first.
pub async fn deliveries(app: Arc<App>, request: Request) -> Result<Response> {
    let id = webhook_id(&request)?;
    let (limit, before) = page(&request.query()?)?;
    let rows = delivery_list(&app.db, id, limit, before).await?;
    let shown: Vec<_> = rows.iter().map(delivery).collect();
    listed(&shown, limit, rows.last().map(|row| row.id), async |last| {
        Ok(!delivery_list(&app.db, id, 1, Some(last)).await?.is_empty())
    })
    .await
}

/// `GET /webhooks/:id/deliveries/:delivery`: with its events.
pub async fn show_delivery(app: Arc<App>, request: Request) -> Result<Response> {
    Response::ok(&delivery(&delivery_of(&app, &request).await?))
}

/// `POST /webhooks/:id/deliveries/:delivery/redeliver`: makes it once more.
pub async fn redeliver(app: Arc<App>, request: Request) -> Result<Response> {
    let id = delivery_of(&app, &request).await?.id;
    delivery_requeue(&app.db, id, request.caller().name()).await?;
    app.webhooks.nudge();
    Response::ok(&delivery(&delivery_get(&app.db, id).await?))
}

async fn delivery_of(app: &App, request: &Request) -> Result<Delivery> {
    let webhook = webhook_id(request)?;
    let missing = || not_found("delivery_not_found", "Delivery not found");
    let id = request.uuid("delivery").ok_or_else(missing)?;
    let found = delivery_get(&app.db, id).await?;
    if found.webhook == webhook {
        Ok(found)
    } else {
        Err(missing())
    }
}

fn webhook_id(request: &Request) -> Result<Uuid> {
    let id = request.uuid("id");
    id.ok_or_else(|| -> Error { not_found("webhook_not_found", "Webhook not found") })
}

fn shown(row: &Webhook) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "url": row.url,
        "types": row.types,
        "queues": row.queues,
        "max_events": row.max_events,
        "max_attempts": row.max_attempts,
        "backoff_ms": row.backoff_ms,
        "paused": row.paused,
        "paused_why": row.paused_why,
        "cursor": events::cursor(row.position),
        "pending": row.pending,
        "attempts": row.attempts,
        "next_at": row.next_at,
        "last_error": row.last_error,
        "last_delivered_at": row.last_delivered_at,
        "created_at": row.created_at,
        "created_by": row.created_by,
    })
}

fn delivery(row: &Delivery) -> Value {
    let mut shown = json!({
        "id": row.id,
        "webhook_id": row.webhook,
        "state": row.state,
        "event_count": row.event_count,
        "attempts": row.attempts,
        "next_at": row.next_at,
        "status": row.status,
        "error": row.error,
        "duration_ms": row.duration_ms,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
    });
    if let Some(text) = &row.events {
        shown["events"] = serde_json::from_str(text).unwrap_or_default();
    }
    shown
}
