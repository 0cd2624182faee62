//! The connection to Membridge, for the HTTP side.

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::error::Result;
use crate::http::control::{ControlCall, ControlPlane, ControlSettings};
use crate::membridge::{Call, Change, Membridge, Settings, Tested};

/// Hands calls through.
pub(super) struct Control(pub(super) Membridge);

impl ControlPlane for Control {
    fn status(&self) -> Value {
        let status = self.0.status();
        json!({
            "consecutiveFailures": status.consecutive_failures,
            "lastSuccess": status.last_success,
            "lastError": status.last_error,
            "connected": status.connected,
            "tripped": status.tripped,
            "lastSync": status.last_sync,
        })
    }

    fn settings(&self) -> BoxFuture<'_, Result<ControlSettings>> {
        Box::pin(async move { Ok(shown(self.0.settings().await?)) })
    }

    fn configure(
        &self,
        url: String,
        key: Option<SecretString>,
        actor: String,
    ) -> BoxFuture<'_, Result<ControlSettings>> {
        Box::pin(async move {
            let settings = self.0.configure(Change { url, key }, &actor).await?;
            Ok(shown(settings))
        })
    }

    fn test(&self, actor: String) -> BoxFuture<'_, Result<std::result::Result<Value, String>>> {
        Box::pin(async move {
            Ok(match self.0.test(&actor).await? {
                Tested::Connected(health) => Ok(health),
                Tested::Failed(why) => Err(why),
            })
        })
    }

    fn call(&self, call: ControlCall) -> BoxFuture<'_, Result<Value>> {
        let call = match call {
            ControlCall::Health => Call::Health,
            ControlCall::Projects => Call::Projects,
            ControlCall::Leadership(project) => Call::Leadership(project),
            ControlCall::Nodes(project) => Call::Nodes(project),
            ControlCall::Select(project, asked) => Call::Select(project, asked),
        };
        Box::pin(async move { Ok(self.0.call(call).await?.body) })
    }
}

fn shown(settings: Settings) -> ControlSettings {
    ControlSettings {
        url: settings.url,
        has_key: settings.has_key,
        connected: settings.connected,
        last_test: settings.last_test,
    }
}
