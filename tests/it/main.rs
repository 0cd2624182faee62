//! The integration tests: one binary, so that it links once. Each module tests one part against
//! real servers that it starts itself (see `pg`).

#![expect(
    clippy::unwrap_used,
    reason = "a test says what is wrong by panicking; clippy's own exception leaves out helpers"
)]

mod batching;
mod batching_beats;
mod batching_leases;
mod canaries;
mod claude_cli;
mod claude_fake;
mod claude_kit;
mod cli;
mod config;
mod contract_agent;
mod contract_changed;
mod contract_keys;
mod contract_lists;
mod contract_ours;
mod contract_pull;
mod contract_running;
mod contract_steering;
mod contract_tasks;
mod contract_validation;
mod contract_workers;
mod demo;
mod deploy;
mod dispatch;
mod doctor;
mod embedded;
mod events;
mod execution_path;
mod fake_agent;
mod fake_membridge;
mod fake_service;
mod history;
mod http_auth;
mod http_conventions;
mod http_drain;
mod http_limits;
mod http_toy;
mod http_wire;
mod install;
mod isolation;
mod kill;
mod list_plans;
mod listen;
mod longpoll;
mod membridge;
mod metrics;
mod model;
mod nginx;
mod object_kit;
mod objects;
mod openapi;
mod outage;
mod overview;
mod pg;
mod plain_user;
mod pool;
mod pooler;
mod races;
mod readme;
mod reference;
mod restore;
mod runtime;
mod sql_catalog;
mod sql_features;
mod sql_kit;
mod sql_plans;
mod sql_refusals;
mod standby;
mod state_matrix;
mod ui;
mod uploads;
mod verbs;
mod webhooks;
mod worker_cli;
mod worker_confine;
mod worker_faults;
mod worker_kit;
mod worker_lease;
mod worker_process;
mod worker_run;
mod worker_tree;
