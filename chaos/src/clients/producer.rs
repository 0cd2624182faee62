//! Submits tasks over HTTP, one by one and in batches. What is not known to have happened is asked
//! for again with the same key.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::api::{Api, Reply};
use super::pool::Pool;
use crate::journal::{Journal, Kind, Op, Record};
use crate::program::{Mode, Prompt};

/// How long a submission may take.
const LIMIT: Duration = Duration::from_secs(8);
/// How often one is tried.
const TRIES: u32 = 8;
/// The most tasks that may wait before a producer waits.
pub const BACKLOG: u64 = 1500;

/// What is submitted: mostly plain tasks for clients that pull, some for workers with programs.
pub fn body(rng: &mut fastrand::Rng, key: &str, with_key: bool) -> Value {
    let for_program = rng.u32(..100) < 12;
    let mode = match rng.u32(..100) {
        0..=3 => Mode::Stubborn,
        4..=6 => Mode::Orphan,
        7..=10 => Mode::Fail,
        _ => Mode::Normal,
    };
    let ms = if mode == Mode::Stubborn {
        1500
    } else {
        rng.u64(5..120)
    };
    let prompt = Prompt {
        key: key.to_owned(),
        mode,
        ms,
    };
    let serial = rng.u32(..100) < 10;
    let context = if serial {
        rng.u32(..20)
    } else {
        rng.u32(..100_000)
    };
    let mut body = json!({
        "context_id": format!("context-{serial}-{context}"),
        "agent_slug": "chaos",
        "prompt": serde_json::to_string(&prompt).unwrap_or_default(),
        "context_hints": [key],
        "queue": if for_program { "programs" } else { "pulled" },
        "requires": [if for_program { "programs" } else { "pulled" }],
        "priority": if rng.u32(..10) == 0 { 2 } else { 5 },
        "policy": {"serial": serial, "backoff_base_sec": 1, "backoff_cap_sec": 2},
        "max_attempts": 4, "max_crashes": 8,
    });
    if with_key {
        body["idempotency_key"] = json!(key);
    }
    body
}

/// A task that is let loose by a fault: of its own queue and with its own limits.
#[must_use]
pub fn special(key: &str, mode: Mode, ms: u64, queue: &str, label: &str) -> Value {
    let prompt = Prompt {
        key: key.to_owned(),
        mode,
        ms,
    };
    json!({
        "context_id": key, "agent_slug": "chaos",
        "prompt": serde_json::to_string(&prompt).unwrap_or_default(),
        "context_hints": [key], "queue": queue, "requires": [label], "idempotency_key": key,
        "policy": {"backoff_base_sec": 1, "backoff_cap_sec": 2},
        "max_attempts": 3, "max_crashes": 2,
    })
}

/// A producer over HTTP.
#[derive(Debug)]
pub struct Producer {
    /// Its way to the service.
    pub api: Api,
    /// What it shares.
    pub pool: Arc<Pool>,
    /// Its journal.
    pub journal: Journal,
    /// Its dice.
    pub rng: fastrand::Rng,
    /// About how many tasks it submits in a second.
    pub rate: f64,
}

impl Producer {
    /// Submits until the run calms down.
    pub async fn run(mut self) {
        let mut number = 0_u64;
        let mut due = Instant::now();
        while !self.pool.is_calm() {
            self.pool.room(BACKLOG).await;
            let count = if self.rng.u32(..5) == 0 {
                self.rng.u64(2..25)
            } else {
                1
            };
            let keys: Vec<String> = (0..count)
                .map(|i| format!("{}-{}", self.journal.proc(), number + i))
                .collect();
            number += count;
            if count == 1 {
                let body = body(&mut self.rng, &keys[0], self.pool.with_keys);
                submit(&self.api, &self.pool, &self.journal, &keys[0], &body).await;
            } else {
                self.batch(&keys).await;
            }
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let pause = Duration::from_secs_f64(count as f64 / self.rate);
            // What an outage kept back is not made up for: that would be another fault.
            due = (due + pause).max(Instant::now());
            sleep(due - Instant::now()).await;
        }
    }

    async fn batch(&mut self, keys: &[String]) {
        let with_keys = self.pool.with_keys;
        let tasks: Vec<Value> = keys
            .iter()
            .map(|key| body(&mut self.rng, key, with_keys))
            .collect();
        let body = json!({ "tasks": tasks });
        for attempt in 0..TRIES {
            let records: Vec<Record> = keys.iter().map(|key| begin(&self.journal, key)).collect();
            let reply = self.api.post("/llm-tasks/batch", &body, LIMIT).await;
            let answers = reply.body["tasks"].as_array().cloned().unwrap_or_default();
            for (i, record) in records.into_iter().enumerate() {
                let task = answers.get(i).and_then(|answer| uuid_of(&answer["id"]));
                end(&self.journal, &self.pool, record, &reply, task);
            }
            if reply.kind == Kind::Ok || reply.http == Some(400) {
                return;
            }
            pause(attempt).await;
        }
    }
}

/// Submits one task until it is known what became of it.
pub async fn submit(
    api: &Api,
    pool: &Pool,
    journal: &Journal,
    key: &str,
    body: &Value,
) -> Option<Uuid> {
    for attempt in 0..TRIES {
        let record = begin(journal, key);
        let reply = api.post("/llm-tasks", body, LIMIT).await;
        let task = uuid_of(&reply.body["id"]);
        end(journal, pool, record, &reply, task);
        if reply.kind == Kind::Ok {
            return task;
        }
        pause(attempt).await;
    }
    None
}

fn begin(journal: &Journal, key: &str) -> Record {
    journal.invoke(Op::Enqueue, |record| record.key = Some(key.to_owned()))
}

fn end(journal: &Journal, pool: &Pool, mut record: Record, reply: &Reply, task: Option<Uuid>) {
    (record.http, record.code, record.task) = (reply.http, reply.code.clone(), task);
    // A success that names no task is not understood.
    let kind = match (reply.kind, task) {
        (Kind::Ok, None) => Kind::Info,
        (kind, _) => kind,
    };
    journal.end(record, kind);
    if let (Kind::Ok, Some(task)) = (kind, task) {
        pool.accepted(task);
    }
}

/// Longer with each attempt.
pub(super) async fn pause(attempt: u32) {
    sleep(Duration::from_millis(100 << attempt.min(4))).await;
}

/// A UUID in an answer.
pub(super) fn uuid_of(value: &Value) -> Option<Uuid> {
    Uuid::try_parse(value.as_str()?).ok()
}
