//! A client of the service's own HTTP API, for the worker and the command line.
//!
//! Its point is the three kinds of failure: refused (the service said no), never sent, and *lost*
//! (sent, but the answer did not arrive: it may or may not have happened).

pub mod stream;

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long connecting may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes: a prompt and an output at their limits, escaped.
const MAX_ANSWER: usize = 64 << 20;
/// The longest `Retry-After` that is believed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// The longest text of a refusal that is kept, in characters.
const MAX_MESSAGE: usize = 500;
/// What stays as it is in a path segment.
const SEGMENT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Why a call has no (usable) answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection: the request was never sent.
    #[error("cannot reach the server: {}", chain(.0))]
    Unreachable(#[source] reqwest::Error),
    /// The request was sent but its answer did not arrive: it may have happened.
    #[error("the answer was lost: {}", chain(.0))]
    Lost(#[source] reqwest::Error),
    /// The service said no.
    #[error("{message} (HTTP {status})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The machine-readable code, e.g. `lease_lost`.
        code: Option<String>,
        /// The text for people.
        message: String,
        /// When the service says to try again.
        retry_after: Option<Duration>,
    },
    /// The service said yes, in a form that this program does not understand.
    #[error("the server's answer makes no sense: {0}")]
    Nonsense(String),
}

impl Failure {
    /// Whether the same request may be sent again and answered otherwise. A request that may have
    /// happened already must then be one that the service recognises.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Lost(_) => true,
            Self::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502..=504),
            Self::Nonsense(_) => false,
        }
    }

    /// The HTTP status, when the service refused.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// How long the service asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether there is nobody to talk to.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Lost(_))
    }
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address is not an absolute http or https one.
    #[error("'{0}' is not the address of a service (http://HOST[:PORT])")]
    Address(String),
    /// The key has characters that a header cannot carry.
    #[error("the API key is not printable text")]
    Key,
    /// TLS or the like.
    #[error("cannot make an HTTP client: {}", chain(.0))]
    Http(#[source] reqwest::Error),
}

/// A clonable client of one service. Never follows redirects and never uses a proxy, so that the
/// key goes nowhere else.
#[derive(Debug, Clone)]
pub struct Client {
    root: String,
    http: reqwest::Client,
}

impl Client {
    /// A client of the service at `server` (its root, without `/api/runtime`).
    ///
    /// # Errors
    /// When the address or the key cannot be used.
    pub fn new(server: &str, key: Option<&SecretString>) -> Result<Self, SetupError> {
        let url = Url::parse(server).map_err(|_| SetupError::Address(server.to_owned()))?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() {
            return Err(SetupError::Address(server.to_owned()));
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = key {
            let mut value =
                HeaderValue::from_str(key.expose_secret()).map_err(|_| SetupError::Key)?;
            value.set_sensitive(true);
            headers.insert("x-runtime-api-key", value);
        }
        // Refused only when another part of the process has chosen a provider already: then that
        // one serves.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .default_headers(headers)
            .user_agent(concat!("bloom/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(SetupError::Http)?;
        Ok(Self {
            root: url.as_str().trim_end_matches('/').to_owned(),
            http,
        })
    }

    /// The service's address without a trailing slash.
    #[must_use]
    pub fn root(&self) -> &str {
        &self.root
    }

    /// `GET /api/runtime{path}`.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        limit: Duration,
    ) -> Result<T, Failure> {
        let url = format!("{}/api/runtime{path}", self.root);
        answer(self.http.request(Method::GET, url).timeout(limit)).await
    }

    /// `POST /api/runtime{path}` with a JSON body.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<T, Failure> {
        let url = format!("{}/api/runtime{path}", self.root);
        answer(
            self.http
                .request(Method::POST, url)
                .json(body)
                .timeout(limit),
        )
        .await
    }

    /// A page of a list, `GET /api/runtime{path}`, and the cursor of the next one.
    pub async fn page(
        &self,
        path: &str,
        limit: Duration,
    ) -> Result<(Vec<Value>, Option<String>), Failure> {
        let url = format!("{}/api/runtime{path}", self.root);
        let response = sent(self.http.get(url).timeout(limit)).await?;
        let next = response.headers().get("x-next-cursor");
        let next = next.and_then(|next| next.to_str().ok()).map(str::to_owned);
        Ok((read(response).await?, next))
    }

    /// `DELETE /api/runtime{path}`.
    pub async fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        limit: Duration,
    ) -> Result<T, Failure> {
        let url = format!("{}/api/runtime{path}", self.root);
        answer(self.http.delete(url).timeout(limit)).await
    }

