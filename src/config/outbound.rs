//! Membridge, agents, and where requests to them may go.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, value_parser};
use secrecy::SecretString;

use super::{Error, secret};
use crate::outbound::{Entry, EntryError};

/// The credential that a service manager may hand over in a directory of its own.
const CREDENTIAL: &str = "bloom-kek";

/// Whom the service calls, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Membridge and agents")]
pub struct OutboundArgs {
    /// Address of the Membridge control plane, used while none is stored. Its host counts as
    /// allowed.
    #[arg(long, value_name = "URL", env = "MEMBRIDGE_SERVER_URL")]
    pub membridge_url: Option<String>,

    /// File that holds its admin key (otherwise `MEMBRIDGE_ADMIN_KEY`).
    #[arg(long, value_name = "FILE", env = "MEMBRIDGE_ADMIN_KEY_FILE")]
    pub membridge_admin_key_file: Option<PathBuf>,

    /// How often to ask Membridge for its agents, in milliseconds.
    #[arg(long, value_name = "MS", env = "BLOOM_SYNC_INTERVAL_MS", default_value_t = 10_000,
        value_parser = value_parser!(u64).range(50..=3_600_000))]
    pub sync_interval_ms: u64,

    /// Private networks and hosts that requests to workers, webhooks and Membridge may go to, separated by
    /// commas: 10.0.0.0/8, 192.168.1.7, node.lan, node.lan:8001. Public addresses may unless
    /// `--outbound-listed-only` says otherwise, link-local ones never.
    #[arg(
        long,
        value_name = "LIST",
        env = "BLOOM_OUTBOUND_ALLOW",
        value_delimiter = ','
    )]
    pub outbound_allow: Vec<String>,

    /// Such requests go to what `--outbound-allow` lists and nowhere else, public addresses included.
    #[arg(long, env = "BLOOM_OUTBOUND_LISTED_ONLY")]
    pub outbound_listed_only: bool,

    /// File of the keys that encrypt stored secrets, each 64 hexadecimal digits on a line; the first
    /// encrypts. With a private database it is made in the data directory if none is named.
    #[arg(long, value_name = "FILE", env = "BLOOM_KEK_FILE")]
    pub kek_file: Option<PathBuf>,

    /// How long a request to a webhook may take, in seconds.
    #[arg(long, value_name = "SECONDS", env = "BLOOM_WEBHOOK_TIMEOUT_SECONDS", default_value_t = 10,
        value_parser = value_parser!(u32).range(1..=60))]
    pub webhook_timeout_seconds: u32,

    /// Address at which agents reach this service for their callbacks.
    #[arg(long, value_name = "URL", env = "BLOOM_PUBLIC_URL")]
    pub public_url: Option<String>,

    /// Key of an agent as ADDRESS=FILE, sent to that address only. May be given several
    /// times, or separated by commas.
    #[arg(long, value_name = "ADDRESS=FILE", env = "BLOOM_AGENT_KEYS", value_delimiter = ',',
        value_parser = agent_key)]
    pub agent_key: Vec<(String, PathBuf)>,
}

fn agent_key(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((address, file)) if !address.is_empty() && !file.is_empty() => {
            Ok((address.to_owned(), file.into()))
        }
        _ => Err("expected ADDRESS=FILE".to_owned()),
    }
}

impl OutboundArgs {
    /// The configured address of Membridge and its key.
    ///
    /// # Errors
    /// When a key file cannot be used.
    pub fn membridge(&self) -> Result<Option<(String, Option<SecretString>)>, Error> {
        let Some(url) = self.membridge_url.clone().filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        let file = self.membridge_admin_key_file.as_deref();
        Ok(Some((url, secret::key(file, "MEMBRIDGE_ADMIN_KEY")?)))
    }

    /// The networks and hosts that are opened.
    ///
    /// # Errors
    /// With an entry that is none.
    pub fn allowed(&self) -> Result<Vec<Entry>, EntryError> {
        let entries = self.outbound_allow.iter().map(|entry| entry.trim());
        entries
            .filter(|entry| !entry.is_empty())
            .map(str::parse)
            .collect()
    }

    /// The keys of agents with their addresses.
    ///
    /// # Errors
    /// When a key file cannot be used.
    pub fn agent_keys(&self) -> Result<Vec<(String, SecretString)>, Error> {
        let mut keys = Vec::new();
        for (address, file) in &self.agent_key {
            let key = super::key_in(Some(file))?;
            keys.extend(key.map(|key| (address.clone(), key)));
        }
        Ok(keys)
    }

    /// The file of key-encryption keys, and whether to make it: the named one, the service
    /// manager's, or one in the directory of a private database.
    #[must_use]
    pub fn kek(&self, private: Option<&Path>) -> Option<(PathBuf, bool)> {
        if let Some(file) = &self.kek_file {
            return Some((file.clone(), false));
        }
        #[expect(clippy::disallowed_methods, reason = "this is config")]
        let handed = std::env::var_os("CREDENTIALS_DIRECTORY");
        let handed = handed.map(|directory| PathBuf::from(directory).join(CREDENTIAL));
        if let Some(file) = handed.filter(|file| file.exists()) {
            return Some((file, false));
        }
        private.map(|directory| (directory.join("kek"), true))
    }

    /// From one sync to the next.
    #[must_use]
    pub fn sync_interval(&self) -> Duration {
        Duration::from_millis(self.sync_interval_ms)
    }
}
