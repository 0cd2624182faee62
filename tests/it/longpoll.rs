//! Workers that wait for work: woken at once, by whatever makes a task ready, and only as many as
//! there is work.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::metrics::until;
use crate::pg::TestDb;
use crate::runtime::{Api, KEY, Reply, Runtime, eventually, options, task};

/// What "at once" means here: far below the poll's interval, far above a busy machine's hiccups.
const AT_ONCE: Duration = Duration::from_millis(900);
/// The poll's interval at most, and a hiccup.
const POLL: Duration = Duration::from_secs(3);

/// A request that waits.
fn waiting(api: &Api, worker: &str) -> tokio::task::JoinHandle<(Reply, Instant)> {
    let (api, worker) = (api.clone(), worker.to_owned());
    tokio::spawn(async move { (api.pull(&worker, 20).await, Instant::now()) })
}

/// Waits until so many requests wait in a service, and others know that it has some.
async fn settled(runtime: &Runtime, waiters: u32) {
    until(&runtime.api, "bloom_waiters", f64::from(waiters)).await;
    told(&runtime.db().connect().await).await;
}

/// Waits until a service has told the others that it has waiters.
async fn told(client: &tokio_postgres::Client) {
    let sql = "select count(*) from bloom_private.waiting where until > clock_timestamp()";
    eventually("it says so", || async {
        let count: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
        (count > 0).then_some(())
    })
    .await;
}

/// The waiting request gets exactly this task, this soon after `since`.
async fn assert_gets(
    request: tokio::task::JoinHandle<(Reply, Instant)>,
    task: &str,
    since: Instant,
    limit: Duration,
) {
    let (reply, at) = request.await.unwrap();
    let leases = reply.leases();
    assert_eq!(leases.len(), 1, "{reply:?}");
    assert_eq!(leases[0]["task"]["id"], task);
    let took = at - since;
    assert!(took < limit, "it took {took:?}");
}

#[tokio::test]
async fn a_submission_over_http_answers_a_waiting_request_at_once() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 2).await;
    let request = waiting(api, "w");
    settled(&runtime, 1).await;
    let since = Instant::now();
    let id = api.submit(task("c")).await;
    assert_gets(request, &id, since, AT_ONCE).await;

    let request = waiting(api, "w");
    settled(&runtime, 1).await;
    let since = Instant::now();
    let batch = api
        .post("/llm-tasks/batch", json!({ "tasks": [task("d")] }))
        .await;
    assert_gets(
        request,
        batch.body["tasks"][0]["id"].as_str().unwrap(),
        since,
        AT_ONCE,
    )
    .await;
}

#[tokio::test]
async fn a_submission_through_sql_answers_a_waiting_request_at_once() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 2).await;
    let producer = runtime.db().connect_as("bloom_producer").await;
    let request = waiting(api, "w");
    settled(&runtime, 1).await;
    let since = Instant::now();
    let row = producer
        .query_one("select bloom.task_submit('c', 'a', 'p')", &[])
        .await
        .unwrap();
    assert_gets(request, &row.get::<_, Uuid>(0).to_string(), since, AT_ONCE).await;
}

#[tokio::test]
async fn a_submission_before_others_know_of_the_waiter_is_found_at_once() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 2).await;
    let producer = runtime.db().connect_as("bloom_producer").await;
    let request = waiting(api, "w");
    // It has had its first look, and the service has hardly had the time to say that it waits.
    sleep(Duration::from_millis(40)).await;
    let since = Instant::now();
    let row = producer
        .query_one("select bloom.task_submit('c', 'a', 'p')", &[])
        .await
        .unwrap();
    assert_gets(request, &row.get::<_, Uuid>(0).to_string(), since, AT_ONCE).await;
}

