//! Requests by route.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::histogram::Histogram;
use super::labels::OTHER;
use super::samples::Samples;
use super::table::{HTTP_REQUEST_SECONDS, HTTP_REQUESTS};

/// The statuses that the service answers, 499 for clients that went away; the last stands for any
/// other.
const STATUSES: [u16; 27] = [
    200, 201, 202, 204, 206, 302, 304, 307, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 416,
    422, 429, 431, 499, 500, 502, 503, 0,
];
/// Upper bounds in seconds. Long-polls and streams reach the last ones.
const BOUNDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// The route label of requests that no route took.
const NO_ROUTE: &str = "none";

/// The requests of one route.
#[derive(Debug)]
struct Counters {
    statuses: [AtomicU64; STATUSES.len()],
    times: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            statuses: [const { AtomicU64::new(0) }; STATUSES.len()],
            times: Histogram::new(BOUNDS),
        }
    }
}

/// Requests by method, route template and status. The table of routes is fixed, so nothing is
/// locked.
#[derive(Debug, Default)]
pub struct Requests {
    routes: HashMap<(&'static str, &'static str), Counters>,
    /// What no route took: anybody may ask for anything.
    none: Counters,
    /// What is not in the table of routes but answered, such as pages.
    other: Counters,
}

impl Requests {
    /// Counters for these routes: method and template.
    pub fn of(routes: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        let routes = routes
            .into_iter()
            .map(|route| (route, Counters::default()))
            .collect();
        Self {
            routes,
            ..Self::default()
        }
    }

    /// Counts one. `method` is one of ours; HEAD counts as GET.
    pub fn count(&self, method: &str, route: Option<&'static str>, status: u16, time: Duration) {
        let method = if method == "HEAD" { "GET" } else { method };
        let counters = match route {
            None => &self.none,
            Some(route) => self.routes.get(&(method, route)).unwrap_or(&self.other),
        };
        let at = STATUSES.iter().position(|known| *known == status);
        counters.statuses[at.unwrap_or(STATUSES.len() - 1)].fetch_add(1, Relaxed);
        counters.times.observe_time(time);
    }

    /// Adds what was counted. Routes that nobody called are left out.
    pub fn collect(&self, out: &mut Samples) {
        let mut known: Vec<_> = self.routes.iter().collect();
        known.sort_by_key(|((method, route), _)| (*route, *method));
        let known = known
            .into_iter()
            .map(|((method, route), counters)| (*method, *route, counters));
        let rest = [(OTHER, OTHER, &self.other), (OTHER, NO_ROUTE, &self.none)];
        for (method, route, counters) in known.chain(rest) {
            let times = counters.times.read();
            if times.count == 0 {
                continue;
            }
            for (status, count) in STATUSES.iter().zip(&counters.statuses) {
                let count = count.load(Relaxed);
                let status = match status {
                    0 => OTHER.to_owned(),
                    status => status.to_string(),
                };
                if count > 0 {
                    out.count(HTTP_REQUESTS, &[method, route, &status], count);
                }
            }
            out.histogram(HTTP_REQUEST_SECONDS, &[method, route], times);
        }
    }
}
