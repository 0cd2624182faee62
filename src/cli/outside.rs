//! What `bloom serve` needs to talk to Membridge, to agents and to webhooks.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use reqwest::Url;

use super::database::Database;
use super::serve::Args;
use crate::dispatch::{self, AgentKeys};
use crate::membridge;
use crate::outbound::{Entry, Guard, Policy};
use crate::seals::{self, Signers};
use crate::secrets::Keyring;
use crate::webhooks;

/// About how often webhooks are looked after.
const WEBHOOK_POLL: Duration = Duration::from_secs(1);

/// About how often events are sealed.
const SEAL_INTERVAL: Duration = Duration::from_secs(30);

/// The options of all.
pub(super) struct Outside {
    pub(super) membridge: membridge::Options,
    pub(super) dispatch: dispatch::Options,
    pub(super) webhooks: webhooks::Options,
    pub(super) seals: seals::Options,
}

impl Outside {
    pub(super) fn new(
        args: &Args,
        database: &Database,
        address: SocketAddr,
    ) -> anyhow::Result<Self> {
        let outbound = &args.outbound;
        let configured = outbound.membridge()?;
        let entries = outbound.allowed()?;
        let port = database.endpoint.port();
        let policy = |entries| {
            Policy::new(entries)
                .closing(port)
                .listed_only(outbound.outbound_listed_only)
        };
        let guard = Guard::new(policy(entries.clone()))?;
        let control = match &configured {
            None => guard.clone(),
            Some((url, _)) => {
                let parsed = Url::parse(url).with_context(|| format!("--membridge-url {url}"))?;
                // Whoever may configure the service may choose this one: for Membridge alone.
                let entries = entries.into_iter().chain(Entry::of_url(&parsed));
                let control = Guard::new(policy(entries.collect()))?;
                let checked = control.check(url);
                checked.map_err(|why| anyhow!("--membridge-url: {why}"))?;
                control
            }
        };
        let keys = AgentKeys::new(outbound.agent_keys()?);
        let keys = keys.map_err(|why| anyhow!("--agent-key: {why}"))?;
        let public_url = outbound.public_url.clone().or_else(|| own_url(address));
        Ok(Self {
            membridge: membridge::Options {
                guard: control,
                keyring: keyring(args)?,
                fallback: configured,
                interval: outbound.sync_interval(),
            },
            webhooks: webhooks::Options {
                guard: guard.clone(),
                keyring: keyring(args)?,
                time_limit: Duration::from_secs(outbound.webhook_timeout_seconds.into()),
                poll: WEBHOOK_POLL,
            },
            seals: seals::Options {
                signers: keyring(args)?.and_then(|ring| Signers::of(ring.signing_seeds())),
                file: seal_file(args)?,
                interval: SEAL_INTERVAL,
            },
            dispatch: dispatch::Options {
                guard,
                keys,
                public_url,
            },
        })
    }
}

/// The address that the service listens on, where it is one that somebody can call.
fn own_url(address: SocketAddr) -> Option<String> {
    (!address.ip().is_unspecified()).then(|| format!("http://{address}"))
}

/// The file that seals are kept in, which can be written.
fn seal_file(args: &Args) -> anyhow::Result<Option<PathBuf>> {
    let file = args.service.seal_file.clone();
    if let Some(file) = &file {
        let opened = OpenOptions::new().append(true).create(true).open(file);
        opened.with_context(|| format!("--seal-file {}", file.display()))?;
    }
    Ok(file)
}

fn keyring(args: &Args) -> anyhow::Result<Option<Keyring>> {
    let is_private = args.database.external().is_none();
    let directory = is_private.then_some(args.database.data_dir.as_path());
    Ok(match args.outbound.kek(directory) {
        Some((file, true)) => Some(Keyring::read_or_make(&file)?),
        Some((file, false)) => Some(Keyring::read(&file)?),
        None => None,
    })
}
