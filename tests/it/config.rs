//! The command line's own promises, without running anything.

use bloom_runtime::config::{
    AuthArgs, DatabaseArgs, LimitArgs, ListenArgs, LogArgs, PoolArgs, RetentionArgs,
};
use clap::{CommandFactory, Parser};

/// All that a service takes.
#[derive(Debug, Parser)]
struct Service {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    auth: AuthArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    pool: PoolArgs,
    #[command(flatten)]
    retention: RetentionArgs,
    #[command(flatten)]
    log: LogArgs,
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let service = Service::parse_from(["bloom"]);
    assert_eq!(service.listen.listen.to_string(), "127.0.0.1:5000");
    assert!(service.listen.is_loopback());
    assert_eq!(service.database.data_dir.to_str(), Some(".bloom"));
    assert_eq!(service.limits.max_completion_bytes, 16 * 1024 * 1024);
    assert_eq!(service.limits.max_body_bytes, 1024 * 1024);
    assert_eq!(service.limits.rate_per_minute, 6000);
    assert_eq!(service.pool.shares().unwrap(), (4, 12));
    assert_eq!(
        (
            service.retention.keep_tasks_days,
            service.retention.keep_events_days
        ),
        (30, 90)
    );
    assert_eq!(service.log.log, "info");
}

#[test]
fn what_makes_no_sense_is_refused() {
    for wrong in [
        ["bloom", "--pool-size=1"],
        ["bloom", "--listen=nowhere"],
        ["bloom", "--max-body-bytes=0"],
        ["bloom", "--keep-tasks-days=0"],
    ] {
        assert!(Service::try_parse_from(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn every_setting_has_help_and_a_variable() {
    let command = Service::command();
    command.clone().debug_assert();
    for arg in command.get_arguments() {
        assert!(arg.get_help().is_some(), "{} has no help", arg.get_id());
        assert!(arg.get_env().is_some(), "{} has no variable", arg.get_id());
    }
}

#[test]
fn neither_help_nor_debug_shows_the_password_of_the_database() {
    let url = "--database-url=postgres://ann:hunter2@db.example/queue";
    let service = Service::parse_from(["bloom", url]);
    assert!(!format!("{service:?}").contains("hunter2"));
    let database = Service::command();
    let arg = database
        .get_arguments()
        .find(|arg| arg.get_id() == "database_url")
        .unwrap();
    assert!(arg.is_hide_env_values_set());
}

#[test]
fn an_empty_database_url_means_the_private_postgres() {
    let service = Service::parse_from(["bloom", "--database-url="]);
    assert!(service.database.external().is_none());
}
