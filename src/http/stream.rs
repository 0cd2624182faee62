//! A TCP stream that gives up on peers who stall.
//!
//! hyper's own header timeout starts when it begins to wait, so one value would have to serve both
//! as the time a head may take and as the time a connection may idle between requests. Here it is
//! the idle time; the head's own, shorter time starts with its first byte and is kept here, and so
//! is the time a peer may refuse to take our bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// What a connection is doing.
#[derive(Debug, Default)]
pub(super) struct Phase(AtomicU8);

/// A request head is expected or on its way.
const HEAD: u8 = 0;
/// A request is being handled.
const BUSY: u8 = 1;
/// Waiting for the next request.
const IDLE: u8 = 2;

impl Phase {
    /// A request head is complete.
    pub(super) fn busy(&self) {
        self.0.store(BUSY, Ordering::Relaxed);
    }

    /// The answer is ready.
    pub(super) fn idle(&self) {
        self.0.store(IDLE, Ordering::Relaxed);
    }

    fn is(&self, phase: u8) -> bool {
        self.0.load(Ordering::Relaxed) == phase
    }
}

/// The times a peer may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct StallLimits {
    /// From the first byte of a request's head, or the connection's start, to the head's end.
    pub(super) head: Duration,
    /// Without taking a single byte that we want to send.
    pub(super) write: Duration,
}

/// The stream with its timers. These exist only while somebody is being waited for.
#[derive(Debug)]
pub(super) struct TimedStream {
    stream: TcpStream,
    phase: Arc<Phase>,
    limits: StallLimits,
    head_deadline: Instant,
    head_timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl TimedStream {
    pub(super) fn new(stream: TcpStream, phase: Arc<Phase>, limits: StallLimits) -> Self {
        let head_deadline = Instant::now() + limits.head;
        Self {
            stream,
            phase,
            limits,
            head_deadline,
            head_timer: None,
            write_timer: None,
        }
    }

    /// Passes on the outcome of a write, and fails it once nothing was taken for too long.
    fn watch_write<T>(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_timer = None;
            return outcome;
        }
        let limit = self.limits.write;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the peer stopped reading",
        )))
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_read(context, buffer);
        if outcome.is_ready() {
            if this.phase.is(IDLE) {
                this.head_deadline = Instant::now() + this.limits.head;
                this.head_timer = None;
                this.phase.0.store(HEAD, Ordering::Relaxed);
            }
            return outcome;
        }
        if !this.phase.is(HEAD) {
            this.head_timer = None;
            return Poll::Pending;
        }
        let deadline = this.head_deadline;
        let timer = this
            .head_timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the request head took too long",
        )))
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.watch_write(context, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.watch_write(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
