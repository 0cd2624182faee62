//! The fold: each task's events in the order of ver, against the state machine.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::load::{Attempt, Event, History, State, Task};
use super::{Bounds, Violation};

/// A cause, the statuses that it leads from, and those that it leads to.
pub type Edge = (
    &'static str,
    &'static [Option<&'static str>],
    &'static [&'static str],
);

/// Which cause leads from which status to which; `None` is "not submitted yet".
pub const EDGES: &[Edge] = &[
    ("submitted", &[None], &["queued"]),
    ("leased", &[Some("queued")], &["leased"]),
    ("running", &[Some("leased")], &["running"]),
    ("cancel_requested", LIVE, &["leased", "running"]),
    ("cancel_delivered", LIVE, &["leased", "running"]),
    ("completed", LIVE, &["completed"]),
    ("failed", LIVE, &["failed"]),
    ("dead", LIVE, &["dead"]),
    (
        "cancelled",
        &[
            Some("queued"),
            Some("failed"),
            Some("leased"),
            Some("running"),
        ],
        &["cancelled"],
    ),
    ("expired", LIVE, &["queued"]),
    ("released", LIVE, &["queued"]),
    ("removed", LIVE, &["queued"]),
    ("due", &[Some("queued"), Some("failed")], &["queued"]),
    ("turn", &[Some("queued")], &["queued"]),
    ("prioritized", &[Some("queued")], &["queued"]),
    (
        "requeued",
        &[Some("failed"), Some("dead"), Some("cancelled")],
        &["queued"],
    ),
];
const LIVE: &[Option<&str>] = &[Some("leased"), Some("running")];

fn is_live(status: &str) -> bool {
    matches!(status, "leased" | "running")
}

fn is_terminal(status: &str) -> bool {
    matches!(status, "completed" | "dead" | "cancelled")
}

/// Collects what is wrong with one task.
struct Fold<'a> {
    found: Vec<Violation>,
    task: Uuid,
    submission: Option<&'a Task>,
    attempts: &'a HashMap<(Uuid, i32), Attempt>,
}

impl Fold<'_> {
    fn add(&mut self, invariant: &'static str, event: &Event, text: &str) {
        let text = format!(
            "task {} ver {} ({}): {text}",
            self.task, event.ver, event.cause
        );
        self.found.push(Violation::new(invariant, text));
    }

    /// I7, I8: the version, the edge, and that it starts where the last one ended.
    fn edge(&mut self, last: Option<&Event>, event: &Event) {
        if event.ver != last.map_or(1, |last| last.ver + 1) {
            self.add("I8", event, "the versions have a gap or a repetition");
        }
        let prior = last.map(|last| last.status.as_str());
        if event.prior.as_deref() != prior {
            self.add(
                "I7",
                event,
                &format!("comes from {:?}, but was {prior:?}", event.prior),
            );
        }
        let legal = EDGES.iter().any(|(cause, from, to)| {
            *cause == event.cause
                && from.contains(&event.prior.as_deref())
                && to.contains(&event.status.as_str())
        });
        let stays = !event.cause.starts_with("cancel_")
            || event.prior.as_deref() == Some(event.status.as_str());
        if !legal || !stays {
            let text = format!("{:?} -> {} is no edge", event.prior, event.status);
            self.add("I7", event, &text);
        }
    }

    /// I4, I5: one live lease, a fence that grows with it, and ends that name it.
    fn lease(&mut self, last: Option<&Event>, event: &Event) {
        let (fence, live) = last.map_or((0, None), |last| {
            (last.fence, is_live(&last.status).then_some(last.lease))
        });
        if event.cause == "leased" {
            if live.is_some() {
                self.add("I4", event, "granted while a lease was live");
            }
            if event.fence != fence + 1 {
                self.add("I4", event, "a grant must raise the fence by one");
            }
            if event.lease.is_none() || event.worker.is_none() {
                self.add("I4", event, "a grant without a lease or a worker");
            }
            return;
        }
        if event.fence != fence {
            self.add("I4", event, "only a grant may change the fence");
        }
        if let Some(lease) = live
            && (event.lease != lease || event.worker != last.and_then(|last| last.worker.clone()))
        {
            self.add("I5", event, "does not carry the lease that was live");
        }
    }

    /// I6, I9: epochs and counters.
    fn counters(&mut self, last: Option<&Event>, event: &Event, ended: &mut HashSet<i32>) {
        let (epoch, attempts, crashes) =
            last.map_or((0, 0, 0), |last| (last.epoch, last.attempts, last.crashes));
        let ran_out = event.cause == "expired" || event.after.as_deref() == Some("expired");
        let given_back = matches!(event.cause.as_str(), "released" | "removed");
        let expected = match event.cause.as_str() {
            "requeued" => (epoch + 1, 0, 0),
            "leased" => (epoch, attempts + 1, crashes),
            _ if given_back => (epoch, attempts - 1, crashes),
            // A cancelled task keeps its counters, whatever ended its lease.
            _ => (epoch, attempts, crashes + i16::from(ran_out)),
        };
        if event.epoch != expected.0 {
            self.add(
                "I6",
                event,
                "an epoch begins with a requeue and nothing else",
            );
        }
        if (event.attempts, event.crashes) != (expected.1, expected.2) {
            let text = format!(
                "counters are {}/{}, expected {}/{}",
                event.attempts, event.crashes, expected.1, expected.2
            );
            self.add("I9", event, &text);
        }
        if let Some(task) = self.submission
            && (event.attempts > task.max_attempts || event.crashes > task.max_crashes)
        {
            self.add("I9", event, "a counter is above its limit");
        }
        if is_terminal(&event.status) && !ended.insert(event.epoch) {
            self.add("I6", event, "a second terminal state in one epoch");
        }
    }

    /// I11–I13 and the attempts' history: each ended lease has its row, with the right facts.
    fn attempt(&mut self, last: Option<&Event>, event: &Event) {
        let Some(last) = last.filter(|last| is_live(&last.status)) else {
            return;
        };
        if is_live(&event.status) {
            return;
        }
        let Some(attempt) = self.attempts.get(&(self.task, last.fence)) else {
            return self.add("attempts", event, "the ended lease has no attempt row");
        };
        let outcome = match (event.after.as_deref(), event.cause.as_str()) {
            (Some(after), _) => after,
            (None, "dead") => "failed",
            (None, cause) => cause,
        };
        let facts = (
            Some(attempt.lease) == last.lease,
            Some(&attempt.worker) == last.worker.as_ref(),
            attempt.epoch == last.epoch,
            attempt.number == last.attempts,
            attempt.outcome == outcome,
        );
        if facts != (true, true, true, true, true) {
            let text = format!("the attempt row says otherwise: {attempt:?}, not {outcome}");
            self.add("attempts", event, &text);
        }
        let reported = event.after.is_none()
            && matches!(
                event.cause.as_str(),
                "completed" | "failed" | "dead" | "cancelled"
            );
        if attempt.has_result != reported {
            self.add(
                "I11",
                event,
                "the result does not go with how the lease ended",
            );
        }
        if attempt.outcome == "expired"
            && !attempt.cancelled
            && attempt.ended_at < attempt.expires_at
        {
            self.add("I13", event, "expired before its time");
        }
    }

    /// I12: a retry comes no sooner than its policy allows.
    fn spacing(&mut self, last: Option<&Event>, event: &Event) {
        let Some(last) = last.filter(|last| last.status == "failed" && event.cause == "due") else {
            return;
        };
        let Some((task, attempt)) = self
            .submission
            .zip(self.attempts.get(&(self.task, last.fence)))
        else {
            return;
        };
        if event.at < attempt.ended_at + task.backoff {
            self.add("I12", event, "the retry came too soon");
        }
    }
}