#[tokio::test]
async fn a_task_of_a_busy_context_wakes_the_worker_that_has_the_context() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    for worker in ["first", "second", "sticky"] {
        api.register(worker, 4).await;
    }
    let running = api.submit(task("chat")).await;
    let path = format!("/llm-tasks/{running}/lease");
    let leased = api.post(&path, json!({ "worker_id": "sticky" })).await;
    assert_eq!(leased.status, 201, "{leased:?}");
    let others: Vec<_> = ["first", "second"]
        .map(|worker| waiting(api, worker))
        .into();
    settled(&runtime, 2).await;
    let sticky = waiting(api, "sticky");
    settled(&runtime, 3).await;
    let since = Instant::now();
    let id = api.submit(task("chat")).await;
    assert_gets(sticky, &id, since, AT_ONCE).await;
    assert!(others.iter().all(|other| !other.is_finished()));
    others.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_submission_to_another_service_answers_a_waiting_request_at_once() {
    let runtime = Runtime::start().await;
    let other = Runtime::with_options(options(runtime.db().endpoint())).await;
    let api = &runtime.api;
    api.register("w", 2).await;
    let request = waiting(api, "w");
    settled(&runtime, 1).await;
    let since = Instant::now();
    let id = other.api.submit(task("c")).await;
    assert_gets(request, &id, since, AT_ONCE).await;
}

#[tokio::test]
async fn a_task_that_comes_back_answers_a_waiting_request_at_once() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 9).await;
    let id = api.submit(task("c")).await;

    // Released.
    let lease = api.lease(&id).await;
    let request = waiting(api, "w");
    settled(&runtime, 1).await;
    let since = Instant::now();
    api.post(
        &format!("/llm-tasks/{id}/release"),
        json!({ "lease_id": lease }),
    )
    .await;
    assert_gets(request, &id, since, AT_ONCE).await;

    // Requeued.
    let report = json!({ "status": "error", "retryable": false });
    assert_eq!(api.complete(&id, report).await.status, 200);
    let request = waiting(api, "w");
    settled(&runtime, 1).await;
    let since = Instant::now();
    api.post_empty(&format!("/llm-tasks/{id}/requeue")).await;
    assert_gets(request, &id, since, AT_ONCE).await;

    // Its worker was removed.
    let request = waiting(api, "other");
    api.register("other", 1).await;
    let request = if request.is_finished() {
        waiting(api, "other")
    } else {
        request
    };
    drop(request.await);
    let request = waiting(api, "other");
    settled(&runtime, 1).await;
    let since = Instant::now();
    api.delete("/workers/w").await;
    assert_gets(request, &id, since, AT_ONCE).await;
}

#[tokio::test]
async fn a_retry_that_falls_due_answers_a_waiting_request() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 9).await;
    let mut body = task("c");
    body["policy"] = json!({ "backoff_base_sec": 1, "backoff_cap_sec": 1 });
    let id = api.submit(body).await;
    api.lease(&id).await;
    let request = waiting(api, "w");
    settled(&runtime, 1).await;
    let since = Instant::now();
    api.complete(&id, json!({ "status": "error" })).await;
    // At most a second of backoff, and the promoter's interval.
    assert_gets(request, &id, since, Duration::from_millis(1600) + AT_ONCE).await;
}

#[tokio::test]
async fn a_resumed_queue_answers_waiting_requests() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 9).await;
    api.post_empty("/queues/default/pause").await;
    let id = api.submit(task("c")).await;
    let request = waiting(api, "w");
    settled(&runtime, 1).await;
    let since = Instant::now();
    api.post_empty("/queues/default/resume").await;
    // Everybody may have something to do then, so they look spread over a second.
    assert_gets(request, &id, since, Duration::from_secs(1) + AT_ONCE).await;
}

