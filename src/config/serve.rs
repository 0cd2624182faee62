//! What only `bloom serve` needs.

use std::path::PathBuf;

use clap::{Args, value_parser};

/// How the service treats leases and the schema.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Service")]
pub struct ServeArgs {
    /// Do not install or upgrade the schema at start.
    #[arg(long, env = "BLOOM_NO_MIGRATE")]
    pub no_migrate: bool,

    /// Refuse heartbeats and completions that do not name their lease. Agents of the first
    /// generation do not.
    #[arg(long, env = "BLOOM_STRICT_LEASES")]
    pub strict_leases: bool,

    /// Keep the seals over the audit trail in this file too, one a line: on another disk, or made
    /// append-only with `chattr +a`. Only with a key-encryption key; each is also logged.
    #[arg(long, value_name = "FILE", env = "BLOOM_SEAL_FILE")]
    pub seal_file: Option<PathBuf>,

    /// After a start or an outage, wait so long before leases are taken back, in seconds.
    #[arg(long, value_name = "SECONDS", env = "BLOOM_REAP_GRACE_SECONDS", default_value_t = 30,
        value_parser = value_parser!(u32).range(0..=3600))]
    pub reap_grace_seconds: u32,

    /// At a stop, wait so long for requests to end, in seconds.
    #[arg(long, value_name = "SECONDS", env = "BLOOM_DRAIN_SECONDS", default_value_t = 20,
        value_parser = value_parser!(u32).range(0..=3600))]
    pub drain_seconds: u32,
}
