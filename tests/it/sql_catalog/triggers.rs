//! The triggers that no transition can pass by.

use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{causes, column, one, refused, register, run, submit};

const STATES: [&str; 5] = ["ready", "deferred", "parked", "lease", "finished"];
const NEVER_CHANGED: [&str; 3] = ["task", "attempt", "event"];

async fn enabled(client: &Client, table: &str) -> Vec<String> {
    let sql = format!(
        "select tgname || ' ' || tgenabled::text from pg_trigger
          where tgrelid = 'bloom_private.{table}'::regclass and not tgisinternal order by 1"
    );
    column(client, &sql).await
}

async fn partitions(client: &Client, table: &str) -> Vec<String> {
    let sql = format!(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
          where i.inhparent = 'bloom_private.{table}'::regclass order by 1"
    );
    column(client, &sql).await
}

/// Partitions of a week that nobody has made before, beside those of the installation.
async fn make_a_new_week(client: &Client) {
    let made = one(client, "select bloom.partition_ensure(3)").await;
    assert_eq!(made, "6", "one new week of six tables");
}

#[tokio::test]
async fn every_state_table_records_its_transitions_always() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    for table in STATES {
        let found = enabled(&client, table).await;
        assert!(
            found.contains(&"event_of_entry A".to_owned()),
            "{table}: {found:?}"
        );
        assert!(
            found.contains(&"never_truncated A".to_owned()),
            "{table}: {found:?}"
        );
    }
    let found = enabled(&client, "lease").await;
    assert!(found.contains(&"event_of_change A".to_owned()), "{found:?}");
}

#[tokio::test]
async fn history_is_guarded_in_every_partition_old_and_new() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    make_a_new_week(&client).await;
    for table in NEVER_CHANGED {
        let mut all = partitions(&client, table).await;
        assert!(all.len() >= 5, "{all:?}");
        all.push(table.to_owned());
        for table in all {
            let found = enabled(&client, &table).await;
            assert!(
                found.contains(&"never_changed A".to_owned()),
                "{table}: {found:?}"
            );
            assert!(
                found.contains(&"never_truncated A".to_owned()),
                "{table}: {found:?}"
            );
        }
    }
}

#[tokio::test]
async fn no_table_of_tasks_can_be_truncated_not_even_by_a_superuser() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    make_a_new_week(&client).await;
    let mut tables: Vec<String> = STATES.iter().map(|&table| table.to_owned()).collect();
    for table in ["task", "attempt", "artifact", "event", "finished"] {
        tables.push(table.to_owned());
        tables.extend(partitions(&client, table).await);
    }
    run(&client, "set session_replication_role = replica").await;
    for table in tables {
        let refusal = refused(&client, &format!("truncate bloom_private.{table}")).await;
        assert!(refusal.starts_with("42501"), "{table}: {refusal}");
    }
}

#[tokio::test]
async fn tasks_attempts_and_events_cannot_be_rewritten() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    let task = submit(&client, "c", "{}").await;
    run(&client, "select bloom.lease_next('w')").await;
    let lease = crate::sql_kit::lease_of(&client, &task).await;
    run(
        &client,
        &format!("select bloom.lease_release('{task}', '{lease}')"),
    )
    .await;
    for role in ["origin", "replica"] {
        run(&client, &format!("set session_replication_role = {role}")).await;
        for update in [
            "update bloom_private.task set prompt = 'other'",
            "update bloom_private.attempt set outcome = 'completed'",
            "update bloom_private.event set actor = 'other'",
        ] {
            let refusal = refused(&client, update).await;
            assert!(refusal.starts_with("42501"), "{update}: {refusal}");
        }
    }
}

#[tokio::test]
async fn of_a_submission_only_the_priority_may_change() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    submit(&client, "c", "{}").await;
    let sql = "select attname from pg_attribute
                where attrelid = 'bloom_private.task'::regclass and attnum > 0
                  and not attisdropped order by attnum";
    let columns = column(&client, sql).await;
    assert!(columns.len() > 15, "{columns:?}");
    for column in columns {
        let update = format!("update bloom_private.task set {column} = {column}");
        if column == "priority" {
            run(&client, &update).await;
        } else {
            let refusal = refused(&client, &update).await;
            assert!(refusal.starts_with("42501"), "{update}: {refusal}");
        }
    }
}

#[tokio::test]
async fn a_transition_is_recorded_whatever_the_session_says() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    run(&client, "set session_replication_role = replica").await;
    let task = submit(&client, "c", "{}").await;
    run(&client, "select bloom.lease_next('w')").await;
    // By hand as well, with no search_path that would help.
    let by_hand = format!(
        "update bloom_private.lease set ver = ver + 1, cause = 'by_hand', prior = status
          where task_id = '{task}'"
    );
    run(&client, &by_hand).await;
    assert_eq!(
        causes(&client, &task).await,
        ["submitted", "leased", "by_hand"]
    );
}
