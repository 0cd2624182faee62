//! One route: what it answers, and to whom.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hyper::Method;

use crate::error::Result;
use crate::http::auth::{Scope, ScopeSet};
use crate::http::limits::RateClass;
use crate::http::request::Request;
use crate::http::response::Response;

/// A handler's answer in the making.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<Response>> + Send>>;

type Handler<S> = Box<dyn Fn(Arc<S>, Request) -> HandlerFuture + Send + Sync>;

/// Who may call a route. Every route states it; there is no default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone, without a key.
    Open,
    /// Keys with at least one of these scopes, and admin keys.
    Scopes(ScopeSet),
}

impl Access {
    /// Keys with at least one of `scopes`, and admin keys.
    #[must_use]
    pub const fn any_of(scopes: &[Scope]) -> Self {
        Self::Scopes(ScopeSet::of(scopes))
    }
}

/// How large a request body may be. The sizes are in the server's options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLimit {
    /// Ordinary requests.
    Small,
    /// Completions, batches and artifacts.
    Large,
}

/// One route.
pub struct Route<S> {
    method: Method,
    path: &'static str,
    access: Access,
    rate: RateClass,
    body: BodyLimit,
    handler: Handler<S>,
}

impl<S> fmt::Debug for Route<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {:?}", self.method, self.path, self.access)
    }
}

impl<S> Route<S> {
    /// A route for `method` and the path template `path`, e.g. `/api/runtime/workers/{id}`;
    /// `{*rest}` at the end takes all that follows. Counted as [`RateClass::General`], with a
    /// [`BodyLimit::Small`].
    pub fn new<H, F>(method: Method, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        let handler: Handler<S> = Box::new(move |state, request| Box::pin(handler(state, request)));
        let (rate, body) = (RateClass::General, BodyLimit::Small);
        Self {
            method,
            path,
            access,
            rate,
            body,
            handler,
        }
    }

    /// A GET route; it answers HEAD, too.
    pub fn get<H, F>(path: &'static str, access: Access, handler: H) -> Self
    where
        H: Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(Method::GET, path, access, handler)
    }

    /// A POST route.
    pub fn post<H, F>(path: &'static str, access: Access, handler: H) -> Self
    where
        H: Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(Method::POST, path, access, handler)
    }

    /// A DELETE route.
    pub fn delete<H, F>(path: &'static str, access: Access, handler: H) -> Self
    where
        H: Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        Self::new(Method::DELETE, path, access, handler)
    }

    /// The same route, counted in another class.
    #[must_use]
    pub fn rate(mut self, class: RateClass) -> Self {
        self.rate = class;
        self
    }

    /// The same route with another body limit.
    #[must_use]
    pub fn body(mut self, limit: BodyLimit) -> Self {
        self.body = limit;
        self
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Its path template.
    #[must_use]
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// Who may call it.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// The class it is counted in.
    #[must_use]
    pub fn rate_class(&self) -> RateClass {
        self.rate
    }

    /// Its body limit.
    #[must_use]
    pub fn body_limit(&self) -> BodyLimit {
        self.body
    }

    /// Runs the handler.
    pub(in crate::http) fn call(&self, state: Arc<S>, request: Request) -> HandlerFuture {
        (self.handler)(state, request)
    }
}
