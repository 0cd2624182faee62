//! How long things are kept.

use clap::{Args, value_parser};

/// How long finished things are kept. Queued and running tasks are never removed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Retention")]
pub struct RetentionArgs {
    /// Days that finished tasks are kept, with their attempts.
    #[arg(long, value_name = "DAYS", env = "BLOOM_KEEP_TASKS_DAYS", default_value_t = 30,
        value_parser = value_parser!(u32).range(1..=3650))]
    pub keep_tasks_days: u32,

    /// Days that events are kept, which are the audit trail.
    #[arg(long, value_name = "DAYS", env = "BLOOM_KEEP_EVENTS_DAYS", default_value_t = 90,
        value_parser = value_parser!(u32).range(1..=3650))]
    pub keep_events_days: u32,

    /// Days that artifacts are kept, which are the outputs.
    #[arg(long, value_name = "DAYS", env = "BLOOM_KEEP_ARTIFACTS_DAYS", default_value_t = 30,
        value_parser = value_parser!(u32).range(1..=3650))]
    pub keep_artifacts_days: u32,
}
