//! What happens to one request between its head and its answer: routing, limits, keys, the
//! handler, and the rendering of whatever came out of it.

use std::any::Any;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Method, Version};
use uuid::Uuid;

use super::access_log::{Entry, Observer};
use super::auth::{Authenticator, Policy, Verdict, is_local_request};
use super::body::{BodySlot, ReadLimits};
use super::failure;
use super::limits::{Counted, Limits, RateClass};
use super::request::Request;
use super::response::{Body, Response, StatusCode};
use super::router::{Access, BodyLimit, Match, Params, Route, Router};
use super::server::Options;
use crate::error::{Error, Kind, Result};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Everything requests share.
pub(super) struct Service<S> {
    pub(super) options: Options,
    pub(super) router: Router<S>,
    pub(super) auth: Authenticator,
    pub(super) limits: Limits,
    pub(super) state: Arc<S>,
    pub(super) observer: Option<Box<Observer>>,
}

/// What is known of a request so far, beside its own parts.
struct Exchange<'s> {
    entry: Entry<'s>,
    /// The tightest budget that the request was counted against.
    counted: Option<Counted>,
    body: BodySlot,
}

impl<S: Send + Sync + 'static> Service<S> {
    /// Answers one request. Whatever happens inside, an answer comes out.
    pub(super) async fn serve(
        &self,
        peer: IpAddr,
        request: hyper::Request<Incoming>,
    ) -> hyper::Response<Body> {
        let (parts, incoming) = request.into_parts();
        let is_head = parts.method == Method::HEAD;
        // Length by chunks is where servers and proxies disagree; nothing after it is trusted.
        let mut must_close = parts.headers.contains_key(TRANSFER_ENCODING);
        let client = self.limits.client(peer, &parts.headers);
        let entry = Entry::new(&parts, client, self.observer.as_deref());
        let id = entry.id;
        let body = BodySlot::new(incoming, &parts.headers);
        let mut exchange = Exchange {
            entry,
            counted: None,
            body,
        };
        let answer = AssertUnwindSafe(self.answer(&mut exchange, parts))
            .catch_unwind()
            .await;
        let answer = answer.unwrap_or_else(|panic| Err(panicked(panic.as_ref())));
        let mut response = answer.unwrap_or_else(|error| {
            failure::log(&error, id);
            failure::render(&error, id)
        });
        must_close |= !exchange.body.discard(self.options.discard()).await;
        let headers = response.headers_mut();
        if let Some(counted) = &exchange.counted {
            counted.add_headers(headers);
        }
        headers.insert(REQUEST_ID, request_id(id));
        if must_close {
            headers.insert(CONNECTION, CLOSE);
        }
        exchange.entry.finish(response.status().as_u16());
        response.finish(is_head)
    }

    async fn answer(&self, exchange: &mut Exchange<'_>, parts: Parts) -> Result<Response> {
        check_host(&parts)?;
        let client = exchange.entry.client;
        let (route, params) = match self.router.find(&parts.method, parts.uri.path()) {
            Match::Route(route, params) => (route, params),
            other => {
                exchange.count(self.limits.count(RateClass::General, client, None))?;
                return refuse_route(other);
            }
        };
        exchange.entry.route = Some(route.path());
        let request = self.admit(exchange, parts, route, params).await?;
        route.call(Arc::clone(&self.state), request).await
    }

    /// Finds out who calls, counts it, and checks that the caller may.
    async fn admit(
        &self,
        exchange: &mut Exchange<'_>,
        parts: Parts,
        route: &Route<S>,
        params: Params,
    ) -> Result<Request> {
        let client = exchange.entry.client;
        let needs_key = route.access() != Access::Open;
        let is_open = self.auth.policy() == Policy::Open;
        if needs_key && is_open && !is_local_request(&parts.headers) {
            return Err(forbidden());
        }
        let throttled = || self.limits.is_throttled(client);
        let caller = match self
            .auth
            .identify(route.access(), &parts.headers, throttled)
            .await?
        {
            Verdict::Known(caller) => caller,
            Verdict::Missing => {
                exchange.count(self.limits.count(RateClass::General, client, None))?;
                return Err(unauthorized());
            }
            Verdict::Wrong => {
                exchange.count(self.limits.count_wrong_key(client))?;
                return Err(unauthorized());
            }
        };
        caller.name().clone_into(&mut exchange.entry.caller);
        exchange.count(self.limits.count(route.rate_class(), client, caller.key()))?;
        if !caller.may(route.access()) {
            return Err(forbidden());
        }
        Ok(Request {
            id: exchange.entry.id,
            trace: exchange.entry.span.context().cloned(),
            route: route.path(),
            params,
            query: parts.uri.query().unwrap_or_default().to_owned(),
            method: parts.method,
            headers: parts.headers,
            client,
            caller,
            body: exchange.body.clone(),
            limits: self.options.read_limits(route.body_limit()),
        })
    }
}

impl Exchange<'_> {
    /// Notes the budget for the answer's headers.
    fn count(&mut self, counted: Counted) -> Result<()> {
        let refusal = counted.refusal();
        self.counted = Some(counted);
        refusal.map_or(Ok(()), Err)
    }
}

impl Options {
    fn read_limits(&self, limit: BodyLimit) -> ReadLimits {
        let bytes = match limit {
            BodyLimit::Small => self.small_body_bytes,
            BodyLimit::Large => self.large_body_bytes,
        };
        ReadLimits {
            bytes,
            time: self.body_timeout,
            min_rate: self.body_min_rate,
        }
    }

    fn discard(&self) -> ReadLimits {
        let (bytes, time) = (self.discard_bytes, self.discard_timeout);
        ReadLimits {
            bytes,
            time,
            min_rate: self.body_min_rate,
        }
    }
}

/// HTTP/1.1 wants exactly one host; two are a way to make a proxy and a server disagree.
fn check_host(parts: &Parts) -> Result<()> {
    let hosts = parts.headers.get_all(HOST).iter().count();
    if hosts == 1 || (hosts == 0 && parts.version == Version::HTTP_10) {
        return Ok(());
    }
    Err(Error::refused(
        Kind::Invalid,
        "bad_host",
        "Exactly one Host header is required",
    ))
}

fn refuse_route<S>(found: Match<'_, S>) -> Result<Response> {
    let (mut response, allow) = match found {
        Match::Options(allow) => (Response::empty(StatusCode::NO_CONTENT), allow),
        Match::MethodNotAllowed(allow) => {
            let body = serde_json::json!({
                "error": "Method not allowed", "code": "method_not_allowed",
            });
            (
                Response::json(StatusCode::METHOD_NOT_ALLOWED, &body)?,
                allow,
            )
        }
        Match::NotFound | Match::Route(..) => {
            return Err(Error::refused(Kind::NotFound, "not_found", "Not found"));
        }
    };
    response.headers_mut().insert(ALLOW, allow);
    Ok(response)
}

fn unauthorized() -> Error {
    Error::refused(Kind::Unauthorized, "unauthorized", "Unauthorized")
}

fn forbidden() -> Error {
    Error::refused(Kind::Forbidden, "forbidden", "Forbidden")
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::internal(format!(
        "a handler panicked: {}",
        text.unwrap_or("no message")
    ))
}

fn request_id(id: Uuid) -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut text))
        .unwrap_or(HeaderValue::from_static(""))
}
