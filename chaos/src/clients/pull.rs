//! Workers without a process of their own: they lease, beat and report over HTTP, and some of them
//! let leases go on purpose and come back when it is too late.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::api::{Api, Reply};
use super::pool::Pool;
use super::producer::{pause, uuid_of};
use crate::journal::{Grant, Journal, Kind, Op, Record};
use crate::program::digest;

const LIMIT: Duration = Duration::from_secs(8);
/// How often an operation is tried whose end is not known.
const TRIES: u32 = 8;
/// How long a lease that was let go is watched until it is superseded.
const WATCH: Duration = Duration::from_secs(60);

/// What a puller is like.
#[derive(Debug, Clone)]
pub struct Manner {
    /// Its name.
    pub name: String,
    /// Its label, and the queue that it asks for.
    pub queue: String,
    /// How many tasks it works on at once.
    pub slots: usize,
    /// Time to live of its leases, seconds.
    pub ttl: i32,
    /// How long it lets the service hold a request, seconds.
    pub wait: u64,
    /// Whether it beats for its session instead of for each lease.
    pub beats: bool,
    /// Whether it fails, releases and lets go, or only works.
    pub wild: bool,
    /// How long it works on each task at least.
    pub linger: Duration,
    /// How often it sends heartbeats, if not in time.
    pub heartbeat: Option<Duration>,
}

/// A worker that pulls.
#[derive(Debug)]
pub struct Puller {
    /// What it is like.
    pub manner: Manner,
    /// Its way to the service.
    pub api: Api,
    /// What it shares.
    pub pool: Arc<Pool>,
    /// Its journal.
    pub journal: Journal,
    held: Mutex<HashMap<Uuid, Grant>>,
}

/// What becomes of a lease.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Succeed,
    Fail { retryable: bool },
    Release,
    LetGo,
    Dwell,
}

impl Fate {
    fn of(rng: &mut fastrand::Rng, wild: bool) -> Self {
        match rng.u32(..100) {
            _ if !wild => Self::Succeed,
            0..=3 => Self::LetGo,
            4..=7 => Self::Release,
            8..=12 => Self::Fail { retryable: true },
            13..=14 => Self::Fail { retryable: false },
            15..=20 => Self::Dwell,
            _ => Self::Succeed,
        }
    }
}

impl Puller {
    /// Starts nothing yet.
    #[must_use]
    pub fn new(manner: Manner, api: Api, pool: Arc<Pool>, journal: Journal) -> Self {
        let held = Mutex::new(HashMap::new());
        Self {
            manner,
            api,
            pool,
            journal,
            held,
        }
    }

    /// Works until the run is over.
    pub async fn run(self, mut rng: fastrand::Rng) {
        let me = Arc::new(self);
        let mut session = Uuid::new_v4();
        me.register().await;
        let mut silence = Instant::now() + Duration::from_secs(rng.u64(8..25));
        let mut beater = tokio::spawn(Arc::clone(&me).beat(session));
        while !me.pool.is_over() {
            me.claim(session, &mut rng).await;
            if me.manner.beats && me.manner.wild && Instant::now() > silence && !me.pool.is_calm() {
                // As a long pause of the whole process would look.
                beater.abort();
                me.let_go_of_all();
                sleep(Duration::from_secs(rng.u64(3..9))).await;
                session = Uuid::new_v4();
                beater = tokio::spawn(Arc::clone(&me).beat(session));
                silence = Instant::now() + Duration::from_secs(rng.u64(8..25));
            }
        }
        beater.abort();
    }

    fn ttl(&self) -> Duration {
        Duration::from_secs(self.manner.ttl.unsigned_abs().into())
    }

    async fn register(&self) {
        let manner = &self.manner;
        let body = json!({"name": manner.name, "capabilities": {
            "max_concurrency": manner.slots, "labels": [manner.queue]}});
        for attempt in 0..100 {
            let mut record = self.begin(Op::Register, None);
            let reply = self.api.post("/workers", &body, LIMIT).await;
            (record.http, record.code) = (reply.http, reply.code);
            self.journal.end(record, reply.kind);
            if reply.kind == Kind::Ok || self.pool.is_over() {
                return;
            }
            pause(attempt).await;
        }
    }

    fn begin(&self, op: Op, grant: Option<&Grant>) -> Record {
        self.journal.invoke(op, |record| {
            record.worker = Some(self.manner.name.clone());
            if let Some(grant) = grant {
                record.task = Some(grant.task);
                record.lease = Some(grant.lease);
                record.fence = Some(grant.fence);
            }
        })
    }

