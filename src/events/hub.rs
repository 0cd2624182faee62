//! The listeners of a process, and the place in the log up to which they have been told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{self, Receiver, Sender};

use super::Filter;
use crate::db::calls::audit::{Event, Position};

/// Everything below its place was delivered to who listened then; everything after it will be to
/// who listens now.
#[derive(Default)]
pub(super) struct Hub {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Only while somebody listens.
    place: Option<Position>,
    listeners: Vec<Listener>,
    is_closed: bool,
}

struct Listener {
    filter: Arc<Filter>,
    queue: Sender<Arc<Event>>,
}

/// What a listener learns when it joins.
pub(super) struct Joined {
    /// Its queue.
    pub(super) queue: Receiver<Arc<Event>>,
    /// The hub's place when it joined.
    pub(super) place: Position,
    /// Whether it is the first, so that the common reader has to begin.
    pub(super) is_first: bool,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place to read on from; `None` when nobody listens.
    pub(super) fn place(&self) -> Option<Position> {
        let mut state = self.lock();
        state.forget_the_gone();
        state.place
    }

    /// Adds a listener who has read up to `from` by itself.
    pub(super) fn join(&self, filter: Arc<Filter>, from: Position, buffer: usize) -> Joined {
        let (queue, receiver) = mpsc::channel(buffer);
        let mut state = self.lock();
        if !state.is_closed {
            state.listeners.push(Listener { filter, queue });
        }
        Joined {
            queue: receiver,
            is_first: state.place.is_none(),
            place: *state.place.get_or_insert(from),
        }
    }

    /// Hands the next events to whoever wants them, without waiting for anybody. Returns how many
    /// listeners were left behind because their queue was full.
    pub(super) fn deliver(&self, events: Vec<Event>) -> usize {
        let Some(last) = events.last().map(|event| event.position) else {
            return 0;
        };
        let events: Vec<_> = events.into_iter().map(Arc::new).collect();
        let mut state = self.lock();
        let before = state.listeners.len();
        state.listeners.retain(|listener| {
            let mut wanted = events.iter().filter(|event| listener.filter.wants(event));
            wanted.all(|event| {
                listener.queue.try_send(Arc::clone(event)).is_ok() || listener.queue.is_closed()
            })
        });
        let slow = before - state.listeners.len();
        state.place = Some(last);
        state.forget_the_gone();
        slow
    }

    /// The place up to which the listener of `queue` has been told everything, if it has taken all
    /// of it.
    pub(super) fn told(&self, queue: &Receiver<Arc<Event>>) -> Option<Position> {
        // Under the lock, since events come in under it, and listeners go.
        let state = self.lock();
        let is_told = queue.is_empty() && !queue.is_closed();
        state.place.filter(|_| is_told)
    }

    /// Ends all streams, and those still to come.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.listeners.clear();
        state.place = None;
    }
}

impl State {
    fn forget_the_gone(&mut self) {
        self.listeners
            .retain(|listener| !listener.queue.is_closed());
        if self.listeners.is_empty() {
            self.place = None;
        }
    }
}

#[cfg(test)]
mod tests;
