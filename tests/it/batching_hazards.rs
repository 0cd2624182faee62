//! What callers may count on when their batch is interrupted: one of them hangs up before the
//! flight leaves, one hangs up while it is out, or its connection to Postgres is cut.
//!
//! A call that finds nothing under way leaves alone, so a flight of several has to be arranged:
//! leaders wait for rows that the test holds, the others queue up behind them and travel together
//! as soon as those are let go. One of them needs another row that the test holds: there the whole
//! flight stands still for as long as the test likes.
//!
//! Service and test share one thread (no `multi_thread` here): see [`until_read`].

use std::time::Duration;

use bloom_runtime::db::listen::{Event, Listener, Options};
use bloom_runtime::shutdown::Shutdown;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::batching_leases::leaked;
use crate::http_toy::{Answer, Raw};
use crate::pg::TestDb;
use crate::runtime::{Api, DEADLINE, KEY, Reply, Runtime, eventually, task};
use crate::sql_kit::{self, column, one, run};

/// A request: its path and its body.
pub type Ask = (String, Value);

/// The backends that wait for a lock of the session that asks. Without a look at
/// `pg_stat_activity`, which stays the same throughout a transaction.
const STOPPED: &str = "select distinct pid from pg_locks
     where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))";

/// Longer than any test holds a row: calls that wait must not give up by themselves.
const PATIENCE: Duration = Duration::from_secs(100);

/// More turns than a request takes from its last byte to its place in the queue.
const TURNS: usize = 100;

/// A service that waits for locks until the test lets them go, and for connections as long as a
/// busy machine may take. It serves already, with a connection for either kind of call: making one
/// takes its time there, too.
pub async fn patient() -> Runtime {
    let runtime = Runtime::start_with(|options| {
        options.pools.lock_timeout = PATIENCE;
        options.pools.statement_timeout = PATIENCE;
        options.pools.checkout_wait = PATIENCE;
    })
    .await;
    let beat = json!({ "session_id": Uuid::new_v4(), "leases": [] });
    eventually("it serves", async || {
        let listed = runtime.api.get("/workers").await;
        let beaten = runtime.api.post("/workers/nobody/beat", beat.clone()).await;
        (listed.status == 200 && beaten.status == 404).then_some(())
    })
    .await;
    runtime
}

/// An open transaction of the test's own.
struct Hold(Client);

impl Hold {
    async fn of(db: &TestDb, sql: &str) -> Self {
        let client = db.connect().await;
        run(&client, &format!("begin; {sql}")).await;
        Self(client)
    }

    /// Waits until so many backends stand still because of it.
    async fn until_stopped(&self, backends: usize) {
        let sql = format!("select count(*) >= {backends} from ({STOPPED}) s");
        sql_kit::eventually(&self.0, &sql, "t").await;
    }

    /// Cuts their connections, and waits until they are gone.
    async fn cut(&self) {
        let sql = format!("select count(pg_terminate_backend(pid)) from ({STOPPED}) s");
        sql_kit::eventually(&self.0, &sql, "0").await;
    }

    async fn end(&self) {
        run(&self.0, "rollback").await;
    }
}

/// Calls of one kind on their way to Postgres.
pub struct Crowd<'r> {
    api: &'r Api,
    kind: &'static str,
    first: Hold,
    second: Hold,
    leaders: Vec<Raw>,
    /// Without those who hung up.
    callers: Vec<Option<Raw>>,
}

