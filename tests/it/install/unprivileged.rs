//! Installing without being a superuser. Roles belong to the whole cluster, so each test has one.

use bloom_runtime::db::install::{Bundle, InstallError, SchemaStatus, status};
use tokio_postgres::Client;

use super::{bundle, install, value};
use crate::pg::Cluster;

async fn cluster() -> (Cluster, Client) {
    let cluster = Cluster::start(&[("fsync", "off"), ("max_connections", "20")]).await;
    let admin = cluster.connect("postgres").await;
    admin.batch_execute("create role app login").await.unwrap();
    (cluster, admin)
}

async fn connect_app(cluster: &Cluster) -> Client {
    cluster
        .endpoint("postgres")
        .with_user("app")
        .connect()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_role_that_may_create_roles_and_schemas_installs() {
    let (cluster, admin) = cluster().await;
    admin
        .batch_execute("alter role app createrole; grant create on database postgres to app")
        .await
        .unwrap();
    let mut app = connect_app(&cluster).await;
    install(&mut app, &bundle()).await.unwrap();
    assert_eq!(value(&app, "select bloom.one()").await, 1);
    let next = bundle()
        .with_migration("0002_item.sql", "create table bloom_private.more (id int)")
        .unwrap();
    assert_eq!(install(&mut app, &next).await.unwrap().to, 2);
}

#[tokio::test]
async fn the_real_bundle_needs_no_superuser() {
    let (cluster, admin) = cluster().await;
    let sql = "alter role app createrole; grant create on database postgres to app";
    admin.batch_execute(sql).await.unwrap();
    let mut app = connect_app(&cluster).await;
    let bundle = Bundle::embedded().unwrap();
    install(&mut app, &bundle).await.unwrap();
    let sql = "select count(*)::int from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
               where nspname = 'bloom' and not has_function_privilege(p.oid, 'execute')";
    assert_eq!(
        value(&app, sql).await,
        0,
        "its own service may call every verb"
    );
    let sql = "select count(*)::int from bloom.task_submit_many( \
               '[{\"context_id\": \"c\", \"agent_slug\": \"a\", \"prompt\": \"p\"}]', \
               '{\"actor\": \"someone\"}')";
    assert_eq!(value(&app, sql).await, 1, "and speak for its callers");
    let sql = "select count(*)::int from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
               where nspname like 'bloom%' and proowner <> 'bloom_owner'::regrole";
    assert_eq!(value(&app, sql).await, 0, "everything has one owner");
}

#[tokio::test]
async fn each_missing_privilege_is_named_with_its_grant() {
    let (cluster, admin) = cluster().await;
    let mut app = connect_app(&cluster).await;
    for expected in [
        "alter role \"app\" createrole",
        "grant create on database postgres to app",
    ] {
        let error = install(&mut app, &bundle()).await.unwrap_err();
        let InstallError::Privilege { grant, .. } = &error else {
            panic!("{error}")
        };
        assert!(grant.starts_with(expected), "{grant}");
        let statement = grant.split(';').next().unwrap();
        admin.batch_execute(statement).await.unwrap();
    }
    install(&mut app, &bundle()).await.unwrap();

    // Someone who has nothing to do with it, and then is made a member.
    admin
        .batch_execute("create role other login")
        .await
        .unwrap();
    let mut other = cluster
        .endpoint("postgres")
        .with_user("other")
        .connect()
        .await
        .unwrap();
    let error = status(&other, &bundle()).await.unwrap_err();
    let InstallError::Privilege { grant, .. } = &error else {
        panic!("{error}")
    };
    admin.batch_execute(grant).await.unwrap();
    let found = status(&other, &bundle()).await.unwrap();
    assert!(matches!(found, SchemaStatus::Current { .. }), "{found:?}");
    let next = bundle().with_function("functions/one.sql", super::returns("one", 5));
    let error = install(&mut other, &next).await.unwrap_err();
    let InstallError::Privilege { grant, .. } = &error else {
        panic!("{error}")
    };
    assert!(grant.starts_with("grant bloom_admin"), "{grant}");
    admin.batch_execute(grant).await.unwrap();
    install(&mut other, &next).await.unwrap();
    assert_eq!(value(&other, "select bloom.one()").await, 5);
}
