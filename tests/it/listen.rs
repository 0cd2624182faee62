//! The LISTEN connection: what is lost is noticed.

use std::time::Duration;

use bloom_runtime::db::listen::{Event, Events, ListenHandle, Listener, Options};
use bloom_runtime::shutdown::Shutdown;
use tokio::time::timeout;
use tokio_postgres::Client;

use crate::pg::{Cluster, Stop, TestDb};

fn options() -> Options {
    let mut options = Options::new(vec!["bloom_work".to_owned(), "Odd \"name".to_owned()]);
    options.test_every = Duration::from_millis(200);
    options
}

async fn next(events: &mut Events) -> Event {
    timeout(Duration::from_secs(20), events.next())
        .await
        .expect("an event comes")
        .unwrap()
}

async fn notify(client: &Client, channel: &str, payload: &str) {
    client
        .execute("select pg_notify($1, $2)", &[&channel, &payload])
        .await
        .unwrap();
}

fn notified(channel: &str, payload: &str) -> Event {
    Event::Notified {
        channel: channel.to_owned(),
        payload: payload.to_owned(),
    }
}

fn start(endpoint: &bloom_runtime::db::Endpoint) -> (ListenHandle, Events, Shutdown) {
    let (listener, handle) = Listener::new(endpoint, options());
    let events = handle.subscribe();
    let shutdown = Shutdown::new();
    shutdown.spawn(listener.run(shutdown.clone()));
    (handle, events, shutdown)
}

#[tokio::test]
async fn notifications_arrive_after_an_initial_resync() {
    let db = TestDb::empty().await;
    let (handle, mut events, shutdown) = start(&db.endpoint());
    assert_eq!(next(&mut events).await, Event::Resync);
    assert!(handle.health().connected);
    let client = db.connect().await;
    for (channel, payload) in [
        ("bloom_work", "7:1"),
        ("Odd \"name", ""),
        ("bloom_work", "{"),
    ] {
        notify(&client, channel, payload).await;
        assert_eq!(next(&mut events).await, notified(channel, payload));
    }
    notify(&client, "someone_elses", "x").await;
    notify(&client, "bloom_work", "last").await;
    assert_eq!(next(&mut events).await, notified("bloom_work", "last"));
    shutdown.request();
    shutdown.finished().await;
    assert!(!handle.health().connected);
}

#[tokio::test]
async fn it_never_sits_in_a_transaction() {
    let db = TestDb::empty().await;
    let (_handle, mut events, shutdown) = start(&db.endpoint());
    assert_eq!(next(&mut events).await, Event::Resync);
    let sql = "select count(*) from pg_stat_activity where datname = current_database() \
               and pid <> pg_backend_pid() and (backend_xmin is not null or state <> 'idle')";
    let client = db.connect().await;
    // A self-test of a few hundred microseconds may be under way.
    while client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0 {}
    shutdown.request();
    shutdown.finished().await;
}

#[tokio::test]
async fn a_lost_connection_comes_back_with_a_resync() {
    let cluster = Cluster::start(&[("fsync", "off"), ("max_connections", "20")]).await;
    let (handle, mut events, shutdown) = start(&cluster.endpoint("postgres"));
    assert_eq!(next(&mut events).await, Event::Resync);
    for how in [Stop::Fast, Stop::Kill] {
        cluster.stop(how);
        cluster.restart().await;
        assert_eq!(next(&mut events).await, Event::Resync);
    }
    assert_eq!(handle.health().connections, 3);
    let client = cluster.connect("postgres").await;
    notify(&client, "bloom_work", "again").await;
    assert_eq!(next(&mut events).await, notified("bloom_work", "again"));
    shutdown.request();
    shutdown.finished().await;
}

#[tokio::test]
async fn a_connection_that_hears_nothing_is_given_up() {
    // A stopped process would hold up whoever shares its server.
    let cluster = Cluster::start(&[("fsync", "off"), ("max_connections", "20")]).await;
    let (handle, mut events, shutdown) = start(&cluster.endpoint("postgres"));
    assert_eq!(next(&mut events).await, Event::Resync);
    let admin = cluster.connect("postgres").await;
    let pid: i32 = admin
        .query_one(
            "select pid from pg_stat_activity where datname = current_database() \
             and query like 'notify%'",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    let process = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    let resync = timeout(Duration::from_secs(20), events.next()).await;
    rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
    assert_eq!(resync.expect("it connects again"), Some(Event::Resync));
    assert_eq!(handle.health().connections, 2);
    shutdown.request();
    shutdown.finished().await;
}

#[tokio::test]
async fn a_slow_consumer_gets_a_resync_instead_of_what_it_missed() {
    let db = TestDb::empty().await;
    let (handle, mut events, shutdown) = start(&db.endpoint());
    assert_eq!(next(&mut events).await, Event::Resync);
    let client = db.connect().await;
    let sql = "select pg_notify('bloom_work', n::text) from generate_series(1, 10000) n";
    client.execute(sql, &[]).await.unwrap();
    // Two self-tests later everything before them has arrived.
    let seen = handle.health().last_seen;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while handle.health().last_seen < seen.map(|at| at + Duration::from_millis(600)) {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(next(&mut events).await, Event::Resync);
    notify(&client, "bloom_work", "after").await;
    assert_eq!(next(&mut events).await, notified("bloom_work", "after"));
    shutdown.request();
    shutdown.finished().await;
}