impl<'r> Crowd<'r> {
    /// Sends the leaders, each of which waits for what the first statement of `holds` locks, and
    /// then the others, who queue up. One of them will need what the second statement locks.
    pub async fn gather(
        runtime: &'r Runtime,
        kind: &'static str,
        holds: [&str; 2],
        leaders: &[Ask],
        callers: &[Ask],
    ) -> Self {
        let mut crowd = Self {
            api: &runtime.api,
            kind,
            first: Hold::of(runtime.db(), holds[0]).await,
            second: Hold::of(runtime.db(), holds[1]).await,
            leaders: Vec::new(),
            callers: Vec::new(),
        };
        for (at, ask) in leaders.iter().enumerate() {
            crowd.leaders.push(send(crowd.api, ask).await);
            crowd.first.until_stopped(at + 1).await;
        }
        for ask in callers {
            crowd.callers.push(Some(send(crowd.api, ask).await));
        }
        until_read(crowd.api).await;
        crowd
    }

    /// One of the callers goes away. The service knows of it when this returns.
    pub async fn hang_up(&mut self, at: usize) {
        drop(self.callers[at].take().expect("is still there"));
        let gone = self.callers.iter().filter(|caller| caller.is_none());
        let gone = gone.count();
        eventually("the service notices", async || {
            (clients_gone(self.api).await == gone).then_some(())
        })
        .await;
    }

    /// Lets the leaders go. All callers who are there travel together, until they stand still.
    pub async fn depart(&mut self) {
        let before = flown(self.api, self.kind).await;
        self.first.end().await;
        for leader in &mut self.leaders {
            let answer = leader.answer().await;
            assert!(answer.status < 300, "{answer:?}");
        }
        self.second.until_stopped(1).await;
        let after = flown(self.api, self.kind).await;
        let staying = self.callers.iter().flatten().count();
        assert!(staying > 1, "a call alone is no batch");
        let flights = [after[0] - before[0], after[1] - before[1]];
        assert_eq!(flights, [1, staying], "one flight with all of them");
    }

    /// Lets the flight go on: the answers of those who stayed, in order.
    pub async fn land(self) -> Vec<Answer> {
        self.second.end().await;
        let mut answers = Vec::new();
        for mut caller in self.callers.into_iter().flatten() {
            answers.push(caller.answer().await);
        }
        answers
    }

    /// Cuts the connection that the flight is on. Nobody can say then whether it was committed, and
    /// nobody is told so.
    pub async fn crash(self) {
        self.second.cut().await;
        for answer in self.land().await {
            assert_eq!(answer.status, 503, "{answer:?}");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
        }
    }
}

/// Sends a request on a connection of its own, and does not wait for the answer.
async fn send(api: &Api, (path, body): &Ask) -> Raw {
    let address = api.base.strip_prefix("http://").unwrap();
    let mut raw = Raw::connect(address.parse().unwrap()).await;
    let body = body.to_string();
    let request = format!(
        "POST /api/runtime{path} HTTP/1.1\r\nHost: localhost\r\nX-Runtime-API-Key: {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw.send(request.as_bytes()).await;
    raw
}

/// Waits until the calls that were sent are in the queue: the system keeps no byte of them any
/// more, so the service has read them; and since then everybody on this thread, who can go on
/// without new input, has had many turns.
async fn until_read(api: &Api) {
    let (_, port) = api.base.rsplit_once(':').unwrap();
    let port = format!(":{:04X}", port.parse::<u16>().unwrap());
    eventually("all is read", async || {
        // Twice: what was on its way between two lines of the first table stands in the second.
        (!is_under_way(&port) && !is_under_way(&port)).then_some(())
    })
    .await;
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

/// Whether a socket from or to the port holds something that was not acknowledged or not read.
fn is_under_way(port: &str) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().skip(1).any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_ours = fields[1].ends_with(port) || fields[2].ends_with(port);
        is_ours && fields[4] != "00000000:00000000"
    })
}

/// The samples of these series, as whole numbers.
async fn samples(api: &Api, is_wanted: impl Fn(&str) -> bool) -> Vec<usize> {
    let reply = api.get("//metrics").await;
    let lines = reply.text.lines().filter_map(|line| line.rsplit_once(' '));
    let wanted = lines.filter(|(series, _)| is_wanted(series));
    wanted
        .map(|(_, value)| {
            value
                .trim_end_matches(".0")
                .parse()
                .expect("a whole number")
        })
        .collect()
}

