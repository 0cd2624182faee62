//! Sends what the program logs to standard error, and its spans to a collector.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::{LogArgs, LogFormat};
use crate::trace::Exporter;

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

/// Begins to export spans, where a collector is named. That it cannot is no reason not to work.
#[must_use]
pub fn export(args: &LogArgs) -> Option<Exporter> {
    let endpoint = args
        .otlp_endpoint
        .as_deref()
        .filter(|url| !url.is_empty())?;
    match Exporter::start(endpoint) {
        Ok(exporter) => Some(exporter),
        Err(why) => {
            tracing::warn!("OTEL_EXPORTER_OTLP_ENDPOINT is set, but no spans are exported: {why}");
            None
        }
    }
}
