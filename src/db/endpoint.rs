//! Where the database is and how to reach it: a parsed address, TLS and session settings.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::db::{passfile, tls};

/// How long opening one connection may take, from the first packet to a ready session.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Silence on a TCP connection after which the kernel probes the other side.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// Time between two such probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Unanswered probes after which the connection is dead.
const KEEPALIVE_RETRIES: u32 = 3;
/// Sent but unacknowledged data older than this ends the connection.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Where Debian and most others put the socket; used when the address names no host.
const DEFAULT_SOCKET_DIR: &str = "/var/run/postgresql";
/// libpq's default, where an address names no port.
const DEFAULT_PORT: u16 = 5432;
/// How the service calls itself in `pg_stat_activity`, unless the address says otherwise.
const APPLICATION_NAME: &str = "bloom";

/// The driver of a connection: must be polled for its [`Client`] to make progress, and yields
/// notifications and notices.
pub type Driver =
    tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// It is not a Postgres URL or key/value string. Never contains the address, which may hold a
    /// password.
    #[error("the database address cannot be read")]
    Address(#[source] tokio_postgres::Error),
    /// The file with the trusted certificates cannot be used.
    #[error("the root certificates in {path} cannot be read")]
    RootCert {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The password file that the address names cannot be used.
    #[error("the password file {path} cannot be used")]
    Passfile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// rustls refused its configuration.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server did not answer within [`CONNECT_LIMIT`].
    #[error("the database did not answer within {} s", CONNECT_LIMIT.as_secs())]
    Timeout,
    /// Refused by the network or by the server.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
}

/// A database that can be connected to. Cheap enough to clone; `Debug` shows no password.
///
/// TLS follows `sslmode`: `disable` never encrypts; `prefer` (the default) encrypts when the server
/// can, without verifying it, because a fallback to plain text protects from no active attacker
/// anyway; `require`, `verify-ca` and `verify-full` encrypt and always verify both chain and host
/// name. Trusted roots are the system's, or those in `sslrootcert` (which makes `prefer` verify).
#[derive(Clone)]
pub struct Endpoint {
    config: Config,
    tls: MakeRustlsConnect,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Reads a URL (`postgres://…`) or key/value string as libpq would, including `passfile`,
    /// `sslrootcert` and the `verify-*` modes. `root_cert` is used when the address names none.
    pub fn parse(address: &str, root_cert: Option<&Path>) -> Result<Self, EndpointError> {
        let (address, files) = extract(address);
        let mut config = Config::from_str(&address).map_err(EndpointError::Address)?;
        complete(&mut config);
        if let Some(path) = files.passwords
            && config.get_password().is_none()
        {
            look_up(&mut config, &path)
                .map_err(|source| EndpointError::Passfile { path, source })?;
        }
        Self::new(config, files.root_cert.as_deref().or(root_cert))
    }

    /// Completes a ready configuration with TLS and the settings of every session of ours.
    /// What the configuration already says is kept.
    pub fn new(mut config: Config, root_cert: Option<&Path>) -> Result<Self, EndpointError> {
        let verify = config.get_ssl_mode() == SslMode::Require || root_cert.is_some();
        let tls = if config.get_ssl_mode() == SslMode::Disable {
            tls::unverified(config.get_ssl_negotiation())?
        } else if verify {
            tls::verified(root_cert, config.get_ssl_negotiation())?
        } else {
            tls::unverified(config.get_ssl_negotiation())?
        };
        complete(&mut config);
        Ok(Self {
            config,
            tls: MakeRustlsConnect::new(tls),
        })
    }

    /// The configuration in use.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(mut self, name: &str) -> Self {
        self.config.dbname(name);
        self
    }

    /// The same database, another role.
    #[must_use]
    pub fn with_user(mut self, role: &str) -> Self {
        self.config.user(role);
        self
    }

    /// Adds server settings to every session, through the start-up packet: no extra round trip,
    /// and they survive `RESET`. Transaction poolers refuse or drop them unless told otherwise.
    #[must_use]
    pub fn with_settings(mut self, settings: &[(&str, &str)]) -> Self {
        let known = self.config.get_options().map(str::to_owned);
        let new = settings.iter().map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
            format!("-c {name}={value}")
        });
        let all: Vec<String> = known.into_iter().chain(new).collect();
        self.config.options(all.join(" "));
        self
    }

    /// Opens a connection whose driver the caller polls.
    pub async fn open(&self) -> Result<(Client, Driver), ConnectError> {
        match tokio::time::timeout(CONNECT_LIMIT, self.config.connect(self.tls.clone())).await {
            Ok(opened) => Ok(opened?),
            Err(_) => Err(ConnectError::Timeout),
        }
    }

    /// The port that the database listens on.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        Some(
            self.config
                .get_ports()
                .first()
                .copied()
                .unwrap_or(DEFAULT_PORT),
        )
    }

    /// Opens a connection driven by a task that ends with the returned client.
    pub async fn connect(&self) -> Result<Client, ConnectError> {
        let (client, driver) = self.open().await?;
        // Errors of the driver reach the caller through the client's next call.
        tokio::spawn(async move { driver.await.ok() });
        Ok(client)
    }
}

