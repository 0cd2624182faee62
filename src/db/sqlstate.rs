//! What a database error means: the one place that knows SQLSTATEs.
//!
//! The verbs refuse with SQLSTATE `RTnnn`, where `nnn` is the HTTP status; MESSAGE is a stable
//! `snake_case` code; DETAIL is a JSON object with ids, a `message` for people and, when a field of
//! the request is to blame, its name as `field`.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio_postgres::error::{DbError, Severity};

use crate::error::{Error, Kind, Source};

/// What callers are told to wait when the database cannot answer.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);
/// A lock was not had in time.
const LOCKED: &str = "55P03";

/// What to do about a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A verb said no.
    Refused,
    /// The transaction was rolled back in favour of another; the same call may succeed.
    Retry,
    /// The prepared statement is out of date or gone; nothing was executed.
    Replan,
    /// The server accepts no writes: we talk to a standby.
    ReadOnly,
    /// The server is away, overloaded, or gave up on the call.
    Away,
    /// A parameter holds text that Postgres cannot store.
    BadText,
    /// A fault of ours.
    Fault,
}

/// Classifies an error of the driver.
pub(crate) fn class(error: &tokio_postgres::Error) -> Class {
    match error.as_db_error() {
        Some(db) => class_of(db.code().code(), db.message()),
        None if error.is_closed() || has_io_source(error) => Class::Away,
        None => Class::Fault,
    }
}

fn class_of(code: &str, message: &str) -> Class {
    match code {
        "40001" | "40P01" => Class::Retry,
        // The same code also stands for features that do not exist.
        "0A000" if message.starts_with("cached plan must not change result type") => Class::Replan,
        "26000" => Class::Replan,
        "25006" => Class::ReadOnly,
        // NUL in text, NUL or a lone surrogate in JSON, and text that is no value of its type.
        "22021" | "22P05" | "22P02" => Class::BadText,
        // Somebody holds a row that the call needs. It has waited once; waiting again, on a
        // connection that others need, would let one open transaction starve them all.
        LOCKED | "57014" => Class::Away,
        _ if code.starts_with("RT") => Class::Refused,
        _ if ["08", "53", "57P0"]
            .iter()
            .any(|prefix| code.starts_with(prefix)) =>
        {
            Class::Away
        }
        _ => Class::Fault,
    }
}

/// The error that callers see. Only refusals carry a text from the database.
pub(crate) fn to_error(error: tokio_postgres::Error) -> Error {
    match (class(&error), error.as_db_error()) {
        (Class::Refused, Some(db)) => match refusal(db) {
            Some(refused) => refused,
            None => Error::internal(error),
        },
        (Class::BadText, _) => Error::refused(
            Kind::Invalid,
            "invalid_text",
            "The request contains text that cannot be stored",
        ),
        (Class::Retry | Class::ReadOnly | Class::Away, _) => unavailable(error),
        (Class::Refused | Class::Replan | Class::Fault, _) => Error::internal(error),
    }
}

/// "Not now", with a reason for the log.
pub(crate) fn unavailable(source: impl Into<Source>) -> Error {
    Error::Unavailable {
        retry_after: RETRY_AFTER,
        source: Some(source.into()),
    }
}

/// Whether a call was given up because somebody's open transaction holds a row that it needs.
#[must_use]
pub(crate) fn is_locked(error: &Error) -> bool {
    db_error(error).is_some_and(|db| db.code().code() == LOCKED)
}

/// What the server said, where that is why a call failed.
fn db_error(error: &Error) -> Option<&DbError> {
    let source = match error {
        Error::Unavailable { source, .. } => source.as_ref()?,
        Error::Internal(source) => source,
        Error::Refused { .. } | Error::Upstream { .. } | Error::Fields(_) => return None,
    };
    source
        .downcast_ref::<tokio_postgres::Error>()?
        .as_db_error()
}

/// Whether it is certain that a failed call changed nothing: a verb refused, or the server reported
/// an error, which rolls a statement back. A connection that broke may have broken after the commit.
#[must_use]
pub(crate) fn is_undone(error: &Error) -> bool {
    if matches!(error, Error::Refused { .. } | Error::Fields(_)) {
        return true;
    }
    db_error(error).is_some_and(|db| db.parsed_severity() == Some(Severity::Error))
}

/// The refusal of one item of a batch, as the verbs report it: `{code, status, message, …}`.
pub(crate) fn item_refusal(error: Value) -> Error {
    let Value::Object(mut detail) = error else {
        return Error::internal("a refusal of unknown shape");
    };
    let status = detail.remove("status").map(|status| status.to_string());
    let kind = status.as_deref().and_then(kind_of);
    match (kind, detail.remove("code")) {
        (Some(kind), Some(Value::String(code))) => refused(kind, &code, detail),
        _ => Error::internal("a refusal without status and code"),
    }
}

