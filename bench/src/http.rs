//! A client that costs little: one kept connection, one request after the other.

use anyhow::{Context as _, anyhow, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A connection to the service.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Client {
    /// Connects to `base`, `http://HOST:PORT`.
    pub async fn connect(base: &str) -> anyhow::Result<Self> {
        let host = base.strip_prefix("http://").context("not http")?.to_owned();
        let stream = TcpStream::connect(&host).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, host })
    }

    /// Sends a body and returns the answer's; with `minimal`, asks for no more than the outcome.
    pub async fn post(&mut self, path: &str, body: String, minimal: bool) -> anyhow::Result<Bytes> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("/api/runtime{path}"))
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json");
        if minimal {
            request = request.header("prefer", "return=minimal");
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        self.send(path, request).await
    }

    /// What is at a path.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        let request = Request::builder()
            .uri(format!("/api/runtime{path}"))
            .header(HOST, &self.host)
            .body(Full::default())?;
        self.send(path, request).await
    }

    async fn send(&mut self, path: &str, request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        ensure!(
            status.is_success(),
            "{path}: {status} {}",
            String::from_utf8_lossy(&bytes)
        );
        Ok(bytes)
    }

    /// A call with JSON on both sides.
    pub async fn call(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let bytes = self.post(path, body.to_string(), false).await?;
        serde_json::from_slice(&bytes).map_err(|error| anyhow!("{path}: {error}"))
    }
}