    /// Asks for work, with the same request id until it is known what came of it.
    async fn claim(self: &Arc<Self>, session: Uuid, rng: &mut fastrand::Rng) {
        let manner = &self.manner;
        let wait = if self.pool.is_calm() { 1 } else { manner.wait };
        let body = json!({
            "worker_id": manner.name, "session_id": session, "max_tasks": manner.slots.min(100),
            "wait_seconds": wait, "ttl_seconds": manner.ttl, "request_id": Uuid::new_v4(),
            "queues": [manner.queue],
        });
        for attempt in 0..TRIES {
            let mut record = self.begin(Op::Claim, None);
            let limit = LIMIT + Duration::from_secs(wait);
            let reply = self.api.post("/leases", &body, limit).await;
            (record.http, record.code) = (reply.http, reply.code.clone());
            record.grants = grants_of(&reply);
            let grants = record.grants.clone();
            self.journal.end(record, reply.kind);
            for grant in grants {
                if let Ok(mut held) = self.held.lock() {
                    held.insert(grant.lease, grant.clone());
                }
                let fate = Fate::of(rng, manner.wild && !self.pool.is_calm());
                let dice = fastrand::Rng::with_seed(rng.u64(..));
                tokio::spawn(Arc::clone(self).work(grant, fate, dice));
            }
            if reply.kind == Kind::Ok {
                let is_full = self.held.lock().is_ok_and(|h| h.len() >= manner.slots);
                if is_full {
                    sleep(Duration::from_millis(20)).await;
                }
                return;
            }
            if reply.code.as_deref() == Some("worker_not_found") {
                self.register().await;
            }
            pause(attempt).await;
            if reply.kind == Kind::Fail {
                return;
            }
        }
    }

    async fn work(self: Arc<Self>, grant: Grant, fate: Fate, mut rng: fastrand::Rng) {
        match fate {
            Fate::LetGo if !self.manner.beats => {
                self.forget(&grant);
                self.let_go(&grant).await;
            }
            Fate::Release => {
                let body = json!({"lease_id": grant.lease, "reason": "chaos"});
                self.until_known(Op::Release, &grant, "release", &body, None)
                    .await;
            }
            Fate::Fail { retryable } => {
                let body = json!({"lease_id": grant.lease, "status": "error",
                    "error_message": "chaos", "retryable": retryable});
                let digest = Some(digest(""));
                self.until_known(Op::Complete, &grant, "complete", &body, digest)
                    .await;
            }
            fate => {
                let dwell = matches!(fate, Fate::Dwell);
                let ms = if dwell {
                    rng.u64(800..5000)
                } else {
                    rng.u64(..60)
                };
                let long = self.manner.linger + Duration::from_millis(ms);
                if self.dwell(&grant, long).await {
                    self.succeed(&grant).await;
                }
            }
        }
        self.forget(&grant);
    }

    fn forget(&self, grant: &Grant) {
        if let Ok(mut held) = self.held.lock() {
            held.remove(&grant.lease);
        }
    }

    /// Works for so long, with heartbeats where nobody beats for the session. False: it was told
    /// that the lease is gone.
    async fn dwell(&self, grant: &Grant, long: Duration) -> bool {
        let end = Instant::now() + long;
        let usual = Duration::from_secs(1).min(self.ttl() / 3);
        let every = self.manner.heartbeat.unwrap_or(usual);
        while Instant::now() < end {
            if !self.manner.beats {
                let reply = self
                    .once(
                        Op::Heartbeat,
                        grant,
                        "heartbeat",
                        &json!({"lease_id": grant.lease}),
                        None,
                    )
                    .await;
                if reply.http == Some(409) {
                    return false;
                }
            }
            sleep(every.min(end.saturating_duration_since(Instant::now()))).await;
        }
        true
    }

    async fn succeed(&self, grant: &Grant) {
        let output = format!("{} by {} as {}", grant.task, self.manner.name, grant.fence);
        let body = json!({"lease_id": grant.lease, "status": "success", "output": output});
        let digest = Some(digest(&output));
        self.until_known(Op::Complete, grant, "complete", &body, digest)
            .await;
    }

    async fn once(
        &self,
        op: Op,
        grant: &Grant,
        verb: &str,
        body: &Value,
        digest: Option<String>,
    ) -> Reply {
        let mut record = self.begin(op, Some(grant));
        let path = format!("/llm-tasks/{}/{verb}", grant.task);
        let reply = self.api.post(&path, body, LIMIT).await;
        (record.http, record.code, record.digest) = (reply.http, reply.code.clone(), digest);
        self.journal.end(record, reply.kind);
        reply
    }

    async fn until_known(
        &self,
        op: Op,
        grant: &Grant,
        verb: &str,
        body: &Value,
        digest: Option<String>,
    ) {
        for attempt in 0..TRIES {
            let reply = self.once(op, grant, verb, body, digest.clone()).await;
            // Not let in is not an answer.
            if reply.kind != Kind::Info && reply.http.is_some() {
                return;
            }
            pause(attempt).await;
        }
        self.abandon(grant);
    }

