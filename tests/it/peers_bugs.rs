//! Bugs that other queues had and that nothing else here shows to be absent. The numbers are those
//! of docs/peers-bugs.md.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bloom_runtime::db::Endpoint;
use bloom_runtime::service::install;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::pg::{Cluster, Stop, TestDb};
use crate::runtime::Runtime;
use crate::sql_kit::{column, eventually, one, run};
use crate::verbs::{self, Grant};

/// B40: a rescue of many leases that one of them made impossible.
#[tokio::test]
async fn a_lease_that_cannot_be_ended_keeps_no_other_from_its_end() {
    let runtime = Runtime::start().await;
    let client = runtime.db().connect().await;
    verbs::register(&client, "w", 4).await.unwrap();
    for number in 0..4 {
        let context = format!("c{number}");
        verbs::submit(&client, &context, json!({})).await.unwrap();
    }
    let stuck = verbs::lease_next(&client, "w", 4).await.unwrap().remove(0);
    let sql = format!(
        "create function public.refuse() returns trigger language plpgsql as
             $$ begin raise 'not this one'; end $$;
         create trigger stuck before delete on bloom_private.lease for each row
             when (old.task_id = '{}') execute function public.refuse()",
        stuck.task
    );
    run(&client, &sql).await;
    verbs::make_overdue(&client).await.unwrap();
    let left = "select string_agg(task_id::text, ' ') from bloom_private.lease";
    eventually(&client, left, &stuck.task.to_string()).await;
    run(&client, "drop trigger stuck on bloom_private.lease").await;
    let left = "select count(*) from bloom_private.lease";
    eventually(&client, left, "0").await;
}

/// All leases and their tasks' states, as text.
async fn leases(client: &Client) -> Vec<String> {
    let sql = "select l::text || l.xmin::text from bloom_private.lease l order by l.task_id";
    column(client, sql).await
}

/// B35: the identity that is checked is not the one that is acted on.
#[tokio::test]
async fn a_lease_speaks_for_its_own_task_and_worker_only() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let sessions = [Uuid::new_v4(), Uuid::new_v4()];
    let mut grants = Vec::new();
    for (worker, session) in ["w", "v"].into_iter().zip(sessions) {
        verbs::register(&client, worker, 2).await.unwrap();
        verbs::submit(&client, worker, json!({})).await.unwrap();
        let granted = verbs::lease_next_with(&client, worker, Some(session), 1, 300, json!({}));
        grants.extend(granted.await.unwrap());
    }
    let [own, other] = grants.as_slice() else {
        panic!("two leases: {grants:?}")
    };
    let crossed = Grant {
        lease: own.lease,
        ..other.clone()
    };
    let before = leases(&client).await;
    let foreign = json!({"worker_id": "v"});
    for refused in [
        verbs::heartbeat(&client, &crossed).await.unwrap_err(),
        verbs::extend(&client, &crossed).await.unwrap_err(),
        verbs::release(&client, &crossed).await.unwrap_err(),
        verbs::succeed(&client, &crossed).await.unwrap_err(),
        verbs::complete(&client, own, "success", foreign)
            .await
            .unwrap_err(),
    ] {
        let seen = (verbs::state(&refused), verbs::code(&refused));
        assert_eq!(seen, ("RT409", "lease_lost"), "{refused:?}");
    }
    let beaten = verbs::beat(&client, "v", sessions[1], &[own.lease, other.lease]).await;
    let states = beaten.unwrap()["leases"].clone();
    assert_eq!(
        (&states[0]["state"], &states[1]["state"]),
        (&json!("lost"), &json!("ok"))
    );
    assert_eq!(leases(&client).await, before);
    // In a batch each item is held against its own task: one that fits carries no other along.
    let sql = "select ordinal, error ->> 'code'
                 from bloom.lease_complete_many($1, $2, $3, $4, $5) order by 1";
    let (tasks, ids) = ([other.task, own.task], [own.lease, own.lease]);
    let (statuses, outputs) = (["success"; 2], ["out"; 2]);
    let rows = client
        .query(
            sql,
            &[
                &&tasks[..],
                &&ids[..],
                &&statuses[..],
                &&outputs[..],
                &json!([{}, {}]),
            ],
        )
        .await
        .unwrap();
    let codes: Vec<Option<&str>> = rows.iter().map(|row| row.get(1)).collect();
    assert_eq!(codes, [Some("lease_lost"), None]);
    assert_eq!(verbs::status(&client, other.task).await, "leased");
    assert_eq!(verbs::status(&client, own.task).await, "completed");
}