/// How many flights of a kind there were, and how many calls travelled in them.
async fn flown(api: &Api, kind: &str) -> [usize; 2] {
    let mut flown = [0, 0];
    for (what, flown) in ["count", "sum"].iter().zip(&mut flown) {
        let wanted = format!("bloom_batch_size_{what}{{kind=\"{kind}\"}}");
        *flown = samples(api, |series| series == wanted).await[0];
    }
    flown
}

/// How many clients went away before they were answered.
async fn clients_gone(api: &Api) -> usize {
    let is_gone = |series: &str| {
        series.starts_with("bloom_http_requests_total{") && series.contains("status=\"499\"")
    };
    samples(api, is_gone).await.iter().sum()
}

/// Asks again, as often as it is told to.
pub async fn again(api: &Api, (path, body): &Ask) -> Reply {
    eventually("it is answered", async || {
        let reply = api.post(path, body.clone()).await;
        (reply.status != 503).then_some(reply)
    })
    .await
}

/// A submission that waits for whoever has its idempotency key.
fn keyed(at: usize) -> Ask {
    let mut body = task(&format!("c{at}"));
    body["idempotency_key"] = json!(format!("key-{at}"));
    ("/llm-tasks".to_owned(), body)
}

const HELD_KEYS: [&str; 2] = [
    "insert into bloom_private.idempotency (key, task_id, digest, created_at)
     select 'key-' || n, gen_random_uuid(), ''::bytea, now() from unnest(array[0, 1]) n",
    "insert into bloom_private.idempotency (key, task_id, digest, created_at)
     values ('key-3', gen_random_uuid(), ''::bytea, now())",
];

/// A submission that waits for whoever makes its lane.
fn laned(at: usize) -> Ask {
    let mut body = task(&format!("c{at}"));
    body["priority"] = json!(at);
    ("/llm-tasks".to_owned(), body)
}

const HELD_LANES: [&str; 2] = [
    "insert into bloom_private.lane (queue, requires, priority, returned)
     select 'default', '{}'::text[], n, false from unnest(array[0, 1]) n",
    "insert into bloom_private.lane (queue, requires, priority, returned)
     values ('default', '{}'::text[], 3, false)",
];

/// The contexts of all tasks that were submitted here, once for each task.
async fn stored(client: &Client) -> String {
    let sql = "select context_id from bloom_private.task where context_id <> 'first' order by 1";
    column(client, sql).await.join(" ")
}

/// Seven submissions: the first two lead, since there are two flights for them.
async fn submissions_hang_up(kind: &'static str, holds: [&str; 2], asks: &[Ask]) -> Runtime {
    let runtime = patient().await;
    runtime.api.submit(task("first")).await;
    let mut crowd = Crowd::gather(&runtime, kind, holds, &asks[..2], &asks[2..]).await;
    crowd.hang_up(4).await;
    crowd.depart().await;
    crowd.hang_up(0).await;
    let answers = crowd.land().await;
    assert_eq!(answers.len(), 3);
    for (at, answer) in (3..).zip(answers) {
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.json()["context_id"], format!("c{at}"));
    }
    let client = runtime.db().connect().await;
    assert_eq!(stored(&client).await, "c0 c1 c2 c3 c4 c5");
    runtime
}

async fn submissions_crash(kind: &'static str, holds: [&str; 2], asks: &[Ask]) -> Runtime {
    let runtime = patient().await;
    runtime.api.submit(task("first")).await;
    let mut crowd = Crowd::gather(&runtime, kind, holds, &asks[..2], &asks[2..]).await;
    crowd.depart().await;
    crowd.crash().await;
    let client = runtime.db().connect().await;
    assert_eq!(stored(&client).await, "c0 c1");
    for ask in &asks[2..] {
        assert_eq!(again(&runtime.api, ask).await.status, 201);
    }
    assert_eq!(stored(&client).await, "c0 c1 c2 c3 c4 c5 c6");
    runtime
}

