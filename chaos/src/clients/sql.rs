//! Submits tasks through SQL, in transactions of its own, at every isolation level; some of them it
//! takes back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_postgres::Client;
use uuid::Uuid;

use super::pool::Pool;
use super::producer::{BACKLOG, body, pause};
use crate::journal::{Journal, Kind, Op, Record};
use crate::rig::postgres::connect;

/// How long a statement may take before the client gives its connection up.
const LIMIT: Duration = Duration::from_secs(8);
const TRIES: u32 = 8;
const SUBMIT: &str = "select bloom.task_submit($1::text, $2::text, $3::text, $4::jsonb)";
const LEVELS: [&str; 3] = ["read committed", "repeatable read", "serializable"];

/// A producer in SQL.
#[derive(Debug)]
pub struct SqlProducer {
    /// Address of the database.
    pub url: String,
    /// What it shares.
    pub pool: Arc<Pool>,
    /// Its journal.
    pub journal: Journal,
    /// Its dice.
    pub rng: fastrand::Rng,
    /// About how many tasks it submits in a second.
    pub rate: f64,
}

/// How a transaction ended.
enum End {
    Committed(Uuid),
    /// Nothing was committed, for this reason.
    Undone(String),
    /// COMMIT was sent and not answered.
    Unknown(String),
}

impl SqlProducer {
    /// Submits until the run calms down.
    pub async fn run(mut self) {
        let mut client: Option<Client> = None;
        let mut number = 0_u64;
        while !self.pool.is_calm() {
            self.pool.room(BACKLOG).await;
            number += 1;
            let key = format!("{}-{number}", self.journal.proc());
            self.submit(&mut client, &key).await;
            sleep(Duration::from_secs_f64(1.0 / self.rate)).await;
        }
    }

    async fn submit(&mut self, client: &mut Option<Client>, key: &str) {
        let take_back = self.rng.u32(..100) < 7;
        let level = LEVELS[self.rng.usize(..3)];
        let body = body(&mut self.rng, key, self.pool.with_keys);
        for attempt in 0..TRIES {
            let record = self
                .journal
                .invoke(Op::Enqueue, |r| r.key = Some(key.to_owned()));
            let end = match ensure_open(client, &self.url).await {
                Some(session) => transaction(session, level, &body, take_back).await,
                None => End::Undone("no_connection".to_owned()),
            };
            let is_over = self.note(record, &end);
            if !is_over {
                *client = None;
            }
            if is_over || take_back {
                return;
            }
            pause(attempt).await;
        }
    }

    /// Writes down how it ended. Whether it is known that it happened.
    fn note(&self, mut record: Record, end: &End) -> bool {
        match end {
            End::Committed(task) => {
                record.task = Some(*task);
                self.journal.end(record, Kind::Ok);
                self.pool.accepted(*task);
                true
            }
            End::Undone(code) => {
                record.code = Some(code.clone());
                self.journal.end(record, Kind::Fail);
                false
            }
            End::Unknown(code) => {
                record.code = Some(code.clone());
                self.journal.end(record, Kind::Info);
                false
            }
        }
    }
}

async fn ensure_open<'a>(client: &'a mut Option<Client>, url: &str) -> Option<&'a Client> {
    if client.as_ref().is_none_or(Client::is_closed) {
        *client = connect(url).await.ok();
    }
    client.as_ref()
}

async fn transaction(
    client: &Client,
    level: &str,
    body: &serde_json::Value,
    take_back: bool,
) -> End {
    let begin = format!("begin isolation level {level}");
    let mut options = body.clone();
    let mut text = |name: &str| {
        let taken = options.as_object_mut().and_then(|o| o.remove(name));
        taken
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    let (context, slug, prompt) = (text("context_id"), text("agent_slug"), text("prompt"));
    let work = async {
        client.batch_execute(&begin).await?;
        let row = client
            .query_one(SUBMIT, &[&context, &slug, &prompt, &options])
            .await?;
        let task: Uuid = row.try_get(0)?;
        if take_back {
            client.batch_execute("rollback").await?;
        }
        Ok::<_, tokio_postgres::Error>(task)
    };
    let task = match timeout(LIMIT, work).await {
        Ok(Ok(task)) => task,
        // Before COMMIT was sent nothing can have been committed.
        Ok(Err(error)) => return End::Undone(code_of(&error)),
        Err(_) => return End::Undone("timeout".to_owned()),
    };
    if take_back {
        return End::Undone("rollback".to_owned());
    }
    match timeout(LIMIT, client.batch_execute("commit")).await {
        Ok(Ok(())) => End::Committed(task),
        // An ERROR at COMMIT rolls back; a FATAL one, like silence, says nothing.
        Ok(Err(error)) => {
            let error_level = error
                .as_db_error()
                .is_some_and(|db| db.severity() == "ERROR");
            let code = code_of(&error);
            if error_level {
                End::Undone(code)
            } else {
                End::Unknown(code)
            }
        }
        Err(_) => End::Unknown("timeout".to_owned()),
    }
}

fn code_of(error: &tokio_postgres::Error) -> String {
    error
        .code()
        .map_or_else(|| "broken".to_owned(), |code| code.code().to_owned())
}
