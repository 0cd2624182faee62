//! One line per request: `POST /api/runtime/llm-tasks 201 3ms`, with the client's address and the
//! name of its key. Never the query, the body or a header.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hyper::Method;
use hyper::http::request::Parts;
use uuid::Uuid;

use crate::trace::{Kind, Span, TraceContext};

/// How much of a method or path is shown, in bytes.
const SHOWN_BYTES: usize = 256;

/// What the log shows when the client went away before it was answered (nginx' number for it).
const CLIENT_GONE: u16 = 499;

/// A request that was answered, for whoever counts them.
#[derive(Debug)]
pub struct Observed<'r> {
    /// The method. Clients may send any word.
    pub method: &'r Method,
    /// The template of the route, `None` when there was none: paths are the client's, templates
    /// are ours, so only these suit as labels.
    pub route: Option<&'static str>,
    /// The status; 499 when the client went away first.
    pub status: u16,
    /// From the complete head to the answer's first byte.
    pub elapsed: Duration,
}

/// Is told of every request.
pub type Observer = dyn Fn(&Observed<'_>) + Send + Sync;

/// A request under way; writes its line when answered or dropped.
pub(super) struct Entry<'s> {
    pub(super) id: Uuid,
    pub(super) route: Option<&'static str>,
    /// Where the request came from: behind a trusted proxy what that says.
    pub(super) client: IpAddr,
    /// The name of the caller's key; empty while nobody is known.
    pub(super) caller: String,
    pub(super) span: Span,
    method: Method,
    path: String,
    start: Instant,
    status: u16,
    observer: Option<&'s Observer>,
}

impl<'s> Entry<'s> {
    pub(super) fn new(parts: &Parts, client: IpAddr, observer: Option<&'s Observer>) -> Self {
        Self {
            id: Uuid::now_v7(),
            route: None,
            client,
            caller: String::new(),
            span: Span::start(
                Kind::Server,
                "HTTP",
                TraceContext::of_headers(&parts.headers),
            ),
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            start: Instant::now(),
            status: CLIENT_GONE,
            observer,
        }
    }

    pub(super) fn finish(mut self, status: u16) {
        self.status = status;
    }

    /// Tells the span what OpenTelemetry's conventions for HTTP want.
    fn describe(&mut self) {
        let (id, route, status) = (self.id, self.route, self.status);
        // A method may be any word; only those that a route has are a name.
        let method = if route.is_some() {
            self.method.as_str()
        } else {
            "HTTP"
        };
        self.span
            .rename(|| route.map_or(method.to_owned(), |route| format!("{method} {route}")));
        self.span.note("http.request.method", || method.to_owned());
        if let Some(route) = route {
            self.span.note("http.route", || route.to_owned());
        }
        self.span.number("http.response.status_code", status.into());
        self.span.note("bloom.request.id", || id.to_string());
        if status >= 500 {
            self.span.fail();
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let elapsed = self.start.elapsed();
        let (method, path, status) = (&self.method, Escaped(&self.path), self.status);
        let method = Escaped(method.as_str());
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let trace = self.span.context().map(TraceContext::trace_id);
        tracing::info!(
            request.id = %self.id,
            http.client = %self.client,
            http.caller = %Escaped(&self.caller),
            trace.id = trace,
            http.method = %method,
            http.path = %path,
            http.status = status,
            duration_ms = millis,
            "{method} {path} {status} {millis}ms"
        );
        self.describe();
        if let Some(observer) = self.observer {
            observer(&Observed {
                method: &self.method,
                route: self.route,
                status,
                elapsed,
            });
        }
    }
}

/// Text of a client as it may stand in a log: short, printable ASCII only.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes().take(SHOWN_BYTES) {
            match byte {
                b'!'..=b'~' => formatter.write_char(char::from(byte))?,
                other => write!(formatter, "\\x{other:02x}")?,
            }
        }
        if self.0.len() > SHOWN_BYTES {
            formatter.write_str("...")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_stay_on_one_short_line() {
        assert_eq!(
            Escaped("/a\r\n\u{1b}[31m é").to_string(),
            "/a\\x0d\\x0a\\x1b[31m\\x20\\xc3\\xa9"
        );
        assert!(Escaped(&"x".repeat(100_000)).to_string().len() < 300);
    }
}