#[tokio::test]
async fn a_submission_whose_caller_hangs_up_is_stored_once_or_not_at_all() {
    let asks: Vec<_> = (0..7).map(laned).collect();
    submissions_hang_up("submit", HELD_LANES, &asks).await;
}

#[tokio::test]
async fn a_submission_with_a_key_whose_caller_hangs_up_is_the_same_when_repeated() {
    let asks: Vec<_> = (0..7).map(keyed).collect();
    let runtime = submissions_hang_up("tied", HELD_KEYS, &asks).await;
    for (ask, status) in asks[2..].iter().zip([200, 200, 200, 200, 201]) {
        assert_eq!(again(&runtime.api, ask).await.status, status, "{ask:?}");
    }
    let client = runtime.db().connect().await;
    assert_eq!(stored(&client).await, "c0 c1 c2 c3 c4 c5 c6");
}

#[tokio::test]
async fn submissions_whose_connection_breaks_in_mid_batch_may_be_repeated() {
    let asks: Vec<_> = (0..7).map(laned).collect();
    submissions_crash("submit", HELD_LANES, &asks).await;
}

#[tokio::test]
async fn submissions_with_keys_whose_connection_breaks_in_mid_batch_are_there_once() {
    let asks: Vec<_> = (0..7).map(keyed).collect();
    let runtime = submissions_crash("tied", HELD_KEYS, &asks).await;
    for ask in &asks {
        assert_eq!(again(&runtime.api, ask).await.status, 200, "{ask:?}");
    }
    let client = runtime.db().connect().await;
    assert_eq!(stored(&client).await, "c0 c1 c2 c3 c4 c5 c6");
}

const HELD_SLOTS: [&str; 2] = [
    "select from bloom_private.worker_slot where worker_id = 'w0' for update",
    "select from bloom_private.worker_slot where worker_id = 'w3' for update",
];

/// The workers that have a lease, once for each.
const LEASED: &str = "select worker_id from bloom_private.lease order by 1";

/// Six workers that each ask for one task; there are eight. Those with an odd number can ask again
/// for what they were given.
async fn hungry(api: &Api) -> Vec<Ask> {
    for at in 0..8 {
        api.submit(task(&format!("c{at}"))).await;
    }
    let mut asks = Vec::new();
    for at in 0..6 {
        let worker = format!("w{at}");
        api.register(&worker, 2).await;
        let mut body = json!({ "worker_id": worker, "session_id": Uuid::new_v4() });
        if at % 2 == 1 {
            body["request_id"] = json!(Uuid::new_v4());
        }
        asks.push(("/leases".to_owned(), body));
    }
    asks
}

#[tokio::test]
async fn leases_whose_worker_hangs_up_come_back_or_can_be_asked_for_again() {
    let runtime = patient().await;
    let api = &runtime.api;
    let asks = hungry(api).await;
    let mut crowd = Crowd::gather(&runtime, "lease", HELD_SLOTS, &asks[..1], &asks[1..]).await;
    crowd.hang_up(4).await;
    crowd.depart().await;
    crowd.hang_up(0).await;
    crowd.hang_up(1).await;
    let answers = crowd.land().await;
    assert_eq!(answers.len(), 2);
    for (worker, answer) in ["w3", "w4"].iter().zip(answers) {
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        assert_eq!(answer["leases"].as_array().map(Vec::len), Some(1));
        assert_eq!(answer["leases"][0]["lease"]["worker_id"], *worker);
    }
    let client = runtime.db().connect().await;
    // Only the worker without a request_id cannot come for its lease.
    let released = "select count(*) from bloom_private.event where cause = 'released'";
    sql_kit::eventually(&client, released, "1").await;
    assert_eq!(column(&client, LEASED).await, ["w0", "w1", "w3", "w4"]);
    assert_eq!(leaked(runtime.db()).await, "0");
    let kept = "select lease_id from bloom_private.lease where worker_id = 'w1'";
    let replayed = again(api, &asks[1]).await;
    assert_eq!(
        replayed.leases()[0]["lease"]["id"],
        one(&client, kept).await
    );
    for ask in [&asks[2], &asks[5]] {
        assert_eq!(again(api, ask).await.leases().len(), 1);
    }
    let attempts = "select count(*), max(attempts) from bloom_private.lease";
    let row = client.query_one(attempts, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i16>(1)), (6, 1));
    assert_eq!(one(&client, released).await, "1");
    assert_eq!(leaked(runtime.db()).await, "0");
}

