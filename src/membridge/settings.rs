//! What is stored about Membridge: `{"url", "key", "connected", "last_test"}` under one setting.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::Url;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::Options;
use crate::db::Db;
use crate::db::calls::EpochMs;
use crate::db::calls::setting::{setting_get, setting_set};
use crate::error::{Error, Kind, Result};
use crate::secrets::{self, Keyring, Sealed};

/// The setting.
const SETTING: &str = "membridge";
/// What the audit trail says of a change, and of what.
const CHANGED: (&str, &str) = ("config_updated", "runtime_config/singleton");
/// What it says of a test.
const TESTED: (&str, &str) = ("connection_tested", "runtime_config/singleton");

/// The settings as they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address; empty when there is none.
    pub url: String,
    /// Whether there is an admin key.
    pub has_key: bool,
    /// Whether the last test succeeded.
    pub connected: bool,
    /// When that was.
    pub last_test: Option<EpochMs>,
}

/// A change of the settings.
#[derive(Debug)]
pub struct Change {
    /// The address.
    pub url: String,
    /// A new key; without one the old one stays, unless the origin changes.
    pub key: Option<SecretString>,
}

/// The settings with the key, encrypted or from the configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    pub(super) url: Option<Url>,
    key: Key,
    connected: bool,
    last_test: Option<EpochMs>,
}

#[derive(Debug, Clone, Default)]
enum Key {
    #[default]
    None,
    Sealed(Sealed),
    /// From the configuration, in clear, never stored.
    Configured(SecretString),
}

/// As stored.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    url: Option<String>,
    key: Option<Sealed>,
    connected: bool,
    last_test: Option<EpochMs>,
}

impl Stored {
    pub(super) async fn load(db: &Db, options: &Options) -> Result<Self> {
        let Some(value) = setting_get(db, SETTING).await? else {
            return Ok(Self::fallback(options));
        };
        let row: Row = serde_json::from_value(value).map_err(Error::internal)?;
        let url = row.url.as_deref().map(Url::parse).transpose();
        Ok(Self {
            url: url.map_err(Error::internal)?,
            key: row.key.map_or(Key::None, Key::Sealed),
            connected: row.connected,
            last_test: row.last_test,
        })
    }

    fn fallback(options: &Options) -> Self {
        let Some((url, key)) = &options.fallback else {
            return Self::default();
        };
        Self {
            url: Url::parse(url).ok(),
            key: key.clone().map_or(Key::None, Key::Configured),
            ..Self::default()
        }
    }

    pub(super) async fn save(&self, db: &Db, actor: &str) -> Result<()> {
        self.write(db, CHANGED, actor).await
    }

    /// Remembers what a test found. What is only configured is not stored for that.
    pub(super) async fn note_test(&self, db: &Db, connected: bool, actor: &str) -> Result<()> {
        if self.url.is_none() || matches!(self.key, Key::Configured(_)) {
            return Ok(());
        }
        let tested = Self {
            connected,
            last_test: Some(now()),
            ..self.clone()
        };
        tested.write(db, TESTED, actor).await
    }

    async fn write(&self, db: &Db, audit: (&str, &str), actor: &str) -> Result<()> {
        let row = Row {
            url: self.url.as_ref().map(ToString::to_string),
            key: match &self.key {
                Key::Sealed(sealed) => Some(sealed.clone()),
                Key::None | Key::Configured(_) => None,
            },
            connected: self.connected,
            last_test: self.last_test,
        };
        let row = serde_json::to_value(row).map_err(Error::internal)?;
        setting_set(db, SETTING, &row, Some(audit), actor).await
    }

    /// After a change. A key belongs to the origin that it was given for: to another one it is
    /// never sent, so it is forgotten with the old origin.
    pub(super) fn changed(
        &self,
        url: Url,
        key: Option<SecretString>,
        keyring: Option<&Keyring>,
    ) -> Result<Self> {
        let key = match key {
            Some(key) => {
                let keyring = keyring.ok_or_else(no_keyring)?;
                let sealed = keyring.seal(&key, &place(&url));
                Key::Sealed(sealed.map_err(Error::internal)?)
            }
            None if self.url.as_ref().map(Url::origin) == Some(url.origin()) => {
                self.kept_key(&url, keyring)?
            }
            None => Key::None,
        };
        Ok(Self {
            url: Some(url),
            key,
            connected: false,
            last_test: None,
        })
    }

    /// The present key, made fit to be stored.
    fn kept_key(&self, url: &Url, keyring: Option<&Keyring>) -> Result<Key> {
        let Key::Configured(key) = &self.key else {
            return Ok(self.key.clone());
        };
        let keyring = keyring.ok_or_else(no_keyring)?;
        let sealed = keyring.seal(key, &place(url)).map_err(Error::internal)?;
        Ok(Key::Sealed(sealed))
    }

    pub(super) fn open_key(
        &self,
        keyring: Option<&Keyring>,
    ) -> std::result::Result<Option<SecretString>, KeyError> {
        match (&self.key, &self.url, keyring) {
            (Key::None, ..) | (_, None, _) => Ok(None),
            (Key::Configured(key), ..) => Ok(Some(key.clone())),
            (Key::Sealed(sealed), Some(url), Some(keyring)) => {
                Ok(Some(keyring.open(sealed, &place(url))?))
            }
            (Key::Sealed(_), Some(_), None) => Err(KeyError::NoKeyring),
        }
    }

    pub(super) fn shown(&self) -> Settings {
        Settings {
            // As it was given: without the slash that parsing adds to a bare origin.
            url: self.url.as_ref().map_or_else(String::new, |url| {
                url.as_str().trim_end_matches('/').to_owned()
            }),
            has_key: !matches!(self.key, Key::None),
            connected: self.connected,
            last_test: self.last_test,
        }
    }
}

/// Why the stored key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeyError {
    /// No key-encryption key was given.
    #[error("an admin key is stored, but no key-encryption key is configured (BLOOM_KEK_FILE)")]
    NoKeyring,
    /// It does not open.
    #[error(transparent)]
    Secret(#[from] secrets::Error),
}

/// What the ciphertext is bound to.
fn place(url: &Url) -> String {
    format!("{SETTING}|{}", url.origin().ascii_serialization())
}

fn no_keyring() -> Error {
    Error::refused(
        Kind::Busy,
        "no_key_encryption_key",
        "The admin key cannot be stored: no key-encryption key is configured (BLOOM_KEK_FILE)",
    )
}

/// Only shown to people; nothing is decided by it.
fn now() -> EpochMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        EpochMs::try_from(since.as_millis()).unwrap_or(EpochMs::MAX)
    })
}
