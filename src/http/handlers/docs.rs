//! The description of the routes: `GET /openapi.json` for programs, `GET /docs` for people.

mod reading;
mod service;
mod streams;
mod tasks;
mod work;
mod workers;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{App, PAGE, PAGE_MAX, router};
use crate::error::Result;
use crate::http::openapi::{self, Described, Param};
use crate::http::{Request, Response, StatusCode};

/// What the page may load: its own style sheet, and nothing else.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";

/// Both, made once.
static MADE: LazyLock<(Bytes, Bytes)> = LazyLock::new(|| {
    let document = document();
    (
        Bytes::from(document.to_string()),
        Bytes::from(openapi::page(&document)),
    )
});

/// Every route in words.
#[must_use]
pub fn described() -> Described {
    let mut all = tasks::all();
    all.extend(work::all());
    all.extend(workers::all());
    all.extend(reading::all());
    all.extend(streams::all());
    all.extend(service::all());
    all
}

/// The `OpenAPI` document of the service.
#[must_use]
pub fn document() -> Value {
    match router() {
        Ok(router) => openapi::document(&router, described()),
        // The service would not have started.
        Err(_) => Value::Null,
    }
}

/// `GET /openapi.json`.
pub async fn openapi(_app: Arc<App>, _request: Request) -> Result<Response> {
    Ok(Response::from_json_bytes(StatusCode::OK, MADE.0.clone()))
}

/// `GET /docs`.
pub async fn page(_app: Arc<App>, _request: Request) -> Result<Response> {
    Response::bytes("text/html; charset=utf-8", MADE.1.clone())
        .header("content-security-policy", PAGE_POLICY)
}

/// `GET /docs/style.css`.
pub async fn style(_app: Arc<App>, _request: Request) -> Result<Response> {
    Ok(Response::bytes("text/css; charset=utf-8", openapi::STYLE))
}

/// The parameters of every list.
fn paging() -> Vec<Param> {
    vec![limit(PAGE, PAGE_MAX), cursor()]
}

fn cursor() -> Param {
    Param::query(
        "cursor",
        json!({ "type": "string", "format": "uuid" }),
        "X-Next-Cursor of the page before.",
    )
}

fn limit(default: i64, most: i64) -> Param {
    let schema = json!({
        "type": "integer", "minimum": 1, "maximum": most, "default": default,
    });
    Param::query("limit", schema, "Rows of a page at most.")
}

/// A parameter that is any text.
fn any(name: &'static str, text: &'static str) -> Param {
    Param::query(name, json!({ "type": "string" }), text)
}

/// The header in which a lease may be named instead of in the body.
fn lease_header() -> Param {
    Param::header(
        "X-Lease-Id",
        json!({ "type": "string", "format": "uuid" }),
        "The lease, instead of the member lease_id.",
    )
}