    fn abandon(&self, grant: &Grant) {
        self.journal.note(Op::Abandon, |record| {
            (record.task, record.lease) = (Some(grant.task), Some(grant.lease));
            record.worker = Some(self.manner.name.clone());
        });
    }

    fn let_go_of_all(&self) {
        let held: Vec<Grant> = match self.held.lock() {
            Ok(held) => held.values().cloned().collect(),
            Err(_) => return,
        };
        for grant in &held {
            self.abandon(grant);
        }
    }

    /// Says nothing until somebody else has the task, then tries everything that only the holder of
    /// a lease may do.
    async fn let_go(&self, grant: &Grant) {
        self.abandon(grant);
        sleep(self.ttl()).await;
        let deadline = Instant::now() + WATCH;
        loop {
            let reply = self
                .api
                .get(&format!("/llm-tasks/{}", grant.task), LIMIT)
                .await;
            let seen = reply.kind == Kind::Ok && reply.body["id"].is_string();
            let is_gone = reply.body["status"] == "queued"
                || reply.body["status"] == "dead"
                || uuid_of(&reply.body["lease_id"]) != Some(grant.lease);
            if seen && is_gone {
                break;
            }
            if Instant::now() > deadline || self.pool.is_over() {
                return;
            }
            sleep(Duration::from_millis(300)).await;
        }
        self.journal.note(Op::Superseded, |record| {
            (record.task, record.lease) = (Some(grant.task), Some(grant.lease));
        });
        let lease = grant.lease;
        let late = format!("too late: {lease}");
        let report = json!({"lease_id": lease, "status": "success", "output": late});
        let digest = Some(digest(&late));
        let beat = json!({"lease_id": lease});
        self.once(Op::Heartbeat, grant, "heartbeat", &beat, None)
            .await;
        let log = json!({"lease_id": lease, "offset": 0, "text": "too late"});
        self.once(Op::Log, grant, "log", &log, None).await;
        let release = json!({"lease_id": lease, "reason": "too late"});
        self.once(Op::Release, grant, "release", &release, None)
            .await;
        self.once(Op::Complete, grant, "complete", &report, digest.clone())
            .await;
        self.complete_together(grant, report, digest).await;
    }

    /// The same report as one of a batch.
    async fn complete_together(&self, grant: &Grant, mut item: Value, digest: Option<String>) {
        item["task_id"] = json!(grant.task);
        let mut record = self.begin(Op::Complete, Some(grant));
        let body = json!({"items": [item]});
        let reply = self.api.post("/leases/complete", &body, LIMIT).await;
        let answer = &reply.body["items"][0];
        let refused = reply.kind == Kind::Ok && answer["code"].is_string();
        record.code = answer["code"].as_str().map(str::to_owned).or(reply.code);
        (record.http, record.digest) = (reply.http, digest);
        self.journal
            .end(record, if refused { Kind::Fail } else { reply.kind });
    }

    /// Beats for a session until it is told to stop.
    async fn beat(self: Arc<Self>, session: Uuid) {
        if !self.manner.beats {
            return;
        }
        loop {
            sleep(self.ttl() / 4).await;
            let held: Vec<Grant> = match self.held.lock() {
                Ok(held) => held.values().take(100).cloned().collect(),
                Err(_) => return,
            };
            let leases: Vec<Value> = held
                .iter()
                .map(|grant| json!({"lease_id": grant.lease}))
                .collect();
            let body = json!({"session_id": session, "leases": leases});
            let mut record = self.begin(Op::Beat, None);
            record.ttl = Some(self.manner.ttl);
            let path = format!("/workers/{}/beat", self.manner.name);
            let reply = self.api.post(&path, &body, LIMIT).await;
            (record.http, record.code) = (reply.http, reply.code.clone());
            let answers = reply.body["leases"].as_array().cloned().unwrap_or_default();
            let is_ok = |grant: &&Grant| {
                let id = grant.lease.to_string();
                answers
                    .iter()
                    .any(|a| a["lease_id"] == id && a["state"] == "ok")
            };
            record.grants = held.iter().filter(is_ok).cloned().collect();
            self.journal.end(record, reply.kind);
        }
    }
}

fn grants_of(reply: &Reply) -> Vec<Grant> {
    let leases = reply.body["leases"].as_array().cloned().unwrap_or_default();
    let grant = |granted: &Value| {
        let lease = &granted["lease"];
        Some(Grant {
            task: uuid_of(&lease["task_id"])?,
            lease: uuid_of(&lease["id"])?,
            fence: i32::try_from(lease["fence"].as_i64()?).ok()?,
        })
    };
    leases.iter().filter_map(grant).collect()
}
