//! A login of PostgreSQL that wants more than its group gives it: other roles, the server's files and
//! programs, the schemas and what keeps them sound, and verbs that would work for it.

mod shadows;

use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{column, one, run, try_rows};

/// The groups that logins are made members of.
const GROUPS: [&str; 4] = [
    "bloom_producer",
    "bloom_worker",
    "bloom_reader",
    "bloom_admin",
];
/// Roles that are nobody's to take.
const ROLES: [&str; 5] = [
    "bloom_owner",
    "postgres",
    "pg_execute_server_program",
    "pg_read_server_files",
    "pg_write_server_files",
];

/// A login that is a member of these roles, connected as itself: what `set session authorization`
/// makes could go back.
async fn log_in(db: &TestDb, name: &str, roles: &[&str]) -> Client {
    let login = format!("{}_{name}", db.name());
    let superuser = db.connect().await;
    run(&superuser, &format!("create role {login} login")).await;
    for role in roles {
        run(&superuser, &format!("grant {role} to {login}")).await;
    }
    let mut config = db.config();
    config.user(&login);
    let (client, connection) = config
        .connect(tokio_postgres::NoTls)
        .await
        .expect("logs in");
    tokio::spawn(connection);
    client
}

/// Everything of `attempts` is refused for want of privileges; panics with what is not.
async fn assert_denied(client: &Client, who: &str, attempts: &[String]) {
    let mut wrong = Vec::new();
    for sql in attempts {
        match try_rows(client, sql).await {
            Err(refusal) if refusal.starts_with("42501 ") => {}
            other => wrong.push(format!("{who}: {sql}: {:?}", other.map(|rows| rows.len()))),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// Ways to become somebody else.
fn to_other_roles(member_of: &[&str]) -> Vec<String> {
    let foreign = ROLES.iter().chain(&GROUPS);
    let foreign = foreign.filter(|role| !member_of.contains(role));
    let mut all: Vec<String> = Vec::new();
    for role in foreign {
        all.extend([
            format!("set role {role}"),
            format!("set session authorization {role}"),
            format!("grant {role} to current_user"),
            format!("reassign owned by {role} to current_user"),
            format!("drop owned by {role}"),
        ]);
        // PostgreSQL's own roles are nobody's to alter, with another word.
        if !role.starts_with("pg_") {
            all.push(format!("alter role {role} login"));
        }
    }
    all.extend(owned(&[
        "alter role current_user superuser",
        "alter role current_user createrole",
        "alter role current_user bypassrls",
        "alter role current_user replication",
        "alter role current_user set session_replication_role = replica",
        "create role mallory login superuser",
        "create role mallory",
    ]));
    all
}

/// Ways out of the database: settings, files and programs of the server, other sessions.
fn to_the_server(superusers_pid: &str) -> Vec<String> {
    let mut all = owned(&[
        "set session_replication_role = replica",
        "set local session_replication_role = replica",
        "select set_config('session_replication_role', 'replica', false)",
        "set zero_damaged_pages = on",
        "set log_statement = 'none'",
        "set lo_compat_privileges = on",
        "alter system set fsync = off",
        "copy (select 1) to program 'true'",
        "copy pg_catalog.pg_class from program 'id'",
        "copy (select 1) to '/tmp/bloom-escalation'",
        "copy pg_catalog.pg_class from '/etc/passwd'",
        "select lo_import('/etc/passwd')",
        "select lo_export(1, '/tmp/bloom-escalation')",
        "select pg_read_file('/etc/passwd')",
        "select pg_read_binary_file('/etc/passwd')",
        "select pg_stat_file('/etc/passwd')",
        "select pg_ls_dir('/')",
        "load '/tmp/bloom-escalation.so'",
        "select rolpassword from pg_authid",
        "select pg_reload_conf()",
        "select pg_switch_wal()",
        "create database mallory",
        "create tablespace mallory location '/tmp'",
        "create event trigger mallory on ddl_command_start
             execute function pg_catalog.suppress_redundant_updates_trigger()",
        "create subscription mallory connection '' publication p",
        "create publication mallory for all tables",
        "create function pg_temp.mallory() returns int language c as '/tmp/evil', 'f'",
        "create function pg_temp.mallory() returns int language internal as 'int4pl'",
    ]);
    all.push(format!("select pg_terminate_backend({superusers_pid})"));
    all.push(format!("select pg_cancel_backend({superusers_pid})"));
    all
}

/// Ways to put something into the schemas.
fn into_the_schemas() -> Vec<String> {
    let per_schema = ["bloom", "bloom_private"].into_iter().flat_map(|schema| {
        [
            format!("create table {schema}.mallory (a int)"),
            format!("create view {schema}.mallory as select 1"),
            format!("create sequence {schema}.mallory"),
            format!("create type {schema}.mallory as (a int)"),
            format!("create domain {schema}.mallory as int"),
            format!("create function {schema}.mallory() returns int language sql as 'select 1'"),
            format!("create function {schema}.now() returns int language sql as 'select 1'"),
            format!(
                "create function {schema}.mallory() returns trigger language plpgsql
                         as 'begin return null; end'"
            ),
            format!(
                "create operator {schema}.= (leftarg = text, rightarg = text,
                         function = pg_catalog.texteq)"
            ),
            format!("alter schema {schema} rename to mallory"),
            format!("alter schema {schema} owner to current_user"),
            format!(
                "alter default privileges for role bloom_owner in schema {schema}
                         grant all on tables to public"
            ),
            format!("drop schema {schema} cascade"),
        ]
    });
    let more = [
        "create schema mallory",
        "grant all on schema bloom_private to current_user",
    ];
    per_schema.chain(owned(&more)).collect()
}

/// Ways to change a table or a view, or to silence what watches over it.
fn at_a_table(table: &str) -> Vec<String> {
    let nothing = "execute function pg_catalog.suppress_redundant_updates_trigger()";
    vec![
        format!("alter table {table} disable trigger all"),
        format!("alter table {table} disable trigger user"),
        format!("alter table {table} owner to current_user"),
        format!("alter table {table} add column mallory int"),
        format!("create trigger mallory before insert on {table} for each row {nothing}"),
        format!("create rule mallory as on insert to {table} do instead nothing"),
        format!("create index on {table} ((1))"),
        format!("drop table {table} cascade"),
        format!("truncate {table}"),
        format!("select from {table} for update"),
        format!("copy {table} to stdout"),
        format!("grant all on {table} to current_user"),
    ]
}

fn at_a_view(view: &str) -> Vec<String> {
    let nothing = "execute function pg_catalog.suppress_redundant_updates_trigger()";
    vec![
        format!("create trigger mallory instead of insert on {view} for each row {nothing}"),
        format!("create rule mallory as on insert to {view} do instead nothing"),
        format!("create or replace view {view} as select 1"),
        format!("alter view {view} owner to current_user"),
        format!("drop view {view} cascade"),
    ]
}

fn at_a_verb(verb: &str) -> Vec<String> {
    vec![
        format!("alter function {verb} security invoker"),
        format!("alter function {verb} reset all"),
        format!("alter function {verb} set search_path = pg_temp"),
        format!("alter function {verb} rename to mallory"),
        format!("alter function {verb} owner to current_user"),
        format!("drop function {verb} cascade"),
    ]
}

/// What is there to be attacked, by query.
struct Targets {
    tables: Vec<String>,
    views: Vec<String>,
    verbs: Vec<String>,
    /// Calls of what is behind the verbs, well-formed but for their nulls.
    helpers: Vec<String>,
}

impl Targets {
    async fn find(client: &Client) -> Self {
        let relations = |schema: &str, kinds: &str| {
            format!(
                "select oid::regclass::text from pg_class
                  where relnamespace = '{schema}'::regnamespace and relkind in ({kinds})"
            )
        };
        let verbs = "select oid::regprocedure::text from pg_proc
                      where pronamespace = 'bloom'::regnamespace";
        let helpers = "select 'select ' || p.oid::regproc || '(' || coalesce((
                select string_agg('null::' || format_type(t, null), ', ' order by n)
                  from unnest(p.proargtypes::oid[]) with ordinality a(t, n)), '') || ')'
              from pg_proc p where p.pronamespace = 'bloom_private'::regnamespace";
        let found = Self {
            tables: column(client, &relations("bloom_private", "'r', 'p'")).await,
            views: column(client, &relations("bloom", "'v'")).await,
            verbs: column(client, verbs).await,
            helpers: column(client, helpers).await,
        };
        let sizes = (found.tables.len(), found.verbs.len(), found.helpers.len());
        assert!(sizes.0 > 25 && sizes.1 > 50 && sizes.2 > 30, "{sizes:?}");
        assert!(found.views.len() > 5, "{:?}", found.views);
        found
    }

    fn attempts(&self) -> Vec<String> {
        let mut all = into_the_schemas();
        all.extend(self.tables.iter().flat_map(|table| at_a_table(table)));
        all.extend(self.views.iter().flat_map(|view| at_a_view(view)));
        all.extend(self.verbs.iter().flat_map(|verb| at_a_verb(verb)));
        all.extend(self.helpers.iter().cloned());
        all
    }
}