#[tokio::test]
async fn as_many_waiters_wake_as_there_is_work() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let track = format!("alter database {} set track_functions = 'all'", db.name());
    client.batch_execute(&track).await.unwrap();
    let mut runtime = Runtime::with_options(options(db.endpoint())).await;
    let api = runtime.api.clone();
    let listening = "select count(*) from pg_stat_activity
                      where datname = current_database() and query ~* '^(listen|notify) '";
    eventually("the service listens", || async {
        (client
            .query_one(listening, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            == 1)
            .then_some(())
    })
    .await;
    for worker in ["w", "x"] {
        api.register(worker, 32).await;
    }
    let requests: Vec<_> = (0..50).map(|n| waiting(&api, ["w", "x"][n % 2])).collect();
    until(&api, "bloom_waiters", 50.0).await;
    told(&client).await;
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(api.submit(task(&format!("c{number}"))).await);
    }
    let (mut got, mut empty) = (Vec::new(), 0);
    eventually("20 are answered", || async {
        let finished = requests
            .iter()
            .filter(|request| request.is_finished())
            .count();
        assert!(finished <= 20);
        (finished == 20).then_some(())
    })
    .await;
    // Through a poll or two.
    sleep(Duration::from_secs(2)).await;
    runtime.shutdown.request();
    for reply in join_all(requests).await {
        match reply.unwrap().0.leases() {
            [] => empty += 1,
            [grant] => got.push(grant["task"]["id"].as_str().unwrap().to_owned()),
            many => panic!("asked for one: {many:?}"),
        }
    }
    runtime.ended().await;
    got.sort();
    ids.sort();
    assert_eq!((got, empty), (ids, 30), "every task once");
    // Once for each request. Sessions report what they counted when they end.
    let looks = eventually("the service's sessions are gone", || async {
        let sql = "select (select count(*) from pg_stat_activity
                            where datname = current_database() and pid <> pg_backend_pid()),
                          (select coalesce(sum(calls), 0)::bigint from pg_stat_user_functions
                            where funcname = 'lease_request_error')";
        let row = client.query_one(sql, &[]).await.unwrap();
        (row.get::<_, i64>(0) == 0).then(|| row.get::<_, i64>(1))
    })
    .await;
    assert!(
        (70..=76).contains(&looks),
        "{looks} looks of 50 waiters at 20 tasks"
    );
}

#[tokio::test]
async fn waiters_that_cannot_take_a_task_do_not_keep_it_from_others() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    // Full: its only slot is taken, and its request came first.
    api.register("full", 1).await;
    let running = api.submit(task("r")).await;
    api.lease(&running).await;
    let full = waiting(api, "full");
    settled(&runtime, 1).await;
    api.register("free", 1).await;
    let free = waiting(api, "free");
    settled(&runtime, 2).await;
    let since = Instant::now();
    let id = api.submit(task("c")).await;
    assert_gets(free, &id, since, AT_ONCE).await;
    // Once its slot is free, the first one is served at once, too.
    let next = api.submit(task("d")).await;
    let since = Instant::now();
    api.complete(&running, json!({ "status": "success" })).await;
    assert_gets(full, &next, since, AT_ONCE).await;
}

#[tokio::test]
async fn waiters_hear_only_of_what_they_may_take() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("plain", 1).await;
    let body = json!({ "name": "gpu", "capabilities": { "labels": ["gpu"] } });
    api.post("/workers", body).await;
    let plain = waiting(api, "plain");
    settled(&runtime, 1).await;
    let gpu = waiting(api, "gpu");
    settled(&runtime, 2).await;
    let mut body = task("c");
    body["requires"] = json!(["gpu"]);
    let since = Instant::now();
    let id = api.submit(body).await;
    assert_gets(gpu, &id, since, AT_ONCE).await;
    assert!(!plain.is_finished());
    plain.abort();
}

#[tokio::test]
async fn losing_the_listening_connection_costs_the_poll_interval_at_most() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 9).await;
    let client = runtime.db().connect().await;
    let producer = runtime.db().connect_as("bloom_producer").await;
    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                 where datname = current_database() and query ~* '^(listen|notify) '";
    for _ in 0..3 {
        let request = waiting(api, "w");
        settled(&runtime, 1).await;
        let killed: i64 = client.query_one(kill, &[]).await.unwrap().get(0);
        assert!(killed <= 1, "one such connection a process");
        let since = Instant::now();
        let row = producer
            .query_one("select bloom.task_submit('c', 'a', 'p')", &[])
            .await
            .unwrap();
        assert_gets(request, &row.get::<_, Uuid>(0).to_string(), since, POLL).await;
    }
}

#[tokio::test]
async fn a_waiting_client_that_goes_away_loses_nothing() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 9).await;
    let mut gone: Vec<_> = (0..5).map(|_| waiting(api, "w")).collect();
    settled(&runtime, 5).await;
    let stays = waiting(api, "w");
    settled(&runtime, 6).await;
    for request in gone.drain(..) {
        request.abort();
    }
    let since = Instant::now();
    let id = api.submit(task("c")).await;
    assert_gets(stays, &id, since, POLL).await;
    assert_eq!(api.task(&id).await["attempts"], 1);
}

