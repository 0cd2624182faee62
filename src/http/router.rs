//! The route table: one place that says which method and path exist, who may call them, how often
//! and with how large a body.

mod route;

use std::future::Future;
use std::sync::Arc;

use hyper::Method;
use hyper::header::HeaderValue;

pub use route::{Access, BodyLimit, HandlerFuture, Route};

use super::path;
use super::request::Request;
use super::response::Response;
use crate::error::Result;

/// Why a route table is not one.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Two routes have the same method and path.
    #[error("the route {method} {path} exists twice")]
    Twice {
        /// The method of both.
        method: Method,
        /// The path of both.
        path: &'static str,
    },
    /// A path template is malformed or conflicts with another.
    #[error("the route path {path} cannot be added")]
    Path {
        /// The template.
        path: &'static str,
        /// Why.
        #[source]
        source: matchit::InsertError,
    },
}

/// The methods of one path.
struct Node {
    path: &'static str,
    /// Names of the parameters, in order; `true` for the one that takes all that follows.
    params: Vec<(&'static str, bool)>,
    /// Indexes into the route table.
    routes: Vec<usize>,
    allow: HeaderValue,
}

/// The finished route table.
pub struct Router<S> {
    routes: Vec<Route<S>>,
    nodes: Vec<Node>,
    paths: matchit::Router<usize>,
    fallback: Option<Route<S>>,
}

impl<S> std::fmt::Debug for Router<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(&self.routes).finish()
    }
}

/// What the table says to a method and path.
pub(super) enum Match<'r, S> {
    /// This route, with its decoded parameters.
    Route(&'r Route<S>, Params),
    /// No such path.
    NotFound,
    /// The path exists, not with this method; the header lists those it has.
    MethodNotAllowed(HeaderValue),
    /// OPTIONS on a path that exists.
    Options(HeaderValue),
}

/// Decoded path parameters with their names.
pub(super) type Params = Vec<(&'static str, String)>;

impl<S> Router<S> {
    /// Builds the table.
    ///
    /// # Errors
    /// When two routes contradict each other or a template is malformed.
    pub fn new(routes: Vec<Route<S>>) -> Result<Self, RouteError> {
        let mut nodes: Vec<Node> = Vec::new();
        let mut paths = matchit::Router::new();
        for (index, route) in routes.iter().enumerate() {
            let path = route.path();
            if let Some(node) = nodes.iter_mut().find(|node| node.path == path) {
                if node
                    .routes
                    .iter()
                    .any(|&other| routes[other].method() == route.method())
                {
                    return Err(RouteError::Twice {
                        method: route.method().clone(),
                        path,
                    });
                }
                node.routes.push(index);
                continue;
            }
            paths
                .insert(path, nodes.len())
                .map_err(|source| RouteError::Path { path, source })?;
            let params = param_names(path);
            let allow = HeaderValue::from_static("");
            nodes.push(Node {
                path,
                params,
                routes: vec![index],
                allow,
            });
        }
        for node in &mut nodes {
            node.allow = allow(node.routes.iter().map(|&index| routes[index].method()));
        }
        Ok(Self {
            routes,
            nodes,
            paths,
            fallback: None,
        })
    }

    /// Answers GET and HEAD of every path outside `/api` that no route takes, e.g. with the web
    /// UI. It needs no key.
    #[must_use]
    pub fn fallback<H, F>(mut self, handler: H) -> Self
    where
        H: Fn(Arc<S>, Request) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Response>> + Send + 'static,
    {
        self.fallback = Some(Route::get("/{*path}", Access::Open, handler));
        self
    }

    /// All routes, in the order in which they were given, without the fallback.
    #[must_use]
    pub fn routes(&self) -> &[Route<S>] {
        &self.routes
    }

    pub(super) fn find(&self, method: &Method, raw_path: &str) -> Match<'_, S> {
        if !path::is_sound(raw_path) {
            return Match::NotFound;
        }
        let Ok(found) = self.paths.at(raw_path) else {
            return self.find_fallback(method, raw_path);
        };
        let node = &self.nodes[*found.value];
        let wanted = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let mut routes = node.routes.iter().map(|&index| &self.routes[index]);
        if let Some(route) = routes.find(|route| route.method() == wanted) {
            return match decode_params(&node.params, found.params.iter().map(|(_, raw)| raw)) {
                Some(params) => Match::Route(route, params),
                None => Match::NotFound,
            };
        }
        let allow = node.allow.clone();
        if method == Method::OPTIONS {
            Match::Options(allow)
        } else {
            Match::MethodNotAllowed(allow)
        }
    }

    fn find_fallback(&self, method: &Method, raw_path: &str) -> Match<'_, S> {
        let is_page = !is_api(raw_path) && (method == Method::GET || method == Method::HEAD);
        match (
            &self.fallback,
            path::decode_rest(raw_path.trim_start_matches('/')),
        ) {
            (Some(route), Some(rest)) if is_page => Match::Route(route, vec![("path", rest)]),
            _ => Match::NotFound,
        }
    }
}

/// Whether `raw_path` stands in the API's name space, in whatever spelling somebody may read so.
fn is_api(raw_path: &str) -> bool {
    let first = raw_path
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default();
    let name = first
        .split(';')
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    first.contains('%') || name.eq_ignore_ascii_case("api")
}

fn param_names(path: &'static str) -> Vec<(&'static str, bool)> {
    let inner = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    inner
        .map(|name| (name.trim_start_matches('*'), name.starts_with('*')))
        .collect()
}

fn decode_params<'p>(
    names: &[(&'static str, bool)],
    raw: impl Iterator<Item = &'p str>,
) -> Option<Params> {
    let pairs = names.iter().zip(raw);
    pairs
        .map(|(&(name, is_rest), raw)| {
            let value = if is_rest {
                path::decode_rest(raw)
            } else {
                path::decode(raw).map(Into::into)
            };
            value.map(|value| (name, value))
        })
        .collect()
}

fn allow<'m>(methods: impl Iterator<Item = &'m Method>) -> HeaderValue {
    let mut names: Vec<&str> = methods.map(Method::as_str).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    // Method names are tokens, which any header may carry.
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}
