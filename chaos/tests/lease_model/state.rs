//! What there is: the task, the processes, the messages between them.

use std::collections::BTreeSet;

/// How long a lease lives after a sign of life, in ticks.
pub const TTL: u8 = 2;
/// How long after that the reaper ends it at the latest.
pub const REAP: u8 = 1;
/// The last tick.
pub const END: u8 = 4;
/// How many messages may be on their way.
pub const ON_THE_WAY: usize = 2;
/// The processes. The second one is the first one's successor under the same name.
pub const PROCESSES: usize = 3;

/// Where the task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// It waits.
    Ready,
    /// A process has it.
    Leased {
        /// The fence of the lease.
        fence: u8,
        /// Which process.
        holder: u8,
        /// When the holder itself was last heard of.
        heard_at: u8,
        /// Its last sign of life.
        beat_at: u8,
    },
    /// It has its result, which came with this fence.
    Done(u8),
    /// It was cancelled.
    Cancelled,
}

/// A process of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Process {
    /// Whether it runs.
    pub is_up: bool,
    /// Whether it stands still; what it started goes on.
    pub is_paused: bool,
    /// The fence of what it works on, and until when it may.
    pub work: Option<(u8, u8)>,
    /// What it has to report: a fence, and whether it is a result or the proof of a stop.
    pub report: Option<(u8, bool)>,
    /// When it died.
    pub died_at: Option<u8>,
}

impl Process {
    /// Whether its program is at work now: it ends itself at its deadline.
    pub fn works(&self, now: u8) -> bool {
        self.is_up && self.work.is_some_and(|(_, deadline)| now < deadline)
    }
}

/// A message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// Give me a task. When it was sent.
    Ask(u8, u8),
    /// The task, with its fence, as the answer to a request sent then.
    Grant(u8, u8, u8),
    /// I live. When it was sent.
    Beat(u8, u8),
    /// Heard, for the lease with this fence; the beat was sent then, and whether to stop.
    Heard(u8, u8, u8, bool),
    /// The lease that you named is not yours.
    Lost(u8),
    /// It is done (true), or stopped, under this fence.
    Report(u8, u8, bool),
    /// The report was taken, or refused for good.
    Answered(u8, u8),
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub now: u8,
    pub task: Task,
    /// The last fence that was given out.
    pub fence: u8,
    pub cancel_asked: bool,
    pub processes: [Process; PROCESSES],
    pub net: BTreeSet<Message>,
    /// What the reaper once saw to have run out.
    pub seen_expired: Option<u8>,
    /// How often the task ended.
    pub ends: u8,
    /// Whether a report was taken that was not of the live lease.
    pub took_stale: bool,
}

impl State {
    pub fn new() -> Self {
        let up = Process {
            is_up: true,
            ..Process::default()
        };
        Self {
            now: 0,
            task: Task::Ready,
            fence: 0,
            cancel_asked: false,
            processes: [up, Process::default(), up],
            net: BTreeSet::new(),
            seen_expired: None,
            ends: 0,
            took_stale: false,
        }
    }

    /// When the live lease runs out.
    pub fn runs_out_at(&self) -> Option<u8> {
        match self.task {
            Task::Leased { beat_at, .. } => Some(beat_at + TTL),
            _ => None,
        }
    }

    pub fn can_send(&self) -> bool {
        self.net.len() < ON_THE_WAY
    }
}
