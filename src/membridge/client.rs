//! Calls to Membridge: a closed list of methods and paths.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Url};
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::gateway;
use super::state::State;
use crate::error::{Error, Kind, Result};
use crate::outbound::{Failure, Guard, Request};

/// The header that carries the admin key.
const KEY_HEADER: &str = "x-membridge-admin";
/// How long a call may take, its repetitions included.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// How long one try of a call that may be repeated may take.
const TRY_LIMIT: Duration = Duration::from_secs(5);
/// How large an answer may be, in bytes.
const SIZE_LIMIT: usize = 4 << 20;
/// The pause before the first repetition; it doubles, with jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(150);
/// How often a safe call is tried.
const TRIES: u32 = 3;
/// What stays as it is in a path segment.
const SEGMENT: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Where a call goes.
pub(super) struct Target {
    /// The root of the control plane.
    pub(super) url: Url,
    /// Its admin key.
    pub(super) key: Option<SecretString>,
}

/// Everything that is ever asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Its health. Needs no key, so it gets none.
    Health,
    /// Its agents.
    Agents,
    /// Its projects.
    Projects,
    /// Who leads a project.
    Leadership(String),
    /// The nodes of a project.
    Nodes(String),
    /// Makes a node the primary of a project.
    Select(String, Value),
}

/// An answer that has the expected shape.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// The body.
    pub body: Value,
}

impl Call {
    fn method(&self) -> Method {
        match self {
            Self::Select(..) => Method::POST,
            _ => Method::GET,
        }
    }

    /// Whether the answer must be an array; otherwise it must be an object.
    fn is_list(&self) -> bool {
        matches!(self, Self::Agents | Self::Projects | Self::Nodes(_))
    }

    fn body(&self) -> Option<&Value> {
        match self {
            Self::Select(_, body) => Some(body),
            _ => None,
        }
    }

    /// The path below the root, each id as one segment of it.
    fn path(&self) -> Result<String> {
        Ok(match self {
            Self::Health => "health".to_owned(),
            Self::Agents => "agents".to_owned(),
            Self::Projects => "projects".to_owned(),
            Self::Leadership(id) => format!("projects/{}/leadership", segment(id)?),
            Self::Nodes(id) => format!("projects/{}/nodes", segment(id)?),
            Self::Select(id, _) => format!("projects/{}/leadership/select", segment(id)?),
        })
    }
}

/// An id as one path segment. `.` and `..` would be taken for steps, however they are written.
fn segment(id: &str) -> Result<String> {
    if matches!(id, "" | "." | "..") || id.contains('\0') {
        return Err(Error::refused(
            Kind::NotFound,
            "project_not_found",
            "Project not found",
        ));
    }
    Ok(utf8_percent_encode(id, &SEGMENT).to_string())
}

/// Makes a call. What is safe to repeat is repeated within the time limit.
pub(super) async fn call(
    guard: &Guard,
    state: &State,
    target: &Target,
    call: Call,
) -> Result<Upstream> {
    // The sync is what finds out that Membridge is back.
    if call != Call::Agents && state.is_tripped() {
        return Err(gateway(
            "Membridge has not been answering; it is left alone for a moment",
        ));
    }
    let url = join(&target.url, &call.path()?)?;
    let deadline = Instant::now() + TIME_LIMIT;
    let tries = if call.method() == Method::GET {
        TRIES
    } else {
        1
    };
    let mut pause = FIRST_PAUSE;
    let mut left = tries;
    loop {
        left -= 1;
        let limit = if tries == 1 { TIME_LIMIT } else { TRY_LIMIT };
        let request = Request {
            method: call.method(),
            url: url.clone(),
            secret: match call {
                Call::Health => None,
                _ => target.key.clone().map(|key| (KEY_HEADER, key)),
            },
            headers: Vec::new(),
            body: call.body().map(|body| body.to_string().into_bytes()),
            time_limit: limit.min(deadline.saturating_duration_since(Instant::now())),
            size_limit: SIZE_LIMIT,
        };
        let answer = guard.send(request).await;
        let is_passing = match &answer {
            Ok(answer) => matches!(answer.status, 502..=504),
            Err(failure) => !matches!(failure, Failure::Refused(_) | Failure::TooLarge(_)),
        };
        pause = pause.mul_f64(0.5 + fastrand::f64()) * 2;
        if is_passing && left > 0 && Instant::now() + pause < deadline {
            sleep(pause).await;
            continue;
        }
        let read = answer
            .map_err(|failure| unreachable(&failure))
            .and_then(|answer| read(&call, answer.status, &answer.body));
        match &read {
            Ok(_) => state.succeeded(),
            Err(error @ Error::Upstream { status, .. }) => match status {
                401 | 403 => state.refused(&error.to_string()),
                500.. => state.failed(&error.to_string()),
                // It answered, only not as was hoped.
                _ => state.succeeded(),
            },
            Err(error) => state.failed(&error.to_string()),
        }
        return read;
    }
}

