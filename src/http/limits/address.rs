//! Whose address a request counts for when there is a proxy in front.

use std::net::IpAddr;
use std::str::FromStr;

use hyper::header::HeaderMap;

/// A network: an address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

/// A text that names no network.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is neither an IP address nor a network like 10.0.0.0/8")]
pub struct AddressError(String);

impl FromStr for Cidr {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| error())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), |bits| bits.trim().parse().map_err(|_| error()))?;
        if bits > width {
            Err(error())
        } else {
            Ok(Self { address, bits })
        }
    }
}

impl Cidr {
    /// Whether `address` is in the network. IPv4 addresses in IPv6 clothes count as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// The proxies in front of the service.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    trusted: Vec<Cidr>,
}

impl Proxies {
    /// These networks.
    #[must_use]
    pub fn new(trusted: Vec<Cidr>) -> Self {
        Self { trusted }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The address of the client: the peer, or, when that is a trusted proxy, the rightmost entry
    /// of `X-Forwarded-For` that is not one. Entries further left are the client's own claims.
    pub(in crate::http) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        for entry in lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(',')) {
            let Ok(address) = entry.trim().parse::<IpAddr>() else {
                break;
            };
            client = address.to_canonical();
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let networks = ["10.0.0.0/8", "::1", "fd00::/8"];
        let proxies = Proxies::new(networks.iter().map(|text| text.parse().unwrap()).collect());
        let name: hyper::header::HeaderName = "x-forwarded-for".parse().unwrap();
        let pairs = forwarded
            .iter()
            .map(|line| (name.clone(), line.parse().unwrap()));
        proxies
            .client(peer.parse().unwrap(), &pairs.collect())
            .to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(client("1.2.3.4", &["9.9.9.9"]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 9.9.9.9"]), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &["9.9.9.9, 10.1.1.1"]), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "9.9.9.9"]), "9.9.9.9");
        assert_eq!(client("::ffff:10.0.0.1", &["9.9.9.9"]), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &["9.9.9.9, rubbish"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("fd00::2", &["2001:db8::1"]), "2001:db8::1");
    }

    #[test]
    fn networks_are_read_strictly() {
        for text in [
            "",
            "x",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("8.8.8.8".parse().unwrap()));
    }
}