/// B30: a lease that was judged by a clock other than the database's.
#[tokio::test]
async fn no_verb_of_a_lease_takes_a_moment_from_its_caller() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let sql = "select p.oid::regprocedure::text from pg_proc p
                where p.pronamespace = 'bloom'::regnamespace
                  and p.proname ~ '^(lease|worker)_'
                  and p.proargtypes::oid[] && array['timestamptz'::regtype, 'timestamp'::regtype,
                      'date'::regtype, 'time'::regtype, 'timetz'::regtype]::oid[]";
    assert_eq!(column(&client, sql).await, Vec::<String>::new());
    verbs::register(&client, "w", 2).await.unwrap();
    verbs::submit(&client, "c", json!({})).await.unwrap();
    let grant = verbs::lease_next(&client, "w", 1).await.unwrap().remove(0);
    for name in ["now", "expires_at", "at", "started_at", "clock"] {
        let options = json!({ name: "2100-01-01T00:00:00Z" });
        let beat = "select from bloom.lease_heartbeat($1, $2, $3)";
        for refused in [
            verbs::lease_next_with(&client, "w", None, 1, 300, options.clone())
                .await
                .unwrap_err(),
            client
                .execute(beat, &[&grant.task, &grant.lease, &options])
                .await
                .unwrap_err(),
            verbs::complete(&client, &grant, "success", options.clone())
                .await
                .unwrap_err(),
        ] {
            assert_eq!(verbs::state(&refused), "RT400", "{name}: {refused:?}");
        }
    }
}

/// Fills the server's queue of notifications behind a listener that sits in a transaction: quite,
/// where it can be made small (PostgreSQL 17), else as far as some megabytes go.
async fn pile_up(cluster: &Cluster) -> (Client, f64) {
    let client = cluster.connect("postgres").await;
    let version: i32 = one(&client, "show server_version_num")
        .await
        .parse()
        .unwrap();
    if version >= 170_000 {
        run(&client, "alter system set max_notify_queue_pages = 64").await;
        cluster.stop(Stop::Fast);
        cluster.restart().await;
    }
    let listener = cluster.connect("postgres").await;
    run(&listener, "listen somebodys").await;
    run(&listener, "begin; select 1").await;
    let client = cluster.connect("postgres").await;
    let sql = "select pg_notify('somebodys', n || repeat('x', 7000)) from generate_series(1, 8) n";
    for _ in 0..40 {
        if client.batch_execute(sql).await.is_err() {
            break;
        }
    }
    let usage = "select pg_notification_queue_usage()";
    let usage: f64 = client.query_one(usage, &[]).await.unwrap().get(0);
    assert!(
        usage > if version >= 170_000 { 0.9 } else { 0.0 },
        "{usage}"
    );
    (listener, usage)
}

/// B29: a full queue of notifications refused every commit that notified.
#[tokio::test]
async fn a_full_queue_of_notifications_fails_no_transition() {
    let cluster = Cluster::start(&[("fsync", "off"), ("max_connections", "20")]).await;
    install(&cluster.endpoint("postgres"), Duration::from_secs(30))
        .await
        .unwrap();
    let (_listener, usage) = pile_up(&cluster).await;
    let client = cluster.connect("postgres").await;
    run(&client, "select bloom.waiting_mark(gen_random_uuid(), 600)").await;
    verbs::register(&client, "w", 1).await.unwrap();
    verbs::submit(&client, "c", json!({}))
        .await
        .expect("submits");
    let grant = verbs::lease_next(&client, "w", 1).await.unwrap().remove(0);
    verbs::release(&client, &grant).await.expect("goes back");
    let wake = "select bloom.waiting_wake('[{\"queue\": \"default\", \"tasks\": 1}]', \
                gen_random_uuid())";
    client
        .batch_execute(wake)
        .await
        .expect("tells, or does not");
    let after = "select pg_notification_queue_usage()";
    let after: f64 = client.query_one(after, &[]).await.unwrap().get(0);
    assert!(after >= usage, "nobody read them meanwhile");
}

