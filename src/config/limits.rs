//! How much the service takes from its clients.

use std::time::Duration;

use clap::{Args, value_parser};

/// The largest body that can be allowed at all, in bytes: a Postgres value ends at 1 GiB.
const BODY_BYTES_MAX: i64 = 512 << 20;

/// The smallest that makes sense, in bytes.
const BODY_BYTES_MIN: i64 = 1 << 10;

/// How much the service takes from its clients before it refuses.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Largest body of a completion or a submission, which carry results and prompts, in bytes.
    #[arg(long, value_name = "BYTES", env = "BLOOM_MAX_COMPLETION_BYTES", default_value_t = 16 << 20,
        value_parser = value_parser!(u32).range(BODY_BYTES_MIN..=BODY_BYTES_MAX))]
    pub max_completion_bytes: u32,

    /// Largest body of any other request, in bytes.
    #[arg(long, value_name = "BYTES", env = "BLOOM_MAX_BODY_BYTES", default_value_t = 1 << 20,
        value_parser = value_parser!(u32).range(BODY_BYTES_MIN..=BODY_BYTES_MAX))]
    pub max_body_bytes: u32,

    /// How long a client may take to send a request's head, in seconds.
    #[arg(long, value_name = "SECONDS", env = "BLOOM_HEADER_TIMEOUT_SECONDS", default_value_t = 10,
        value_parser = value_parser!(u32).range(1..=600))]
    pub header_timeout_seconds: u32,

    /// How long a client may take to send a request's body, in seconds.
    #[arg(long, value_name = "SECONDS", env = "BLOOM_BODY_TIMEOUT_SECONDS", default_value_t = 30,
        value_parser = value_parser!(u32).range(1..=3600))]
    pub body_timeout_seconds: u32,

    /// Connections open at the same time.
    #[arg(long, value_name = "N", env = "BLOOM_MAX_CONNECTIONS", default_value_t = 4096,
        value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// Lease requests that wait for work at the same time.
    #[arg(long, value_name = "N", env = "BLOOM_MAX_WAITERS", default_value_t = 2000,
        value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub max_waiters: u32,

    /// Event streams that are open at the same time.
    #[arg(long, value_name = "N", env = "BLOOM_MAX_EVENT_STREAMS", default_value_t = 512,
        value_parser = value_parser!(u32).range(0..=100_000))]
    pub max_event_streams: u32,

    /// Ordinary requests a minute, for each API key and for each address; 0 for no limit.
    #[arg(
        long,
        value_name = "N",
        env = "BLOOM_RATE_PER_MINUTE",
        default_value_t = 6000
    )]
    pub rate_per_minute: u32,

    /// Costly requests (lists of artifacts, calls to other services) a minute, likewise.
    #[arg(
        long,
        value_name = "N",
        env = "BLOOM_HEAVY_RATE_PER_MINUTE",
        default_value_t = 300
    )]
    pub heavy_rate_per_minute: u32,

    /// Requests of producers and workers (submit, lease, beat, complete) a second, likewise.
    #[arg(
        long,
        value_name = "N",
        env = "BLOOM_WORKER_RATE_PER_SECOND",
        default_value_t = 20_000
    )]
    pub worker_rate_per_second: u32,

    /// Addresses of proxies whose `X-Forwarded-For` is believed, as CIDR (repeatable, or separated
    /// by commas).
    #[arg(
        long = "trusted-proxy",
        value_name = "CIDR",
        env = "BLOOM_TRUSTED_PROXIES",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<String>,
}

impl LimitArgs {
    /// How long a request's head may take.
    #[must_use]
    pub fn header_timeout(&self) -> Duration {
        Duration::from_secs(self.header_timeout_seconds.into())
    }

    /// How long a request's body may take.
    #[must_use]
    pub fn body_timeout(&self) -> Duration {
        Duration::from_secs(self.body_timeout_seconds.into())
    }
}