fn join(root: &Url, path: &str) -> Result<Url> {
    let base = root.as_str().trim_end_matches('/');
    let url = Url::parse(&format!("{base}/{path}")).map_err(Error::internal)?;
    // Parsing normalises; that must not have led anywhere else.
    let wanted = format!("{}/{path}", root.path().trim_end_matches('/'));
    if url.origin() != root.origin() || url.path() != wanted || url.query().is_some() {
        return Err(Error::internal("a path of Membridge became another one"));
    }
    Ok(url)
}

fn unreachable(failure: &Failure) -> Error {
    warn!(error = %failure.chain(), "Membridge did not answer");
    gateway(format!("Membridge is unreachable: {failure}"))
}

/// The answer, if it is a success of the expected shape. Nothing of an error's body is passed on.
fn read(call: &Call, status: u16, body: &[u8]) -> Result<Upstream> {
    if !(200..300).contains(&status) {
        let message = format!("Membridge returned {status}");
        // A redirect is not followed, and means nothing to our client.
        return Err(if (400..600).contains(&status) {
            Error::Upstream { status, message }
        } else {
            gateway(message)
        });
    }
    match serde_json::from_slice(body) {
        Ok(body @ Value::Array(_)) if call.is_list() => Ok(Upstream { body }),
        Ok(body @ Value::Object(_)) if !call.is_list() => Ok(Upstream { body }),
        Ok(_) => Err(gateway(
            "Membridge answered with something else than expected",
        )),
        Err(_) => Err(gateway(
            "Membridge answered with something that is not JSON",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_segment_of_the_path_whatever_it_holds() {
        let root = Url::parse("http://m.example:8000/base").unwrap();
        for id in [
            "..%2fagents",
            "../agents",
            "x?y=",
            "a#b",
            "@host",
            "a\r\nb",
            "a/b",
            "%2e%2e",
            "é",
        ] {
            for call in [
                Call::Leadership(id.to_owned()),
                Call::Nodes(id.to_owned()),
                Call::Select(id.to_owned(), Value::Null),
            ] {
                let url = join(&root, &call.path().unwrap()).unwrap();
                let segments: Vec<_> = url.path_segments().unwrap().collect();
                assert_eq!(&segments[..2], ["base", "projects"], "{url}");
                assert!(segments.len() == 4 || segments.len() == 5, "{url}");
                assert_eq!(
                    (url.query(), url.fragment(), url.host_str()),
                    (None, None, Some("m.example"))
                );
            }
        }
        for id in ["", ".", "..", "\0"] {
            assert!(Call::Nodes(id.to_owned()).path().is_err());
        }
    }

    #[test]
    fn only_a_success_of_the_expected_shape_is_an_answer() {
        assert!(read(&Call::Projects, 200, b"[]").is_ok());
        assert!(read(&Call::Health, 200, b"{}").is_ok());
        for (call, status, body) in [
            (Call::Projects, 200, &b"{}"[..]),
            (Call::Projects, 200, b"{\"projects\": []}"),
            (Call::Health, 200, b"[]"),
            (Call::Health, 200, b"<html>"),
            (Call::Health, 302, b"{}"),
            (Call::Projects, 401, b"[]"),
        ] {
            assert!(read(&call, status, body).is_err(), "{call:?} {status}");
        }
        let refused = read(&Call::Projects, 401, b"{\"detail\":\"secret\"}").unwrap_err();
        assert_eq!(refused.to_string(), "Membridge returned 401");
    }
}
