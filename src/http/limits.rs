//! How often a client may call, by key and by address.
//!
//! Each class of routes has its own budget, which a client may spend at once and which refills
//! evenly. A request counts against the budget of its address and, when it has one, that of its
//! key; the tighter of the two is reported. Wrong keys have a budget of their own per address.
//! Budgets are kept per process and in bounded memory.

mod address;
mod budget;

use std::net::IpAddr;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use uuid::Uuid;

pub use address::{AddressError, Cidr, Proxies};
pub use budget::Rate;

use self::budget::{Budgets, Spent};
use super::failure::ceil_seconds;
use crate::error::{Error, Kind};

/// A class of routes with a common budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateClass {
    /// Reading and ordinary changes.
    General,
    /// What costs far more than a row: calls to other services, large lists.
    Heavy,
    /// The hot path of producers and workers: submit, lease, heartbeat, complete.
    Worker,
    /// Probes, which are never refused.
    Exempt,
}

/// How often each class may be called. `None` is without limit.
#[derive(Debug, Clone)]
pub struct Options {
    /// Of [`RateClass::General`].
    pub general: Option<Rate>,
    /// Of [`RateClass::Heavy`].
    pub heavy: Option<Rate>,
    /// Of [`RateClass::Worker`].
    pub worker: Option<Rate>,
    /// Wrong keys from one address.
    pub wrong_keys: Option<Rate>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub proxies: Proxies,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            general: Rate::new(1_200, Duration::from_secs(60)),
            heavy: Rate::new(120, Duration::from_secs(60)),
            worker: Rate::new(20_000, Duration::from_secs(1)),
            wrong_keys: Rate::new(20, Duration::from_secs(60)),
            proxies: Proxies::default(),
        }
    }
}

/// The budgets of all clients.
#[derive(Debug)]
pub struct Limits {
    general: Option<Budgets>,
    heavy: Option<Budgets>,
    worker: Option<Budgets>,
    wrong_keys: Option<Budgets>,
    proxies: Proxies,
}

/// The outcome of counting a request.
#[derive(Debug)]
pub(super) struct Counted {
    spent: Option<Spent>,
}

impl Limits {
    /// Full budgets for everyone.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            general: options.general.map(Budgets::new),
            heavy: options.heavy.map(Budgets::new),
            worker: options.worker.map(Budgets::new),
            wrong_keys: options.wrong_keys.map(Budgets::new),
            proxies: options.proxies,
        }
    }

    /// The address that a request counts for.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.proxies.client(peer, headers)
    }

    /// Counts a request of `client`, made with `key`.
    pub(super) fn count(&self, class: RateClass, client: IpAddr, key: Option<Uuid>) -> Counted {
        let budgets = match class {
            RateClass::General => &self.general,
            RateClass::Heavy => &self.heavy,
            RateClass::Worker => &self.worker,
            RateClass::Exempt => &None,
        };
        let spent = budgets.as_ref().map(|budgets| {
            let address = budgets.spend_address(client);
            match key {
                Some(key) if !address.is_refused() => address.tighter(budgets.spend_key(key)),
                _ => address,
            }
        });
        Counted { spent }
    }

    /// Whether so many wrong keys came from `client` that the next will be refused unseen.
    pub(super) fn is_throttled(&self, client: IpAddr) -> bool {
        self.wrong_keys
            .as_ref()
            .is_some_and(|budgets| budgets.is_refused(client))
    }

    /// Counts a wrong key.
    pub(super) fn count_wrong_key(&self, client: IpAddr) -> Counted {
        let spent = self
            .wrong_keys
            .as_ref()
            .map(|budgets| budgets.spend_and_remember(client));
        Counted { spent }
    }
}

impl Counted {
    /// The refusal, when the budget is spent.
    pub(super) fn refusal(&self) -> Option<Error> {
        let is_refused = self.spent.as_ref().is_some_and(Spent::is_refused);
        is_refused.then(|| {
            let text = "Too many requests, please try again later";
            Error::refused(Kind::TooMany, "rate_limited", text)
        })
    }

    /// Tells the client where it stands.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
        const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
        const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
        const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
        let Some(spent) = &self.spent else { return };
        headers.insert(POLICY, spent.policy.clone());
        headers.insert(LIMIT, HeaderValue::from(spent.limit));
        headers.insert(REMAINING, HeaderValue::from(spent.remaining));
        headers.insert(RESET, HeaderValue::from(ceil_seconds(spent.reset)));
        if let Some(wait) = spent.wait {
            headers.insert(RETRY_AFTER, HeaderValue::from(ceil_seconds(wait).max(1)));
        }
    }
}
