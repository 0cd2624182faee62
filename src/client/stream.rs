//! Reading a stream of server-sent events.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::header::ACCEPT;
use serde_json::Value;
use tokio::time::timeout;

use super::{Client, Failure, read, sent};

/// How long the answer may take to begin.
const BEGIN_LIMIT: Duration = Duration::from_secs(15);
/// How long a stream may say nothing: the service pings more often.
const QUIET_LIMIT: Duration = Duration::from_secs(60);
/// The longest event that is read, in bytes.
const MAX_EVENT: usize = 16 << 20;

/// An open stream.
#[derive(Debug)]
pub struct Stream {
    response: reqwest::Response,
    /// What arrived and is not a whole line yet.
    rest: Vec<u8>,
    data: String,
    ready: VecDeque<Value>,
    /// Where to go on after the connection was lost.
    pub last_id: Option<String>,
}

impl Client {
    /// `GET /api/runtime{path}` as a stream, from the event called `last_id` on.
    pub async fn stream(&self, path: &str, last_id: Option<&str>) -> Result<Stream, Failure> {
        let url = format!("{}/api/runtime{path}", self.root);
        let mut request = self.http.get(url).header(ACCEPT, "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let begun = timeout(BEGIN_LIMIT, sent(request)).await;
        let response = begun.map_err(|_| Failure::Nonsense("no answer in time".to_owned()))??;
        if !response.status().is_success() {
            return Err(match read::<Value>(response).await {
                Err(failure) => failure,
                Ok(_) => Failure::Nonsense("an answer that is none".to_owned()),
            });
        }
        Ok(Stream {
            response,
            rest: Vec::new(),
            data: String::new(),
            ready: VecDeque::new(),
            last_id: last_id.map(str::to_owned),
        })
    }
}

impl Stream {
    /// The data of the next event; `None` where the stream has ended, for whatever reason: then it
    /// can be opened again from `last_id` on.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let chunk = timeout(QUIET_LIMIT, self.response.chunk()).await;
            let chunk = chunk.ok()?.ok()??;
            self.take(&chunk);
            if self.rest.len() + self.data.len() > MAX_EVENT {
                return None;
            }
        }
    }

    fn take(&mut self, chunk: &[u8]) {
        self.rest.extend_from_slice(chunk);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            self.line(line.trim_end_matches(['\n', '\r']));
        }
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            if let Ok(event) = serde_json::from_str(&std::mem::take(&mut self.data)) {
                self.ready.push_back(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => self.data.push_str(value),
            "id" => self.last_id = Some(value.to_owned()),
            _ => {}
        }
    }
}
