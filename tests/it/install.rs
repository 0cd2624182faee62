//! The installer: whole or not at all, once, by anyone who may.

mod bundle;
mod unprivileged;

use std::time::Duration;

use bloom_runtime::db::install::{
    self, Bundle, Functions, InstallError, Options, Report, SchemaStatus, Script,
};
use tokio_postgres::Client;

use crate::pg::TestDb;

const SCHEMA: &str = "
create table bloom_private.schema_version (
    singleton boolean primary key default true check (singleton),
    version integer not null,
    bundle_hash text not null,
    app_version text not null,
    installed_at timestamptz not null default now()
);
create table bloom_private.item (id int primary key);
";

fn bundle() -> Bundle {
    let functions = vec![
        Script::new("functions/one.sql", returns("one", 1)),
        Script::new(
            "functions/grants.sql",
            "grant usage on schema bloom to bloom_reader",
        ),
    ];
    Bundle::new("1.0.0", Script::new("schema.sql", SCHEMA), functions)
}

fn returns(name: &str, value: i32) -> String {
    format!(
        "create or replace function bloom.{name}() returns int language plpgsql stable as \
         $$ begin return {value}; end $$;"
    )
}

async fn install(client: &mut Client, bundle: &Bundle) -> Result<Report, InstallError> {
    install::install(client, bundle, Options::default()).await
}

async fn value(client: &Client, sql: &str) -> i32 {
    client.query_one(sql, &[]).await.expect("query runs").get(0)
}

async fn exists(client: &Client, schema: &str) -> bool {
    let sql = "select exists(select from pg_namespace where nspname = $1)";
    client
        .query_one(sql, &[&schema])
        .await
        .expect("query runs")
        .get(0)
}

#[tokio::test]
async fn the_second_installation_changes_nothing() {
    let db = TestDb::empty().await;
    let mut client = db.connect().await;
    let bundle = bundle();
    assert_eq!(
        install::status(&client, &bundle).await.unwrap(),
        SchemaStatus::NotInstalled
    );
    let first = install(&mut client, &bundle).await.unwrap();
    assert_eq!(
        (first.from, first.to, first.functions),
        (None, 1, Functions::Loaded(2))
    );
    let second = install(&mut client, &bundle).await.unwrap();
    assert_eq!(
        (second.from, second.functions),
        (Some(1), Functions::Unchanged)
    );
    let forced = install::install(&mut client, &bundle, Options { force: true })
        .await
        .unwrap();
    assert_eq!(forced.functions, Functions::Loaded(2));
    let status = install::status(&client, &bundle).await.unwrap();
    assert!(
        matches!(status, SchemaStatus::Current { version: 1, .. }),
        "{status:?}"
    );
    let owner = "select pg_get_userbyid(nspowner)::text from pg_namespace where nspname = 'bloom'";
    let owner: String = client.query_one(owner, &[]).await.unwrap().get(0);
    assert_eq!(owner, "bloom_owner");
}

#[tokio::test]
async fn the_real_bundle_installs_and_reinstalls() {
    let db = TestDb::new().await;
    let mut client = db.connect().await;
    let bundle = Bundle::embedded().unwrap();
    let status = install::status(&client, &bundle).await.unwrap();
    assert!(matches!(status, SchemaStatus::Current { .. }), "{status:?}");
    let forced = install::install(&mut client, &bundle, Options { force: true })
        .await
        .unwrap();
    assert_eq!(
        forced.functions,
        Functions::Loaded(bundle.functions().len())
    );
    for role in [
        "bloom_producer",
        "bloom_worker",
        "bloom_reader",
        "bloom_admin",
    ] {
        let member = db.connect_as(role).await;
        let sql = "select has_schema_privilege('bloom_private', 'create')";
        assert!(
            !member.query_one(sql, &[]).await.unwrap().get::<_, bool>(0),
            "{role}"
        );
    }
}

#[tokio::test]
async fn eight_installers_at_once_install_once() {
    let db = TestDb::empty().await;
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let mut client = db.connect().await;
        tasks.push(tokio::spawn(async move {
            install(&mut client, &bundle()).await.unwrap()
        }));
    }
    let mut fresh = 0;
    for task in tasks {
        fresh += usize::from(task.await.unwrap().from.is_none());
    }
    assert_eq!(fresh, 1);
}

