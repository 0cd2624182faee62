//! `bloom key`: API keys.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::{Subcommand, ValueEnum};
use serde_json::json;
use uuid::Uuid;

use super::database::Database;
use super::desk::complain;
use super::output::Out;
use super::{exit, when};
use crate::config::DatabaseArgs;
use crate::db::calls::key::{Key, NewKey, key_create, key_list, key_revoke};
use crate::db::{self, Db};
use crate::http::auth::hash_key;

/// What keys of ours begin with, so that people and secret scanners know one when they see it.
const PREFIX: &str = "bloom_";
/// Random bytes of a key.
const KEY_BYTES: usize = 32;
/// How much of a key is kept for people to recognise it by.
const SHOWN: usize = 12;
/// The actor of what is done here.
const ACTOR: &str = "cli";

/// Arguments of `bloom key`. They work on the database itself, so that the first key can be made
/// before any service runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key. It is shown once and stored as a digest.
    #[command(after_help = "Examples:
  bloom key create --name shop --scope producer > shop.key
  bloom key create --name mine-1 --scope worker --days 90 --json | jq -r .key")]
    Create {
        /// Which database.
        #[command(flatten)]
        database: DatabaseArgs,
        /// What to call it; the audit trail names it so.
        #[arg(long)]
        name: String,
        /// What it may do (repeatable, or separated by commas).
        #[arg(long = "scope", required = true, value_delimiter = ',', value_enum)]
        scopes: Vec<ScopeArg>,
        /// For how many days it is valid [default: until it is revoked].
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: Option<u32>,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the keys.
    #[command(
        after_help = "Examples:\n  bloom key list\n  bloom key list --json | jq -r '.[].name'"
    )]
    List {
        /// Which database.
        #[command(flatten)]
        database: DatabaseArgs,
        /// Answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a key. Services notice within two seconds.
    #[command(after_help = "Examples:\n  bloom key revoke 01a2096c-99ef-7b58-b821-ea3b259302ac")]
    Revoke {
        /// Which database.
        #[command(flatten)]
        database: DatabaseArgs,
        /// Its id, from `bloom key list`.
        id: Uuid,
    },
}

/// A scope on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScopeArg {
    /// Submit, cancel and requeue tasks.
    Producer,
    /// Lease, beat and complete.
    Worker,
    /// Read everything.
    Reader,
    /// Everything.
    Admin,
}

impl ScopeArg {
    fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Worker => "worker",
            Self::Reader => "reader",
            Self::Admin => "admin",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the database cannot be reached, or refuses.
pub async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let database = match &args.command {
        Command::Create { database, .. }
        | Command::List { database, .. }
        | Command::Revoke { database, .. } => Database::existing(database).await?,
    };
    let done = work(&args.command, &database).await;
    database.close().await;
    let Err(error) = done else {
        return Ok(ExitCode::SUCCESS);
    };
    match error.downcast_ref::<crate::error::Error>() {
        Some(refused) => {
            complain(&refused.to_string())?;
            Ok(ExitCode::from(exit::of_error(refused)))
        }
        None => Err(error),
    }
}

async fn work(command: &Command, database: &Database) -> anyhow::Result<()> {
    let db = Db::new(&database.endpoint, &db::Options::default());
    match command {
        Command::Create {
            name,
            scopes,
            days,
            json,
            ..
        } => create(&db, name, scopes, *days, *json).await,
        Command::List { json, .. } => list(&key_list(&db).await?, *json),
        Command::Revoke { id, .. } => {
            key_revoke(&db, *id, ACTOR).await?;
            Ok(Out::stdout().line(format!("revoked {id}"))?)
        }
    }
}

async fn create(
    db: &Db,
    name: &str,
    scopes: &[ScopeArg],
    days: Option<u32>,
    as_json: bool,
) -> anyhow::Result<()> {
    let key = random_key()?;
    let scopes: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
    let new = NewKey {
        name,
        prefix: &key[..SHOWN],
        hash: &hash_key(key.as_bytes()),
        scopes: &scopes,
        expires_at: days.map(ms_in).transpose()?,
    };
    let id = key_create(db, &new, ACTOR).await?;
    let mut out = Out::stdout();
    if as_json {
        return Ok(out.json(&json!({ "id": id, "name": name, "key": key, "scopes": scopes }))?);
    }
    Out::stderr().line(format!(
        "Key {id} for {name}. It is shown only now. A service that runs without keys asks for \
         them after its next start."
    ))?;
    Ok(out.line(key)?)
}

/// A key's text: 256 random bits behind our prefix.
fn random_key() -> anyhow::Result<String> {
    let mut bytes = [0_u8; KEY_BYTES];
    let provider = rustls::crypto::ring::default_provider();
    provider
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| anyhow::anyhow!("the system has no random numbers"))?;
    let mut key = PREFIX.to_owned();
    for byte in bytes {
        write!(key, "{byte:02x}")?;
    }
    Ok(key)
}

fn ms_in(days: u32) -> anyhow::Result<i64> {
    let at = SystemTime::now() + Duration::from_secs(u64::from(days) * 86_400);
    let ms = at
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?
        .as_millis();
    Ok(i64::try_from(ms)?)
}

fn list(keys: &[Key], as_json: bool) -> anyhow::Result<()> {
    let mut out = Out::stdout();
    if as_json {
        let rows: Vec<_> = keys
            .iter()
            .map(|key| {
                json!({
                    "id": key.id, "name": key.name, "prefix": key.prefix, "scopes": key.scopes,
                    "created_at": key.created_at, "created_by": key.created_by,
                    "expires_at": key.expires_at, "revoked_at": key.revoked_at,
                    "last_used_at": key.last_used_at,
                })
            })
            .collect();
        return Ok(out.json(&json!(rows))?);
    }
    let rows = keys.iter().map(|key| {
        let state = match (key.revoked_at, key.expires_at) {
            (Some(at), _) => format!("revoked {}", when::local(at)),
            (None, Some(at)) => format!("until {}", when::local(at)),
            (None, None) => "valid".to_owned(),
        };
        [
            key.id.to_string(),
            key.name.clone(),
            format!("{}…", key.prefix),
            key.scopes.join(" "),
            when::local(key.created_at),
            key.last_used_at
                .map_or_else(|| "never".to_owned(), when::local),
            state,
        ]
    });
    Ok(out.table(
        ["id", "name", "key", "scopes", "created", "used", "state"],
        rows,
    )?)
}
