//! What a program prints: bounded while it is read, made fit for JSON and Postgres afterwards.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How much is read at once, in bytes.
const CHUNK: usize = 16 << 10;
/// How much is read at once of a file, in bytes.
const FILE_CHUNK: usize = 256 << 10;

/// Takes what a stream says, chunk by chunk; false when it has had enough.
pub type Sink = Box<dyn FnMut(&[u8]) -> bool + Send>;

/// Reads `stream` into `sink` to its end, or until the sink has had enough: that is told to
/// `overflow`, and reading stops.
pub async fn drain(mut stream: impl AsyncRead + Unpin, mut sink: Sink, overflow: Arc<Notify>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        if !sink(&chunk[..read]) {
            overflow.notify_one();
            return;
        }
    }
}

/// The pause before more is looked for in a file that grows.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Reads a file that grows into `sink`, until `end` is told and all is read, or until the sink has
/// had enough.
pub async fn follow(mut file: File, mut sink: Sink, overflow: Arc<Notify>, end: CancellationToken) {
    let mut chunk = vec![0; FILE_CHUNK];
    let mut last = false;
    loop {
        match file.read(&mut chunk).await {
            Ok(read @ 1..) => {
                if !sink(&chunk[..read]) {
                    overflow.notify_one();
                    return;
                }
            }
            Ok(0) if !last => {
                // What was written before the end was told is found by one more look.
                last = tokio::select! {
                    () = end.cancelled() => true,
                    () = sleep(LOOK_EVERY) => false,
                };
            }
            Ok(0) | Err(_) => return,
        }
    }
}

/// What was read of one stream so far, shared with its reader so that it survives a reader that
/// never reaches the end.
#[derive(Debug, Clone)]
pub struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    keep: Keep,
}

/// What to keep of a stream, in bytes.
#[derive(Debug, Clone, Copy)]
pub enum Keep {
    /// All of it; more than this is an overflow.
    Whole(usize),
    /// Only its end.
    Tail(usize),
}

impl Capture {
    /// An empty one.
    #[must_use]
    pub fn new(keep: Keep) -> Self {
        Self {
            bytes: Arc::default(),
            keep,
        }
    }

    /// What was read so far; empties it.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a chunk; false when the stream held more than [`Keep::Whole`] allows.
    #[must_use]
    pub fn add(&self, chunk: &[u8]) -> bool {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        match self.keep {
            Keep::Whole(limit) if bytes.len() + chunk.len() > limit => return false,
            Keep::Whole(_) => bytes.extend_from_slice(chunk),
            Keep::Tail(limit) => {
                bytes.extend_from_slice(chunk);
                // Twice the limit before it is cut, so that cutting stays cheap.
                if bytes.len() > limit * 2 {
                    let surplus = bytes.len() - limit;
                    bytes.drain(..surplus);
                }
            }
        }
        true
    }
}

/// The bytes as text that every part of the service accepts: what is not UTF-8, and NUL (which
/// Postgres cannot store in text), becomes U+FFFD.
#[must_use]
pub fn to_text(bytes: &[u8]) -> String {
    without_nul(String::from_utf8_lossy(bytes).into_owned())
}

/// The text with U+FFFD in place of NUL.
#[must_use]
pub fn without_nul(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{FFFD}")
    } else {
        text
    }
}

/// The last `limit` bytes as text, without a broken character at the cut.
#[must_use]
pub fn tail_text(bytes: &[u8], limit: usize) -> String {
    let mut from = bytes.len().saturating_sub(limit);
    while from > 0 && from < bytes.len() && (bytes[from] & 0b1100_0000) == 0b1000_0000 {
        from += 1;
    }
    to_text(&bytes[from..])
}

/// At most the first `limit` bytes of a text, whole characters; an ellipsis says that there was
/// more.
#[must_use]
pub fn head(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_and_broken_utf8_become_replacement_characters() {
        assert_eq!(to_text(b"a\0b\xffc"), "a\u{FFFD}b\u{FFFD}c");
    }

    #[test]
    fn a_tail_starts_at_a_whole_character() {
        assert_eq!(tail_text("xäöü".as_bytes(), 3), "ü");
        assert_eq!(tail_text(b"abc", 10), "abc");
    }

    #[test]
    fn a_head_ends_at_a_whole_character() {
        assert_eq!(head("äöü", 6), "äöü");
        assert_eq!(head("äöüä", 6), "ä…");
        assert_eq!(head("äöüä", 1), "…");
    }

    #[test]
    fn a_tail_keeps_the_end_and_a_whole_refuses_more() {
        let tail = Capture::new(Keep::Tail(4));
        for chunk in [b"abc", b"def", b"ghi"] {
            assert!(tail.add(chunk));
        }
        assert_eq!(tail_text(&tail.take(), 4), "fghi");
        let whole = Capture::new(Keep::Whole(4));
        assert!(whole.add(b"abcd") && !whole.add(b"e"));
    }
}
