//! What every command that asks the service works with, and how it ends.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::exit;
use super::output::{Out, clean};
use crate::client::{Client, Failure, SetupError};
use crate::config::client::ClientArgs;

/// How long one request may take.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The most rows that one request may ask for.
pub(super) const PAGE_MAX: usize = 1_000;

/// What ended a command early.
pub(super) enum Trouble {
    /// The service refused or did not answer.
    Service(Failure),
    /// What was given cannot be used.
    Usage(anyhow::Error),
    /// Something else on this side, such as a full disk.
    Local(anyhow::Error),
    /// It has been said already; only the status is left.
    Said(u8),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Service(failure)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Local(error.into())
    }
}

/// Client, form of the output, and where it goes.
pub(super) struct Desk {
    pub(super) client: Client,
    pub(super) json: bool,
    pub(super) out: Out,
}

impl Desk {
    /// Opens it and does the work; the exit status says how it went.
    pub(super) async fn serve(
        args: &ClientArgs,
        json: bool,
        work: impl AsyncFnOnce(&mut Self) -> Result<u8, Trouble>,
    ) -> anyhow::Result<ExitCode> {
        let ended = match Self::open(args, json) {
            Ok(mut desk) => work(&mut desk).await,
            Err(error) => Err(Trouble::Usage(error)),
        };
        let (code, text) = match ended {
            Ok(code) | Err(Trouble::Said(code)) => return Ok(ExitCode::from(code)),
            Err(Trouble::Service(failure)) => (exit::of(&failure), advice(&failure, &args.server)),
            Err(Trouble::Usage(error)) => (exit::USAGE, format!("{error:#}")),
            Err(Trouble::Local(error)) => return Err(error),
        };
        complain(&text)?;
        Ok(ExitCode::from(code))
    }

    fn open(args: &ClientArgs, json: bool) -> anyhow::Result<Self> {
        let key = args.key().with_context(|| match &args.api_key_file {
            Some(file) => format!("cannot read the API key file {}", file.display()),
            None => "cannot read the API key".to_owned(),
        })?;
        let client = Client::new(&args.server, key.as_ref()).map_err(|error| match error {
            SetupError::Key => anyhow::anyhow!(
                "the API key is not one line of printable text (BLOOM_API_KEY, RUNTIME_API_KEY or \
                 --api-key-file)"
            ),
            other => anyhow::anyhow!("--server: {other}"),
        })?;
        Ok(Self {
            client,
            json,
            out: Out::stdout(),
        })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.client.get(path, CALL_LIMIT).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.client.post(path, body, CALL_LIMIT).await
    }

    /// The first `limit` rows of a list, page by page. `query` ends where `limit=` may follow.
    pub(super) async fn list(&self, path: &str, limit: usize) -> Result<Vec<Value>, Trouble> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        while rows.len() < limit {
            let size = (limit - rows.len()).min(PAGE_MAX);
            let page = format!("{path}{mark}limit={size}{cursor}");
            let (page, next) = self.client.page(&page, CALL_LIMIT).await?;
            rows.extend(page);
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        Ok(rows)
    }
}

/// One error, to people.
pub(super) fn complain(text: &str) -> std::io::Result<()> {
    Out::stderr().line(format_args!("error: {}", clean(text, true)))
}

/// What went wrong, and what to do about it.
fn advice(failure: &Failure, server: &str) -> String {
    let mut text = failure.to_string();
    let advice = match failure.status() {
        None if failure.is_unreachable() => {
            text = format!("{server}: {text}");
            "Is the service running there? `bloom serve` starts one; --server or BLOOM_SERVER names \
             another."
        }
        None => "Is this the address of a BLOOM service? See --server and BLOOM_SERVER.",
        Some(401) => {
            "The service asks for an API key that it knows. Put it into BLOOM_API_KEY, or into a file \
             that --api-key-file names. `bloom key create` makes one."
        }
        Some(403) => "This API key lacks the right. `bloom key list` shows what each may do.",
        Some(429 | 502..=504) => "Try again in a moment.",
        _ => return text,
    };
    text.push('\n');
    text.push_str(advice);
    text
}

/// A member as text: strings as they are, null and absent as nothing.
pub(super) fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A query string of those parameters that are given.
pub(super) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}