#[tokio::test]
async fn the_same_request_again_returns_the_same_leases() {
    let runtime = Runtime::start().await;
    let api = &runtime.api;
    api.register("w", 9).await;
    for number in 0..6 {
        api.submit(task(&format!("c{number}"))).await;
    }
    let ask = |most: u32| {
        json!({
            "worker_id": "w", "session_id": Uuid::new_v4(), "request_id": Uuid::new_v4(),
            "max_tasks": most,
        })
    };
    let first = ask(2);
    let leases = api.post("/leases", first.clone()).await;
    assert_eq!(leases.leases().len(), 2);
    let again = api.post("/leases", first).await;
    assert_eq!(again.body, leases.body);
    // Also when the repetition overtakes the first answer.
    let racing = ask(1);
    let replies = join_all((0..8).map(|_| api.post("/leases", racing.clone()))).await;
    let first: &Value = &replies[0].leases()[0]["lease"]["id"];
    for reply in &replies {
        assert_eq!(reply.leases().len(), 1, "{reply:?}");
        assert_eq!(reply.leases()[0]["lease"]["id"], *first);
    }
    assert_eq!(api.get("/workers/w").await.body["active_leases"], 3);
}

#[tokio::test]
async fn a_service_that_stops_answers_its_waiters_and_leases_nothing_more() {
    let mut runtime = Runtime::start().await;
    let api = runtime.api.clone();
    api.register("w", 9).await;
    let requests: Vec<_> = (0..5).map(|_| waiting(&api, "w")).collect();
    settled(&runtime, 5).await;
    // A connection that is open already, as a worker's is.
    let since = Instant::now();
    runtime.shutdown.request();
    for request in requests {
        let (reply, at) = request.await.unwrap();
        assert_eq!(reply.leases(), [] as [Value; 0]);
        assert!(at - since < AT_ONCE, "it took {:?}", at - since);
    }
    runtime.ended().await;
}

#[tokio::test]
async fn a_request_that_arrives_while_the_service_stops_gets_no_lease() {
    let mut runtime = Runtime::start().await;
    let api = runtime.api.clone();
    api.register("w", 9).await;
    let id = api.submit(task("c")).await;
    let body = json!({ "worker_id": "w", "session_id": Uuid::new_v4() }).to_string();
    let address = api.base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/runtime/leases HTTP/1.1\r\nhost: localhost\r\nx-runtime-api-key: {KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The service has the head once it tells others of it: it waits for the body now.
    sleep(Duration::from_millis(300)).await;
    runtime.shutdown.request();
    sleep(Duration::from_millis(100)).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("retry-after: 1"), "{answer}");
    assert!(answer.contains("The service is shutting down"), "{answer}");
    runtime.ended().await;
    let sql = "select count(*) from bloom_private.ready where task_id = $1::text::uuid";
    let client = runtime.db().connect().await;
    assert_eq!(
        client
            .query_one(sql, &[&id])
            .await
            .unwrap()
            .get::<_, i64>(0),
        1
    );
}

#[tokio::test]
async fn more_waiters_than_the_limit_are_told_to_come_back_unless_there_is_work() {
    let runtime = Runtime::start_with(|options| options.max_waiters = 2).await;
    let api = &runtime.api;
    api.register("w", 9).await;
    let held: Vec<_> = (0..2).map(|_| waiting(api, "w")).collect();
    settled(&runtime, 2).await;
    let reply = api.pull("w", 20).await;
    assert_eq!(
        (reply.status, &reply.body["code"]),
        (503, &json!("too_many_waiters")),
        "{reply:?}"
    );
    assert!(reply.header("retry-after").is_some());
    // Who does not wait is served all the same.
    assert_eq!(api.pull("w", 0).await.leases(), [] as [Value; 0]);
    held.iter().for_each(tokio::task::JoinHandle::abort);
    eventually("their places are free", || async {
        (api.pull("w", 1).await.status == 200).then_some(())
    })
    .await;
}