    /// Whether `GET {path}` (from the root) answers 2xx, e.g. `/readyz`.
    pub async fn is_ready(&self, path: &str, limit: Duration) -> bool {
        let request = self.http.get(format!("{}{path}", self.root)).timeout(limit);
        request
            .send()
            .await
            .is_ok_and(|response| response.status().is_success())
    }
}

/// One path segment, percent-encoded.
#[must_use]
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, &SEGMENT).to_string()
}

async fn answer<T: DeserializeOwned>(request: reqwest::RequestBuilder) -> Result<T, Failure> {
    read(sent(request).await?).await
}

async fn sent(request: reqwest::RequestBuilder) -> Result<reqwest::Response, Failure> {
    request.send().await.map_err(|error| {
        if error.is_connect() {
            Failure::Unreachable(error)
        } else {
            Failure::Lost(error)
        }
    })
}

async fn read<T: DeserializeOwned>(mut response: reqwest::Response) -> Result<T, Failure> {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Failure::Lost)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Failure::Nonsense(format!("more than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        if body.is_empty() {
            body.extend_from_slice(b"null");
        }
        return serde_json::from_slice(&body).map_err(|e| Failure::Nonsense(e.to_string()));
    }
    Err(refusal(status.as_u16(), &body, retry_after))
}

fn refusal(status: u16, body: &[u8], retry_after: Option<Duration>) -> Failure {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = match &json["error"] {
        Value::Null => format!("HTTP {status} without an explanation"),
        error => refusal_text(error),
    };
    let code = json["code"].as_str().map(str::to_owned);
    Failure::Refused {
        status,
        code,
        message,
        retry_after,
    }
}

/// What the `error` member of an answer says, as one line.
#[must_use]
pub fn refusal_text(error: &Value) -> String {
    match error {
        Value::String(text) => text.chars().take(MAX_MESSAGE).collect(),
        fields => field_errors(fields),
    }
}

/// The contract's `{"formErrors":[…],"fieldErrors":{"f":["…"]}}` as one line.
fn field_errors(fields: &Value) -> String {
    let texts = |list: &Value| -> String {
        let texts = list
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        texts.collect::<Vec<_>>().join(", ")
    };
    let mut parts: Vec<String> = Vec::new();
    let form = texts(&fields["formErrors"]);
    if !form.is_empty() {
        parts.push(form);
    }
    for (name, list) in fields["fieldErrors"].as_object().into_iter().flatten() {
        parts.push(format!("{name}: {}", texts(list)));
    }
    if parts.is_empty() {
        parts.push(fields.to_string());
    }
    parts.join("; ").chars().take(MAX_MESSAGE).collect()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// The error with its causes on one line, without the address (which the caller knows).
fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() {
        "timed out".to_owned()
    } else {
        String::new()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let part = inner.to_string();
        if !text.contains(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        cause = inner.source();
    }
    if text.is_empty() {
        error.to_string()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_errors_read_as_one_line() {
        let body = br#"{"error":{"formErrors":[],"fieldErrors":{"prompt":["Required"]}}}"#;
        let failure = refusal(400, body, None);
        assert_eq!(failure.to_string(), "prompt: Required (HTTP 400)");
        assert!(!failure.is_transient());
    }

    #[test]
    fn a_name_with_a_slash_stays_one_segment() {
        assert_eq!(segment("a/b c-1"), "a%2Fb%20c-1");
        assert_eq!(segment(".."), "..");
    }

    #[test]
    fn an_address_must_be_absolute_http() {
        for bad in ["", "localhost:5000", "ftp://x", "http://x/?a=1"] {
            assert!(Client::new(bad, None).is_err(), "{bad}");
        }
        assert_eq!(
            Client::new("http://x:1/", None).unwrap().root(),
            "http://x:1"
        );
    }
}
