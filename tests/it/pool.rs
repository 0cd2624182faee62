//! The pool: bounded waits, honest errors, and recovery by itself.

mod outage;
mod tls;

use std::time::{Duration, Instant};

use bloom_runtime::db::{Db, Lane, Options};
use bloom_runtime::error::{Error, Kind};

use crate::pg::TestDb;

/// One connection a lane, and little patience.
fn small() -> Options {
    let checkout_wait = Duration::from_millis(300);
    Options {
        general: 1,
        reserved: 1,
        checkout_wait,
        ..Options::default()
    }
}

async fn text(db: &Db, sql: &'static str) -> String {
    db.call_one(Lane::General, sql, &[])
        .await
        .expect("call succeeds")
        .get(0)
}

fn is_unavailable<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unavailable { .. }))
}

const PID: &str = "select pg_backend_pid()::text";

#[tokio::test]
async fn sessions_carry_our_name_and_limits() {
    let test = TestDb::empty().await;
    let db = Db::new(&test.endpoint(), &Options::default());
    assert_eq!(
        text(&db, "select current_setting('application_name')").await,
        "bloom"
    );
    assert_eq!(
        text(&db, "select current_setting('statement_timeout')").await,
        "30s"
    );
    assert_eq!(
        text(&db, "select current_setting('lock_timeout')").await,
        "2s"
    );
    let isolation = text(&db, "select current_setting('transaction_isolation')").await;
    assert_eq!(isolation, "read committed");
}

#[tokio::test]
async fn a_refusal_of_a_verb_arrives_as_such() {
    let test = TestDb::empty().await;
    let client = test.connect().await;
    let sql = r#"create function refuse() returns int language plpgsql as $$ begin
        raise exception 'lease_lost' using errcode = 'RT409',
            detail = '{"message": "Lease 7 is no longer current", "lease_id": 7}';
        end $$"#;
    client.batch_execute(sql).await.unwrap();
    let db = Db::new(&test.endpoint(), &Options::default());
    let error = db
        .call(Lane::Reserved, "select refuse()", &[])
        .await
        .unwrap_err();
    let Error::Refused {
        kind,
        code,
        message,
        detail,
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((kind, code.as_str()), (Kind::Conflict, "lease_lost"));
    assert_eq!(message, "Lease 7 is no longer current");
    assert_eq!(detail["lease_id"], 7);
}

#[tokio::test]
async fn text_that_cannot_be_stored_is_the_callers_mistake() {
    let test = TestDb::empty().await;
    let db = Db::new(&test.endpoint(), &Options::default());
    let nul = db.call(Lane::General, "select $1::text", &[&"a\0b"]).await;
    let json = serde_json::json!({ "a": "\0" });
    let json = db.call(Lane::General, "select $1::jsonb", &[&json]).await;
    let surrogate = db
        .call(Lane::General, "select $1::text::jsonb", &[&r#""\ud800""#])
        .await;
    for result in [nul, json, surrogate] {
        let kind = match result {
            Err(Error::Refused { kind, .. }) => kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(kind, Kind::Invalid);
    }
}

#[tokio::test]
async fn a_call_that_lost_a_race_is_made_again_a_bounded_number_of_times() {
    let test = TestDb::empty().await;
    let client = test.connect().await;
    // A sequence does not roll back, so it counts the tries.
    let sql = "create sequence tries;
        create function lose(times int) returns bigint language plpgsql as $$
        declare n bigint = nextval('tries'); begin
            if n <= times then raise exception 'lost' using errcode = '40001'; end if;
            return n; end $$";
    client.batch_execute(sql).await.unwrap();
    let db = Db::new(&test.endpoint(), &Options::default());
    let row = db
        .call_one(Lane::General, "select lose(3)", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 4);
    let result = db.call(Lane::General, "select lose(1000)", &[]).await;
    assert!(is_unavailable(&result), "{result:?}");
    let tries: i64 = client
        .query_one("select last_value from tries", &[])
        .await
        .unwrap()
        .get(0);
    assert!((5..20).contains(&tries), "{tries}");
}

#[tokio::test]
async fn a_changed_result_type_is_no_error_on_any_connection() {
    let test = TestDb::empty().await;
    let client = test.connect().await;
    client
        .batch_execute("create table shape (a int)")
        .await
        .unwrap();
    let db = Db::new(
        &test.endpoint(),
        &Options {
            general: 4,
            ..Options::default()
        },
    );
    let read = "select *, pg_sleep(0.05)::text from shape";
    for _ in 0..2 {
        let calls = (0..4).map(|_| db.call(Lane::General, read, &[]));
        for result in futures_util::future::join_all(calls).await {
            result.unwrap();
        }
        client
            .batch_execute("alter table shape add column b text")
            .await
            .ok();
    }
}

#[tokio::test]
async fn an_abandoned_call_gives_its_connection_back_settled() {
    let test = TestDb::empty().await;
    let db = Db::new(
        &test.endpoint(),
        &Options {
            checkout_wait: Duration::from_secs(5),
            ..small()
        },
    );
    let before = text(&db, PID).await;
    let sleep = db.call(Lane::General, "select pg_sleep(0.3)", &[]);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), sleep)
            .await
            .is_err()
    );
    assert_eq!(
        db.health().general.lent,
        1,
        "the server is still busy with it"
    );
    let started = Instant::now();
    assert_eq!(text(&db, PID).await, before);
    assert!(
        started.elapsed() > Duration::from_millis(100),
        "it was waited for"
    );
    let idle = "select count(*)::text from pg_stat_activity \
                where datname = current_database() and state like 'idle in transaction%'";
    assert_eq!(text(&db, idle).await, "0");
}

#[tokio::test]
async fn waiting_for_a_connection_is_bounded_and_beats_have_their_own() {
    let test = TestDb::empty().await;
    let db = Db::new(&test.endpoint(), &small());
    text(&db, PID).await;
    let busy = {
        let db = db.clone();
        tokio::spawn(async move { db.call(Lane::General, "select pg_sleep(1.5)", &[]).await })
    };
    while db.health().general.lent == 0 {
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    let result = db.call(Lane::General, PID, &[]).await;
    assert!(is_unavailable(&result), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(1));
    db.call(Lane::Reserved, PID, &[])
        .await
        .expect("the reserved lane is free");
    busy.await.unwrap().expect("the long call is not disturbed");
}

#[tokio::test]
async fn callers_get_connections_in_order_of_arrival() {
    let test = TestDb::empty().await;
    let db = Db::new(
        &test.endpoint(),
        &Options {
            checkout_wait: Duration::from_secs(10),
            ..small()
        },
    );
    let (sender, mut order) = tokio::sync::mpsc::unbounded_channel();
    let mut calls = tokio::task::JoinSet::new();
    for caller in 0..50 {
        let (db, sender) = (db.clone(), sender.clone());
        calls.spawn(async move {
            db.call(Lane::General, PID, &[]).await.unwrap();
            sender.send(caller).unwrap();
        });
    }
    drop(sender);
    calls.join_all().await;
    let mut seen = Vec::new();
    order.recv_many(&mut seen, 100).await;
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_server() {
    let test = TestDb::empty().await;
    let options = Options {
        statement_timeout: Duration::from_millis(100),
        ..small()
    };
    let db = Db::new(&test.endpoint(), &options);
    let result = db.call(Lane::General, "select pg_sleep(30)", &[]).await;
    assert!(is_unavailable(&result), "{result:?}");
    db.call(Lane::General, PID, &[])
        .await
        .expect("its connection is fine");
}
