//! Keeps web pages of other origins away from a service that asks for no key.
//!
//! A browser on the same machine can reach loopback. A page could have it send requests (they
//! carry `Origin` or `Sec-Fetch-Site`), or point a name of its own at 127.0.0.1 (then `Host` is
//! that name).

use std::net::IpAddr;

use hyper::header::{HOST, HeaderMap, ORIGIN};
use hyper::http::uri::Authority;

/// Whether nothing hints at a page of another origin.
pub(in crate::http) fn is_local_request(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    // Only HTTP/1.0 comes without a host, and no browser speaks that.
    if headers.contains_key(HOST) && !authority.as_ref().is_some_and(is_loopback) {
        return false;
    }
    if headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site")
    {
        return false;
    }
    headers.get(ORIGIN).is_none_or(|origin| {
        let origin = origin
            .to_str()
            .ok()
            .and_then(|origin| origin.split_once("://"));
        origin.is_some_and(|(_, rest)| rest.parse::<Authority>().is_ok_and(|it| is_loopback(&it)))
    })
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let is_name = host.eq_ignore_ascii_case("localhost");
    is_name
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_pages_are_recognised() {
        let check = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value));
            is_local_request(
                &pairs
                    .map(|(name, value)| (name, value.parse().unwrap()))
                    .collect(),
            )
        };
        assert!(check(&[("host", "127.0.0.1:5000")]));
        assert!(check(&[
            ("host", "[::1]:5000"),
            ("origin", "http://localhost:5173")
        ]));
        assert!(!check(&[("host", "evil.example:5000")]));
        assert!(!check(&[
            ("host", "localhost"),
            ("origin", "https://evil.example")
        ]));
        assert!(!check(&[("host", "localhost"), ("origin", "null")]));
        assert!(!check(&[
            ("host", "localhost"),
            ("sec-fetch-site", "cross-site")
        ]));
    }
}
