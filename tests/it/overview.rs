//! The overview: what happened lately, and what an operator should know of.

use std::time::Duration;

use bloom_runtime::db::horizon::held_snapshot;
use bloom_runtime::db::listen::{self, Listener};
use bloom_runtime::db::{self, Db};
use bloom_runtime::overview::{Overview, Window};
use serde_json::{Value, json};

use crate::pg::TestDb;
use crate::runtime::{Runtime, eventually, task};
use crate::sql_kit::{complete, lease, one, register, run, submit};

/// The codes of its warnings.
fn codes(overview: &Value) -> Vec<&str> {
    let warnings = overview["warnings"].as_array().expect("warnings");
    assert!(warnings.iter().all(|warning| warning["text"].is_string()));
    warnings
        .iter()
        .map(|warning| warning["code"].as_str().expect("a code"))
        .collect()
}

/// The sum of a member over all points.
fn sum(overview: &Value, member: &str) -> i64 {
    let points = overview["points"].as_array().expect("points");
    points
        .iter()
        .map(|point| point[member].as_i64().expect("a number"))
        .sum()
}

#[tokio::test]
async fn it_tells_what_happened_in_the_last_hour_and_day() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 4).await;
    for (output, retryable) in [("success", true), ("error", false), ("error", true)] {
        let id = api.submit(task("c")).await;
        let lease = api.lease(&id).await;
        let done = json!({
            "lease_id": lease, "status": output, "output": "o", "retryable": retryable,
        });
        assert_eq!(api.complete(&id, done).await.status, 200);
    }
    let waiting = api.submit(task("c")).await;
    for (window, step, points) in [("hour", 60, 60), ("day", 900, 96)] {
        let path = format!("/overview?window={window}");
        let overview = eventually("it is folded", async || {
            let overview = api.get(&path).await.body;
            (sum(&overview, "submitted") == 4 && sum(&overview, "dead") == 1).then_some(overview)
        })
        .await;
        assert_eq!(overview["window"], window);
        assert_eq!(overview["step_seconds"], step);
        let shown = overview["points"].as_array().unwrap();
        assert_eq!(shown.len(), points);
        let times: Vec<_> = shown
            .iter()
            .map(|point| point["at"].as_i64().unwrap())
            .collect();
        assert!(
            times
                .windows(2)
                .all(|pair| pair[1] - pair[0] == step * 1000)
        );
        assert_eq!(
            (sum(&overview, "completed"), sum(&overview, "failed")),
            (1, 1)
        );
        assert_eq!(overview["success_rate"], 0.5);
        assert_eq!(overview["workers"], json!({ "total": 1, "online": 1 }));
        assert_eq!(overview["leases"]["active"], 0);
        // The one that waits, and the one that will be tried again.
        assert_eq!(shown.last().unwrap()["depth"], 2);
        assert_eq!(overview["oldest_waiting"]["task_id"], waiting.as_str());
        assert!(overview["oldest_waiting"]["age_ms"].as_i64().unwrap() >= 0);
        let waits = |member: &str| {
            shown
                .iter()
                .filter_map(|point| point[member].as_i64())
                .max()
        };
        assert!(waits("wait_p50_ms") <= waits("wait_p95_ms") && waits("wait_p50_ms").is_some());
        assert_eq!(codes(&overview), Vec::<&str>::new());
    }
    assert_eq!(api.get("/overview").await.body["window"], "hour");
    assert_eq!(api.get("/overview?window=year").await.status, 400);
}

#[tokio::test]
async fn times_of_waiting_are_told_within_a_fifth() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    // One task each waited for 1, 2, … 100 seconds.
    for (wanted, at) in [(50_000.0, 0.5), (5_000.0, 0.05), (95_000.0, 0.95)] {
        let sql = format!(
            "select bloom_private.wait_quantile((select array_agg(n order by b) from (
                 select b, (select count(*) from generate_series(1, 100) w
                     where bloom_private.wait_bucket(w * 1000) = b) as n
                   from generate_series(0, 63) b) s), {at})"
        );
        let told: f64 = one(&client, &sql).await.parse().unwrap();
        let wanted: f64 = wanted;
        assert!(
            (told / wanted - 1.0).abs() < 0.2,
            "{at}: {told}, not {wanted}"
        );
    }
    let none = "select bloom_private.wait_quantile('{0,0}', 0.5) is null
                   and bloom_private.wait_quantile(null, 0.5) is null";
    assert_eq!(one(&client, none).await, "t");
}

