//! Budgets of one class, kept by governor, one per client.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use hyper::header::HeaderValue;
use uuid::Uuid;

/// The most clients whose budgets are kept apart. Further ones share.
const MAX_CLIENTS: usize = 50_000;

/// How many budgets clients share once there are too many of them.
const SHARED: u16 = 1024;

/// After how many requests full budgets are forgotten.
const SWEEP_EVERY: u32 = 8192;

/// So many requests per window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    requests: NonZeroU32,
    window: Duration,
}

impl Rate {
    /// `requests` per `window`; `None`, that is no limit, when either is zero.
    #[must_use]
    pub fn new(requests: u32, window: Duration) -> Option<Self> {
        let requests = NonZeroU32::new(requests)?;
        (window / requests.get() > Duration::ZERO).then_some(Self { requests, window })
    }
}

/// Whose budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    Address(IpAddr),
    Key(Uuid),
    Shared(u16),
}

impl Client {
    /// IPv6 clients own whole /64 networks, so these count as one.
    fn address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = v6.to_bits() & !u128::from(u64::MAX);
                Self::Address(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
            v4 @ IpAddr::V4(_) => Self::Address(v4),
        }
    }

    /// One of a few, for when there are too many.
    fn shared(self) -> Self {
        let bits = match self {
            Self::Address(IpAddr::V4(v4)) => u64::from(v4.to_bits()),
            Self::Address(IpAddr::V6(v6)) => (v6.to_bits() >> 64) as u64,
            Self::Key(key) => key.as_u64_pair().1,
            Self::Shared(shared) => u64::from(shared),
        };
        // Fibonacci hashing: neighbours in address space land apart.
        let mixed = bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
        Self::Shared((mixed % u64::from(SHARED)) as u16)
    }
}

type Limiter = DefaultKeyedRateLimiter<Client, StateInformationMiddleware>;

/// One budget for each client.
#[derive(Debug)]
pub(super) struct Budgets {
    limiter: Limiter,
    clock: DefaultClock,
    policy: HeaderValue,
    limit: u32,
    /// The time in which one request's worth refills.
    refill: Duration,
    until_sweep: AtomicU32,
    is_full: AtomicBool,
    /// Clients that were refused, until they will not be.
    refused: Mutex<HashMap<Client, Instant>>,
}

/// Where a client stands after a request.
#[derive(Debug)]
pub(super) struct Spent {
    pub(super) policy: HeaderValue,
    pub(super) limit: u32,
    pub(super) remaining: u32,
    /// Until the budget is full again.
    pub(super) reset: Duration,
    /// Until the next request is allowed, when this one is refused.
    pub(super) wait: Option<Duration>,
}

impl Spent {
    pub(super) fn is_refused(&self) -> bool {
        self.wait.is_some()
    }

    pub(super) fn tighter(self, other: Self) -> Self {
        if other.is_refused() || other.remaining < self.remaining {
            other
        } else {
            self
        }
    }
}

impl Budgets {
    pub(super) fn new(rate: Rate) -> Self {
        let refill = rate.window / rate.requests.get();
        // `Rate` has made sure that the period is not zero.
        let quota = Quota::with_period(refill)
            .unwrap_or(Quota::per_second(rate.requests))
            .allow_burst(rate.requests);
        let policy = format!("{};w={}", rate.requests, rate.window.as_secs().max(1));
        Self {
            limiter: RateLimiter::dashmap(quota).with_middleware(),
            clock: DefaultClock::default(),
            policy: HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("")),
            limit: rate.requests.get(),
            refill,
            until_sweep: AtomicU32::new(SWEEP_EVERY),
            is_full: AtomicBool::new(false),
            refused: Mutex::default(),
        }
    }

    pub(super) fn spend_address(&self, address: IpAddr) -> Spent {
        self.spend(Client::address(address))
    }

    pub(super) fn spend_key(&self, key: Uuid) -> Spent {
        self.spend(Client::Key(key))
    }

    fn spend(&self, client: Client) -> Spent {
        self.sweep();
        let client = if self.is_full.load(Ordering::Relaxed) {
            client.shared()
        } else {
            client
        };
        let (remaining, wait) = match self.limiter.check_key(&client) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => (0, Some(until.wait_time_from(self.clock.now()))),
        };
        let reset = self.refill * self.limit.saturating_sub(remaining);
        Spent {
            policy: self.policy.clone(),
            limit: self.limit,
            remaining,
            reset,
            wait,
        }
    }

    /// Spends like [`Budgets::spend_address`] and remembers a refusal for
    /// [`Budgets::is_refused`].
    pub(super) fn spend_and_remember(&self, address: IpAddr) -> Spent {
        let spent = self.spend_address(address);
        if let Some(wait) = spent.wait {
            let now = Instant::now();
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            if refused.len() >= MAX_CLIENTS {
                refused.retain(|_, until| *until > now);
            }
            if refused.len() < MAX_CLIENTS {
                refused.insert(Client::address(address), now + wait);
            }
        }
        spent
    }

    /// Whether a remembered refusal still holds; spends nothing.
    pub(super) fn is_refused(&self, address: IpAddr) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused
            .get(&Client::address(address))
            .is_some_and(|until| *until > Instant::now())
    }

    /// Forgets clients whose budget is full again, now and then, and notes when too many remain.
    fn sweep(&self) {
        if self.until_sweep.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.until_sweep.store(SWEEP_EVERY, Ordering::Relaxed);
            self.limiter.retain_recent();
            self.is_full
                .store(self.limiter.len() > MAX_CLIENTS, Ordering::Relaxed);
        }
    }
}
