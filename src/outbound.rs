//! Requests to addresses that came from somebody else: a worker's URL, the control plane's URL.
//!
//! What such a URL may not do: reach into networks that the operator did not open, change where it
//! leads between the check and the connection, send us elsewhere with a redirect, or hold us with
//! an endless or an enormous answer. So the *address* is checked at the moment of connecting: host
//! names go through a resolver of our own, which drops forbidden addresses, and addresses written
//! as such are checked before. Redirects are not followed, no proxy of the environment is used,
//! size and time are bounded, and nothing of an answer reaches a client unparsed.

mod network;
mod policy;
mod resolver;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method, Url};
use secrecy::{ExposeSecret, SecretString};

pub use policy::{Entry, EntryError, Policy};
use resolver::Guarded;
pub use resolver::{Lookup, SystemLookup};

use crate::error::chain;

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The longest URL, in bytes.
const MAX_URL: usize = 2048;

/// Why a request to the outside has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The URL or the address behind it is not allowed. Nothing was sent.
    #[error("{0}")]
    Refused(String),
    /// No connection, so nothing was sent.
    #[error("cannot connect")]
    Unreachable(#[source] reqwest::Error),
    /// The time is up. It may have been sent.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke. It may have been sent.
    #[error("the connection broke")]
    Broken(#[source] reqwest::Error),
    /// The answer is larger than allowed.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl Failure {
    /// Whether it is certain that the other side saw nothing of the request.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Unreachable(_))
    }

    /// With its causes, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// One request.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// A header with a secret, sent only here.
    pub secret: Option<(&'static str, SecretString)>,
    /// Further headers, their names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// A JSON body.
    pub body: Option<Vec<u8>>,
    /// How long it may take altogether.
    pub time_limit: Duration,
    /// How many bytes the answer may have.
    pub size_limit: usize,
}

impl Request {
    /// A GET without a secret.
    #[must_use]
    pub fn get(url: Url, time_limit: Duration, size_limit: usize) -> Self {
        Self {
            method: Method::GET,
            url,
            secret: None,
            headers: Vec::new(),
            body: None,
            time_limit,
            size_limit,
        }
    }
}

/// An answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Sends requests within a policy. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Guard {
    policy: Arc<Policy>,
    http: Client,
}

/// The HTTP client could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an HTTP client")]
pub struct SetupError(#[source] reqwest::Error);

impl Guard {
    /// A guard that asks the system for addresses.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(policy: Policy) -> Result<Self, SetupError> {
        Self::with_lookup(policy, Arc::new(SystemLookup))
    }

    /// A guard that asks `lookup` for addresses.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn with_lookup(policy: Policy, lookup: Arc<dyn Lookup>) -> Result<Self, SetupError> {
        let policy = Arc::new(policy);
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_LIMIT)
            // Kept connections would outlive the check of their address.
            .pool_max_idle_per_host(0)
            .dns_resolver(Guarded::new(Arc::clone(&policy), lookup))
            .build()
            .map_err(SetupError)?;
        Ok(Self { policy, http })
    }

    /// Reads a URL that somebody gave us: absolute, http or https, without user, password,
    /// fragment or query, and not with an address that is never allowed.
    ///
    /// # Errors
    /// The text says what is wrong with it, for people.
    pub fn check(&self, text: &str) -> Result<Url, String> {
        let too_long = || Err(format!("the URL is longer than {MAX_URL} bytes"));
        if text.len() > MAX_URL {
            return too_long();
        }
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        // Reading it may have made it longer: `é` is sent as `%C3%A9`.
        if url.as_str().len() > MAX_URL {
            return too_long();
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the URL must begin with http:// or https://".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL must not contain a user or a password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("the URL must not contain ? or #".to_owned());
        }
        self.policy.check_literal(&url)?;
        Ok(url)
    }

    /// Sends a request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub async fn send(&self, request: Request) -> Result<Answer, Failure> {
        self.policy
            .check_literal(&request.url)
            .map_err(Failure::Refused)?;
        let limit = request.time_limit;
        match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Timeout),
        }
    }

    async fn exchange(&self, request: Request) -> Result<Answer, Failure> {
        let Request {
            method,
            url,
            secret,
            headers: more,
            body,
            size_limit,
            ..
        } = request;
        let mut headers = HeaderMap::new();
        for (name, value) in more {
            let value = value.parse();
            let value = value.map_err(|_| Failure::Refused("a header is no text".to_owned()))?;
            headers.insert(name, value);
        }
        if let Some((name, secret)) = secret {
            let value = secret.expose_secret().parse();
            let mut value: reqwest::header::HeaderValue =
                value.map_err(|_| Failure::Refused("the key is not printable text".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut call = self.http.request(method, url).headers(headers);
        if let Some(body) = body {
            call = call.header(CONTENT_TYPE, "application/json").body(body);
        }
        let mut response = call.send().await.map_err(failed)?;
        let too_large = || Failure::TooLarge(size_limit);
        let announced = response.content_length().unwrap_or(0);
        if announced > size_limit as u64 {
            return Err(too_large());
        }
        let mut read = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if read.len() + chunk.len() > size_limit {
                return Err(too_large());
            }
            read.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            body: read.freeze(),
        })
    }
}

fn failed(error: reqwest::Error) -> Failure {
    if let Some(refusal) = resolver::refusal(&error) {
        return Failure::Refused(refusal);
    }
    // The URL may hold what should not be logged; whoever called knows it.
    let error = error.without_url();
    if error.is_connect() {
        Failure::Unreachable(error)
    } else if error.is_timeout() {
        Failure::Timeout
    } else {
        Failure::Broken(error)
    }
}

#[cfg(test)]
mod tests;
