//! Making, changing and testing webhooks.

use std::time::{SystemTime, UNIX_EPOCH};

use chacha20poly1305::aead::{OsRng, rand_core::RngCore as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Webhooks;
use super::signature::hex;
use crate::db::calls::VerbOptions;
use crate::db::calls::audit::audit_note;
use crate::db::calls::webhook::{
    Attempt, Webhook, webhook_configure, webhook_create, webhook_find,
};
use crate::error::{Error, Kind, Result, chain};
use crate::secrets::{Keyring, Sealed};

/// Bytes of a secret.
const SECRET: usize = 32;

/// What a webhook should be like; what is not given stays, or is the default.
#[derive(Debug, Default)]
pub struct Change {
    /// What people call it.
    pub name: Option<String>,
    /// Where to.
    pub url: Option<String>,
    /// Whether it gets a new secret.
    pub new_secret: bool,
    /// The options of the verb: types, queues, `max_events`, `max_attempts`, `backoff_ms`, paused,
    /// and the actor.
    pub options: VerbOptions,
}

/// What a test found.
#[derive(Debug)]
pub struct Tested {
    /// The delivery that the request named.
    pub delivery: Uuid,
    /// What became of it.
    pub attempt: Attempt,
}

impl Webhooks {
    /// Makes a webhook; with its secret, which is never shown again.
    ///
    /// # Errors
    /// [`Error::Fields`] for an address that is not allowed, 503 without a way to encrypt the secret.
    pub async fn create(&self, new: Change) -> Result<(Webhook, SecretString)> {
        let id = Uuid::now_v7();
        let url = self.checked(new.url.as_deref().unwrap_or_default())?;
        let name = new.name.unwrap_or_default();
        let secret = new_secret();
        let sealed = self.sealed(&secret, id)?;
        let db = &self.inner.db;
        let webhook = webhook_create(db, id, (&name, &url), &sealed, new.options).await?;
        Ok((webhook, secret))
    }

    /// Changes a webhook; with a new secret, if it got one.
    ///
    /// # Errors
    /// As [`Webhooks::create`]; 404.
    pub async fn configure(
        &self,
        id: Uuid,
        change: Change,
    ) -> Result<(Webhook, Option<SecretString>)> {
        let url = change.url.as_deref().map(|url| self.checked(url));
        let secret = change.new_secret.then(new_secret);
        let sealed = secret.as_ref().map(|secret| self.sealed(secret, id));
        let options = change
            .options
            .maybe("name", change.name)
            .maybe("url", url.transpose()?)
            .maybe("secret", sealed.transpose()?);
        let webhook = webhook_configure(&self.inner.db, id, options).await?;
        self.nudge();
        Ok((webhook, secret))
    }

    /// Sends one event that means nothing, at once and once.
    ///
    /// # Errors
    /// 404; 503 without the key that its secret is encrypted with.
    pub async fn test(&self, id: Uuid, actor: &str) -> Result<Tested> {
        let (url, sealed) = webhook_find(&self.inner.db, id).await?;
        let secret = self.opened(sealed, id)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since.map_or(0, |since| since.as_millis());
        let event = json!({
            "cursor": Uuid::nil(), "timestamp": u64::try_from(now).unwrap_or(0),
            "action": "webhook_tested", "entity_type": "webhook", "entity_id": id, "actor": actor,
            "detail": null,
        });
        let delivery = Uuid::now_v7();
        let events = Value::Array(vec![event]).to_string();
        let attempt = self.send(&url, &secret, id, delivery, (&events, 1)).await;
        let detail = json!({ "delivered": attempt.is_delivered, "status": attempt.status });
        let subject = format!("webhook/{id}");
        audit_note(&self.inner.db, "webhook_tested", &subject, &detail, actor).await?;
        Ok(Tested { delivery, attempt })
    }

    fn checked(&self, url: &str) -> Result<String> {
        let url = self.inner.options.guard.check(url);
        url.map(|url| url.to_string())
            .map_err(|why| Error::field("url", why))
    }

    fn keyring(&self) -> Result<&Keyring> {
        self.inner.options.keyring.as_ref().ok_or_else(|| {
            Error::refused(
                Kind::Busy,
                "no_key_encryption_key",
                "Webhooks need a key-encryption key for their secrets (BLOOM_KEK_FILE)",
            )
        })
    }

    fn sealed(&self, secret: &SecretString, id: Uuid) -> Result<Value> {
        let sealed = self.keyring()?.seal(secret, &place(id));
        serde_json::to_value(sealed.map_err(Error::internal)?).map_err(Error::internal)
    }

    /// The secret of a webhook in clear.
    pub(super) fn opened(&self, sealed: Value, id: Uuid) -> Result<SecretString> {
        let keyring = self.keyring()?;
        let sealed: Sealed = serde_json::from_value(sealed).map_err(Error::internal)?;
        keyring.open(&sealed, &place(id)).map_err(|error| {
            tracing::error!(webhook.id = %id, error = chain(&error), "the secret of a webhook cannot be read");
            let text = "The secret of the webhook cannot be read: see the service's log";
            Error::refused(Kind::Busy, "secret_unreadable", text)
        })
    }
}

/// What the ciphertext is bound to.
fn place(id: Uuid) -> String {
    format!("webhook|{id}")
}

fn new_secret() -> SecretString {
    let mut bytes = zeroize::Zeroizing::new([0; SECRET]);
    OsRng.fill_bytes(bytes.as_mut());
    SecretString::from(format!("whsec_{}", hex(bytes.as_ref())))
}

/// For the one answer that shows it.
#[must_use]
pub(crate) fn shown(secret: &SecretString) -> &str {
    secret.expose_secret()
}
