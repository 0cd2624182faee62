//! BLOOM Runtime: a Postgres-native job queue service for LLM-agent work.
//!
//! The queue itself lives in SQL (`schema.sql`, `functions/`). This crate installs it, exposes it
//! over HTTP, keeps it tidy, and brings a worker and an embedded Postgres. See ARCHITECTURE.md.

pub mod artifacts;
pub mod batch;
pub mod cli;
pub mod client;
pub mod config;
pub mod db;
pub mod dispatch;
pub mod embedded;
pub mod error;
pub mod events;
pub mod fleet;
pub mod http;
pub mod maintenance;
pub mod membridge;
pub mod metrics;
pub mod model_stub;
pub mod outbound;
pub mod overview;
pub mod routing;
pub mod seals;
pub mod secrets;
pub mod service;
pub mod shutdown;
pub mod telemetry;
pub mod trace;
pub mod wake;
pub mod webhooks;
pub mod worker;