/// Folds every task and compares the end with the state tables.
pub fn check(history: &History, bounds: &Bounds) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut last_of: HashMap<Uuid, &Event> = HashMap::new();
    let mut grants: HashSet<(Uuid, i32)> = HashSet::new();
    for events in history.by_task() {
        let task = events[0].task;
        let mut fold = Fold {
            found: Vec::new(),
            task,
            submission: history.tasks.get(&task),
            attempts: &history.attempts,
        };
        let mut last: Option<&Event> = None;
        let mut ended = HashSet::new();
        for event in events {
            fold.edge(last, event);
            fold.lease(last, event);
            fold.counters(last, event, &mut ended);
            fold.attempt(last, event);
            if !bounds.hurried {
                fold.spacing(last, event);
            }
            if event.cause == "leased" {
                grants.insert((task, event.fence));
            }
            if event.cause == "requeued" {
                // A new epoch may not open before the old one has ended or failed: see EDGES.
                ended.remove(&event.epoch);
            }
            last = Some(event);
        }
        found.append(&mut fold.found);
        last_of.extend(last.map(|last| (task, last)));
    }
    for (task, fence) in history.attempts.keys() {
        if !grants.contains(&(*task, *fence)) {
            let text = format!("task {task}: attempt {fence} was never granted");
            found.push(Violation::new("attempts", text));
        }
    }
    found.extend(ends(history, bounds, &last_of));
    found
}

/// I8: each task stands in exactly one state table, and there as its last event says.
fn ends(history: &History, bounds: &Bounds, last_of: &HashMap<Uuid, &Event>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut add = |text: String| {
        found.push(Violation::new("I8", text));
    };
    let mut seen: HashMap<Uuid, &State> = HashMap::new();
    for state in &history.states {
        if let Some(other) = seen.insert(state.task, state) {
            add(format!(
                "task {} is in {} and in {}",
                state.task, other.place, state.place
            ));
        }
        let Some(last) = last_of.get(&state.task) else {
            add(format!("task {} has no events", state.task));
            continue;
        };
        let row = (
            &state.queue,
            &state.status,
            state.ver,
            state.epoch,
            state.fence,
        );
        let log = (&last.queue, &last.status, last.ver, last.epoch, last.fence);
        let counters = (state.attempts, state.crashes) == (last.attempts, last.crashes);
        let lease = (&state.lease, &state.worker) == (&last.lease, &last.worker);
        if row != log || !counters || !lease {
            add(format!(
                "task {}: the row {state:?} is not what {last:?} says",
                state.task
            ));
        }
        // A heartbeat writes the lease row without a transition; who hurries retries, theirs.
        let rewritten = state.place == "lease" || bounds.hurried && state.place == "deferred";
        if !rewritten && state.xmin != last.xid & 0xffff_ffff {
            add(format!(
                "task {}: row and event come from different transactions",
                state.task
            ));
        }
    }
    for task in history.tasks.keys() {
        if !seen.contains_key(task) {
            add(format!("task {task} is in no state table"));
        }
    }
    for task in last_of.keys().chain(seen.keys()) {
        if !history.tasks.contains_key(task) {
            add(format!("task {task} was never submitted"));
        }
    }
    found
}
