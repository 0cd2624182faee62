//! Cancels and requeues tasks, and pauses a queue now and then.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::api::Api;
use super::pool::Pool;
use crate::journal::{Journal, Op};

const LIMIT: Duration = Duration::from_secs(8);

/// Somebody at the levers.
#[derive(Debug)]
pub struct Operator {
    /// Its way to the service.
    pub api: Api,
    /// What it shares.
    pub pool: Arc<Pool>,
    /// Its journal.
    pub journal: Journal,
    /// Its dice.
    pub rng: fastrand::Rng,
}

impl Operator {
    /// Acts until the run calms down.
    pub async fn run(mut self) {
        while !self.pool.is_calm() {
            sleep(Duration::from_millis(self.rng.u64(100..500))).await;
            match self.rng.u32(..20) {
                0 => self.pause().await,
                1..=7 => self.act(Op::Requeue).await,
                _ => self.act(Op::Cancel).await,
            }
        }
    }

    async fn act(&mut self, op: Op) {
        let Some(task) = self.pool.some_task(&mut self.rng) else {
            return;
        };
        let verb = if op == Op::Cancel {
            "cancel"
        } else {
            "requeue"
        };
        let body = json!({"reason": "chaos", "grace_seconds": 2});
        let body = if op == Op::Cancel { body } else { json!({}) };
        let mut record = self.journal.invoke(op, |record| record.task = Some(task));
        let path = format!("/llm-tasks/{task}/{verb}");
        let reply = self.api.post(&path, &body, LIMIT).await;
        (record.http, record.code) = (reply.http, reply.code);
        self.journal.end(record, reply.kind);
    }

    /// A pause is always ended, whatever the answers say: nobody else would.
    async fn pause(&mut self) {
        self.api
            .post("/queues/pulled/pause", &json!({}), LIMIT)
            .await;
        sleep(Duration::from_millis(self.rng.u64(50..800))).await;
        resume(&self.api).await;
    }
}

/// Resumes the queue until it is known to be resumed.
pub async fn resume(api: &Api) {
    for _ in 0..100 {
        let reply = api.post("/queues/pulled/resume", &json!({}), LIMIT).await;
        if matches!(reply.http, Some(200..=299 | 404)) {
            return;
        }
        sleep(Duration::from_millis(300)).await;
    }
}
