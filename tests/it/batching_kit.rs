//! Flights of several callers, arranged so that a test can stop them where it likes.
//!
//! A call that finds nothing under way leaves alone, so a flight of several has to be arranged:
//! leaders wait for rows that the test holds, the others queue up behind them and travel together
//! as soon as those are let go. One of them needs another row that the test holds: there the whole
//! flight stands still for as long as the test likes.
//!
//! Service and test share one thread (no `multi_thread` here): see [`until_read`].

use std::time::Duration;

use bloom_runtime::service::Options;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::batching_link::Link;
use crate::http_toy::{Answer, Raw};
use crate::pg::TestDb;
use crate::runtime::{Api, KEY, Reply, Runtime, eventually};
use crate::sql_kit::{self, column, run};

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
    patient_with(|_| ()).await
}

/// The same with a proxy before its database.
pub async fn linked() -> (Runtime, Link) {
    let mut link = None;
    let runtime = patient_with(|options| {
        let before = Link::before(&options.endpoint);
        options.endpoint = before.endpoint();
        link = Some(before);
    });
    (runtime.await, link.expect("was opened"))
}

/// The same with other options.
pub async fn patient_with(change: impl FnOnce(&mut Options)) -> Runtime {
    let runtime = Runtime::start_with(|options| {
        options.pools.lock_timeout = PATIENCE;
        options.pools.statement_timeout = PATIENCE;
        options.pools.checkout_wait = PATIENCE;
        change(options);
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
pub struct Hold(Client);

impl Hold {
    pub async fn of(db: &TestDb, sql: &str) -> Self {
        let client = db.connect().await;
        run(&client, &format!("begin; {sql}")).await;
        Self(client)
    }

    /// Waits until so many backends stand still because of it.
    pub async fn until_stopped(&self, backends: usize) {
        let sql = format!("select count(*) >= {backends} from ({STOPPED}) s");
        sql_kit::eventually(&self.0, &sql, "t").await;
    }

    /// The backends that stand still because of it.
    async fn stopped(&self) -> Vec<i32> {
        let pids = column(&self.0, STOPPED).await;
        pids.iter().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Lets those who wait for it go on and commit, and loses what Postgres answers them.
    pub async fn end_unheard(&self, link: &Link) {
        link.lose(self.stopped().await);
        self.end().await;
    }

    /// Cuts their connections, and waits until they are gone.
    async fn cut(&self) {
        let sql = format!("select count(pg_terminate_backend(pid)) from ({STOPPED}) s");
        sql_kit::eventually(&self.0, &sql, "0").await;
    }

    pub async fn end(&self) {
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
        self.land_nowhere().await;
    }

    /// Lets the flight commit, but the answer and the connection are lost on their way.
    pub async fn lose(self, link: &Link) {
        self.second.end_unheard(link).await;
        self.land_nowhere().await;
        assert_eq!(link.lost(), 1);
    }

    /// Lets the flight commit, but what it asks next stops at `later`, and is lost there.
    pub async fn lose_later(self, later: &Hold, link: &Link) {
        self.second.end().await;
        later.until_stopped(1).await;
        later.end_unheard(link).await;
        self.land_nowhere().await;
    }

    async fn land_nowhere(self) {
        for answer in self.land().await {
            assert_away(&answer);
        }
    }
}

/// Whether it says that the database cannot answer, and when to come again.
pub fn assert_away(answer: &Answer) {
    let code = &answer.json()["code"];
    assert_eq!(
        (answer.status, code),
        (503, &json!("unavailable")),
        "{answer:?}"
    );
    let seconds = answer.header("retry-after").map(str::parse);
    assert!(matches!(seconds, Some(Ok(1..=2))), "{answer:?}");
}

/// Sends a request on a connection of its own, and does not wait for the answer.
pub async fn send(api: &Api, ask: &Ask) -> Raw {
    send_as(api, KEY, ask).await
}

/// The same with another key.
pub async fn send_as(api: &Api, key: &str, (path, body): &Ask) -> Raw {
    let address = api.base.strip_prefix("http://").unwrap();
    let mut raw = Raw::connect(address.parse().unwrap()).await;
    let body = body.to_string();
    let request = format!(
        "POST /api/runtime{path} HTTP/1.1\r\nHost: localhost\r\nX-Runtime-API-Key: {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw.send(request.as_bytes()).await;
    raw
}

/// Waits until the calls that were sent are in the queue: the system keeps no byte of them any
/// more, so the service has read them; and since then everybody on this thread, who can go on
/// without new input, has had many turns.
pub async fn until_read(api: &Api) {
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
pub async fn flown(api: &Api, kind: &str) -> [usize; 2] {
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
