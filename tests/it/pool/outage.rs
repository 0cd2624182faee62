//! The server goes away and comes back.

use std::time::{Duration, Instant};

use bloom_runtime::db::{Db, Lane, Options};

use super::{PID, is_unavailable, text};
use crate::pg::{Cluster, Stop, TestDb};

/// From the server's return to the first success.
const RECOVERY_LIMIT: Duration = Duration::from_secs(3);

async fn recovers(db: &Db) {
    let deadline = Instant::now() + RECOVERY_LIMIT;
    while let Err(error) = db.call(Lane::General, PID, &[]).await {
        assert!(Instant::now() < deadline, "{}", error.chain());
    }
}

#[tokio::test]
async fn an_outage_is_survived_whatever_ends_the_server() {
    let cluster = Cluster::start(&[("fsync", "off"), ("max_connections", "40")]).await;
    let db = Db::new(&cluster.endpoint("postgres"), &Options::default());
    for how in [Stop::Fast, Stop::Immediate, Stop::Kill] {
        text(&db, PID).await;
        cluster.stop(how);
        let started = Instant::now();
        for lane in [Lane::General, Lane::Reserved] {
            let result = db.call(lane, PID, &[]).await;
            assert!(is_unavailable(&result), "{result:?}");
        }
        assert!(
            started.elapsed() < Duration::from_secs(12),
            "{:?}",
            started.elapsed()
        );
        // Once it is known to be away, callers are told soon.
        let started = Instant::now();
        assert!(is_unavailable(&db.call(Lane::General, PID, &[]).await));
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
        assert!(db.health().failure.is_some());
        cluster.restart().await;
        recovers(&db).await;
        assert_eq!(db.health().failure, None);
    }
}

#[tokio::test]
async fn a_database_that_is_away_at_first_is_no_obstacle() {
    let cluster = Cluster::start(&[("fsync", "off"), ("max_connections", "40")]).await;
    cluster.stop(Stop::Fast);
    let db = Db::new(&cluster.endpoint("postgres"), &Options::default());
    assert!(is_unavailable(&db.call(Lane::General, PID, &[]).await));
    cluster.restart().await;
    recovers(&db).await;
}

#[tokio::test]
async fn connections_that_died_while_idle_are_replaced() {
    let test = TestDb::empty().await;
    let db = Db::new(&test.endpoint(), &Options::default());
    let admin = test.connect().await;
    text(&db, PID).await;
    let others = "select pg_terminate_backend(pid, 5000) from pg_stat_activity \
                  where datname = current_database() and pid <> pg_backend_pid()";
    let ended = admin.query(others, &[]).await.unwrap();
    assert!(!ended.is_empty());
    recovers(&db).await;
}

#[tokio::test]
async fn a_server_that_became_read_only_is_left_until_it_takes_writes() {
    let cluster = Cluster::start(&[("fsync", "off"), ("max_connections", "40")]).await;
    let db = Db::new(&cluster.endpoint("postgres"), &Options::default());
    db.call(Lane::General, "create table note (id int)", &[])
        .await
        .unwrap();
    let config = cluster.endpoint("postgres");
    let mut plain = config.config().clone();
    plain.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadOnly);
    let set = |client: tokio_postgres::Client, value: &'static str| async move {
        let sql = format!("alter system set default_transaction_read_only = {value}");
        client.batch_execute(&sql).await.unwrap();
        client
            .batch_execute("select pg_reload_conf()")
            .await
            .unwrap();
    };
    set(cluster.connect("postgres").await, "on").await;
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let result = db
            .call(Lane::General, "insert into note values (1)", &[])
            .await;
        if is_unavailable(&result) {
            break;
        }
        assert!(result.is_ok() && Instant::now() < deadline, "{result:?}");
    }
    assert!(
        is_unavailable(&db.call(Lane::General, PID, &[]).await),
        "its connections are gone"
    );
    let reader = bloom_runtime::db::Endpoint::new(plain, None).unwrap();
    set(reader.connect().await.unwrap(), "off").await;
    let deadline = Instant::now() + RECOVERY_LIMIT;
    while let Err(error) = db
        .call(Lane::General, "insert into note values (1)", &[])
        .await
    {
        assert!(Instant::now() < deadline, "{}", error.chain());
    }
}

#[tokio::test]
async fn running_out_of_server_connections_is_unavailability_and_passes() {
    let cluster = Cluster::start(&[
        ("fsync", "off"),
        ("max_connections", "8"),
        ("max_wal_senders", "0"),
    ])
    .await;
    let mut taken = Vec::new();
    while let Ok(client) = cluster.endpoint("postgres").connect().await {
        taken.push(client);
    }
    let options = Options {
        general: 2,
        reserved: 1,
        ..Options::default()
    };
    let db = Db::new(&cluster.endpoint("postgres"), &options);
    let results =
        futures_util::future::join_all((0..200).map(|_| db.call(Lane::General, PID, &[]))).await;
    assert!(results.iter().all(is_unavailable));
    taken.clear();
    recovers(&db).await;
}
