//! Who waits for a flight: one line for each caller, served in turn.

use std::collections::{HashMap, VecDeque};

use tokio::sync::oneshot;

/// A call on its way, and where its answer goes.
#[derive(Debug)]
pub struct Entry<C, A> {
    /// What is asked.
    pub call: C,
    /// Roughly its bytes.
    pub weight: usize,
    /// Where the answer goes. Closed when nobody waits for it any more.
    pub answer: oneshot::Sender<A>,
}

/// All calls that wait.
#[derive(Debug)]
pub struct Queue<C, A> {
    lines: HashMap<String, VecDeque<Entry<C, A>>>,
    /// The callers that have a line, in the order of their turns.
    turns: VecDeque<String>,
    waiting: usize,
    bytes: usize,
}

impl<C, A> Default for Queue<C, A> {
    fn default() -> Self {
        Self {
            lines: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            bytes: 0,
        }
    }
}

impl<C, A> Queue<C, A> {
    /// How many calls wait, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.waiting, self.bytes)
    }

    /// Puts a call at the end of its caller's line.
    pub fn push(&mut self, caller: &str, entry: Entry<C, A>) {
        self.waiting += 1;
        self.bytes += entry.weight;
        if let Some(line) = self.lines.get_mut(caller) {
            line.push_back(entry);
        } else {
            self.turns.push_back(caller.to_owned());
            self.lines
                .insert(caller.to_owned(), VecDeque::from([entry]));
        }
    }

    /// The calls that travel next: one of each caller in turn, until there are `max_calls` of them
    /// or the next would make it more than `max_bytes`; at least one, if any waits. Calls that
    /// nobody waits for any more are dropped.
    pub fn take(&mut self, max_calls: usize, max_bytes: usize) -> Vec<Entry<C, A>> {
        let mut taken: Vec<Entry<C, A>> = Vec::new();
        let mut bytes = 0;
        while taken.len() < max_calls
            && let Some(caller) = self.turns.pop_front()
        {
            let Some(line) = self.lines.get_mut(&caller) else {
                continue;
            };
            let next = line.front().map_or(0, |entry| entry.weight);
            if !taken.is_empty() && bytes + next > max_bytes {
                self.turns.push_front(caller);
                break;
            }
            let entry = line.pop_front();
            if line.is_empty() {
                self.lines.remove(&caller);
            } else {
                self.turns.push_back(caller);
            }
            let Some(entry) = entry else { continue };
            self.waiting -= 1;
            self.bytes -= entry.weight;
            if !entry.answer.is_closed() {
                bytes += entry.weight;
                taken.push(entry);
            }
        }
        taken
    }
}
