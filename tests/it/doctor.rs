//! The doctor: quiet about the healthy, precise about the sick.

use bloom_runtime::db::Endpoint;
use std::time::Duration;

use bloom_runtime::db::doctor::{Finding, Level, Limits, examine};
use bloom_runtime::db::install::{self, Bundle};

use crate::pg::{Cluster, Stop, TestDb};
use crate::runtime::process::{Scratch, run};

async fn findings(endpoint: &Endpoint) -> Vec<Finding> {
    examine(endpoint, &Bundle::embedded().unwrap(), Limits::default()).await
}

fn of<'a>(findings: &'a [Finding], name: &str) -> &'a Finding {
    findings
        .iter()
        .find(|finding| finding.name == name)
        .unwrap_or_else(|| panic!("{name}: {findings:?}"))
}

/// The findings about the login.
fn logins(findings: &[Finding]) -> Vec<&Finding> {
    let about = |finding: &&Finding| finding.name == "login";
    findings.iter().filter(about).collect()
}

/// A server that was set up as docs/operations.md says, up to the last step, and its login.
async fn set_up() -> (Cluster, Endpoint) {
    let cluster = Cluster::start(&[]).await;
    let admin = cluster.connect("postgres").await;
    for sql in [
        "create role bloom_service login createrole",
        "create database queue owner bloom_service encoding 'UTF8' template template0",
    ] {
        admin.batch_execute(sql).await.unwrap();
    }
    let login = cluster.endpoint("queue").with_user("bloom_service");
    let bundle = Bundle::embedded().unwrap();
    let mut client = login.connect().await.unwrap();
    install::install(&mut client, &bundle, install::Options::default())
        .await
        .unwrap();
    (cluster, login)
}

#[tokio::test]
async fn a_healthy_database_has_no_findings_worth_a_word() {
    let (cluster, login) = set_up().await;
    let before = findings(&login).await;
    let [createrole] = logins(&before)[..] else {
        panic!("{before:#?}")
    };
    assert_eq!(createrole.level, Level::Warn);
    // What it says is to be done is done, by somebody who may.
    let advice = createrole.advice.as_deref().unwrap();
    let (_, statement) = advice.split_once("as a superuser: ").unwrap();
    let admin = cluster.connect("postgres").await;
    admin.batch_execute(statement).await.unwrap();
    let all = findings(&login).await;
    assert!(
        all.iter().all(|finding| finding.level == Level::Ok),
        "{all:#?}"
    );
    for name in [
        "schema",
        "listen",
        "privileges",
        "login",
        "horizon",
        "clock",
        "connections",
    ] {
        of(&all, name);
    }
}

#[tokio::test]
async fn weakened_durability_and_a_missing_schema_are_failures_with_advice() {
    let db = TestDb::empty().await;
    let sql = format!("alter database {} set synchronous_commit = off", db.name());
    db.connect().await.batch_execute(&sql).await.unwrap();
    let all = findings(&db.endpoint()).await;
    for name in ["fsync", "full_page_writes", "synchronous_commit", "schema"] {
        let finding = of(&all, name);
        assert_eq!(finding.level, Level::Fail, "{finding:?}");
        assert!(finding.advice.is_some());
    }
}

#[tokio::test]
async fn a_log_from_another_server_is_noticed() {
    let db = TestDb::new().await;
    let admin = db.connect().await;
    assert_eq!(
        of(&findings(&db.endpoint()).await, "event_log").level,
        Level::Ok
    );
    let sql = "insert into bloom_private.event (xid, cause, subject, actor) \
               values ('9000000000', 'setting_changed', 'setting/x', 'test')";
    admin.batch_execute(sql).await.unwrap();
    let all = findings(&db.endpoint()).await;
    let log = of(&all, "event_log");
    assert_eq!(log.level, Level::Fail, "{log:?}");
    assert!(log.advice.as_ref().unwrap().contains("restore"));
}

#[tokio::test]
async fn a_role_without_rights_is_told_which_grant_it_needs() {
    let db = TestDb::new().await;
    let admin = db.connect().await;
    admin
        .batch_execute("create role stranger login")
        .await
        .unwrap();
    let all = findings(&db.endpoint().with_user("stranger")).await;
    admin.batch_execute("drop role stranger").await.unwrap();
    let schema = of(&all, "schema");
    assert_eq!(schema.level, Level::Fail);
    assert!(
        schema
            .advice
            .as_ref()
            .unwrap()
            .contains("grant bloom_owner"),
        "{schema:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_away_is_the_only_finding() {
    let cluster = Cluster::start(&[("max_connections", "20")]).await;
    cluster.stop(Stop::Fast);
    let all = findings(&cluster.endpoint("postgres")).await;
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].name, all[0].level), ("connection", Level::Fail));
}

