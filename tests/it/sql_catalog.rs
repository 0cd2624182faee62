//! Gates over the catalog and over the files of functions/: what must be true of every function,
//! table and right, also of those that are yet to be written.

mod files;
mod hijack;
pub mod hot;
mod rights;
mod triggers;

use crate::pg::TestDb;
use crate::sql_kit::column;

/// Each query lists offenders; none may have any.
const GATES: &[(&str, &str)] = &[
    (
        "a verb is security definer with a pinned search_path that ends in pg_temp",
        "select p.proname from pg_proc p
          where p.pronamespace = 'bloom'::regnamespace
            and (not p.prosecdef or not exists (select from unnest(p.proconfig) c
                     where c = 'search_path=pg_catalog, bloom_private, pg_temp'))",
    ),
    (
        "a helper runs with the rights of the verb that calls it",
        "select proname from pg_proc
          where pronamespace = 'bloom_private'::regnamespace and prosecdef",
    ),
    (
        "bloom_owner owns every function, table, sequence, view, type and both schemas",
        "select p.proname::text from pg_proc p
          where p.pronamespace in ('bloom'::regnamespace, 'bloom_private'::regnamespace)
            and p.proowner <> 'bloom_owner'::regrole
         union all
         select relname::text from pg_class
          where relnamespace in ('bloom'::regnamespace, 'bloom_private'::regnamespace)
            and relowner <> 'bloom_owner'::regrole
         union all
         select typname::text from pg_type
          where typnamespace in ('bloom'::regnamespace, 'bloom_private'::regnamespace)
            and typowner <> 'bloom_owner'::regrole
         union all
         select nspname::text from pg_namespace
          where nspname like 'bloom%' and nspowner <> 'bloom_owner'::regrole",
    ),
    (
        "nobody logs in as the owner, and it has no special powers",
        "select rolname from pg_roles where rolname = 'bloom_owner'
            and (rolcanlogin or rolsuper or rolcreaterole or rolcreatedb or rolbypassrls
                 or rolreplication)",
    ),
    (
        "every function has a comment",
        "select p.proname from pg_proc p
          where p.pronamespace in ('bloom'::regnamespace, 'bloom_private'::regnamespace)
            and obj_description(p.oid, 'pg_proc') is null",
    ),
    (
        "no name is overloaded",
        "select min(proname) from pg_proc
          where pronamespace in ('bloom'::regnamespace, 'bloom_private'::regnamespace)
          group by pronamespace, proname having count(*) > 1",
    ),
    (
        "PUBLIC may execute nothing",
        "select p.proname from pg_proc p
          where p.pronamespace in ('bloom'::regnamespace, 'bloom_private'::regnamespace)
            and (p.proacl is null
                 or exists (select from aclexplode(p.proacl) a where a.grantee = 0))",
    ),
    (
        "nobody but the owner may do anything with what is in bloom_private",
        "select p.proname::text from pg_proc p, aclexplode(p.proacl) a
          where p.pronamespace = 'bloom_private'::regnamespace
            and a.grantee <> 'bloom_owner'::regrole
         union all
         select c.relname::text from pg_class c, aclexplode(c.relacl) a
          where c.relnamespace = 'bloom_private'::regnamespace
            and a.grantee <> 'bloom_owner'::regrole
         union all
         select n.nspname::text from pg_namespace n, aclexplode(n.nspacl) a
          where n.nspname = 'bloom_private' and a.grantee <> 'bloom_owner'::regrole",
    ),
    (
        "nobody may create anything in schema bloom",
        "select a.grantee::regrole::text from pg_namespace n, aclexplode(n.nspacl) a
          where n.nspname = 'bloom' and a.privilege_type = 'CREATE'
            and a.grantee <> 'bloom_owner'::regrole",
    ),
    (
        "schema bloom holds views, read by readers and admins only",
        "select c.relname::text from pg_class c
          where c.relnamespace = 'bloom'::regnamespace and c.relkind not in ('v', 'c')
         union all
         select c.relname::text from pg_class c, aclexplode(c.relacl) a
          where c.relnamespace = 'bloom'::regnamespace and a.grantee <> 'bloom_owner'::regrole
            and (a.privilege_type <> 'SELECT'
                 or a.grantee not in ('bloom_reader'::regrole, 'bloom_admin'::regrole))",
    ),
    (
        "only functions that no foreign text can reach run as superuser or as leakproof",
        "select proname from pg_proc
          where pronamespace in ('bloom'::regnamespace, 'bloom_private'::regnamespace)
            and (proleakproof or prolang not in (select oid from pg_language
                     where lanname in ('sql', 'plpgsql')))",
    ),
    (
        "what changes something is volatile",
        "select proname from pg_proc
          where pronamespace in ('bloom'::regnamespace, 'bloom_private'::regnamespace)
            and provolatile <> 'v'
            and prosrc ~* '(insert into|delete from|update [a-z_.]+ (as )?[a-z ]*set|nextval|for update)'",
    ),
];

#[tokio::test]
async fn the_catalog_has_no_offender_against_any_gate() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let mut wrong = Vec::new();
    for (promise, offenders) in GATES {
        let offenders = column(&client, offenders).await;
        if !offenders.is_empty() {
            wrong.push(format!("{promise}: {offenders:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn functions_with_exception_blocks_are_the_known_ones() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let sql = "select proname from pg_proc
                where pronamespace in ('bloom'::regnamespace, 'bloom_private'::regnamespace)
                  and prosrc ~* '\\mexception\\s+when' order by 1";
    // One item of a batch must not fail its neighbours.
    let known = [
        "beat_try",
        "completion_try",
        "heartbeat_try",
        "replay_try",
        "submission_try",
        "worker_sync",
    ];
    assert_eq!(column(&client, sql).await, known);
}

#[tokio::test]
async fn dynamic_sql_is_only_where_partitions_are_named() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let sql = "select proname from pg_proc
                where pronamespace in ('bloom'::regnamespace, 'bloom_private'::regnamespace)
                  and prosrc ~* '\\mexecute\\s' order by 1";
    let known = [
        "partition_make",
        "retention_artifacts",
        "retention_events",
        "retention_tasks",
    ];
    assert_eq!(column(&client, sql).await, known);
}
