//! Requests for work that travel together.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::{Batcher, Options, Route};
use crate::db::Db;
use crate::db::calls::VerbOptions;
use crate::db::calls::lease::{Grant, NextRequest, lease_next_many, lease_release};
use crate::db::sqlstate::is_locked;
use crate::error::{Error, Result};
use crate::metrics::Histogram;
use crate::shutdown::Shutdown;

/// What one task of a request counts.
const TASK_WEIGHT: usize = 1024;
/// Bounds of the batcher: 128 requests, or 512 tasks.
const BOUNDS: Options = Options {
    flights: 2,
    crowd: 32,
    max_calls: 128,
    max_bytes: 512 * TASK_WEIGHT,
    max_waiting: 20_000,
    max_waiting_bytes: 2_000_000 * TASK_WEIGHT,
};
/// Who gives leases back that nobody waits for.
const ACTOR: &str = "router";

/// Bounds for requests of workers that cannot be served now: each by itself, few at once, so that
/// they hold up neither the others nor the connections.
const APART: Options = Options {
    flights: 2,
    crowd: 1,
    max_calls: 1,
    max_bytes: 512 * TASK_WEIGHT,
    max_waiting: 2_000,
    max_waiting_bytes: 200_000 * TASK_WEIGHT,
};
/// How long a worker stays apart since somebody's open transaction last held its row.
const STAYS_APART: Duration = Duration::from_secs(60);
/// The most workers that are kept apart.
const MAX_APART: usize = 10_000;

/// The way of requests for work to the database.
///
/// A transaction that leased a task from SQL and stays open holds its worker's counter, and whoever
/// asks for work in that worker's name waits for it. One such request delays all that travel with
/// it, once: from then on its worker travels apart.
#[derive(Clone)]
pub struct Leases {
    together: Batcher<Requests>,
    apart: Batcher<Requests>,
    /// Workers whose row was held, and until when they travel apart.
    held: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Leases {
    /// An idle one.
    #[must_use]
    pub fn new(db: &Db, shutdown: &Shutdown) -> Self {
        Self {
            together: Batcher::new(Requests(db.clone()), BOUNDS, shutdown),
            apart: Batcher::new(Requests(db.clone()), APART, shutdown),
            held: Arc::default(),
        }
    }

    /// How many requests travelled together.
    #[must_use]
    pub fn sizes(&self) -> Arc<Histogram> {
        self.together.sizes()
    }

    /// Asks for work: what the worker was given.
    ///
    /// # Errors
    /// As the verb refuses, or [`Error::Unavailable`].
    pub async fn next(&self, request: &NextRequest) -> Result<Vec<Grant>> {
        let worker = &request.worker_id;
        let batcher = if self.is_apart(worker) {
            &self.apart
        } else {
            &self.together
        };
        let given = batcher.call(worker, request.clone()).await;
        if given.as_ref().is_err_and(is_locked) {
            self.set_apart(worker);
        }
        Ok(given?.grants)
    }

    fn is_apart(&self, worker: &str) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get(worker) {
            Some(until) if *until > Instant::now() => true,
            Some(_) => {
                held.remove(worker);
                false
            }
            None => false,
        }
    }

    fn set_apart(&self, worker: &str) {
        let now = Instant::now();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MAX_APART {
            held.retain(|_, until| *until > now);
        }
        if held.len() < MAX_APART || held.contains_key(worker) {
            held.insert(worker.to_owned(), now + STAYS_APART);
        }
    }
}

/// What a request was given.
struct Given {
    grants: Vec<Grant>,
    /// Whether its worker can ask for the same leases again.
    is_repeatable: bool,
}

struct Requests(Db);

impl Route for Requests {
    type Call = NextRequest;
    type Answer = Given;

    fn weight(call: &NextRequest) -> usize {
        TASK_WEIGHT * usize::try_from(call.max_tasks).unwrap_or(1)
    }

    async fn fly(&self, calls: &[NextRequest]) -> Result<Vec<Result<Given>>> {
        let mut known = HashSet::new();
        let is_new = |call: &NextRequest| {
            let id = call.request_id.map(|id| (call.worker_id.clone(), id));
            id.is_none_or(|id| known.insert(id))
        };
        let firsts: Vec<bool> = calls.iter().map(is_new).collect();
        let mut answers: Vec<Option<Result<Vec<Grant>>>> = calls.iter().map(|_| None).collect();
        // The same request twice: what the first one got is the answer to the second one, too.
        for turn in [true, false] {
            let of_turn = || (0..calls.len()).filter(|at| firsts[*at] == turn);
            let asked: Vec<_> = of_turn()
                .map(|at| (&calls[at], calls[at].worker_id.as_str()))
                .collect();
            if asked.is_empty() {
                continue;
            }
            for (at, answer) in of_turn().zip(lease_next_many(&self.0, &asked).await?) {
                answers[at] = Some(answer);
            }
        }
        let given = calls.iter().zip(answers).map(|(call, answer)| {
            let grants = answer.unwrap_or_else(|| Err(Error::internal("no answer")))?;
            Ok(Given {
                grants,
                is_repeatable: call.request_id.is_some(),
            })
        });
        Ok(given.collect())
    }

    /// The worker went away while its request was on the way. Unless it can ask again for what it
    /// got, the tasks are given back unburned, at once rather than when the leases run out.
    async fn lost(&self, given: Given) {
        if given.is_repeatable {
            return;
        }
        for grant in given.grants {
            let options = VerbOptions::of(ACTOR).with("reason", "the worker did not wait for it");
            match lease_release(&self.0, grant.task_id, grant.lease_id, options).await {
                Ok(_) => debug!(task.id = %grant.task_id, "given back: its worker went away"),
                Err(error) => {
                    warn!(task.id = %grant.task_id, error = %error.chain(), "not given back");
                }
            }
        }
    }
}