/// Fills in what the address left open.
fn complete(config: &mut Config) {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        config.host_path(DEFAULT_SOCKET_DIR);
    }
    if config.get_application_name().is_none() {
        config.application_name(APPLICATION_NAME);
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_LIMIT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    if config.get_keepalives_interval().is_none() {
        config
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(KEEPALIVE_RETRIES);
    }
    // A standby, or a former primary that came back as one, is never an answer. Costs one round
    // trip per connection, not per call.
    if config.get_target_session_attrs() == TargetSessionAttrs::Any {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    debug_assert!(
        config
            .get_hosts()
            .iter()
            .all(|host| *host != Host::Tcp(String::new()))
    );
}

/// Gives a configuration the password that stands in a file.
fn look_up(config: &mut Config, path: &Path) -> std::io::Result<()> {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        // So it is written for the socket that everybody uses.
        Some(Host::Unix(dir)) if dir == Path::new(DEFAULT_SOCKET_DIR) => "localhost".to_owned(),
        Some(Host::Unix(dir)) => dir.to_string_lossy().into_owned(),
        None => config.get_hostaddrs()[0].to_string(),
    };
    let port = config.get_ports().first().copied().unwrap_or(DEFAULT_PORT);
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    let found = passfile::password(path, [&host, &port.to_string(), database, user])?;
    if let Some(password) = found {
        config.password(password);
    }
    Ok(())
}

/// Files that an address names.
#[derive(Debug, Default, PartialEq)]
struct Files {
    passwords: Option<PathBuf>,
    root_cert: Option<PathBuf>,
}

/// Takes the parameters that tokio-postgres does not know out of an address: `passfile`,
/// `sslrootcert`, and the `verify-*` modes, which are what `require` means here.
fn extract(address: &str) -> (String, Files) {
    let is_url = address.starts_with("postgres://") || address.starts_with("postgresql://");
    let (head, tail, separator) = match address.split_once('?') {
        Some((head, query)) if is_url => (Some(head), query, '&'),
        _ if is_url => return (address.to_owned(), Files::default()),
        _ => (None, address, ' '),
    };
    let mut files = Files::default();
    let path = |text| {
        let path = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        PathBuf::from(path.as_ref())
    };
    let kept: Vec<&str> = tail
        .split(separator)
        .filter_map(|pair| match pair.split_once('=') {
            Some(("passfile", file)) => {
                files.passwords = Some(path(file));
                None
            }
            Some(("sslrootcert", file)) => {
                // libpq's spelling of "the system's roots", which is our default.
                files.root_cert = (file != "system").then(|| path(file));
                None
            }
            Some(("sslmode", "verify-ca" | "verify-full")) => Some("sslmode=require"),
            _ => Some(pair),
        })
        .collect();
    let kept = kept.join(&separator.to_string());
    match head {
        Some(head) if kept.is_empty() => (head.to_owned(), files),
        Some(head) => (format!("{head}?{kept}"), files),
        None => (kept, files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_taken_out_of_addresses() {
        let named = |passwords: Option<&str>, root_cert: Option<&str>| Files {
            passwords: passwords.map(PathBuf::from),
            root_cert: root_cert.map(PathBuf::from),
        };
        for (address, kept, files) in [
            (
                "postgres://h/d?sslmode=verify-full&sslrootcert=%2Fa%20b&user=u",
                "postgres://h/d?sslmode=require&user=u",
                named(None, Some("/a b")),
            ),
            (
                "postgres://h/d?sslrootcert=system",
                "postgres://h/d",
                named(None, None),
            ),
            (
                "host=h sslrootcert=/x dbname=d",
                "host=h dbname=d",
                named(None, Some("/x")),
            ),
            (
                "postgres://h/d?passfile=%2Fp",
                "postgres://h/d",
                named(Some("/p"), None),
            ),
        ] {
            assert_eq!(extract(address), (kept.to_owned(), files), "{address}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_read_does_not_leak_its_password() {
        let error = Endpoint::parse("postgres://u:hunter2@h:port/d", None).expect_err("bad port");
        let text = format!("{error:?} {error}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn settings_with_spaces_are_escaped() {
        let endpoint = Endpoint::parse("postgres://u@h/d?options=-c%20a%3D1", None)
            .expect("valid")
            .with_settings(&[("b", "read committed")]);
        assert_eq!(
            endpoint.config().get_options(),
            Some("-c a=1 -c b=read\\ committed")
        );
    }
}
