//! What the exit status says, the same for every command that asks the service.

use crate::client::Failure;
use crate::error::{Error, Kind};

/// Done.
pub const DONE: u8 = 0;
/// It ran, and the answer is no: a task failed, or verifying found a fault.
pub const FAILED: u8 = 1;
/// The command line or a file cannot be used; nothing was sent.
pub const USAGE: u8 = 2;
/// There is no such task, worker, queue or key.
pub const NOT_FOUND: u8 = 3;
/// The service refused: the state of things forbids it, or what was sent is not valid.
pub const REFUSED: u8 = 4;
/// No key, a wrong one, or one without the right.
pub const UNAUTHORISED: u8 = 5;
/// No service answers there, or it cannot answer now.
pub const UNREACHABLE: u8 = 6;
/// The task was cancelled.
pub const CANCELLED: u8 = 7;
/// Ended by Ctrl-C, as shells say it.
pub const INTERRUPTED: u8 = 130;

/// For the help of every command.
pub const HELP: &str = "\
Exit status:
  0  done
  1  a task failed, or verifying found a fault
  2  wrong usage, or a file that cannot be used; nothing was sent
  3  there is no such thing
  4  refused: its state forbids it, or what was sent is not valid
  5  no API key, a wrong one, or one without the right
  6  the service cannot be reached, or cannot answer now
  7  the task was cancelled";

/// The status for an answer that did not come or says no.
#[must_use]
pub fn of(failure: &Failure) -> u8 {
    match failure.status() {
        None | Some(408 | 425 | 429 | 500..) => UNREACHABLE,
        Some(401 | 403) => UNAUTHORISED,
        Some(404) => NOT_FOUND,
        Some(_) => REFUSED,
    }
}

/// The status for one refusal among many, by its code.
#[must_use]
pub fn of_code(code: &str) -> u8 {
    if code.ends_with("_not_found") {
        NOT_FOUND
    } else {
        REFUSED
    }
}

/// The status for a refusal of the database itself.
#[must_use]
pub fn of_error(error: &Error) -> u8 {
    match error {
        Error::Refused { kind, .. } => match kind {
            Kind::NotFound => NOT_FOUND,
            Kind::Unauthorized | Kind::Forbidden => UNAUTHORISED,
            Kind::Busy | Kind::TooMany => UNREACHABLE,
            _ => REFUSED,
        },
        Error::Fields(_) => REFUSED,
        Error::Unavailable { .. } => UNREACHABLE,
        _ => FAILED,
    }
}
