//! The live log of an attempt: what its program says, as readable lines, sent to the service while
//! it runs. It is for people who look on: whatever goes wrong with it never disturbs the run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};
use uuid::Uuid;

use super::Context;
use super::backoff::Backoff;
use super::held::{Guard, Signal};
use super::output::to_text;

/// The most that one request carries, in bytes.
const BATCH: usize = 64 << 10;
/// The most that waits to be sent, in bytes; what does not fit is left out, and that is said.
const MAX_PENDING: usize = 1 << 20;
/// How long lines are collected before they are sent.
const COLLECT: Duration = Duration::from_secs(1);
/// How long the rest may take once the program has ended: its report waits for this.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);
/// The first and the longest pause after a request that failed.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// A line longer than this is cut into several, in bytes.
const MAX_LINE: usize = 8 << 10;

/// Lines that wait to be sent. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    text: String,
    left_out: usize,
    closed: bool,
}

impl Log {
    /// Adds a line.
    pub fn line(&self, line: &str) {
        {
            let mut pending = self.lock();
            if pending.text.len() + line.len() > MAX_PENDING {
                pending.left_out += line.len() + 1;
                return;
            }
            if pending.left_out > 0 {
                let gap = format!("[{} bytes left out]\n", pending.left_out);
                pending.text.push_str(&gap);
                pending.left_out = 0;
            }
            pending.text.push_str(line);
            pending.text.push('\n');
        }
        self.shared.changed.notify_one();
    }

    /// Says that nothing more will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.shared.changed.notify_one();
    }

    /// Up to [`BATCH`] bytes from the front, whole characters, which stay until [`Log::sent`].
    fn front(&self) -> String {
        let pending = self.lock();
        let mut end = pending.text.len().min(BATCH);
        while !pending.text.is_char_boundary(end) {
            end -= 1;
        }
        pending.text[..end].to_owned()
    }

    fn sent(&self, bytes: usize) {
        let mut pending = self.lock();
        let mut end = bytes.min(pending.text.len());
        while !pending.text.is_char_boundary(end) {
            end -= 1;
        }
        pending.text.drain(..end);
    }

    fn state(&self) -> (usize, bool) {
        let pending = self.lock();
        (pending.text.len(), pending.closed)
    }

    /// Resolves with true when there is something to send, with false when nothing will come.
    async fn ready(&self) -> bool {
        loop {
            match self.state() {
                (1.., _) => return true,
                (0, true) => return false,
                (0, false) => self.shared.changed.notified().await,
            }
        }
    }

    /// Resolves when nothing more will come.
    async fn closed(&self) {
        while !self.state().1 {
            self.shared.changed.notified().await;
        }
    }

    /// Resolves after [`COLLECT`], or sooner when a whole batch is there or nothing will come.
    async fn collected(&self) {
        let end = Instant::now() + COLLECT;
        loop {
            let (bytes, closed) = self.state();
            let more = self.shared.changed.notified();
            if closed || bytes >= BATCH || timeout_at(end, more).await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.shared
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts a stream into lines for a [`Log`]. What stands behind the last line break is added when
/// it is dropped.
#[derive(Debug)]
pub struct Lines {
    log: Log,
    prefix: &'static str,
    partial: Vec<u8>,
}

impl Lines {
    /// Lines of a stream, each behind `prefix`.
    #[must_use]
    pub fn new(log: &Log, prefix: &'static str) -> Self {
        Self {
            log: log.clone(),
            prefix,
            partial: Vec::new(),
        }
    }

    /// Takes the next chunk.
    pub fn add(&mut self, chunk: &[u8]) {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() >= MAX_LINE {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let line = std::mem::take(&mut self.partial);
        let text = to_text(line.strip_suffix(b"\n").unwrap_or(&line));
        self.log.line(&format!("{}{text}", self.prefix));
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.flush();
        }
    }
}

/// Sends the log until it is closed and through, the service wants no more of it, or the time for
/// its end is over.
pub async fn send(ctx: &Context, held: &Guard, task: Uuid, log: &Log) {
    let mut offset = 0;
    let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
    let mut deadline = None;
    while log.ready().await {
        log.collected().await;
        if log.state().1 {
            deadline.get_or_insert_with(|| Instant::now() + FLUSH_LIMIT);
        }
        let text = log.front();
        let call = ctx.api.log(task, held.lease_id, offset, &text);
        let answer = match deadline {
            None => call.await,
            Some(end) => match timeout_at(end, call).await {
                Ok(answer) => answer,
                Err(_) => return,
            },
        };
        match answer {
            Ok(taken) => {
                backoff.reset();
                log.sent(taken.of(offset, text.len()));
                offset = taken.next_offset;
                if taken.capped {
                    return;
                }
            }
            Err(failure) if failure.status() == Some(409) => {
                held.tell(Signal::Lost);
                return;
            }
            Err(failure) if failure.is_transient() && deadline.is_none() => {
                tracing::debug!(task.id = %task, error = %failure, "log not sent yet");
                tokio::select! {
                    () = sleep(backoff.pause_or(failure.retry_after())) => {}
                    () = log.closed() => {}
                }
            }
            Err(failure) => {
                // 404: a service that keeps no logs.
                tracing::debug!(task.id = %task, error = %failure, "log not sent");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_and_the_rest_comes_at_the_end() {
        let log = Log::default();
        let mut lines = Lines::new(&log, "> ");
        lines.add(b"a\nb");
        lines.add(b"c\n\0d");
        assert_eq!(log.front(), "> a\n> bc\n");
        drop(lines);
        assert_eq!(log.front(), "> a\n> bc\n> \u{FFFD}d\n");
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_counted() {
        let log = Log::default();
        log.line(&"x".repeat(MAX_PENDING - 1));
        log.line("lost");
        assert_eq!(log.state().0, MAX_PENDING);
        assert_eq!(log.front().len(), BATCH);
        log.sent(BATCH);
        log.line("kept");
        let pending = log.lock();
        assert!(pending.text.ends_with("\n[5 bytes left out]\nkept\n"));
    }
}