#[tokio::test]
async fn it_warns_of_what_keeps_tasks_waiting() {
    let runtime = Runtime::start_with(|options| {
        // Nobody is there.
        options.membridge.fallback = Some(("http://127.0.0.1:1".to_owned(), None));
    })
    .await;
    let api = &runtime.api;
    let client = runtime.db().connect().await;
    let warned = async |code: &str| {
        eventually(&format!("a warning of {code}"), async || {
            let overview = api.get("/overview").await.body;
            codes(&overview).contains(&code).then_some(overview)
        })
        .await
    };
    let id = api.submit(task("c")).await;
    warned("no_workers").await;
    warned("membridge_failing").await;
    api.register("w", 1).await;
    api.post("/queues/default/pause", json!({})).await;
    let overview = warned("queue_paused").await;
    let texts = overview["warnings"].to_string();
    assert!(texts.contains("Queue default is paused"), "{texts}");
    let aged = format!(
        "update bloom_private.ready set ready_at = now() - interval '1 hour' where task_id = '{id}'"
    );
    run(&client, &aged).await;
    warned("waiting_long").await;
    run(
        &client,
        "insert into bloom_private.credential
         values ('limited', now() + interval '1 hour', null, 'w', now())",
    )
    .await;
    warned("credential_exhausted").await;
    // An event that cannot be shown for two minutes, since an older transaction is open.
    let open = runtime.db().connect().await;
    run(&open, "begin; select pg_current_xact_id()").await;
    run(
        &client,
        "insert into bloom_private.event (at, cause, subject, actor)
         values (now() - interval '2 minutes', 'c', 'key/1', 'a')",
    )
    .await;
    warned("transaction_held").await;
}

#[tokio::test]
async fn it_warns_of_a_held_snapshot_and_a_dead_ear() {
    let db = TestDb::new().await;
    let held = db.connect().await;
    run(&held, "begin isolation level repeatable read; select 1").await;
    let queue = Db::new(&db.endpoint(), &db::Options::default());
    let found = held_snapshot(&queue, Duration::ZERO).await.unwrap();
    let pid: i32 = one(&held, "select pg_backend_pid()").await.parse().unwrap();
    assert_eq!(found.map(|found| found.pid), Some(pid));
    assert_eq!(
        held_snapshot(&queue, Duration::from_secs(600))
            .await
            .unwrap(),
        None
    );
    // A listener that never ran.
    let (_listener, handle) = Listener::new(&db.endpoint(), listen::Options::new(Vec::new()));
    let overview = Overview::new(queue, handle)
        .read(Window::Hour)
        .await
        .unwrap();
    assert_eq!(codes(&overview), ["listen_lost"]);
}

#[tokio::test]
async fn minutes_are_kept_for_a_month() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    run(
        &client,
        "insert into bloom_private.minute_count
         select date_trunc('minute', now()) - n * interval '1 day', 1, 1, 0, 0, 0, 7, null
           from generate_series(0, 40) n",
    )
    .await;
    run(&client, "select bloom.retention_run(3650, 3650, 3650)").await;
    let left = "select count(*) from bloom_private.minute_count";
    assert_eq!(one(&client, left).await, "32");
    // A quiet hour shows the depth that was told last, and the present one now.
    register(&client, "w", "{}").await;
    submit(&client, "c", "{}").await;
    submit(&client, "c", "{}").await;
    let task = lease(&client, "w", 1).await.remove(0);
    complete(&client, &task, "success").await;
    let depths = "select bloom.overview_get('hour') -> 'points' -> 0 ->> 'depth'";
    assert_eq!(one(&client, depths).await, "7");
    let depth = "select bloom.overview_get('hour') -> 'points' -> 59 ->> 'depth'";
    assert_eq!(one(&client, depth).await, "1");
}
