//! Event streams: complete, in order, and without a gap after a reconnect.

pub mod kit;
mod load;
mod log;

use std::cell::Cell;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::runtime::process::{Process, Scratch};
use crate::runtime::{DEADLINE, Runtime, eventually, task};
use crate::sql_kit::{one, run};
use kit::{Stream, actions};

#[tokio::test]
async fn a_task_is_followed_from_its_beginning_to_its_end() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 1).await;
    // That a worker registered may be told late, if some other transaction was open then.
    let path = "/events?type=submitted,leased,running,completed";
    let mut all = Stream::open(api, path, None).await;
    let id = api.submit(task("c")).await;
    let lease = api.lease(&id).await;
    let path = format!("/llm-tasks/{id}/events");
    let mut own = Stream::open(api, &path, None).await;
    assert_eq!(own.next().await.kind, "submitted");
    assert_eq!(own.next().await.kind, "leased");
    let beat = json!({ "lease_id": lease });
    api.post(&format!("/llm-tasks/{id}/heartbeat"), beat).await;
    let done = json!({ "lease_id": lease, "status": "success", "output": "o" });
    assert_eq!(api.complete(&id, done).await.status, 200);
    assert_eq!(own.next().await.kind, "running");
    let last = own.next().await;
    assert_eq!(last.kind, "completed");
    assert_eq!(last.data["cursor"], last.id.as_str());
    for (member, value) in [
        ("action", json!("completed")),
        ("entity_type", json!("llm_task")),
        ("entity_id", json!(id)),
        ("task_id", json!(id)),
        ("ver", json!(4)),
        ("queue", json!("default")),
        ("worker_id", json!("w")),
        ("prior", json!("running")),
        ("status", json!("completed")),
    ] {
        assert_eq!(last.data[member], value, "{member}: {}", last.data);
    }
    // The common stream tells the same, with the same cursors.
    let told = all.until(|told| told.kind == "completed").await;
    assert_eq!(
        actions(&told),
        ["submitted", "leased", "running", "completed"]
    );
    assert_eq!(told[3].id, last.id);
    // From a cursor on.
    let mut rest = Stream::open(api, &path, Some(&told[1].id)).await;
    assert_eq!(rest.next().await.kind, "running");
    assert_eq!(rest.next().await.kind, "completed");
    // The list is still there for who asks for JSON.
    let listed = api.get(&path).await;
    assert_eq!(listed.items().len(), 4);
    assert_eq!(listed.items()[3]["id"], last.id.as_str());
    // A requeued task goes on in the same stream.
    let other = api.submit(task("c")).await;
    let path = format!("/llm-tasks/{other}");
    let mut own = Stream::open(api, &format!("{path}/events"), None).await;
    api.post(&format!("{path}/cancel"), json!({})).await;
    api.post(&format!("{path}/requeue"), json!({})).await;
    let told = own.until(|told| told.kind == "requeued").await;
    assert_eq!(actions(&told), ["submitted", "cancelled", "requeued"]);
}

#[tokio::test]
async fn filters_narrow_a_stream() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let mut a = Stream::open(api, "/events?queue=a,none", None).await;
    let mut steering = Stream::open(api, "/events?type=queue_*,worker_registered", None).await;
    let mut worker = Stream::open(api, "/events?worker=w", None).await;
    let in_queue = |queue: &str| {
        let mut body = task("c");
        body["queue"] = json!(queue);
        body
    };
    let first = api.submit(in_queue("a")).await;
    let second = api.submit(in_queue("b")).await;
    let mut one = Stream::open(api, &format!("/events?task={second}"), None).await;
    api.register("w", 4).await;
    api.post("/queues/a/pause", json!({})).await;
    api.lease(&second).await;
    api.post(&format!("/llm-tasks/{first}/cancel"), json!({}))
        .await;
    let told = a.until(|told| told.kind == "cancelled").await;
    assert_eq!(actions(&told), ["submitted", "queue_paused", "cancelled"]);
    assert_eq!(told[1].data["entity_type"], "queue");
    assert_eq!(told[1].data["entity_id"], "a");
    let told = steering.until(|told| told.kind == "queue_paused").await;
    assert_eq!(actions(&told), ["worker_registered", "queue_paused"]);
    let told = worker.until(|told| told.kind == "leased").await;
    assert_eq!(actions(&told), ["worker_registered", "leased"]);
    assert_eq!(one.next().await.data["task_id"], second.as_str());
    for query in ["task=x", "after=x", "type=a&type=b"] {
        let reply = api.get(&format!("/events?{query}")).await;
        assert_eq!(reply.status, 400, "{query}: {reply:?}");
    }
    let missing = format!("/llm-tasks/{}/events", uuid::Uuid::new_v4());
    let request = api.request(reqwest::Method::GET, &missing);
    let reply = api
        .send(request.header("accept", "text/event-stream"))
        .await;
    assert_eq!(
        (reply.status, &reply.body["code"]),
        (404, &json!("task_not_found"))
    );
}

