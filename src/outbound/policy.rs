//! Which addresses requests may go to.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use reqwest::Url;
use url::Host;

use super::network::{Reach, canonical, reach};

/// Names the setting in refusals, so that the reader knows what to change.
const SETTING: &str = "BLOOM_OUTBOUND_ALLOW";

/// One opening in the fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// All addresses of a network, whatever the port: `10.0.0.0/8`, `192.168.1.7`.
    Network(IpNet),
    /// One address, on one port or on all: `10.0.0.3:8001`.
    Address(IpAddr, Option<u16>),
    /// One host, by the name that stands in the URL, wherever inside that name leads,
    /// on one port or on all: `node-3.lan`, `node-3.lan:8001`.
    Host(String, Option<u16>),
}

/// An entry that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is neither a network (10.0.0.0/8) nor a host (node.lan or node.lan:8001)")]
pub struct EntryError(String);

impl Entry {
    /// The entry that opens just the host and port of a URL.
    #[must_use]
    pub fn of_url(url: &Url) -> Option<Self> {
        Some(match url.host()? {
            Host::Ipv4(v4) => Self::Address(v4.into(), url.port_or_known_default()),
            Host::Ipv6(v6) => Self::Address(v6.into(), url.port_or_known_default()),
            Host::Domain(name) => Self::Host(plain(name), url.port_or_known_default()),
        })
    }
}

impl FromStr for Entry {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, EntryError> {
        let text = text.trim();
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        if let Ok(address) = text.parse::<std::net::SocketAddr>() {
            return Ok(Self::Address(address.ip(), Some(address.port())));
        }
        let wrong = || EntryError(text.chars().take(200).collect());
        // Written as in a URL, it is read as in a URL.
        let url = Url::parse(&format!("http://{text}/")).map_err(|_| wrong())?;
        let (Some(Host::Domain(host)), "/", "") = (url.host(), url.path(), url.username()) else {
            return Err(wrong());
        };
        let (_, port) = text.rsplit_once(':').unzip();
        let port = port.map(str::parse).transpose().map_err(|_| wrong())?;
        Ok(Self::Host(plain(host), port))
    }
}

/// Which addresses requests may go to: public ones, unless only what is listed may be called, and
/// what the entries open. Link-local, multicast and reserved addresses are opened by nothing.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    entries: Vec<Entry>,
    closed: Vec<u16>,
    listed_only: bool,
}

impl Policy {
    /// Public addresses and these.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Self {
        Self {
            entries,
            ..Self::default()
        }
    }

    /// Public addresses, too, only where an entry opens them.
    #[must_use]
    pub fn listed_only(mut self, listed_only: bool) -> Self {
        self.listed_only = listed_only;
        self
    }

    /// Never this port inside: our own database listens there.
    #[must_use]
    pub fn closing(mut self, port: Option<u16>) -> Self {
        self.closed.extend(port);
        self
    }

    /// Checks what can be seen without asking for addresses.
    pub(super) fn check_literal(&self, url: &Url) -> Result<(), String> {
        let port = url.port_or_known_default().unwrap_or(0);
        match url.host() {
            Some(Host::Ipv4(v4)) => self.check(&v4.to_string(), port, v4.into()),
            Some(Host::Ipv6(v6)) => self.check(&v6.to_string(), port, v6.into()),
            Some(Host::Domain(name)) if !plain(name).is_empty() => {
                // `127.0.0.1..` is a name to URLs; whoever drops the dots has an address.
                match plain(name).parse() {
                    Ok(address) => self.check(name, port, address),
                    Err(_) => self.check_name(name, port),
                }
            }
            _ => Err("the URL has no host".to_owned()),
        }
    }

    /// Whether `host`, as it stands in the URL, may be reached at `address`. The port is not known
    /// to a resolver; then it is 0, and was checked before.
    pub(super) fn check(&self, host: &str, port: u16, address: IpAddr) -> Result<(), String> {
        let real = canonical(address);
        let is_open = match reach(real) {
            Reach::Never => return Err(format!("address {real} is never allowed")),
            Reach::Public if !self.listed_only => true,
            Reach::Public | Reach::Inside => self
                .entries
                .iter()
                .any(|entry| entry.opens(host, port, real)),
        };
        if !is_open {
            return Err(format!("address {real} is not allowed ({SETTING})"));
        }
        self.check_port(port)
    }

    /// A host that was opened with its port is closed on all others.
    fn check_name(&self, name: &str, port: u16) -> Result<(), String> {
        let name = plain(name);
        let mut ports = self.entries.iter().filter_map(|entry| match entry {
            Entry::Host(host, open) if *host == name => Some(*open),
            _ => None,
        });
        let is_named = ports.clone().next().is_some();
        if is_named && !ports.any(|open| open.is_none_or(|open| open == port)) {
            return Err(format!("port {port} of {name} is not allowed ({SETTING})"));
        }
        self.check_port(port)
    }

    fn check_port(&self, port: u16) -> Result<(), String> {
        if self.closed.contains(&port) {
            return Err(format!("port {port} is the database's"));
        }
        Ok(())
    }
}

impl Entry {
    fn opens(&self, host: &str, port: u16, address: IpAddr) -> bool {
        match self {
            Self::Network(network) => network.contains(&address),
            // A resolver does not know the port: then it is 0, and such an entry opens nothing.
            Self::Address(one, open) => *one == address && open.is_none_or(|open| open == port),
            Self::Host(name, open) => {
                plain(host) == *name && open.is_none_or(|open| port == 0 || open == port)
            }
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => write!(f, "{network}"),
            Self::Address(address, None) => write!(f, "{address}"),
            Self::Address(address, Some(port)) => {
                write!(f, "{}", std::net::SocketAddr::new(*address, *port))
            }
            Self::Host(name, None) => f.write_str(name),
            Self::Host(name, Some(port)) => write!(f, "{name}:{port}"),
        }
    }
}

/// A host name without its final dot, in lower case: `LOCALHOST.` is `localhost`.
fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}
