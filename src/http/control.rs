//! What the HTTP side needs of the connection to Membridge. The service implements it with the
//! component, so that neither knows the other.

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::Value;

use crate::error::Result;

/// The settings as clients see them.
#[derive(Debug, Clone)]
pub struct ControlSettings {
    /// The address; empty when there is none.
    pub url: String,
    /// Whether there is an admin key.
    pub has_key: bool,
    /// Whether the last test succeeded.
    pub connected: bool,
    /// When that was, in epoch milliseconds.
    pub last_test: Option<i64>,
}

/// What a client may have fetched.
#[derive(Debug, Clone)]
pub enum ControlCall {
    /// Health.
    Health,
    /// All projects.
    Projects,
    /// Who leads a project.
    Leadership(String),
    /// The nodes of a project.
    Nodes(String),
    /// Makes a node the primary of a project.
    Select(String, Value),
}

/// The connection to Membridge.
pub trait ControlPlane: Send + Sync {
    /// How it does: `{consecutiveFailures, lastSuccess, lastError, connected, …}`.
    fn status(&self) -> Value;

    /// The settings.
    fn settings(&self) -> BoxFuture<'_, Result<ControlSettings>>;

    /// Changes them.
    fn configure(
        &self,
        url: String,
        key: Option<SecretString>,
        actor: String,
    ) -> BoxFuture<'_, Result<ControlSettings>>;

    /// Tests them: its health, or why there is none.
    fn test(&self, actor: String) -> BoxFuture<'_, Result<std::result::Result<Value, String>>>;

    /// Makes a call with the admin key.
    fn call(&self, call: ControlCall) -> BoxFuture<'_, Result<Value>>;
}