#[tokio::test]
async fn leases_whose_connection_breaks_in_mid_batch_are_given_once() {
    let runtime = patient().await;
    let api = &runtime.api;
    let asks = hungry(api).await;
    let mut crowd = Crowd::gather(&runtime, "lease", HELD_SLOTS, &asks[..1], &asks[1..]).await;
    crowd.depart().await;
    crowd.crash().await;
    let client = runtime.db().connect().await;
    assert_eq!(column(&client, LEASED).await, ["w0"]);
    assert_eq!(leaked(runtime.db()).await, "0");
    for ask in &asks[1..] {
        let reply = again(api, ask).await;
        assert_eq!(reply.leases().len(), 1, "{reply:?}");
        if !ask.1["request_id"].is_null() {
            let replayed = again(api, ask).await;
            let id = &reply.leases()[0]["lease"]["id"];
            assert_eq!(&replayed.leases()[0]["lease"]["id"], id);
        }
    }
    let all = ["w0", "w1", "w2", "w3", "w4", "w5"];
    assert_eq!(column(&client, LEASED).await, all);
    let events = "select count(*) from bloom_private.event where cause in ('leased', 'released')";
    assert_eq!(one(&client, events).await, "6");
    assert_eq!(leaked(runtime.db()).await, "0");
}

/// Not of a batch, but of what its callers hear: submissions from SQL announce themselves, and a
/// notification that nobody waits for would only make all commits queue up for the one lock that
/// Postgres has for them.
#[tokio::test]
async fn a_submission_from_sql_notifies_only_while_a_service_waits() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let options = Options::new(vec!["bloom_ready".to_owned()]);
    let (listener, handle) = Listener::new(&db.endpoint(), options);
    let mut events = handle.subscribe();
    let shutdown = Shutdown::new();
    shutdown.spawn(listener.run(shutdown.clone()));
    let mut next = async || match timeout(DEADLINE, events.next()).await {
        Ok(Some(Event::Notified { payload, .. })) => serde_json::from_str(&payload).unwrap(),
        Ok(Some(Event::Resync)) => Value::Null,
        other => panic!("no event: {other:?}"),
    };
    assert_eq!(next().await, Value::Null);
    let mark = |seconds: u32| {
        let service = Uuid::from_u128(1);
        format!("select bloom.waiting_mark('{service}', {seconds})")
    };
    let ran_out = "update bloom_private.waiting set until = now() - interval '1 second'";
    for (change, is_waiting) in [
        (mark(0), false),
        (mark(600), true),
        (ran_out.to_owned(), false),
        (mark(600), true),
        (mark(0), false),
    ] {
        run(&client, &change).await;
        sql_kit::submit(&client, "c", "{}").await;
        // Notifications keep their order: what comes before this one is the submission's.
        run(&client, "select pg_notify('bloom_ready', '\"end\"')").await;
        if is_waiting {
            let told = json!({ "queue": "default", "requires": [], "tasks": 1 });
            assert_eq!(next().await, told, "{change}");
        }
        assert_eq!(next().await, json!("end"), "{change}");
    }
    shutdown.request();
    shutdown.finished().await;
}
