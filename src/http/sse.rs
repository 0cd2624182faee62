//! The text of server-sent events (`text/event-stream`).

use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;

use crate::error::{Error, Result};

/// The content type.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// Pieces of a stream in the making.
#[derive(Debug, Default)]
pub struct Text(Vec<u8>);

impl Text {
    /// How long a client should wait before it connects again, in milliseconds.
    #[must_use]
    pub fn retry(mut self, ms: u32) -> Self {
        self.push(&["retry: ", &ms.to_string(), "\n\n"]);
        self
    }

    /// From where a client goes on after a reconnect, without an event.
    #[must_use]
    pub fn place(mut self, cursor: Uuid) -> Self {
        self.push(&["id: ", &cursor.to_string(), "\n\n"]);
        self
    }

    /// A comment, which clients ignore.
    #[must_use]
    pub fn comment(mut self, text: &str) -> Self {
        self.push(&[": ", &one_line(text), "\n\n"]);
        self
    }

    /// An event of this kind with `data` as JSON.
    ///
    /// # Errors
    /// When `data` cannot be JSON.
    pub fn event(mut self, cursor: Uuid, kind: &str, data: &impl Serialize) -> Result<Self> {
        let id = cursor.to_string();
        self.push(&["id: ", &id, "\nevent: ", &one_line(kind), "\ndata: "]);
        // JSON without indentation has no line breaks.
        serde_json::to_writer(&mut self.0, data).map_err(Error::internal)?;
        self.push(&["\n\n"]);
        Ok(self)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(self) -> Bytes {
        self.0.into()
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.0.extend_from_slice(part.as_bytes());
        }
    }
}

/// A line break would begin another field.
fn one_line(text: &str) -> String {
    text.replace(|letter: char| letter.is_control(), "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_an_event_can_begin_another_field() {
        let text = Text::default()
            .retry(5)
            .place(Uuid::nil())
            .comment("a\nb")
            .event(Uuid::nil(), "x\r\ndata: y", &"1\n2")
            .unwrap();
        let nil = Uuid::nil();
        let wanted = format!(
            "retry: 5\n\nid: {nil}\n\n: a_b\n\nid: {nil}\nevent: x__data: y\ndata: \"1\\n2\"\n\n"
        );
        assert_eq!(text.bytes(), wanted);
    }
}
