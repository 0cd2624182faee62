//! Sends what the program logs to standard error.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::{LogArgs, LogFormat};

/// Logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is no filter.
    #[error("cannot read the log filter (--log, BLOOM_LOG): {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// It has begun before.
    #[error("logging is set up already")]
    AlreadySet,
}

/// Begins logging; once per process, before anything else.
///
/// # Errors
/// When the filter cannot be read, or this is not the first call.
pub fn init(args: &LogArgs) -> Result<(), Error> {
    let filter = EnvFilter::builder().parse(&args.log)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal());
    let outcome = match args.log_format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    outcome.map_err(|_| Error::AlreadySet)
}
