//! A synchronous standby, or rather its absence: what waits for it, and what must.

use std::future::Future;
use std::time::Duration;

use bloom_runtime::db::install::{self, Bundle};
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::pg::Cluster;
use crate::runtime::eventually;
use crate::verbs;

/// How long an answer may take once nothing holds it back.
const LIMIT: Duration = Duration::from_secs(60);

async fn await_standby(admin: &Client, name: &str) {
    let set = format!("alter system set synchronous_standby_names = '{name}'");
    admin.batch_execute(&set).await.unwrap();
    admin
        .batch_execute("select pg_reload_conf()")
        .await
        .unwrap();
    eventually("the setting is in force", async || {
        let row = admin.query_one("show synchronous_standby_names", &[]).await;
        (row.unwrap().get::<_, String>(0) == name).then_some(())
    })
    .await;
}

/// Makes the call while commits wait for a standby that is not there: it must wait, too.
async fn waits<T>(admin: &Client, call: impl Future<Output = T>) -> T {
    await_standby(admin, "nosuch").await;
    let released = async {
        eventually("the call waits for the standby", async || {
            let sql = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
            let row = admin.query_one(sql, &[]).await.unwrap();
            (row.get::<_, i64>(0) > 0).then_some(())
        })
        .await;
        await_standby(admin, "").await;
    };
    let both = async { tokio::join!(call, released).0 };
    tokio::time::timeout(LIMIT, both).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_answer_waits_for_the_standby_as_the_first_one_did() {
    let cluster = Cluster::start(&[]).await;
    let (mut client, admin) = (
        cluster.connect("postgres").await,
        cluster.connect("postgres").await,
    );
    let bundle = Bundle::embedded().unwrap();
    let options = install::Options::default();
    install::install(&mut client, &bundle, options)
        .await
        .unwrap();
    verbs::register(&client, "w", 2).await.unwrap();
    let keyed = || json!({"idempotency_key": "k"});
    let first = verbs::submit(&client, "c", keyed()).await.unwrap();
    let again = waits(&admin, verbs::submit(&client, "c", keyed())).await;
    assert_eq!(again.unwrap(), first);

    let ask = async |request: Uuid| {
        let options = json!({ "request_id": request });
        let sql = "select lease_id from bloom.lease_next('w', null, 1, 60, $1)";
        let row = client.query_one(sql, &[&options]).await.unwrap();
        row.get::<_, Uuid>(0)
    };
    let request = Uuid::new_v4();
    let lease = ask(request).await;
    assert_eq!(waits(&admin, ask(request)).await, lease);

    let complete = async || {
        let sql = "select replayed from bloom.lease_complete($1, $2, 'success', 'done')";
        let row = client.query_one(sql, &[&first, &lease]).await.unwrap();
        row.get::<_, bool>(0)
    };
    assert!(!complete().await);
    assert!(waits(&admin, complete()).await);

    let other = verbs::submit(&client, "d", json!({})).await.unwrap();
    assert_eq!(verbs::cancel(&client, other).await.unwrap(), "cancelled");
    let again = waits(&admin, verbs::cancel(&client, other)).await;
    assert_eq!(again.unwrap(), "cancelled");
}
