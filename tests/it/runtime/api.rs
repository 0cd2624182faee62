//! A client of the service that shows everything it got.

use hyper::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// A client with or without a key. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    /// `http://host:port`.
    pub base: String,
    key: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// The body as JSON, its members in the order in which they came; `null` when it is none.
    pub body: Value,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `id` member.
    pub fn id(&self) -> String {
        self.body["id"].as_str().expect("an id").to_owned()
    }

    /// The items of a list.
    pub fn items(&self) -> &[Value] {
        assert_eq!(self.status, 200, "{self:?}");
        self.body.as_array().expect("a bare array")
    }

    /// The leases of an answer to a pull.
    pub fn leases(&self) -> &[Value] {
        assert_eq!(self.status, 200, "{self:?}");
        self.body["leases"].as_array().expect("leases")
    }
}

impl Api {
    /// A client of the service at `base`.
    pub fn new(base: &str, key: Option<&str>) -> Self {
        // Fails when another test installed it already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        Self {
            http: reqwest::Client::new(),
            base: base.to_owned(),
            key: key.map(str::to_owned),
        }
    }

    /// The same with another key, or none.
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self {
            key: key.map(str::to_owned),
            ..self.clone()
        }
    }

    /// A request to be refined. `path` is below `/api/runtime` unless it starts with `//`.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = match path.strip_prefix("//") {
            Some(path) => format!("{}/{path}", self.base),
            None => format!("{}/api/runtime{path}", self.base),
        };
        let request = self.http.request(method, url);
        match &self.key {
            Some(key) => request.header("x-runtime-api-key", key),
            None => request,
        }
    }

    /// Sends a request; an error when no answer came.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Reply {
            status,
            headers,
            text,
            body,
        })
    }

    /// Sends a request.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        self.try_send(request).await.expect("an answer")
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::POST, path).json(&body))
            .await
    }

    /// POST with `Content-Type: application/json` and no body at all, as the agent heartbeats.
    pub async fn post_empty(&self, path: &str) -> Reply {
        self.post_raw(path, "").await
    }

    /// POST with these bytes, called JSON.
    pub async fn post_raw(&self, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", "application/json");
        self.send(request.body(body)).await
    }
}