#[tokio::test]
async fn installers_in_several_databases_share_the_roles() {
    let dbs = [
        TestDb::empty().await,
        TestDb::empty().await,
        TestDb::empty().await,
    ];
    let mut tasks = Vec::new();
    for db in &dbs {
        let mut client = db.connect().await;
        tasks.push(tokio::spawn(async move {
            install(&mut client, &bundle()).await.unwrap()
        }));
    }
    for task in tasks {
        assert_eq!(task.await.unwrap().from, None);
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let db = TestDb::empty().await;
    let mut client = db.connect().await;
    let newer = bundle()
        .with_migration("0002_more.sql", "select 1")
        .unwrap();
    install(&mut client, &newer).await.unwrap();
    let error = install(&mut client, &bundle()).await.unwrap_err();
    assert!(
        matches!(
            error,
            InstallError::Newer {
                installed: 2,
                supported: 1
            }
        ),
        "{error}"
    );
    let status = install::status(&client, &bundle()).await.unwrap();
    assert_eq!(
        status,
        SchemaStatus::Newer {
            installed: 2,
            supported: 1
        }
    );
}

#[tokio::test]
async fn an_old_program_does_not_bring_back_old_functions() {
    let db = TestDb::empty().await;
    let mut client = db.connect().await;
    let newer = bundle()
        .with_app_version("1.1.0")
        .with_function("functions/one.sql", returns("one", 2));
    install(&mut client, &newer).await.unwrap();
    let report = install(&mut client, &bundle()).await.unwrap();
    assert_eq!(report.functions, Functions::KeptNewer);
    assert_eq!(value(&client, "select bloom.one()").await, 2);
}

#[tokio::test]
async fn a_broken_function_rolls_everything_back() {
    let db = TestDb::empty().await;
    let mut client = db.connect().await;
    let broken = bundle().with_function("functions/bad.sql", "select 1;\nselect\nnonsense from;");
    let error = install(&mut client, &broken).await.unwrap_err();
    assert!(
        error.to_string().starts_with("functions/bad.sql:3: "),
        "{error}"
    );
    assert!(!exists(&client, "bloom").await && !exists(&client, "bloom_private").await);

    install(&mut client, &bundle()).await.unwrap();
    let broken = broken
        .with_migration("0002_more.sql", "create table bloom_private.more ()")
        .unwrap()
        .with_function("functions/one.sql", returns("one", 2));
    install(&mut client, &broken).await.unwrap_err();
    assert_eq!(value(&client, "select bloom.one()").await, 1);
    assert_eq!(
        value(&client, "select version from bloom_private.schema_version").await,
        1
    );
}

#[tokio::test]
async fn a_file_that_commits_is_refused() {
    let db = TestDb::empty().await;
    let mut client = db.connect().await;
    let escaping = bundle().with_function("functions/bad.sql", "commit; begin;");
    let error = install(&mut client, &escaping).await.unwrap_err();
    assert!(matches!(error, InstallError::Escaped), "{error}");
}

#[tokio::test]
async fn a_migration_runs_once() {
    let db = TestDb::empty().await;
    let mut client = db.connect().await;
    install(&mut client, &bundle()).await.unwrap();
    let next = bundle()
        .with_migration("0002_item.sql", "insert into bloom_private.item values (7)")
        .unwrap();
    let status = install::status(&client, &next).await.unwrap();
    assert_eq!(
        status,
        SchemaStatus::Outdated {
            installed: 1,
            supported: 2
        }
    );
    let report = install(&mut client, &next).await.unwrap();
    assert_eq!(report.migrations, ["migrations/0002_item.sql"]);
    assert_eq!((report.from, report.to), (Some(1), 2));
    assert_eq!(
        install(&mut client, &next).await.unwrap().functions,
        Functions::Unchanged
    );
    assert_eq!(
        value(&client, "select count(*)::int from bloom_private.item").await,
        1
    );
}

#[tokio::test]
async fn reloading_functions_under_load_fails_no_call() {
    let db = TestDb::empty().await;
    let mut client = db.connect().await;
    install(&mut client, &bundle()).await.unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let mut callers = Vec::new();
    for _ in 0..4 {
        let (caller, stop) = (db.connect().await, stop.clone());
        callers.push(tokio::spawn(async move {
            let statement = caller.prepare("select bloom.one()").await.unwrap();
            let mut calls = 0;
            while !stop.is_cancelled() {
                caller.query_one(&statement, &[]).await.unwrap();
                calls += 1;
            }
            calls
        }));
    }
    for value in 0..50 {
        let next = bundle().with_function("functions/one.sql", returns("one", value));
        install(&mut client, &next).await.unwrap();
    }
    stop.cancel();
    for caller in callers {
        assert!(caller.await.unwrap() > 0);
    }
}

#[tokio::test]
async fn a_migration_that_waits_for_a_lock_tries_again() {
    let db = TestDb::empty().await;
    let mut client = db.connect().await;
    install(&mut client, &bundle()).await.unwrap();
    let holder = db.connect().await;
    holder
        .batch_execute("begin; select * from bloom_private.item")
        .await
        .unwrap();
    let next = bundle()
        .with_migration(
            "0002_item.sql",
            "alter table bloom_private.item add column n int",
        )
        .unwrap();
    let upgrade = tokio::spawn(async move { install(&mut client, &next).await });
    // Longer than one wait for a lock: the first try must have failed.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert!(!upgrade.is_finished());
    holder.batch_execute("commit").await.unwrap();
    assert_eq!(upgrade.await.unwrap().unwrap().to, 2);
}

#[tokio::test]
async fn schemas_of_others_are_not_built_over() {
    let db = TestDb::empty().await;
    let mut client = db.connect().await;
    client.batch_execute("create schema bloom").await.unwrap();
    let error = install(&mut client, &bundle()).await.unwrap_err();
    assert!(matches!(error, InstallError::Foreign("bloom")), "{error}");
}

#[tokio::test]
async fn another_encoding_is_refused() {
    let db = TestDb::empty().await;
    let name = format!("{}_latin", db.name());
    let admin = db.connect().await;
    let sql = format!("create database {name} template template0 encoding 'LATIN1'");
    admin.batch_execute(&sql).await.unwrap();
    let mut client = db.endpoint().with_database(&name).connect().await.unwrap();
    let error = install(&mut client, &bundle()).await.unwrap_err();
    assert!(matches!(error, InstallError::Encoding { .. }), "{error}");
    drop(client);
    admin
        .batch_execute(&format!("drop database {name} with (force)"))
        .await
        .unwrap();
}
