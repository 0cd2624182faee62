//! Which Postgres.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::Host;

/// Which Postgres holds the queue: a server of yours, or a private one in a directory.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArgs {
    /// The Postgres to use, as a URL or as libpq's `key=value` pairs. Without it the service runs
    /// a private Postgres in the data directory. Prefer the variable: other users of the machine
    /// can read command lines.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<DatabaseUrl>,

    /// Where the private Postgres keeps its data; one service per directory.
    #[arg(
        long,
        value_name = "DIR",
        env = "BLOOM_DATA_DIR",
        default_value = ".bloom"
    )]
    pub data_dir: PathBuf,

    /// The directory with the PostgreSQL server programs (`postgres`, `initdb`, `pg_ctl`) for the
    /// private Postgres. Without it they are searched for in the usual places.
    #[arg(long, value_name = "DIR", env = "BLOOM_PG_BIN")]
    pub pg_bin: Option<PathBuf>,
}

impl DatabaseArgs {
    /// The server that was named. An empty `DATABASE_URL` counts as none.
    #[must_use]
    pub fn external(&self) -> Option<&DatabaseUrl> {
        self.database_url
            .as_ref()
            .filter(|url| !url.expose().trim().is_empty())
    }

    /// Where the server programs were said to be. An empty `BLOOM_PG_BIN` counts as nowhere.
    #[must_use]
    pub fn bin_dir(&self) -> Option<PathBuf> {
        self.pg_bin
            .clone()
            .filter(|dir| !dir.as_os_str().is_empty())
    }
}

/// A connection string, which may hold a password. It shows itself as `user@host:port/database`.
#[derive(Clone)]
pub struct DatabaseUrl(SecretString);

impl DatabaseUrl {
    /// The string as given. Never print it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for DatabaseUrl {
    type Err = Infallible;

    /// Takes any text: an error here would make clap print the text with its password. The
    /// database layer judges it.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(SecretString::from(text)))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What does not parse is not shown at all, as the password may be anywhere in it.
        let Ok(config) = tokio_postgres::Config::from_str(self.expose()) else {
            return f.write_str("(a connection string)");
        };
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => "localhost".to_owned(),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let user = config.get_user().unwrap_or("(default)");
        write!(
            f,
            "{user}@{host}:{port}/{}",
            config.get_dbname().unwrap_or(user)
        )
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        for text in [
            "postgres://ann:hunter2@db.example:6000/queue?sslmode=require",
            "host=db.example port=6000 user=ann password='hunter2' dbname=queue",
            "postgres://ann:hunter2@db.example/queue?sslmode=verify-full&nonsense=hunter2",
            "not a url, but hunter2",
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            let shown = format!("{url} {url:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let url: DatabaseUrl = "postgres://ann:hunter2@db.example:6000/queue"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "ann@db.example:6000/queue");
    }
}
