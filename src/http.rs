//! The HTTP side: a small server on hyper, and what handlers need.
//!
//! ```text
//! server ── stream (stalling peers) ── service ─┬─ router   which route, decoded parameters
//!                                               ├─ auth     whose key, which scopes
//!                                               ├─ limits   how often
//!                                               ├─ handler(state, Request) -> Result<Response>
//!                                               └─ failure  Error -> the contract's answer
//! ```
//! **Invariants.** Every request gets exactly one answer and one line in the log, also when its
//! handler panics. A route is reached by its plain spelling only, and states who may call it.
//! Nothing here knows SQL; nothing below knows a status code.
//!
//! A handler is an `async fn(Arc<S>, Request) -> Result<Response>`. It is dropped when its client
//! goes away, so it must not hold anything that has to be undone.

mod access_log;
pub mod assets;
pub mod auth;
mod body;
pub mod control;
pub mod failure;
#[doc(hidden)]
pub mod fuzzing;
pub mod handlers;
pub mod json;
pub mod limits;
pub mod openapi;
pub mod path;
pub mod query;
pub mod request;
pub mod response;
pub mod router;
pub mod server;
mod service;
pub mod sse;
mod stream;
pub mod validate;
pub mod wire;

pub use access_log::{Observed, Observer};
pub use auth::{Authenticator, Caller, KeyStore, Policy, Scope, ScopeSet, StoredKey};
pub use limits::RateClass;
pub use request::Request;
pub use response::{Response, StatusCode};
pub use router::{Access, BodyLimit, Route, Router};
pub use server::{Options, Server};
