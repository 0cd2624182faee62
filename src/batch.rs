//! Calls of one kind that meet on their way to the database travel together.
//!
//! There is no timer. A call that finds no *flight* out leaves at once, alone. While one is out,
//! calls queue up, until a crowd waits and another flight leaves, or one comes back; each takes as
//! many along as may travel together. So a batch forms only under load, and by itself.
//!
//! What holds for each caller:
//! - It is answered for itself, and only after the commit that holds its row.
//! - A call that cannot be done fails alone. A flight that failed because of one of its calls was
//!   rolled back; all of its calls are then made one by one.
//! - Whoever stops waiting before the flight leaves takes the call along. Afterwards the call is
//!   carried out, and the kind of call may undo what nobody waits for ([`Route::lost`]).
//! - Callers take turns: a flight takes one call of each, then a second one, and so on. Somebody
//!   who sends a thousand does not keep the others waiting for all of them.
//! - Only so many calls, and so many bytes of them, may wait; whoever comes then is told to come
//!   again later.

pub mod complete;
pub mod heartbeat;
pub mod lease;
mod queue;
pub mod submit;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tracing::{error, warn};

use crate::db::sqlstate::is_undone;
use crate::error::{Error, Result};
use crate::metrics::Histogram;
use crate::shutdown::Shutdown;
use queue::{Entry, Queue};

/// What a caller for whom there is no place is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How many calls of a failed flight are made at the same time.
const ALONE_AT_ONCE: usize = 4;

/// Upper bounds of the sizes that are counted.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Bounds of a batcher.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many flights may be out at the same time.
    pub flights: usize,
    /// How many calls must wait before another one leaves beside one that is out.
    pub crowd: usize,
    /// How many calls may travel together.
    pub max_calls: usize,
    /// How many bytes may travel together; a larger call travels alone.
    pub max_bytes: usize,
    /// How many calls may wait.
    pub max_waiting: usize,
    /// How many bytes of calls may wait.
    pub max_waiting_bytes: usize,
}

/// A kind of call.
pub trait Route: Send + Sync + 'static {
    /// What is asked.
    type Call: Send + Sync + 'static;
    /// What is answered.
    type Answer: Send + 'static;

    /// Roughly how many bytes it sends.
    fn weight(call: &Self::Call) -> usize;

    /// Makes the calls in one transaction: one answer for each, in order. An error means that the
    /// transaction failed, or that its outcome is unknown.
    fn fly(
        &self,
        calls: &[Self::Call],
    ) -> impl Future<Output = Result<Vec<Result<Self::Answer>>>> + Send;

    /// What to do about an answer for which nobody waits any more.
    fn lost(&self, _answer: Self::Answer) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Brings calls of one kind together. Cheap to clone.
pub struct Batcher<R: Route> {
    shared: Arc<Shared<R>>,
}

/// A call of a kind, with the way back to its caller.
type Passenger<R> = Entry<<R as Route>::Call, Result<<R as Route>::Answer>>;

struct Shared<R: Route> {
    route: R,
    options: Options,
    shutdown: Shutdown,
    state: Mutex<State<R>>,
    /// How many calls each flight had.
    sizes: Arc<Histogram>,
}

struct State<R: Route> {
    queue: Queue<R::Call, Result<R::Answer>>,
    out: usize,
}

impl<R: Route> Clone for Batcher<R> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<R: Route> Batcher<R> {
    /// An idle one. Its flights are tasks of `shutdown`.
    #[must_use]
    pub fn new(route: R, options: Options, shutdown: &Shutdown) -> Self {
        let state = State {
            queue: Queue::default(),
            out: 0,
        };
        Self {
            shared: Arc::new(Shared {
                route,
                options,
                shutdown: shutdown.clone(),
                state: Mutex::new(state),
                sizes: Arc::new(Histogram::new(SIZES)),
            }),
        }
    }

    /// How many calls travelled together, flight by flight.
    #[must_use]
    pub fn sizes(&self) -> Arc<Histogram> {
        Arc::clone(&self.shared.sizes)
    }

    /// Makes `call` for `caller`, together with others if it must wait anyway.
    ///
    /// # Errors
    /// As the call's own, or [`Error::Unavailable`] when too much waits already.
    pub async fn call(&self, caller: &str, call: R::Call) -> Result<R::Answer> {
        let (answer, answered) = oneshot::channel();
        let weight = R::weight(&call);
        self.shared.enter(
            caller,
            Entry {
                call,
                weight,
                answer,
            },
        )?;
        match answered.await {
            Ok(answer) => answer,
            // A flight that broke off: whether it was committed is unknown.
            Err(_) => Err(away("the batch was not answered")),
        }
    }
}