fn refusal(db: &DbError) -> Option<Error> {
    let kind = kind_of(db.code().code().strip_prefix("RT")?)?;
    let detail = db
        .detail()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    Some(refused(kind, db.message(), detail))
}

fn refused(kind: Kind, code: &str, mut detail: Map<String, Value>) -> Error {
    let mut take_text = |name| match detail.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let message = take_text("message").unwrap_or_else(|| code.replace('_', " "));
    match take_text("field") {
        // Beside the message, which names the field for people in psql, stands the text alone.
        Some(field) => Error::field(&field, take_text("text").unwrap_or(message)),
        None => Error::Refused {
            kind,
            code: code.to_owned(),
            message,
            detail,
        },
    }
}

fn kind_of(status: &str) -> Option<Kind> {
    Some(match status {
        "400" | "422" => Kind::Invalid,
        "401" => Kind::Unauthorized,
        "403" => Kind::Forbidden,
        "404" => Kind::NotFound,
        "405" => Kind::MethodNotAllowed,
        "408" => Kind::Timeout,
        "409" => Kind::Conflict,
        "413" => Kind::TooLarge,
        "415" => Kind::UnsupportedMedia,
        "429" => Kind::TooMany,
        "501" => Kind::NotImplemented,
        "502" => Kind::BadGateway,
        "503" => Kind::Busy,
        _ => return None,
    })
}

fn has_io_source(error: &tokio_postgres::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if inner.is::<std::io::Error>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(detail: Value) -> Map<String, Value> {
        match detail {
            Value::Object(detail) => detail,
            _ => panic!("not an object"),
        }
    }

    #[test]
    fn codes_are_classified() {
        for (code, class) in [
            ("RT404", Class::Refused),
            ("40001", Class::Retry),
            ("40P01", Class::Retry),
            ("55P03", Class::Away),
            ("26000", Class::Replan),
            ("25006", Class::ReadOnly),
            ("57014", Class::Away),
            ("57P01", Class::Away),
            ("57P03", Class::Away),
            ("08006", Class::Away),
            ("53100", Class::Away),
            ("53300", Class::Away),
            ("22021", Class::BadText),
            ("22P05", Class::BadText),
            ("0A000", Class::Fault),
            ("42883", Class::Fault),
            ("23514", Class::Fault),
        ] {
            assert_eq!(class_of(code, ""), class, "{code}");
        }
        let message = "cached plan must not change result type";
        assert_eq!(class_of("0A000", message), Class::Replan);
    }

    #[test]
    fn a_refusal_carries_text_code_and_ids() {
        let detail = json!({"message": "Lease x is no longer current", "lease_id": "x"});
        let Error::Refused {
            kind,
            code,
            message,
            detail,
        } = refused(Kind::Conflict, "lease_lost", map(detail))
        else {
            panic!("not a refusal")
        };
        assert_eq!((kind, code.as_str()), (Kind::Conflict, "lease_lost"));
        assert_eq!(message, "Lease x is no longer current");
        assert_eq!(Value::Object(detail), json!({ "lease_id": "x" }));
    }

    #[test]
    fn a_refused_field_is_reported_under_its_name() {
        for detail in [
            json!({"message": "Required", "field": "prompt"}),
            json!({"message": "prompt: Required", "field": "prompt", "text": "Required"}),
        ] {
            let Error::Fields(fields) = refused(Kind::Invalid, "invalid_task", map(detail)) else {
                panic!("not a field error")
            };
            assert_eq!(fields.to_json()["fieldErrors"]["prompt"][0], "Required");
        }
    }

    #[test]
    fn a_refusal_without_detail_still_says_something() {
        let error = refused(Kind::NotFound, "task_not_found", Map::new());
        assert_eq!(error.to_string(), "task not found");
    }

    #[test]
    fn the_refusal_of_an_item_is_that_of_a_call() {
        let error = item_refusal(json!({"status": 409, "code": "lease_lost", "message": "Gone"}));
        let Error::Refused { kind, code, .. } = &error else {
            panic!("not a refusal")
        };
        assert_eq!((*kind, code.as_str()), (Kind::Conflict, "lease_lost"));
        assert_eq!(error.to_string(), "Gone");
        for unknown in [json!([]), json!({"code": "x"}), json!({"status": 409})] {
            assert!(matches!(item_refusal(unknown), Error::Internal(_)));
        }
    }

    #[test]
    fn every_kind_has_a_status_and_nothing_else_does() {
        assert_eq!(kind_of("422"), Some(Kind::Invalid));
        assert_eq!(kind_of("503"), Some(Kind::Busy));
        assert_eq!(kind_of("200"), None);
        assert_eq!(kind_of("4O4"), None);
    }
}
