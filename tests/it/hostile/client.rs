//! Sends many requests on a few connections, and judges every answer.

use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::time::timeout;

use crate::http_toy::{Answer, Raw};
use crate::runtime::{DEADLINE, KEY};

/// How many requests are under way at the same time.
const CONNECTIONS: usize = 8;
/// What may go wrong without being wrong: not implemented, somebody else failed, not now, full.
const EXCUSED: [u16; 4] = [501, 502, 503, 507];
/// How many complaints are shown.
const SHOWN: usize = 40;

/// One request.
#[derive(Debug)]
pub struct Job {
    what: String,
    /// Request line without the version.
    head: Vec<u8>,
    /// Whole header lines beside the usual ones.
    headers: Vec<u8>,
    body: Option<Vec<u8>>,
    /// Whether it may be no HTTP: then the server refuses it before it is a request, without a body.
    may_be_none: bool,
}

impl Job {
    /// A request without a body.
    pub fn bare(what: String, method: &str, target: &[u8]) -> Self {
        let head = [method.as_bytes(), b" ", target].concat();
        Self {
            what,
            head,
            headers: Vec::new(),
            may_be_none: false,
            body: None,
        }
    }

    /// A request with a body that is called JSON.
    pub fn with_body(what: String, method: &str, target: &str, body: Vec<u8>) -> Self {
        Self {
            body: Some(body),
            ..Self::bare(what, method, target.as_bytes())
        }
    }

    /// The same, with these whole header lines, and with the input where it may make it no HTTP.
    pub fn unsure(self, headers: Vec<u8>) -> Self {
        Self {
            headers,
            may_be_none: true,
            ..self
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        let more = format!(" HTTP/1.1\r\nHost: localhost\r\nX-Runtime-API-Key: {KEY}\r\n");
        bytes.extend_from_slice(more.as_bytes());
        bytes.extend_from_slice(&self.headers);
        if let Some(body) = &self.body {
            let of_body = format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            );
            bytes.extend_from_slice(of_body.as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// Sends all of `jobs`; panics with what was wrong. Returns how many there were, and how many of them
/// were accepted.
pub async fn send_all(
    address: SocketAddr,
    jobs: impl Iterator<Item = Job> + Send,
) -> (usize, usize) {
    let (jobs, wrong) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    let counts = Mutex::new((0, 0));
    let connections = (0..CONNECTIONS).map(|_| async {
        let mut raw = None;
        loop {
            let Some(job) = jobs.lock().unwrap().next() else {
                break;
            };
            let mut line = match raw.take() {
                Some(line) => line,
                None => Raw::connect(address).await,
            };
            // A server that refuses the head may hang up before it has the body.
            let sent = line.try_send(&job.bytes()).await;
            let answer = timeout(DEADLINE, line.try_answer(false)).await;
            let complaint = match &answer {
                Err(_) => Some("no answer in time".to_owned()),
                Ok(None) => Some(format!("closed without an answer (all was sent: {sent})")),
                Ok(Some(answer)) if job.may_be_none && is_no_request(answer) => None,
                Ok(Some(answer)) => complaint(answer),
            };
            let answer = answer.ok().flatten();
            let is_accepted = answer.as_ref().is_some_and(|answer| answer.status < 400);
            if let Some(complaint) = complaint {
                wrong
                    .lock()
                    .unwrap()
                    .push(format!("{}: {complaint}", job.what));
            }
            let mut counts = counts.lock().unwrap();
            *counts = (counts.0 + 1, counts.1 + usize::from(is_accepted));
            raw = answer.filter(is_reusable).map(|_| line);
        }
    });
    futures_util::future::join_all(connections).await;
    let wrong = wrong.into_inner().unwrap();
    let shown: Vec<_> = wrong.iter().take(SHOWN).map(String::as_str).collect();
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        shown.join("\n")
    );
    counts.into_inner().unwrap()
}

/// Whether the next request may follow: streams have no end.
fn is_reusable(answer: &Answer) -> bool {
    answer.header("transfer-encoding").is_none() && answer.header("connection") != Some("close")
}

/// Whether that is how HTTP's own parser refuses.
fn is_no_request(answer: &Answer) -> bool {
    answer.status == 400 && answer.body.is_empty() && answer.header("connection") == Some("close")
}

/// What is wrong with an answer.
fn complaint(answer: &Answer) -> Option<String> {
    let shown = || {
        String::from_utf8_lossy(&answer.body)
            .chars()
            .take(300)
            .collect::<String>()
    };
    let status = answer.status;
    if status >= 500 && !EXCUSED.contains(&status) {
        return Some(format!("{status} {}", shown()));
    }
    if status < 400 {
        return None;
    }
    let body = answer.json();
    // Wrong fields have their texts in place of a code.
    let is_said = match (&body["error"], &body["code"]) {
        (serde_json::Value::String(_), code) => code.is_string(),
        (error, _) => error["fieldErrors"].is_object() && error["formErrors"].is_array(),
    };
    let is_json = answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("application/json"));
    (!is_said || !is_json).then(|| format!("{status} without error and code: {}", shown()))
}