impl<R: Route> Shared<R> {
    fn enter(self: &Arc<Self>, caller: &str, entry: Passenger<R>) -> Result<()> {
        let mut state = self.lock();
        let Options {
            max_waiting,
            max_waiting_bytes,
            ..
        } = self.options;
        let (waiting, bytes) = state.queue.size();
        // One alone always has a place, whatever it weighs.
        if waiting > 0 && (waiting >= max_waiting || bytes + entry.weight > max_waiting_bytes) {
            return Err(away("too many calls wait for the database"));
        }
        state.queue.push(caller, entry);
        let is_crowd = state.queue.size().0 >= self.options.crowd;
        if state.out == 0 || state.out < self.options.flights && is_crowd {
            state.out += 1;
            drop(state);
            self.shutdown.spawn(Arc::clone(self).fly_until_empty());
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of the flights that may be out. The callers of one that breaks off hear that its outcome
    /// is unknown, and the others travel on.
    async fn fly_until_empty(self: Arc<Self>) {
        while let Some(entries) = self.next() {
            let flight = AssertUnwindSafe(self.fly(entries)).catch_unwind();
            if flight.await.is_err() {
                error!("a batch broke off");
            }
        }
    }

    /// Who travels next. Nobody: then the flight is over under the same lock, so that a call that
    /// enters now starts one of its own.
    fn next(&self) -> Option<Vec<Passenger<R>>> {
        let Options {
            max_calls,
            max_bytes,
            ..
        } = self.options;
        let mut state = self.lock();
        let entries = state.queue.take(max_calls, max_bytes);
        if entries.is_empty() {
            state.out -= 1;
            return None;
        }
        Some(entries)
    }

    /// Makes the calls and answers each.
    async fn fly(self: &Arc<Self>, entries: Vec<Passenger<R>>) {
        let (calls, seats): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .map(|entry| (entry.call, entry.answer))
            .unzip();
        #[expect(clippy::cast_precision_loss, reason = "at most some hundred")]
        self.sizes.observe(calls.len() as f64);
        match self.route.fly(&calls).await {
            Ok(answers) => self.deliver(seats, answers).await,
            Err(error) if calls.len() > 1 && is_undone(&error) => {
                warn!(calls = calls.len(), error = %error.chain(), "a batch failed; one by one now");
                self.fly_alone(calls, seats).await;
            }
            Err(error) => {
                let text = error.chain();
                let mut first = Some(error);
                for seat in seats {
                    let error = first.take().unwrap_or_else(|| away(text.clone()));
                    drop(seat.send(Err(error)));
                }
            }
        }
    }

    /// A seat without an answer is dropped, and its caller hears that the outcome is unknown.
    async fn deliver(
        &self,
        seats: Vec<oneshot::Sender<Result<R::Answer>>>,
        answers: Vec<Result<R::Answer>>,
    ) {
        let sent = seats.into_iter().zip(answers);
        let lost: Vec<_> = sent
            .filter_map(|(seat, answer)| seat.send(answer).err()?.ok())
            .collect();
        for answer in lost {
            self.route.lost(answer).await;
        }
    }

    /// Each call by itself, a few at a time.
    async fn fly_alone(
        self: &Arc<Self>,
        calls: Vec<R::Call>,
        seats: Vec<oneshot::Sender<Result<R::Answer>>>,
    ) {
        let mut alone = JoinSet::new();
        for (call, seat) in calls.into_iter().zip(seats) {
            if alone.len() >= ALONE_AT_ONCE {
                alone.join_next().await;
            }
            let shared = Arc::clone(self);
            alone.spawn(async move {
                let calls = [call];
                match shared.route.fly(&calls).await {
                    Ok(answers) => shared.deliver(vec![seat], answers).await,
                    Err(error) => drop(seat.send(Err(error))),
                }
            });
        }
        while alone.join_next().await.is_some() {}
    }
}

fn away(why: impl Into<crate::error::Source>) -> Error {
    Error::Unavailable {
        retry_after: RETRY_AFTER,
        source: Some(why.into()),
    }
}

#[cfg(test)]
mod tests;
