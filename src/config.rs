//! Everything that can be configured: one clap `Args` struct per concern, flattened into the
//! commands that need it.
//!
//! This is the only part that reads the environment. A flag beats its variable. Secrets have a
//! variable or a file but no flag, because every user of a machine can read its command lines.

mod auth;
pub mod client;
mod database;
pub mod environment;
mod limits;
mod listen;
mod log;
mod objects;
mod outbound;
mod pool;
mod retention;
mod secret;
mod serve;

pub use self::auth::AuthArgs;
pub use self::database::{DatabaseArgs, DatabaseUrl};
pub use self::limits::LimitArgs;
pub use self::listen::ListenArgs;
pub use self::log::{LogArgs, LogFormat};
pub use self::objects::ObjectArgs;
pub use self::outbound::OutboundArgs;
pub use self::pool::PoolArgs;
pub use self::retention::RetentionArgs;
pub use self::serve::ServeArgs;

use std::path::PathBuf;

/// The key that a file holds, if one is named.
///
/// # Errors
/// When it cannot be read, or holds no key.
pub fn key_in(file: Option<&std::path::Path>) -> Result<Option<secrecy::SecretString>, Error> {
    match file {
        Some(file) => secret::resolve(Some(file), "", None),
        None => Ok(None),
    }
}

/// A setting that clap could not judge by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that was named cannot be read.
    #[error("cannot read the key file {}: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key could not be sent in a header, or is empty. The key itself is not shown.
    #[error("the key in {0} must be one line of visible ASCII characters without spaces")]
    BadKey(String),
    /// The description of object storage makes no sense.
    #[error("object storage: {0}")]
    ObjectStorage(String),
    /// Nothing would be left of the pool for ordinary requests.
    #[error(
        "--lease-connections ({lease_connections}) must be less than --pool-size ({pool_size})"
    )]
    PoolShare {
        /// All connections.
        pool_size: u32,
        /// Those that are set aside.
        lease_connections: u32,
    },
}
