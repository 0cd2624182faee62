//! Looks host names up and lets only allowed addresses through, at the moment of connecting.

use std::error::Error;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::policy::Policy;

/// The addresses of a host name.
pub type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Who knows the addresses of host names.
pub trait Lookup: Debug + Send + Sync + 'static {
    /// The addresses of `host` now.
    fn lookup(&self, host: &str) -> Addresses;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str) -> Addresses {
        let host = host.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// A resolver for the HTTP client. What it returns is what the client dials: there is no second
/// lookup in which a name could lead elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Guarded {
    policy: Arc<Policy>,
    lookup: Arc<dyn Lookup>,
}

impl Guarded {
    pub(super) fn new(policy: Arc<Policy>, lookup: Arc<dyn Lookup>) -> Self {
        Self { policy, lookup }
    }
}

/// Every address of a name was forbidden.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, host) = (Arc::clone(&self.policy), name.as_str().to_owned());
        let found = self.lookup.lookup(&host);
        Box::pin(async move {
            let mut allowed = Vec::new();
            let mut refusal = None;
            for address in found.await? {
                match policy.check(&host, 0, address) {
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(why) => refusal = Some(why),
                }
            }
            match refusal {
                // The client's connector sets the port.
                _ if !allowed.is_empty() => Ok(Box::new(allowed.into_iter()) as Addrs),
                Some(why) => Err(Refusal(why).into()),
                None => Err(io::Error::other("the name has no address").into()),
            }
        })
    }
}

/// The refusal among an error's causes.
pub(super) fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(Refusal(text)) = inner.downcast_ref() {
            return Some(text.clone());
        }
        cause = inner.source();
    }
    None
}
