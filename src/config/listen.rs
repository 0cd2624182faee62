//! Where the service listens.

use std::net::SocketAddr;

use clap::Args;

/// Where the service listens.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTP")]
pub struct ListenArgs {
    /// Address and port. Other addresses than loopback need an API key.
    #[arg(
        long,
        value_name = "ADDR",
        env = "BLOOM_LISTEN",
        default_value = "127.0.0.1:5000"
    )]
    pub listen: SocketAddr,

    /// Another address on which `GET /metrics` needs no key, for scrapers on this machine or in a
    /// network that nobody else reaches.
    #[arg(long, value_name = "ADDR", env = "BLOOM_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
}

impl ListenArgs {
    /// Whether only programs of this machine can connect.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }
}
