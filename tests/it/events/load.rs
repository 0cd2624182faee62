//! Streams under load: kills of the service, reconnects, and readers that take nothing.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use super::kit::Stream;
use crate::pg::TestDb;
use crate::runtime::process::{Process, Scratch};
use crate::runtime::{KEY, Runtime, eventually};
use crate::sql_kit::{column, one, run, submit};

/// Connections that write while the service dies.
const WRITERS: usize = 4;
/// Deaths of the service.
const KILLS: usize = 3;
/// Events to see before each death.
const SEEN: usize = 60;

/// Submits in transactions that stay open a while, and are rolled back now and then.
async fn write(db: Arc<TestDb>, name: usize, stop: Arc<AtomicBool>) {
    let client = db.connect().await;
    let random = fastrand::Rng::with_seed(name as u64);
    let mut random = random;
    while !stop.load(Ordering::Relaxed) {
        run(&client, "begin").await;
        for n in 0..random.usize(1..5) {
            let task = submit(&client, &format!("c{name}-{n}"), "{}").await;
            if random.bool() {
                run(&client, &format!("select bloom.task_cancel('{task}')")).await;
            }
            tokio::time::sleep(Duration::from_millis(random.u64(0..20))).await;
        }
        let end = if random.u8(0..5) == 0 {
            "rollback"
        } else {
            "commit"
        };
        run(&client, end).await;
    }
}

#[tokio::test]
async fn a_reader_that_comes_back_after_deaths_of_the_service_misses_nothing() {
    let db = Arc::new(TestDb::new().await);
    let (scratch, url) = (Scratch::new(), db.url());
    let start = || Process::serve(&scratch, &["--database-url", &url]);
    let mut service = start();
    let mut cursor = {
        let stream = Stream::open(&service.api, "/events?type=submitted,cancelled", None).await;
        stream.cursor.expect("its place")
    };
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|name| tokio::spawn(write(Arc::clone(&db), name, Arc::clone(&stop))))
        .collect();
    let mut told = Vec::new();
    for _ in 0..KILLS {
        let path = "/events?type=submitted,cancelled";
        let mut stream = Stream::open(&service.api, path, Some(&cursor)).await;
        for _ in 0..SEEN {
            let event = stream.next().await;
            cursor.clone_from(&event.id);
            told.push(event);
        }
        service.kill();
        service = start();
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let client = db.connect().await;
    let end = submit(&client, "end", "{}").await;
    let path = "/events?type=submitted,cancelled";
    let mut stream = Stream::open(&service.api, path, Some(&cursor)).await;
    told.extend(
        stream
            .until(|told| told.data["task_id"] == end.as_str())
            .await,
    );

    let ids: Vec<_> = told.iter().map(|told| told.id.clone()).collect();
    assert!(ids.is_sorted(), "in the order of the log");
    let once: BTreeSet<_> = ids.iter().collect();
    assert_eq!(once.len(), ids.len(), "nothing twice");
    let sql = "select task_id || '/' || ver from bloom_private.event
                where cause in ('submitted', 'cancelled') order by 1";
    let wanted = column(&client, sql).await;
    let mut found: Vec<_> = told
        .iter()
        .map(|told| {
            format!(
                "{}/{}",
                told.data["task_id"].as_str().unwrap(),
                told.data["ver"]
            )
        })
        .collect();
    found.sort();
    assert_eq!(found, wanted, "nothing is missing");
    let mut last = HashMap::new();
    for event in &told {
        let (task, ver) = (
            event.data["task_id"].clone(),
            event.data["ver"].as_i64().unwrap(),
        );
        let before = last.insert(task.to_string(), ver).unwrap_or(0);
        assert_eq!(before + 1, ver, "each task in its order: {task}");
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_dropped_and_the_others_go_on() {
    const ROUNDS: usize = 24;
    const TASKS: usize = 1000;
    let runtime = Runtime::start_with(|options| {
        options.events.max_streams = 2;
        options.server.write_timeout = Duration::from_millis(500);
    })
    .await;
    let api = &runtime.api;
    let address: SocketAddr = api.base.strip_prefix("http://").unwrap().parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = socket.connect(address).await.unwrap();
    let request =
        format!("GET /api/runtime/events HTTP/1.1\r\nhost: x\r\nx-runtime-api-key: {KEY}\r\n\r\n");
    slow.write_all(request.as_bytes()).await.unwrap();
    slow.readable().await.unwrap();
    let mut quick = Stream::open(api, "/events", None).await;
    assert!(
        Stream::try_open(api, "/events", None).await.is_err(),
        "all seats are taken"
    );
    let client = runtime.db().connect().await;
    let writer = async {
        for _ in 0..ROUNDS {
            let sql = format!(
                "select count(*) from bloom.task_submit_many((select jsonb_agg(jsonb_build_object(
                     'context_id', 'c' || n, 'agent_slug', 'a', 'prompt', 'p'))
                   from generate_series(1, {TASKS}) n))"
            );
            one(&client, &sql).await;
        }
    };
    let reader = async {
        for _ in 0..ROUNDS * TASKS {
            assert_eq!(quick.next().await.kind, "submitted");
        }
    };
    tokio::join!(writer, reader);
    eventually("the slow one is gone", async || {
        Stream::try_open(api, "/events", None).await.ok().map(drop)
    })
    .await;
    drop(slow);
}
