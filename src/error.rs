//! The one error type that crosses layers: the database layer makes it from SQLSTATEs, the HTTP
//! layer renders it. Neither knows the other's vocabulary.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// What went wrong inside, kept for the log and never shown to a client.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of a refusal. The numbers are HTTP's, because the SQL verbs use them too
/// (SQLSTATE `RT404` means "not found").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong (400).
    Invalid,
    /// No key, or an unknown one (401).
    Unauthorized,
    /// The key lacks the scope (403).
    Forbidden,
    /// There is no such thing (404).
    NotFound,
    /// The path exists, the method does not (405).
    MethodNotAllowed,
    /// The request took too long to arrive (408).
    Timeout,
    /// The thing's state forbids it (409).
    Conflict,
    /// The body is larger than the limit (413).
    TooLarge,
    /// The body is not JSON (415).
    UnsupportedMedia,
    /// Too many requests (429).
    TooMany,
    /// This part is not built yet (501).
    NotImplemented,
    /// Someone we depend on failed (502).
    BadGateway,
    /// Not now: no capacity, or draining (503).
    Busy,
}

/// Any failure that a caller may have to be told about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A deliberate refusal with a text made for the caller.
    #[error("{message}")]
    Refused {
        /// Its class.
        kind: Kind,
        /// A stable `snake_case` code for programs, e.g. `lease_lost`.
        code: String,
        /// The text for people; part of the contract with existing clients.
        message: String,
        /// Further machine-readable members (an object), e.g. ids.
        detail: Map<String, Value>,
    },
    /// Somebody whom we asked for the caller answered with this HTTP status, which is passed on.
    #[error("{message}")]
    Upstream {
        /// The status, 400 to 599.
        status: u16,
        /// For people.
        message: String,
    },
    /// One or more fields of a request are wrong.
    #[error("invalid fields: {0}")]
    Fields(FieldErrors),
    /// The database cannot answer now; the caller may try again.
    #[error("the database is unavailable")]
    Unavailable {
        /// When to try again.
        retry_after: Duration,
        /// Why.
        #[source]
        source: Option<Source>,
    },
    /// A fault of ours. Shown as a bare 500 with a request id.
    #[error("internal error")]
    Internal(#[source] Source),
}

impl Error {
    /// A refusal without further members.
    pub fn refused(kind: Kind, code: &str, message: impl Into<String>) -> Self {
        let (code, message) = (code.to_owned(), message.into());
        Self::Refused {
            kind,
            code,
            message,
            detail: Map::new(),
        }
    }

    /// A fault of ours.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }

    /// One wrong field.
    pub fn field(name: &str, text: impl Into<String>) -> Self {
        let mut fields = FieldErrors::default();
        fields.add(name, text);
        Self::Fields(fields)
    }

    /// The whole chain of causes on one line, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }
}

/// An error with all its causes on one line, for the log: most libraries leave the causes out of
/// `Display`.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// Validation errors of a request body: those of the form as a whole and those of each top-level
/// field, in the order in which they were found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FieldErrors {
    form: Vec<String>,
    fields: Vec<(String, Vec<String>)>,
}

impl std::fmt::Display for FieldErrors {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields = self
            .fields
            .iter()
            .map(|(name, texts)| format!("{name}: {}", texts.join(", ")));
        let all: Vec<String> = self.form.iter().cloned().chain(fields).collect();
        formatter.write_str(&all.join("; "))
    }
}

impl FieldErrors {
    /// Adds an error of the form as a whole.
    pub fn add_form(&mut self, text: impl Into<String>) {
        self.form.push(text.into());
    }

    /// Adds an error under the top-level field `name`.
    pub fn add(&mut self, name: &str, text: impl Into<String>) {
        let text = text.into();
        match self.fields.iter_mut().find(|(field, _)| field == name) {
            Some((_, texts)) => texts.push(text),
            None => self.fields.push((name.to_owned(), vec![text])),
        }
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.form.is_empty() && self.fields.is_empty()
    }

    /// `Ok` when nothing was found, the error otherwise.
    pub fn into_result(self) -> Result<()> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Error::Fields(self))
        }
    }

    /// The contract's shape: `{"formErrors":[…],"fieldErrors":{"field":["…"]}}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let fields: Map<String, Value> = self
            .fields
            .iter()
            .map(|(name, texts)| (name.clone(), json!(texts)))
            .collect();
        json!({ "formErrors": self.form, "fieldErrors": fields })
    }
}
