//! How an [`Error`] looks to the caller, and that it is logged once.

use std::time::Duration;

use hyper::header::{HeaderValue, RETRY_AFTER};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::response::{Response, StatusCode};
use crate::error::{Error, Kind};

/// When a caller may try again after a refusal for lack of capacity.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The status of a class of refusals.
fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Kind::Timeout => StatusCode::REQUEST_TIMEOUT,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        Kind::BadGateway => StatusCode::BAD_GATEWAY,
        Kind::Busy => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The status that `error` is answered with.
#[must_use]
pub fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Refused { kind, .. } => status(*kind),
        Error::Upstream { status, .. } => {
            StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY)
        }
        Error::Fields(_) => StatusCode::BAD_REQUEST,
        Error::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The contract's answer for `error`.
///
/// The texts of [`Error::Unavailable`] and [`Error::Internal`] stay inside; the caller gets the
/// request id under which [`log`] wrote them.
#[must_use]
pub fn render(error: &Error, request_id: Uuid) -> Response {
    let status = status_of(error);
    let mut body = refusal_body(error);
    let retry_after = match error {
        Error::Refused { kind, .. } => (*kind == Kind::Busy).then_some(BUSY_RETRY_AFTER),
        Error::Unavailable { retry_after, .. } => Some(*retry_after),
        Error::Upstream { .. } | Error::Fields(_) | Error::Internal(_) => None,
    };
    if matches!(
        status,
        StatusCode::INTERNAL_SERVER_ERROR | StatusCode::SERVICE_UNAVAILABLE
    ) {
        body.insert("request_id".to_owned(), json!(request_id));
    }
    let mut response = Response::from_json_bytes(status, Value::Object(body).to_string());
    if let Some(delay) = retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(ceil_seconds(delay).max(1)));
    }
    response
}

/// The members of the answer that say what was refused.
pub(super) fn refusal_body(error: &Error) -> Map<String, Value> {
    match error {
        Error::Refused {
            code,
            message,
            detail,
            ..
        } => {
            let mut body = detail.clone();
            body.insert("error".to_owned(), json!(message));
            body.insert("code".to_owned(), json!(code));
            body
        }
        Error::Upstream { message, .. } => plain(message, "upstream"),
        Error::Fields(fields) => Map::from_iter([("error".to_owned(), fields.to_json())]),
        Error::Unavailable { .. } => plain(
            "The database is unavailable, please try again",
            "unavailable",
        ),
        Error::Internal(_) => plain("Internal server error", "internal"),
    }
}

/// Writes faults of ours to the log with their whole chain of causes. Refusals are the caller's
/// business and stand in the access log only.
pub fn log(error: &Error, request_id: Uuid) {
    match error {
        Error::Internal(_) => {
            tracing::error!(request.id = %request_id, error = error.chain(), "request failed");
        }
        Error::Unavailable { .. } => {
            tracing::warn!(request.id = %request_id, error = error.chain(), "request failed");
        }
        Error::Refused { .. } | Error::Upstream { .. } | Error::Fields(_) => {}
    }
}

/// `delay` in whole seconds, rounded up.
pub(super) fn ceil_seconds(delay: Duration) -> u64 {
    delay.as_secs() + u64::from(delay.subsec_nanos() > 0)
}

fn plain(text: &str, code: &str) -> Map<String, Value> {
    Map::from_iter([
        ("error".to_owned(), json!(text)),
        ("code".to_owned(), json!(code)),
    ])
}
