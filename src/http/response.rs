//! What a handler answers: a status, headers, and a body that is bytes or a stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, SizeHint};
use hyper::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use serde::Serialize;

pub use hyper::StatusCode;

use crate::error::{Error, Result};

/// The content type of every JSON answer.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// Headers that every answer carries unless its handler set them itself. The content policy suits
/// data; whoever serves a page states its own.
const DEFAULT_HEADERS: [(HeaderName, HeaderValue); 8] = [
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
];

/// An answer in the making.
#[derive(Debug)]
pub struct Response {
    inner: hyper::Response<Body>,
}

impl Response {
    /// `value` as JSON with `status`.
    ///
    /// # Errors
    /// [`Error::Internal`] when `value` cannot be JSON (a map with keys that are not strings).
    pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Self> {
        let bytes = serde_json::to_vec(value).map_err(Error::internal)?;
        Ok(Self::from_json_bytes(status, bytes))
    }

    /// 200 with `value` as JSON.
    ///
    /// # Errors
    /// See [`Response::json`].
    pub fn ok(value: &impl Serialize) -> Result<Self> {
        Self::json(StatusCode::OK, value)
    }

    /// 201 with `value` as JSON.
    ///
    /// # Errors
    /// See [`Response::json`].
    pub fn created(value: &impl Serialize) -> Result<Self> {
        Self::json(StatusCode::CREATED, value)
    }

    /// `status` without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self::with_body(status, Body::full(Bytes::new()))
    }

    /// 200 with bytes of the named content type, e.g. a file of the web UI.
    #[must_use]
    pub fn bytes(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let mut response = Self::with_body(StatusCode::OK, Body::full(bytes.into()));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    /// 200 with a body that is produced piece by piece, e.g. server-sent events.
    ///
    /// The stream is dropped when the client goes away. It should end by itself when the process
    /// shuts down; otherwise it is cut off at the end of the drain time.
    pub fn stream<T>(content_type: &'static str, pieces: T) -> Self
    where
        T: Stream<Item = Bytes> + Send + 'static,
    {
        let frames = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
        let body = Body {
            kind: BodyKind::Stream(StreamBody::new(frames).boxed_unsync()),
        };
        let mut response = Self::with_body(StatusCode::OK, body);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    /// The same answer with one more header; a header of that name is replaced.
    ///
    /// # Errors
    /// [`Error::Internal`] when `value` cannot stand in a header (control characters).
    pub fn header(mut self, name: &'static str, value: &str) -> Result<Self> {
        let value = HeaderValue::from_str(value).map_err(Error::internal)?;
        self.headers_mut()
            .insert(HeaderName::from_static(name), value);
        Ok(self)
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The headers, to change them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.inner.headers_mut()
    }

    /// JSON that was serialized already.
    #[must_use]
    pub fn from_json_bytes(status: StatusCode, bytes: impl Into<Bytes>) -> Self {
        let mut response = Self::with_body(status, Body::full(bytes.into()));
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response
    }

    fn with_body(status: StatusCode, body: Body) -> Self {
        let mut inner = hyper::Response::new(body);
        *inner.status_mut() = status;
        Self { inner }
    }

    /// Adds what every answer carries and hands it to the connection. For HEAD the body goes, its
    /// length stays.
    pub(super) fn finish(mut self, head: bool) -> hyper::Response<Body> {
        for (name, value) in DEFAULT_HEADERS {
            self.inner.headers_mut().entry(name).or_insert(value);
        }
        if head {
            if let BodyKind::Full(full) = &self.inner.body().kind {
                let length = hyper::body::Body::size_hint(full).exact().unwrap_or(0);
                self.inner
                    .headers_mut()
                    .insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            *self.inner.body_mut() = Body::full(Bytes::new());
        }
        self.inner
    }
}

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    kind: BodyKind,
}

#[derive(Debug)]
enum BodyKind {
    Full(Full<Bytes>),
    Stream(UnsyncBoxBody<Bytes, Infallible>),
}

impl Body {
    fn full(bytes: Bytes) -> Self {
        Self {
            kind: BodyKind::Full(Full::new(bytes)),
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.get_mut().kind {
            BodyKind::Full(full) => Pin::new(full).poll_frame(context),
            BodyKind::Stream(stream) => Pin::new(stream).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            BodyKind::Full(full) => full.is_end_stream(),
            BodyKind::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            BodyKind::Full(full) => full.size_hint(),
            BodyKind::Stream(stream) => stream.size_hint(),
        }
    }
}