#[tokio::test]
async fn whoever_holds_back_vacuum_is_named_with_the_way_to_end_it() {
    let db = TestDb::new().await;
    let holder = db.connect().await;
    holder
        .batch_execute("set application_name = 'report'")
        .await
        .unwrap();
    holder
        .batch_execute("begin isolation level repeatable read; select 1")
        .await
        .unwrap();
    let pid: i32 = holder
        .query_one("select pg_backend_pid()", &[])
        .await
        .unwrap()
        .get(0);
    let admin = db.connect().await;
    admin
        .batch_execute("create table note (id int)")
        .await
        .unwrap();
    let sql = "begin; insert into note values (1); prepare transaction 'left''over'";
    admin.batch_execute(sql).await.unwrap();
    let limits = Limits {
        old_transaction: Duration::ZERO,
        ..Limits::default()
    };
    let all = examine(&db.endpoint(), &Bundle::embedded().unwrap(), limits).await;
    let horizon: Vec<_> = all
        .iter()
        .filter(|finding| finding.name == "horizon")
        .collect();
    let about = |what: &str| {
        let found = horizon.iter().find(|finding| finding.text.contains(what));
        found
            .unwrap_or_else(|| panic!("{what}: {all:#?}"))
            .advice
            .clone()
            .unwrap()
    };
    assert!(about("report").contains(&format!("pg_terminate_backend({pid})")));
    let advice = about("left'over");
    let rollback = advice
        .split('`')
        .find(|part| part.starts_with("rollback"))
        .unwrap();
    admin.batch_execute(rollback).await.unwrap();
}

#[tokio::test]
async fn powers_that_the_service_does_not_need_are_named_with_the_way_to_take_them_away() {
    let (cluster, login) = set_up().await;
    let admin = cluster.connect("postgres").await;
    let sql = "alter role bloom_service nocreaterole bypassrls replication;
               create role \"big boss\" createrole;
               grant \"big boss\", pg_execute_server_program to bloom_service";
    admin.batch_execute(sql).await.unwrap();
    for (power, way_out) in [
        ("BYPASSRLS", "nobypassrls"),
        ("REPLICATION", "noreplication"),
        ("big boss, which has CREATEROLE", "revoke \"big boss\""),
        (
            "pg_execute_server_program",
            "revoke \"pg_execute_server_program\"",
        ),
    ] {
        let all = findings(&login).await;
        let found = logins(&all);
        let found = found.iter().find(|finding| finding.text.contains(power));
        let found = found.unwrap_or_else(|| panic!("{power}: {all:#?}"));
        assert_eq!(found.level, Level::Warn, "{found:?}");
        let advice = found.advice.as_deref().unwrap();
        let (_, statement) = advice.split_once("as a superuser: ").unwrap();
        assert!(statement.contains(way_out), "{statement}");
        admin.batch_execute(statement).await.unwrap();
    }
    let all = findings(&login).await;
    assert_eq!(of(&all, "login").level, Level::Ok, "{all:#?}");
}

#[tokio::test]
async fn a_superuser_deserves_a_word_except_on_a_server_of_the_services_own() {
    let db = TestDb::new().await;
    let all = findings(&db.endpoint()).await;
    // One, and not another one for each of its powers and of the roles that it may take.
    let [superuser] = logins(&all)[..] else {
        panic!("{all:#?}")
    };
    assert_eq!(superuser.level, Level::Warn);
    assert!(superuser.text.contains("superuser"), "{superuser:?}");
    assert!(
        superuser
            .advice
            .as_ref()
            .unwrap()
            .contains("a login of its own")
    );
    let limits = Limits {
        superuser_is_meant: true,
        ..Limits::default()
    };
    let own = examine(&db.endpoint(), &Bundle::embedded().unwrap(), limits).await;
    assert_eq!(of(&own, "login").level, Level::Ok, "{own:#?}");
}

#[test]
fn of_the_private_servers_superuser_nothing_is_said() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("data");
    let dir = dir.to_str().unwrap();
    let migrated = run(&["migrate", "--data-dir", dir]);
    assert!(migrated.status.success(), "{migrated:?}");
    let answer = run(&["doctor", "--json", "--data-dir", dir]);
    let findings: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    let findings = findings.as_array().unwrap();
    let login = findings.iter().find(|finding| finding["name"] == "login");
    assert_eq!(login.unwrap()["level"], "ok", "{findings:?}");
}
