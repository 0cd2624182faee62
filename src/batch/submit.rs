//! Submissions that travel together.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Batcher, Options, Route};
use crate::db::Db;
use crate::db::calls::task::{Submitted, Task, task_get_many, task_submit_many};
use crate::db::sqlstate::item_refusal;
use crate::error::{Error, Result};
use crate::metrics::Histogram;
use crate::shutdown::Shutdown;

/// Bounds of each of the two batchers.
const BOUNDS: Options = Options {
    flights: 2,
    crowd: 1,
    max_calls: 256,
    max_bytes: 4 << 20,
    max_waiting: 10_000,
    max_waiting_bytes: 64 << 20,
};

/// A submitted task.
#[derive(Debug)]
pub struct Stored {
    /// The task as it is now.
    pub task: Task,
    /// Whether it is a new one rather than the one that has the idempotency key.
    pub created: bool,
}

/// The way of single submissions to the database.
///
/// Those with an idempotency key or a turn in a serial context may have to wait for a row that
/// somebody else holds, up to the lock timeout. They travel apart from those that never wait.
#[derive(Clone)]
pub struct Submits {
    free: Batcher<Submissions>,
    tied: Batcher<Submissions>,
}

impl Submits {
    /// Both ways, idle.
    #[must_use]
    pub fn new(db: &Db, shutdown: &Shutdown) -> Self {
        let batcher = || Batcher::new(Submissions(db.clone()), BOUNDS, shutdown);
        Self {
            free: batcher(),
            tied: batcher(),
        }
    }

    /// How many submissions travelled together, on each of the two ways.
    #[must_use]
    pub fn sizes(&self) -> [Arc<Histogram>; 2] {
        [self.free.sizes(), self.tied.sizes()]
    }

    /// Submits `task`, an object as `bloom.task_submit_many` takes it, in the name of `caller`.
    ///
    /// # Errors
    /// As the verb refuses, or [`Error::Unavailable`].
    pub async fn call(&self, caller: &str, task: Value) -> Result<Stored> {
        let is_tied = task.get("idempotency_key").is_some() || task["policy"]["serial"] == true;
        let batcher = if is_tied { &self.tied } else { &self.free };
        let call = Submission {
            actor: caller.to_owned(),
            task,
        };
        batcher.call(caller, call).await
    }
}

/// One submission.
struct Submission {
    actor: String,
    task: Value,
}

struct Submissions(Db);

impl Route for Submissions {
    type Call = Submission;
    type Answer = Stored;

    fn weight(call: &Submission) -> usize {
        let text = call.task.get("prompt").and_then(Value::as_str);
        1024 + text.map_or(0, str::len)
    }

    async fn fly(&self, calls: &[Submission]) -> Result<Vec<Result<Stored>>> {
        let tasks: Vec<_> = calls.iter().map(|call| &call.task).collect();
        let actors: Vec<_> = calls.iter().map(|call| call.actor.as_str()).collect();
        let is_alone = calls.len() == 1;
        let answers = task_submit_many(&self.0, &tasks, is_alone, &actors).await?;
        let ids: Vec<_> = answers.iter().filter_map(|answer| answer.id).collect();
        // They are stored. If they cannot be read now, their callers must hear that the outcome
        // is unknown to them; nothing is submitted again.
        let rows: HashMap<_, _> = task_get_many(&self.0, &ids)
            .await
            .map_err(unread)?
            .into_iter()
            .map(|task| (task.id, task))
            .collect();
        let read = |answer: Submitted| match (answer.id, answer.error) {
            (Some(id), _) => {
                // Two calls with one idempotency key are one task.
                let task = rows.get(&id).cloned();
                let task = task.ok_or_else(|| Error::internal("a submitted task is not there"))?;
                Ok(Stored {
                    task,
                    created: answer.created,
                })
            }
            (None, Some(error)) => Err(item_refusal(error)),
            (None, None) => Err(Error::internal("a submission had no answer")),
        };
        Ok(answers.into_iter().map(read).collect())
    }
}

/// A refusal to read what is stored already must not look like a refusal to store it.
fn unread(error: Error) -> Error {
    match error {
        Error::Unavailable { retry_after, .. } => Error::Unavailable {
            retry_after,
            source: Some(format!("stored, but not read: {}", error.chain()).into()),
        },
        other => Error::internal(format!("stored, but not read: {}", other.chain())),
    }
}
