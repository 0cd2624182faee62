//! What is logged, and how.

use clap::{Args, ValueEnum};

/// What is logged, to standard error.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// What to log: a level (`error`, `warn`, `info`, `debug`, `trace`) or a list such as
    /// `info,bloom_runtime::db=debug`.
    #[arg(
        long,
        value_name = "FILTER",
        env = "BLOOM_LOG",
        default_value = "info",
        global = true
    )]
    pub log: String,

    /// One line of text per event, or one JSON object.
    #[arg(
        long,
        value_name = "FORMAT",
        env = "BLOOM_LOG_FORMAT",
        default_value = "text",
        global = true
    )]
    pub log_format: LogFormat,

    /// The OpenTelemetry collector that spans are sent to, over HTTP (`…:4318`). Only where the
    /// program is built with `--features otel`; further settings are OpenTelemetry's own variables.
    #[arg(
        long,
        value_name = "URL",
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        global = true,
        hide_env_values = true
    )]
    pub otlp_endpoint: Option<String>,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people; coloured on a terminal.
    Text,
    /// For programs; one object a line.
    Json,
}
