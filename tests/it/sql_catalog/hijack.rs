//! What a caller puts into its own schemas cannot change what a verb does.

use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{column, one, register, run, submit};

/// Shadows every table and helper in `pg_temp` and in a schema of the attacker's own, which it puts
/// first in its `search_path`.
async fn shadow(superuser: &Client, attacker: &Client) {
    run(
        superuser,
        "create schema evil; grant all on schema evil to public",
    )
    .await;
    let sql = "select distinct relname from pg_class
                where relnamespace = 'bloom_private'::regnamespace and relkind in ('r', 'p')
                  and not relispartition";
    for table in column(superuser, sql).await {
        run(attacker, &format!("create temp table {table} (trap int)")).await;
        run(attacker, &format!("create table evil.{table} (trap int)")).await;
    }
    let sql = "select p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')'
                 from pg_proc p where p.pronamespace = 'bloom_private'::regnamespace
                  and pg_get_function_identity_arguments(p.oid) not like '%bloom%'
                  and prorettype <> 'trigger'::regtype and proretset = false";
    for function in column(superuser, sql).await {
        let body = "language plpgsql as $$ begin raise exception 'hijacked'; end $$";
        run(
            attacker,
            &format!("create function evil.{function} returns text {body}"),
        )
        .await;
    }
    let shadowed = [
        "create function evil.char_length(text) returns integer",
        "create function evil.jsonb_typeof(jsonb) returns text",
        "create function evil.pg_has_role(name, name, text) returns boolean",
        "create function pg_temp.clock_timestamp() returns timestamptz",
    ];
    for head in shadowed {
        let body = "language plpgsql as $$ begin raise exception 'hijacked'; end $$";
        run(attacker, &format!("{head} {body}")).await;
    }
    let operator = "create function evil.always(text, text) returns boolean
                    language sql as 'select true';
                    create operator evil.= (leftarg = text, rightarg = text, function = evil.always);
                    create operator evil.<> (leftarg = text, rightarg = text, function = evil.always)";
    run(attacker, operator).await;
    run(
        attacker,
        "set search_path = evil, pg_temp, bloom_private, bloom, pg_catalog",
    )
    .await;
}

#[tokio::test]
async fn objects_of_the_callers_own_cannot_hijack_a_verb() {
    let db = TestDb::new().await;
    let superuser = db.connect().await;
    run(
        &superuser,
        &format!("grant temporary on database {} to public", db.name()),
    )
    .await;
    let producer = db.connect_as("bloom_producer").await;
    shadow(&superuser, &producer).await;
    let task = submit(&producer, "c", r#"{"idempotency_key": "k", "queue": "q"}"#).await;
    let sql = format!("select status from bloom.task_get('{task}')");
    assert_eq!(one(&producer, &sql).await, "queued");
    // The worker attacks as well.
    let worker = db.connect_as("bloom_worker").await;
    run(
        &worker,
        "create temp table ready (trap int); create temp table lease (trap int);
                  create temp table worker_slot (trap int)",
    )
    .await;
    run(&worker, "set search_path = evil, pg_temp, pg_catalog").await;
    register(&worker, "w", "{}").await;
    assert_eq!(
        crate::sql_kit::lease(&worker, "w", 1).await,
        [task.as_str()]
    );
    let sql = format!("select bloom.task_cancel('{task}')");
    assert_eq!(one(&producer, &sql).await, "leased");
    assert_eq!(
        one(&superuser, "select count(*) from bloom_private.task").await,
        "1"
    );
}
