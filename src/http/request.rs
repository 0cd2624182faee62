//! What a handler gets to know about a request.

use std::net::IpAddr;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use uuid::Uuid;

use super::auth::Caller;
use super::body::{BodySlot, ReadLimits};
use super::json;
use super::query::Query;
use super::router::Params;
use super::validate::parse_uuid;
use crate::error::{Error, Kind, Result};
use crate::trace::TraceContext;

/// A request that was routed, authenticated, authorised and counted. Its body is still on the
/// wire.
#[derive(Debug)]
pub struct Request {
    pub(super) id: Uuid,
    pub(super) trace: Option<TraceContext>,
    pub(super) method: Method,
    pub(super) route: &'static str,
    pub(super) params: Params,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) client: IpAddr,
    pub(super) caller: Caller,
    pub(super) body: BodySlot,
    pub(super) limits: ReadLimits,
}

impl Request {
    /// The id that stands in `X-Request-Id` and in the log.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What work that the request causes has as its parent.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// The method; HEAD where a GET route answers HEAD.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The template of the route, e.g. `/api/runtime/workers/{id}`.
    #[must_use]
    pub fn route(&self) -> &'static str {
        self.route
    }

    /// The headers as sent.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The value of a header when it is there exactly once and is visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        if values.next().is_some() {
            None
        } else {
            first.to_str().ok()
        }
    }

    /// The client's address; behind a trusted proxy, the one that the proxy saw.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Who calls.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The decoded path parameter `name`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the route's template has no such parameter.
    pub fn param(&self, name: &str) -> Result<&str> {
        let found = self.params.iter().find(|(param, _)| *param == name);
        let text = || format!("route {} has no parameter {name}", self.route);
        found
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| Error::internal(text()))
    }

    /// Whether the client wants no more of what it did than its outcome (RFC 7240).
    #[must_use]
    pub fn prefers_minimal(&self) -> bool {
        let preferences = self.header("prefer").unwrap_or_default().split(',');
        preferences
            .into_iter()
            .any(|preference| preference.trim().eq_ignore_ascii_case("return=minimal"))
    }

    /// The path parameter `name` as a UUID. `None` when it is not one: such a thing cannot exist,
    /// which is a 404 and never more than that.
    #[must_use]
    pub fn uuid(&self, name: &str) -> Option<Uuid> {
        self.param(name).ok().and_then(parse_uuid)
    }

    /// The decoded query.
    ///
    /// # Errors
    /// See [`Query::parse`].
    pub fn query(&self) -> Result<Query> {
        Query::parse(&self.query)
    }

    /// The whole body. A second call yields nothing: the body is gone.
    ///
    /// # Errors
    /// 413 when it is larger than the route allows, 408 when it arrives too slowly, 400 when the
    /// client breaks it off.
    pub async fn bytes(&self) -> Result<Bytes> {
        self.body.read(self.limits).await
    }

    /// The body as JSON; `None` when there is none.
    ///
    /// # Errors
    /// Those of [`Request::bytes`], 415 when a body is not called `application/json`, and 400 when
    /// it is not [sound JSON](json::parse).
    pub async fn json(&self) -> Result<Option<Value>> {
        let bytes = self.bytes().await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if !is_json(&self.headers) {
            let text = "Content-Type must be application/json";
            return Err(Error::refused(
                Kind::UnsupportedMedia,
                "unsupported_media_type",
                text,
            ));
        }
        json::parse(&bytes).map(Some)
    }
}

/// Whether the only content type is JSON in UTF-8.
fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Ok(text) = value.to_str() else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = |part: &str| {
        let Some((name, value)) = part.split_once('=') else {
            return true;
        };
        let charset = value.trim_matches('"');
        !name.eq_ignore_ascii_case("charset") || charset.eq_ignore_ascii_case("utf-8")
    };
    is_json && parts.all(is_utf8)
}
