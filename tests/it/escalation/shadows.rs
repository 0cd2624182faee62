//! Verbs run as their owner: what a login puts into its temporary schema must not be what they find.

use tokio_postgres::Client;

use super::{GROUPS, log_in};
use crate::pg::TestDb;
use crate::sql_kit::{column, json, lease_of, one, run, submit, try_rows};

/// What the traps say.
const CAUGHT: &str = "hijacked";

/// Names of the relations of a schema, without partitions.
async fn relations(superuser: &Client, schema: &str) -> Vec<String> {
    let sql = format!(
        "select relname from pg_class where relnamespace = '{schema}'::regnamespace
            and relkind in ('r', 'p', 'v', 'S', 'c') and not relispartition"
    );
    column(superuser, &sql).await
}

/// Puts a trap in the place of every relation, type and helper, and of much of `pg_catalog`, into the
/// login's temporary schema, and makes that the first place to look.
async fn set_traps(superuser: &Client, login: &Client) {
    let body = format!("language plpgsql as $$ begin raise exception '{CAUGHT}'; end $$");
    run(
        login,
        &format!("create function pg_temp.trap() returns int {body}"),
    )
    .await;
    let mut names = relations(superuser, "bloom_private").await;
    names.extend(relations(superuser, "bloom").await);
    names.sort();
    names.dedup();
    for name in names {
        // Whoever reads it, as whoever, calls what the login wrote.
        run(
            login,
            &format!("create temp view {name} as select pg_temp.trap() as task_id"),
        )
        .await;
    }
    let helpers = "select distinct on (1) p.proname || '(' ||
            pg_get_function_identity_arguments(p.oid) || ')'
          from pg_proc p where p.pronamespace = 'bloom_private'::regnamespace
           and pg_get_function_identity_arguments(p.oid) not like '%bloom%'
           and prorettype <> 'trigger'::regtype";
    for helper in column(superuser, helpers).await {
        run(
            login,
            &format!("create function pg_temp.{helper} returns text {body}"),
        )
        .await;
    }
    for head in [
        "clock_timestamp() returns timestamptz",
        "now() returns timestamptz",
        "char_length(text) returns int",
        "jsonb_typeof(jsonb) returns text",
        "pg_has_role(name, name, text) returns boolean",
        "set_config(text, text, boolean) returns text",
        "equal(text, text) returns boolean",
    ] {
        run(login, &format!("create function pg_temp.{head} {body}")).await;
    }
    for operator in ["=", "<>", "<"] {
        let sql = format!(
            "create operator pg_temp.{operator} (leftarg = text, rightarg = text,
                 function = pg_temp.equal)"
        );
        run(login, &sql).await;
    }
    let path = "set search_path = pg_temp, bloom_private, bloom, pg_catalog";
    run(login, path).await;
    // The control: it would be found by what does not say where to look.
    let found = try_rows(login, "select * from task").await;
    assert!(found.is_err_and(|refusal| refusal.contains(CAUGHT)));
}

/// Every verb with nulls: whatever it says, it is not what a trap says.
async fn call_all(superuser: &Client, login: &Client) {
    let sql = "select 'select bloom.' || p.proname || '(' || coalesce((
            select string_agg('null::' || format_type(t, null), ', ' order by n)
              from unnest(p.proargtypes::oid[]) with ordinality a(t, n)), '') || ')'
          from pg_proc p where p.pronamespace = 'bloom'::regnamespace";
    let calls = column(superuser, sql).await;
    assert!(calls.len() > 50, "the list is generated");
    for call in calls {
        if let Err(refusal) = try_rows(login, &call).await {
            assert!(!refusal.contains(CAUGHT), "{call}: {refusal}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_login_puts_into_its_temporary_schema_is_no_part_of_a_verb() {
    let db = TestDb::new().await;
    let superuser = db.connect().await;
    let sql = format!("grant temporary on database {} to public", db.name());
    run(&superuser, &sql).await;
    let mut logins = Vec::new();
    for group in GROUPS {
        let login = log_in(&db, &format!("trap_{group}"), &[group]).await;
        set_traps(&superuser, &login).await;
        call_all(&superuser, &login).await;
        logins.push(login);
    }
    let [producer, worker, reader, admin] = &logins[..] else {
        panic!("four groups")
    };
    let task = submit(producer, "c", r#"{"idempotency_key": "k"}"#).await;
    let worker_is = |sql: &str| format!("select from bloom.{sql}");
    run(worker, &worker_is("worker_register('w')")).await;
    run(worker, &worker_is("lease_next('w')")).await;
    let lease = lease_of(&superuser, &task).await;
    run(
        worker,
        &worker_is(&format!("lease_start('{task}', '{lease}')")),
    )
    .await;
    let done = format!("lease_complete('{task}', '{lease}', 'success', 'out')");
    run(worker, &worker_is(&done)).await;
    for sql in [
        "stats()",
        "overview_get('day')",
        "measures()",
        "task_list(null, 10, null, '{}')",
        "audit_list(10, null, null, '{}')",
        "audit_verify(null, 100)",
        "worker_list()",
        "queue_list()",
    ] {
        run(reader, &format!("select bloom.{sql}")).await;
    }
    let status = format!("select status from bloom.task_get('{task}')");
    assert_eq!(one(reader, &status).await, "completed");
    run(reader, "select * from bloom.llm_tasks").await;
    for sql in [
        "queue_pause('default')",
        "queue_resume('default')",
        "partition_ensure(3)",
    ] {
        run(admin, &format!("select bloom.{sql}")).await;
    }
    let verified = json(&superuser, "select bloom.audit_verify(null, 100)").await;
    assert!(verified["bad"].is_null(), "{verified}");
}