#[tokio::test]
async fn streams_are_bounded_in_number_and_pass_through_nginx() {
    let runtime = Runtime::behind_nginx_with(|options| options.events.max_streams = 1).await;
    let api = &runtime.api;
    let mut only = Stream::open(api, "/events", None).await;
    let refused = api.get("/events").await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (503, &json!("too_many_streams"))
    );
    let id = api.submit(task("c")).await;
    assert_eq!(only.next().await.data["task_id"], id.as_str());
    drop(only);
    eventually("the seat is free again", async || {
        let response = api
            .request(reqwest::Method::GET, "/events")
            .send()
            .await
            .unwrap();
        (response.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_quiet_stream_pings_and_tells_how_far_it_is() {
    let runtime =
        Runtime::start_with(|options| options.events.ping = Duration::from_millis(100)).await;
    let api = &runtime.api;
    let mut quiet = Stream::open(api, "/events?type=dead", None).await;
    let mut all = Stream::open(api, "/events", None).await;
    let beginning = quiet.cursor.clone().expect("it begins with its place");
    api.submit(task("c")).await;
    let submitted = all.next().await;
    while quiet.cursor.as_deref() < Some(&submitted.id) {
        quiet.quiet().await;
    }
    assert!(quiet.cursor > Some(beginning));
    assert!(quiet.comments.contains(&"ping".to_owned()));
}

#[tokio::test]
async fn a_stream_ends_after_a_while_and_goes_on_with_its_cursor() {
    let runtime = Runtime::start_with(|options| options.events.lifetime = Duration::ZERO).await;
    let api = &runtime.api;
    let mut stream = Stream::open(api, "/events", None).await;
    let id = api.submit(task("c")).await;
    let mut cursor = None;
    let told = loop {
        if let Some(told) = stream.piece().await {
            break told;
        }
        cursor = stream.cursor.clone().or(cursor);
        stream = Stream::open(api, "/events", cursor.as_deref()).await;
    };
    assert_eq!(told.data["task_id"], id.as_str());
}

#[tokio::test]
async fn cursors_that_lead_nowhere_are_refused() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let admin = runtime.db().connect().await;
    let mut stream = Stream::open(api, "/events", None).await;
    api.submit(task("c")).await;
    let old = stream.next().await.id;
    api.submit(task("c")).await;
    stream.next().await;
    run(
        &admin,
        "update bloom_private.log_cursor c set (xid, seq) = (select xid, seq
           from bloom_private.event order by xid desc, seq desc limit 1)
          where name = 'event_dropped'",
    )
    .await;
    let foreign = bloom_runtime::events::cursor((1 << 50, 1)).to_string();
    for cursor in [old, foreign] {
        let reply = api.get(&format!("/events?after={cursor}")).await;
        assert_eq!(
            (reply.status, &reply.body["code"]),
            (409, &json!("cursor_expired"))
        );
    }
    let request = api.request(reqwest::Method::GET, "/events");
    let reply = api.send(request.header("last-event-id", "7")).await;
    assert_eq!(
        (reply.status, &reply.body["code"]),
        (400, &json!("invalid_cursor"))
    );
}

#[tokio::test]
async fn while_nobody_listens_the_log_is_not_asked() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    let admin = runtime.db().connect().await;
    let calls = "select coalesce(sum(calls), 0) from pg_stat_user_functions
                  where funcname = 'audit_read'";
    let track = format!(
        "alter database {} set track_functions = 'all'",
        runtime.db().name()
    );
    run(&admin, &track).await;
    // Connections of the pool that stood before do not count.
    let end = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity
          where datname = '{}' and pid <> pg_backend_pid()",
        runtime.db().name()
    );
    run(&admin, &end).await;
    let count = async || one(&admin, calls).await.parse::<i64>().unwrap();
    for _ in 0..3 {
        eventually("it answers", async || {
            let reply = api.post("/llm-tasks", task("c")).await;
            (reply.status == 201).then_some(())
        })
        .await;
    }
    assert_eq!(count().await, 0);
    let stream = eventually("it streams", async || {
        Stream::try_open(api, "/events", None).await.ok()
    })
    .await;
    eventually("it is asked while somebody listens", async || {
        (count().await > 3).then_some(())
    })
    .await;
    drop(stream);
    let last = Cell::new(-1);
    eventually("it is asked no more", async || {
        // Longer than from one poll to the next, and than statistics take to be told.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let now = count().await;
        (last.replace(now) == now).then_some(())
    })
    .await;
}

#[tokio::test]
async fn open_streams_do_not_hold_up_the_end() {
    let scratch = Scratch::new();
    let db = crate::pg::TestDb::new().await;
    let url = db.url();
    let mut service = Process::serve(&scratch, &["--database-url", &url, "--drain-seconds", "60"]);
    let mut all = Stream::open(&service.api, "/events", None).await;
    let id = service.api.submit(task("c")).await;
    assert_eq!(all.next().await.data["task_id"], id.as_str());
    let path = format!("/llm-tasks/{id}/events");
    let mut own = Stream::open(&service.api, &path, None).await;
    assert_eq!(own.next().await.kind, "submitted");
    service.signal(Signal::TERM);
    assert!(all.piece().await.is_none() && own.piece().await.is_none());
    assert_eq!(
        all.comments.last().map(String::as_str),
        Some("the service stops")
    );
    // Far less than the drain time.
    assert_eq!(service.ended(DEADLINE).await, Some(0));
}
