//! Reading request bodies within limits of size and time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{EXPECT, HeaderMap};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, Kind, Result};

/// What is set aside at once for a body that announces its length; the rest grows as it arrives.
const MAX_INITIAL_BYTES: usize = 64 * 1024;

/// What all bodies of the process together may take, in KiB, while they are read and worked on.
const MEMORY_KIB: usize = 256 * 1024;

/// Bodies up to this size are not counted: the number of connections bounds them well enough.
const UNCOUNTED_BYTES: usize = 64 * 1024;

/// The memory for large bodies.
static MEMORY: Semaphore = Semaphore::const_new(MEMORY_KIB);

/// How long and how much of a body may be read.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// The most bytes.
    pub bytes: usize,
    /// The time that even the smallest body may take.
    pub time: Duration,
    /// A body must arrive at least this fast once `time` is over, in bytes per second.
    pub min_rate: u32,
}

impl ReadLimits {
    /// When a body of which `received` bytes have arrived counts as too slow.
    fn deadline(&self, start: Instant, received: usize) -> Instant {
        let received = u32::try_from(received).unwrap_or(u32::MAX);
        start + self.time + Duration::from_secs(1) * received / self.min_rate.max(1)
    }
}

/// The body that a connection has not read yet, shared by the handler, which may read it, and the
/// server, which discards what is left so that the client gets to see the answer.
#[derive(Debug, Clone)]
pub(super) struct BodySlot {
    state: Arc<Mutex<State>>,
    /// The client sends nothing before it is told to, which the first read does.
    is_held_back: Arc<AtomicBool>,
    /// The body's share of the memory for large bodies, until the request is over.
    share: Arc<Mutex<Option<SemaphorePermit<'static>>>>,
}

#[derive(Debug)]
enum State {
    /// Still on the wire, all of it or the rest.
    Unread(Incoming),
    /// Somebody began to read it and has not come to its end.
    Taken,
    /// Read to its end.
    Read,
}

impl BodySlot {
    pub(super) fn new(incoming: Incoming, headers: &HeaderMap) -> Self {
        let is_empty = incoming.is_end_stream();
        let state = if is_empty {
            State::Read
        } else {
            State::Unread(incoming)
        };
        let is_held_back = AtomicBool::new(headers.contains_key(EXPECT));
        Self {
            state: Arc::new(Mutex::new(state)),
            is_held_back: Arc::new(is_held_back),
            share: Arc::default(),
        }
    }

    /// Takes the body out to read it, if it is still there.
    fn take(&self) -> State {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = if matches!(*state, State::Read) {
            State::Read
        } else {
            State::Taken
        };
        std::mem::replace(&mut *state, next)
    }

    fn put(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Reads the body to its end.
    pub(super) async fn read(&self, limits: ReadLimits) -> Result<Bytes> {
        let State::Unread(mut incoming) = self.take() else {
            return Ok(Bytes::new());
        };
        let hint = incoming.size_hint();
        if hint.lower() > limits.bytes as u64 {
            self.put(State::Unread(incoming));
            return Err(too_large(limits.bytes));
        }
        self.is_held_back.store(false, Ordering::Relaxed);
        let start = Instant::now();
        let expected = usize::try_from(hint.lower()).unwrap_or(usize::MAX);
        let mut received = BytesMut::with_capacity(expected.min(MAX_INITIAL_BYTES));
        loop {
            let deadline = limits.deadline(start, received.len());
            let frame = timeout_at(deadline, incoming.frame())
                .await
                .map_err(|_| too_slow())?;
            let Some(frame) = frame else {
                self.put(State::Read);
                return Ok(received.freeze());
            };
            // Trailers are of no use here.
            let Ok(data) = frame.map_err(broken)?.into_data() else {
                continue;
            };
            if received.len() + data.len() > limits.bytes {
                self.put(State::Unread(incoming));
                return Err(too_large(limits.bytes));
            }
            if !self.grow_share(received.len() + data.len()) {
                self.put(State::Unread(incoming));
                return Err(no_memory());
            }
            if received.is_empty() && incoming.is_end_stream() {
                self.put(State::Read);
                return Ok(data);
            }
            received.extend_from_slice(&data);
        }
    }

    /// Takes more of the memory for large bodies, so that it covers `bytes`. `false` when there is
    /// not enough.
    fn grow_share(&self, bytes: usize) -> bool {
        if bytes <= UNCOUNTED_BYTES {
            return true;
        }
        let mut share = self.share.lock().unwrap_or_else(PoisonError::into_inner);
        let held = share.as_ref().map_or(0, SemaphorePermit::num_permits);
        let missing = u32::try_from(bytes.div_ceil(1024).saturating_sub(held));
        let Ok(more) = MEMORY.try_acquire_many(missing.unwrap_or(u32::MAX)) else {
            return false;
        };
        match &mut *share {
            Some(share) => share.merge(more),
            none => *none = Some(more),
        }
        true
    }

    /// Throws away what was not read. `true` when nothing is left, so that the connection can be
    /// used again. A body that the client still holds back is not asked for.
    pub(super) async fn discard(&self, limits: ReadLimits) -> bool {
        let mut incoming = match self.take() {
            State::Unread(incoming) => incoming,
            State::Taken => return false,
            State::Read => return true,
        };
        if self.is_held_back.load(Ordering::Relaxed) {
            return false;
        }
        let deadline = Instant::now() + limits.time;
        let mut discarded = 0;
        while let Ok(frame) = timeout_at(deadline, incoming.frame()).await {
            match frame {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => discarded += frame.data_ref().map_or(0, Bytes::len),
            }
            if discarded > limits.bytes {
                return false;
            }
        }
        false
    }
}

fn too_large(limit: usize) -> Error {
    let text = format!("Request body is larger than {limit} bytes");
    Error::refused(Kind::TooLarge, "body_too_large", text)
}

fn no_memory() -> Error {
    Error::refused(
        Kind::Busy,
        "too_many_uploads",
        "Too much is being uploaded at once, please try again",
    )
}

fn too_slow() -> Error {
    Error::refused(
        Kind::Timeout,
        "body_too_slow",
        "Request body took too long to arrive",
    )
}

fn broken(_: hyper::Error) -> Error {
    Error::refused(
        Kind::Invalid,
        "body_incomplete",
        "Request body is malformed or incomplete",
    )
}
