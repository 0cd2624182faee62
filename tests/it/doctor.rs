//! The doctor: quiet about the healthy, precise about the sick.

use bloom_runtime::db::Endpoint;
use std::time::Duration;

use bloom_runtime::db::doctor::{Finding, Level, Limits, examine};
use bloom_runtime::db::install::{self, Bundle};

use crate::pg::{Cluster, Stop, TestDb};

async fn findings(endpoint: &Endpoint) -> Vec<Finding> {
    examine(endpoint, &Bundle::embedded().unwrap(), Limits::default()).await
}

fn of<'a>(findings: &'a [Finding], name: &str) -> &'a Finding {
    findings
        .iter()
        .find(|finding| finding.name == name)
        .unwrap_or_else(|| panic!("{name}: {findings:?}"))
}

#[tokio::test]
async fn a_healthy_database_has_no_findings_worth_a_word() {
    let cluster = Cluster::start(&[]).await;
    let mut client = cluster.connect("postgres").await;
    let bundle = Bundle::embedded().unwrap();
    install::install(&mut client, &bundle, install::Options::default())
        .await
        .unwrap();
    let all = findings(&cluster.endpoint("postgres")).await;
    assert!(
        all.iter().all(|finding| finding.level == Level::Ok),
        "{all:#?}"
    );
    for name in [
        "schema",
        "listen",
        "privileges",
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