/// A digest of what the schemas are made of, who owns what and may do what, and what this test's
/// logins are members of (other tests of the same server have others).
async fn catalog(client: &Client) -> String {
    let sql =
        "with mine as (select oid from pg_namespace where nspname in ('bloom', 'bloom_private'))
        select md5(string_agg(line, ',' order by line)) from (
            select p::text from pg_proc p where pronamespace in (table mine)
            union all select concat(oid, relname, relowner, relacl, relkind) from pg_class
                where relnamespace in (table mine)
            union all select concat(t.oid, tgname, tgenabled) from pg_trigger t
                join pg_class c on c.oid = tgrelid where relnamespace in (table mine)
            union all select n::text from pg_namespace n where oid in (table mine)
            union all select m::text from pg_auth_members m
                join pg_roles r on r.oid = m.member
                where starts_with(r.rolname, current_database() || '_')
        ) parts(line)";
    one(client, sql).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_login_gets_further_than_its_group() {
    let db = TestDb::new().await;
    let superuser = db.connect().await;
    let pid = one(&superuser, "select pg_backend_pid()").await;
    let targets = Targets::find(&superuser).await;
    let mut logins = Vec::new();
    for group in GROUPS {
        logins.push((group, log_in(&db, group, &[group]).await));
    }
    let before = catalog(&superuser).await;
    for (group, login) in &logins {
        assert_denied(login, group, &to_other_roles(&[group])).await;
        assert_denied(login, group, &to_the_server(&pid)).await;
        assert_denied(login, group, &targets.attempts()).await;
        // As the group itself it is no more.
        run(login, &format!("set role {group}")).await;
        assert_denied(login, group, &to_the_server(&pid)).await;
        assert_denied(login, group, &into_the_schemas()).await;
    }
    // Nor a login that is in no group at all: it may not even look into the schemas.
    let stranger = log_in(&db, "stranger", &[]).await;
    assert_denied(&stranger, "stranger", &to_other_roles(&[])).await;
    assert_denied(&stranger, "stranger", &to_the_server(&pid)).await;
    assert_denied(&stranger, "stranger", &targets.attempts()).await;
    let verbs = owned(&["select bloom.stats()", "select * from bloom.llm_tasks"]);
    assert_denied(&stranger, "stranger", &verbs).await;
    assert_eq!(catalog(&superuser).await, before, "nothing has changed");
}

/// The service's own login owns the schemas by membership, and is nothing to the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_login_of_the_service_gets_no_hold_of_the_server() {
    let db = TestDb::new().await;
    let superuser = db.connect().await;
    let pid = one(&superuser, "select pg_backend_pid()").await;
    let own = ["bloom_owner", "bloom_admin"];
    let service = log_in(&db, "service", &own).await;
    let mut attempts = to_the_server(&pid);
    let inherited = ["bloom_producer", "bloom_worker", "bloom_reader"];
    let known: Vec<&str> = own.into_iter().chain(inherited).collect();
    attempts.extend(to_other_roles(&known));
    for role in inherited {
        attempts.push(format!("set role {role}"));
        attempts.push(format!("grant {role} to current_user"));
    }
    assert_denied(&service, "service", &attempts).await;
    run(&service, "set role bloom_owner").await;
    assert_denied(&service, "owner", &to_the_server(&pid)).await;
    assert_eq!(
        one(&service, "select count(*) from bloom_private.task").await,
        "0"
    );
}
