//! What the fuzz targets (`fuzz/`) need of the inside.

use hyper::Method;
use serde_json::Value;

use super::handlers::submission::{self, Outside};
use super::json;
use super::router::{Match, Router};
use crate::error::Result;

/// Reads the body of a submission: the task as the verb takes it.
///
/// # Errors
/// As the route refuses it.
pub fn task(body: &[u8]) -> Result<Value> {
    let value = json::parse(body)?;
    Ok(submission::read(Some(&value), Outside::default())?.task)
}

/// The template of the route that takes a request, and its decoded parameters.
#[must_use]
pub fn route<S>(
    router: &Router<S>,
    method: &Method,
    path: &str,
) -> Option<(&'static str, Vec<(&'static str, String)>)> {
    match router.find(method, path) {
        Match::Route(route, params) => Some((route.path(), params)),
        Match::NotFound | Match::MethodNotAllowed(_) | Match::Options(_) => None,
    }
}
