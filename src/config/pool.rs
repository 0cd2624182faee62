//! How many connections to Postgres.

use clap::{Args, value_parser};

use super::Error;

/// The connections to Postgres and how they are shared.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct PoolArgs {
    /// Connections to Postgres, all purposes together.
    #[arg(long, value_name = "N", env = "BLOOM_POOL_SIZE", default_value_t = 16,
        value_parser = value_parser!(u32).range(2..=1000))]
    pub pool_size: u32,

    /// How many of them are kept for heartbeats and completions, so that a flood of other
    /// requests never costs a lease.
    #[arg(long, value_name = "N", env = "BLOOM_LEASE_CONNECTIONS", default_value_t = 4,
        value_parser = value_parser!(u32).range(1..=999))]
    pub lease_connections: u32,
}

impl PoolArgs {
    /// Both shares, checked: (heartbeats and completions, everything else).
    ///
    /// # Errors
    /// When nothing is left for everything else.
    pub fn shares(&self) -> Result<(u32, u32), Error> {
        let &Self {
            pool_size,
            lease_connections,
        } = self;
        match pool_size.checked_sub(lease_connections) {
            Some(rest) if rest > 0 => Ok((lease_connections, rest)),
            _ => Err(Error::PoolShare {
                pool_size,
                lease_connections,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_always_left_for_ordinary_requests() {
        let shares = |pool_size, lease_connections| {
            PoolArgs {
                pool_size,
                lease_connections,
            }
            .shares()
            .ok()
        };
        assert_eq!(shares(16, 4), Some((4, 12)));
        assert_eq!(shares(4, 4), None);
        assert_eq!(shares(2, 5), None);
    }
}