/// What a server may say to a client that has introduced itself.
fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let ready = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I".to_vec();
    let after = |tail: &[u8]| [ready.as_slice(), tail].concat();
    let mut scram = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0".to_vec();
    scram.extend(b"R\0\0\0\x36\0\0\0\x0br=nonce,s=c2FsdA==,i=4294967295,junk=junkjunkjunkj");
    vec![
        (
            "another protocol",
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        ),
        ("nothing", Vec::new()),
        ("a length of none", b"R\0\0\0\0".to_vec()),
        ("a negative length", b"R\xff\xff\xff\xff\0\0\0\0".to_vec()),
        (
            "an unknown way to log in",
            b"R\0\0\0\x08\0\0\0\x63".to_vec(),
        ),
        ("a login of 2^32 rounds", scram),
        (
            "a row that is shorter than it says",
            after(b"1\0\0\0\x04t\0\0\0\x06\0\0T\0\0\0\x06\0\x012\0\0\0\x04D\0\0\0\x06\0\x05"),
        ),
        (
            "a row before there are columns",
            after(b"D\0\0\0\x0a\0\x01\x7f\xff\xff\xff"),
        ),
        ("an error without its end", after(b"E\0\0\0\x08Sxxx")),
        (
            "a parameter that is no text",
            after(b"S\0\0\0\x08\xff\xfe\xff\0"),
        ),
    ]
}

/// Hears what the client has to say, answers `words`, hears it out for a moment, and hangs up.
fn talk(mut stream: TcpStream, words: &[u8]) {
    let mut heard = [0; 4096];
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    // The client may have gone away by now: that is for it to decide.
    if matches!(stream.read(&mut heard), Ok(count) if count > 0) {
        stream.write_all(words).ok();
    }
    while matches!(stream.read(&mut heard), Ok(count) if count > 0) {}
}

/// B38: a server whose messages made its client panic, or keep busy for ever.
#[tokio::test]
async fn a_server_that_talks_nonsense_is_an_error_and_no_panic() {
    for (what, words) in nonsense() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || talk(listener.accept().unwrap().0, &words));
        let url = format!("postgres://u:word@127.0.0.1:{port}/d?sslmode=disable");
        let mut config: tokio_postgres::Config = url.parse().unwrap();
        // Not to be asked about itself first.
        config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::Any);
        let call = tokio::spawn(async move {
            let (client, driver) = config.connect(tokio_postgres::NoTls).await?;
            let driver = tokio::spawn(driver);
            let answer = client.query_one("select 1", &[]).await;
            drop(client);
            assert!(driver.await.is_ok(), "the driver panicked");
            answer.map(drop)
        });
        let outcome = tokio::time::timeout(Duration::from_secs(30), call).await;
        let outcome = outcome.unwrap_or_else(|_| panic!("{what}: it never ends"));
        assert!(outcome.expect(what).is_err(), "{what}");
        server.join().unwrap();
        // And as the service does it.
        assert!(
            Endpoint::parse(&url, None)
                .unwrap()
                .connect()
                .await
                .is_err(),
            "{what}"
        );
    }
}

/// B05: tasks that were said to run for months.
#[tokio::test]
async fn whatever_is_said_to_run_has_an_end_within_a_day_of_its_last_sign_of_life() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    verbs::register(&client, "w", 3).await.unwrap();
    for context in ["a", "b", "c"] {
        verbs::submit(&client, context, json!({})).await.unwrap();
    }
    let session = Uuid::new_v4();
    let mut grants = verbs::lease_next_with(&client, "w", Some(session), 1, 86_400, json!({}))
        .await
        .unwrap();
    grants.extend(verbs::lease_next(&client, "w", 2).await.unwrap());
    verbs::heartbeat(&client, &grants[1]).await.unwrap();
    verbs::beat(&client, "w", session, &[grants[0].lease])
        .await
        .unwrap();
    run(&client, "set search_path = pg_catalog, bloom_private").await;
    let ends = "select count(*), bool_and(bloom_private.lease_expiry(l) <= clock_timestamp()
                    + interval '1 day') from bloom_private.lease l";
    let row = client.query_one(ends, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, bool>(1)), (3, true));
    for ttl in [json!(0), json!(-1), json!(86_401), json!(1e12)] {
        let sql = "select from bloom.lease_next('w', null, 1, $1::text::numeric::integer)";
        let refused = client.execute(sql, &[&ttl.to_string()]).await;
        assert!(refused.is_err(), "{ttl}");
    }
}
