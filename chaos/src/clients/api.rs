//! Requests over HTTP, and what their answers mean for the journal.

use std::time::Duration;

use serde_json::Value;

use crate::journal::Kind;

/// An answer, or that there is none.
#[derive(Debug, Clone)]
pub struct Reply {
    /// What it means: see [`crate::journal`].
    pub kind: Kind,
    /// The status, if there was an answer.
    pub http: Option<u16>,
    /// The service's error code, or what the network said.
    pub code: Option<String>,
    /// The body; null if there is none.
    pub body: Value,
}

/// A client of the service with a key.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Api {
    /// Through this port of the machine.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(port: u16, key: &str) -> anyhow::Result<Self> {
        // Nobody speaks TLS here, but a client cannot be made without. Fails if it is there already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(8)
            .connect_timeout(Duration::from_secs(3))
            .build()?;
        let base = format!("http://127.0.0.1:{port}");
        Ok(Self {
            http,
            base,
            key: key.to_owned(),
        })
    }

    /// POST below `/api/runtime`, waiting for at most `limit`.
    pub async fn post(&self, path: &str, body: &Value, limit: Duration) -> Reply {
        let url = format!("{}/api/runtime{path}", self.base);
        let request = self.http.post(url).json(body).timeout(limit);
        Self::answer(request.header("x-runtime-api-key", &self.key).send().await).await
    }

    /// GET below `/api/runtime`, or below `/` if the path begins with `//`.
    pub async fn get(&self, path: &str, limit: Duration) -> Reply {
        let url = match path.strip_prefix("//") {
            Some(path) => format!("{}/{path}", self.base),
            None => format!("{}/api/runtime{path}", self.base),
        };
        let request = self.http.get(url).timeout(limit);
        Self::answer(request.header("x-runtime-api-key", &self.key).send().await).await
    }

    async fn answer(response: reqwest::Result<reqwest::Response>) -> Reply {
        let response = match response {
            Ok(response) => response,
            Err(error) => return Self::no_answer(&error),
        };
        let status = response.status().as_u16();
        match response.bytes().await {
            Ok(bytes) => {
                let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
                let code = body["code"].as_str().map(str::to_owned);
                let kind = kind_of(status, &body);
                Reply {
                    kind,
                    http: Some(status),
                    code,
                    body,
                }
            }
            Err(error) => Reply {
                http: Some(status),
                ..Self::no_answer(&error)
            },
        }
    }

    fn no_answer(error: &reqwest::Error) -> Reply {
        // Who never got through was never heard.
        let kind = if error.is_connect() {
            Kind::Fail
        } else {
            Kind::Info
        };
        let code = if error.is_connect() {
            "no_connection"
        } else if error.is_timeout() {
            "timeout"
        } else {
            "broken"
        };
        Reply {
            kind,
            http: None,
            code: Some(code.to_owned()),
            body: Value::Null,
        }
    }
}

/// What a complete answer means. A success whose body is not what it should be is none.
fn kind_of(status: u16, body: &Value) -> Kind {
    match status {
        200..=299 if !body.is_null() => Kind::Ok,
        // The request took too long to arrive: nothing was done. Too many: likewise.
        400..=499 => Kind::Fail,
        _ => Kind::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_is_a_fail_and_only_a_whole_success_is_ok() {
        let body = serde_json::json!({});
        assert_eq!(kind_of(201, &body), Kind::Ok);
        assert_eq!(kind_of(409, &body), Kind::Fail);
        assert_eq!(kind_of(429, &body), Kind::Fail);
        for status in [500, 502, 503, 504, 507] {
            assert_eq!(kind_of(status, &body), Kind::Info);
        }
        assert_eq!(kind_of(200, &Value::Null), Kind::Info);
    }

    #[tokio::test]
    async fn who_is_not_let_in_was_never_heard() {
        let port = crate::rig::machine::free_port().unwrap();
        let api = Api::new(port, "k").unwrap();
        let reply = api.get("/stats", Duration::from_secs(5)).await;
        assert_eq!((reply.kind, reply.http), (Kind::Fail, None));
    }
}
