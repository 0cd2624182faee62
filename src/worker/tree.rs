//! The process tree of one attempt: its process group, and whatever left the group but still
//! carries the attempt's lease id in its environment.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::confine::Cell;

/// The variable that marks every process of an attempt.
pub const COOKIE: &str = "BLOOM_LEASE_ID";

/// How long killing is repeated before the tree counts as unkillable (a process stuck in the
/// kernel).
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// The pause between two looks at the tree.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The processes of one attempt.
#[derive(Debug, Clone)]
pub struct Tree {
    group: Pid,
    cookie: Vec<u8>,
    /// When the leader started, in the kernel's ticks since boot: nothing older belongs to it.
    since: u64,
    /// The control group that holds all of it, where there is one.
    cell: Option<Cell>,
}

impl Tree {
    /// The tree whose leader has just been started as a group of its own.
    #[must_use]
    pub fn new(leader: Pid, lease_id: Uuid, cell: Option<Cell>) -> Self {
        let since = stat(leader.as_raw_nonzero().get()).map_or(0, |stat| stat.started);
        Self {
            group: leader,
            cookie: format!("{COOKIE}={lease_id}").into_bytes(),
            since,
            cell,
        }
    }

    /// Sends a signal to the group, and to what has left the group when it is SIGKILL.
    pub async fn signal(&self, signal: Signal) {
        match kill_process_group(self.group, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => {
                let group = self.group.as_raw_nonzero();
                tracing::warn!(%group, %error, "cannot signal a program");
            }
        }
        if signal == Signal::KILL {
            if let Some(cell) = &self.cell {
                cell.kill();
            }
            for pid in self.members().await.unwrap_or_default() {
                let _ended_meanwhile = kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Whether no process of the tree is left (zombies do not count).
    pub async fn is_gone(&self) -> bool {
        match self.members().await {
            Some(members) => members.is_empty(),
            None => test_kill_process_group(self.group).is_err(),
        }
    }

    /// How many living processes it has; at least its leader where nobody can tell.
    pub async fn count(&self) -> usize {
        self.members().await.map_or(1, |members| members.len())
    }

    /// Resolves when the group is empty.
    pub async fn gone(&self) {
        while !self.is_gone().await {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Kills until nothing is left; false when something cannot be killed within ten seconds.
    pub async fn destroy(&self) -> bool {
        let deadline = Instant::now() + KILL_LIMIT;
        loop {
            if self.is_gone().await {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            self.signal(Signal::KILL).await;
            sleep(LOOK_EVERY).await;
        }
    }

    /// Every living process of the tree; `None` where the system has no `/proc`.
    async fn members(&self) -> Option<Vec<Pid>> {
        let tree = self.clone();
        // Reading another process's environment may block while that process is busy in the kernel.
        spawn_blocking(move || tree.scan()).await.ok()?.ok()
    }

    fn scan(&self) -> io::Result<Vec<Pid>> {
        let held = self.cell.as_ref().map(Cell::members).unwrap_or_default();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let Ok(entry) = entry else { continue };
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            // A process that ends while it is looked at is none of the living.
            let Some(stat) = stat(pid) else { continue };
            if stat.dead || stat.started < self.since {
                continue;
            }
            let is_ours = stat.group == self.group.as_raw_nonzero().get()
                || held.contains(&pid)
                || self.carries_cookie(pid);
            if is_ours {
                found.extend(Pid::from_raw(pid));
            }
        }
        Ok(found)
    }

    fn carries_cookie(&self, pid: i32) -> bool {
        std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|env| {
            env.split(|byte| *byte == 0)
                .any(|entry| entry == self.cookie)
        })
    }
}

struct Stat {
    dead: bool,
    group: i32,
    started: u64,
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state ppid pgrp …`, where the name may hold spaces and parentheses.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    Some(Stat {
        dead: matches!(*fields.first()?, "Z" | "X" | "x"),
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_fool_the_parser() {
        let text = "7 (a) Z 1 (x) S 1 42 7 0 -1 1 2 3 4 5 6 7 8 9 20 0 1 0 9000 1 1";
        let stat = parse_stat(text).unwrap();
        assert!(!stat.dead);
        assert_eq!((stat.group, stat.started), (42, 9000));
    }
}
