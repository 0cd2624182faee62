//! A client of event streams, as a browser's would read them.

use std::collections::VecDeque;

use serde_json::Value;
use tokio::time::timeout;

use crate::runtime::{Api, DEADLINE};

/// An event as it was told.
#[derive(Debug, Clone)]
pub struct Told {
    pub id: String,
    pub kind: String,
    pub data: Value,
}

/// An open stream.
pub struct Stream {
    response: reqwest::Response,
    /// Whole blocks that were not read yet, and the beginning of the next.
    blocks: VecDeque<String>,
    text: String,
    /// The last id, of events and of blocks without one.
    pub cursor: Option<String>,
    pub comments: Vec<String>,
}

impl Stream {
    /// Opens it, with the cursor of an earlier one.
    pub async fn open(api: &Api, path: &str, after: Option<&str>) -> Self {
        Self::try_open(api, path, after).await.expect("a stream")
    }

    /// The same; what was answered instead.
    pub async fn try_open(api: &Api, path: &str, after: Option<&str>) -> Result<Self, String> {
        let mut request = api.request(reqwest::Method::GET, path);
        request = request.header("accept", "text/event-stream");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let response = request.send().await.map_err(|error| error.to_string())?;
        if response.status() != 200 {
            return Err(response.text().await.unwrap_or_default());
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut stream = Self {
            response,
            blocks: VecDeque::new(),
            text: String::new(),
            cursor: after.map(str::to_owned),
            comments: Vec::new(),
        };
        // Its beginning says where it is, so that what happens from now on is seen.
        while stream.blocks.is_empty() {
            assert!(stream.more().await, "the stream ended");
        }
        while let Some(block) = stream.blocks.pop_front() {
            if stream.read(&block).is_some() {
                stream.blocks.push_front(block);
                break;
            }
        }
        Ok(stream)
    }

    /// The next event.
    pub async fn next(&mut self) -> Told {
        loop {
            if let Some(told) = self.piece().await {
                return told;
            }
            assert!(
                !self.is_over().await,
                "the stream ended: {:?}",
                self.comments
            );
        }
    }

    /// All events up to the one that `is_last` recognises.
    pub async fn until(&mut self, is_last: impl Fn(&Told) -> bool) -> Vec<Told> {
        let mut all = Vec::new();
        loop {
            all.push(self.next().await);
            if all.last().is_some_and(&is_last) {
                return all;
            }
        }
    }

    /// What comes next: an event, or `None` for the end, or for a block without an event.
    pub async fn piece(&mut self) -> Option<Told> {
        while self.blocks.is_empty() {
            if !self.more().await {
                return None;
            }
        }
        let block = self.blocks.pop_front()?;
        self.read(&block)
    }

    /// A block without an event, which must come next.
    pub async fn quiet(&mut self) {
        while self.blocks.is_empty() {
            assert!(self.more().await, "the stream ended");
        }
        let block = self.blocks.pop_front().expect("a block");
        assert!(self.read(&block).is_none(), "an event: {block}");
    }

    async fn is_over(&mut self) -> bool {
        self.blocks.is_empty() && !self.more().await
    }

    /// Whether something came.
    async fn more(&mut self) -> bool {
        let chunk = timeout(DEADLINE, self.response.chunk()).await;
        match chunk.expect("something comes in time") {
            Ok(Some(chunk)) => {
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
                if let Some(end) = self.text.rfind("\n\n") {
                    let rest = self.text.split_off(end + 2);
                    let whole = std::mem::replace(&mut self.text, rest);
                    let blocks = whole.split("\n\n").filter(|block| !block.is_empty());
                    self.blocks.extend(blocks.map(str::to_owned));
                }
                true
            }
            // A service that was killed breaks its connections.
            Ok(None) | Err(_) => false,
        }
    }

    fn read(&mut self, block: &str) -> Option<Told> {
        let (mut kind, mut data) = (None, None);
        for line in block.lines() {
            match line.split_once(": ").expect("a field and its value") {
                ("", comment) => self.comments.push(comment.to_owned()),
                ("id", id) => self.cursor = Some(id.to_owned()),
                ("event", name) => kind = Some(name.to_owned()),
                ("data", json) => data = serde_json::from_str(json).ok(),
                ("retry", _) => {}
                other => panic!("no such field: {other:?}"),
            }
        }
        Some(Told {
            id: self.cursor.clone()?,
            kind: kind?,
            data: data?,
        })
    }
}

/// What happened, in order.
pub fn actions(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.kind.as_str()).collect()
}
