//! Telling a Membridge control plane that this node is there, so that it appears among its agents.
//!
//! It is a courtesy: the worker works without it, and whatever happens to it disturbs nothing.

use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;

/// The header that carries the admin key.
const KEY_HEADER: &str = "x-membridge-admin";
/// How long a try may take.
const TRY_LIMIT: Duration = Duration::from_secs(10);
/// The first and the longest pause between two tries.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Where to announce, and what.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The root of the control plane.
    pub membridge: Url,
    /// Its admin key, given to the operator of this worker.
    pub key: Option<SecretString>,
    /// The address at which this node is reached; it need not answer.
    pub url: String,
}

/// Announces until it is done, refused, or `done` is told.
pub async fn run(announcement: Announcement, name: String, done: CancellationToken) {
    let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
    loop {
        match once(&announcement, &name).await {
            Ok(201 | 200) => return tracing::info!("announced to Membridge"),
            Ok(409) => return tracing::info!("Membridge knows this node already"),
            Ok(status @ (400..=407 | 410..=428)) => {
                return tracing::warn!(status, "Membridge refused the announcement");
            }
            Ok(status) => tracing::warn!(status, "not announced to Membridge yet"),
            Err(error) => tracing::warn!(%error, "not announced to Membridge yet"),
        }
        tokio::select! {
            () = done.cancelled() => return,
            () = sleep(backoff.pause()) => {}
        }
    }
}

/// One try: the status of the answer.
async fn once(announcement: &Announcement, name: &str) -> Result<u16, String> {
    // The key goes to this address and nowhere else.
    let http = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(TRY_LIMIT)
        .build()
        .map_err(|error| error.to_string())?;
    let root = announcement.membridge.as_str().trim_end_matches('/');
    let mut request = http
        .post(format!("{root}/agents"))
        .json(&json!({ "name": name, "url": announcement.url }));
    if let Some(key) = &announcement.key {
        let value = HeaderValue::from_str(key.expose_secret());
        let mut value = value.map_err(|_| "the admin key is not printable text")?;
        value.set_sensitive(true);
        request = request.header(KEY_HEADER, value);
    }
    let answer = request.send().await;
    let answer = answer.map_err(|error| crate::error::chain(&error.without_url()))?;
    Ok(answer.status().as_u16())
}
