//! A run as it should be, told one thing after the other.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::super::{Evidence, Terms};
use crate::dump::{Dump, Facts, Stored, Submission};
use crate::journal::{FaultRecord, Grant, Kind, Op, Record};
use crate::program::{Effect, What, digest};
use crate::tables::{Attempt, Event, History, State, Task};

/// In microseconds.
pub const SECOND: i64 = 1_000_000;
/// Who does the work.
pub const WORKER: &str = "w";

/// Writes a run, one thing after the other.
struct Story {
    evidence: Evidence,
    now: i64,
    xid: i64,
    op: u64,
}

impl Story {
    fn new() -> Self {
        let settings = ["fsync", "synchronous_commit", "full_page_writes"]
            .map(|name| (name.to_owned(), "on".to_owned()));
        let dump = Dump {
            tables: History {
                slots: HashMap::from([(WORKER.to_owned(), 2)]),
                ..History::default()
            },
            facts: Facts {
                settings: settings.into(),
                ..Facts::default()
            },
            ..Dump::default()
        };
        let terms = Terms {
            seed: 1,
            ttl: 3 * SECOND,
            grace: SECOND,
            slots: HashMap::from([(WORKER.to_owned(), 2)]),
            clock_trusted: true,
            drained: true,
            orphan_limit: SECOND,
            fairness_limit: 20 * SECOND,
            recovery_limit: 10 * SECOND,
            probe_limit: Some(3 * SECOND),
            actors: BTreeMap::from([("submitted".to_owned(), vec!["producer".to_owned()])]),
            span: (0, 1000 * SECOND),
        };
        let evidence = Evidence {
            records: Vec::new(),
            faults: Vec::new(),
            effects: Vec::new(),
            dump,
            terms,
            findings: Vec::new(),
            samples: Vec::new(),
        };
        Self {
            evidence,
            now: 100 * SECOND,
            xid: 1000,
            op: 0,
        }
    }

    fn record(&mut self, f: Op, kind: Kind, fill: impl Fn(&mut Record)) {
        self.op += 1;
        for kind in [Kind::Invoke, kind] {
            self.now += 1000;
            let mut record = Record {
                proc: "c".to_owned(),
                op: self.op,
                kind,
                f,
                t: self.now.unsigned_abs(),
                w: self.now,
                key: None,
                task: None,
                lease: None,
                fence: None,
                worker: Some(WORKER.to_owned()),
                ttl: None,
                digest: None,
                http: None,
                code: None,
                grants: Vec::new(),
            };
            if kind != Kind::Invoke || f != Op::Claim {
                fill(&mut record);
            }
            self.evidence.records.push(record);
        }
    }

    /// The next event of a task, like its last one but for what `change` says.
    fn event(&mut self, task: Uuid, cause: &str, status: &str, change: impl FnOnce(&mut Event)) {
        self.now += 1000;
        self.xid += 1;
        let events = &mut self.evidence.dump.tables.events;
        let last = events
            .iter()
            .rev()
            .find(|event| event.task == task)
            .cloned();
        let mut event = Event {
            task,
            ver: last.as_ref().map_or(1, |last| last.ver + 1),
            at: self.now,
            xid: self.xid,
            seq: self.xid,
            cause: cause.to_owned(),
            queue: "q".to_owned(),
            prior: last.as_ref().map(|last| last.status.clone()),
            status: status.to_owned(),
            epoch: last.as_ref().map_or(0, |last| last.epoch),
            fence: last.as_ref().map_or(0, |last| last.fence),
            attempts: last.as_ref().map_or(0, |last| last.attempts),
            crashes: last.as_ref().map_or(0, |last| last.crashes),
            lease: last.as_ref().and_then(|last| last.lease),
            worker: last.as_ref().and_then(|last| last.worker.clone()),
            actor: "system".to_owned(),
            after: None,
        };
        change(&mut event);
        events.push(event);
    }

    fn submit(&mut self, key: &str, told: Kind) -> Uuid {
        let task = Uuid::from_u128(0x1000 + u128::from(self.op));
        self.event(task, "submitted", "queued", |event| {
            event.actor = "producer".to_owned();
        });
        self.record(Op::Enqueue, told, |record| {
            record.key = Some(key.to_owned());
            record.task = Some(task);
        });
        let submission = Submission {
            key: Some(key.to_owned()),
            lane: "probe {} 5".to_owned(),
            by: "producer".to_owned(),
        };
        self.evidence.dump.submissions.insert(task, submission);
        let facts = Task {
            context: key.to_owned(),
            serial: false,
            max_attempts: 3,
            max_crashes: 3,
            backoff: SECOND,
        };
        self.evidence.dump.tables.tasks.insert(task, facts);
        task
    }

    fn lease(&mut self, task: Uuid) -> Grant {
        let lease = Uuid::from_u128(0x9000 + u128::from(self.op));
        let mut fence = 0;
        self.event(task, "leased", "leased", |event| {
            event.fence += 1;
            event.attempts += 1;
            event.lease = Some(lease);
            event.worker = Some(WORKER.to_owned());
            fence = event.fence;
        });
        let grant = Grant { task, lease, fence };
        self.record(Op::Claim, Kind::Ok, |record| {
            record.grants = vec![grant.clone()];
        });
        grant
    }

    fn end(&mut self, grant: &Grant, outcome: &str, has_result: bool) {
        let last = self.evidence.dump.tables.events.iter().rev();
        let last = last
            .into_iter()
            .find(|event| event.task == grant.task)
            .unwrap()
            .clone();
        let attempt = Attempt {
            lease: grant.lease,
            worker: WORKER.to_owned(),
            epoch: last.epoch,
            number: last.attempts - i16::from(last.cause == "released"),
            outcome: outcome.to_owned(),
            ended_at: self.now,
            expires_at: self.now - 1,
            has_result,
            cancelled: false,
        };
        let attempts = &mut self.evidence.dump.tables.attempts;
        attempts.insert((grant.task, grant.fence), attempt);
    }

    fn holder(&mut self, op: Op, grant: &Grant, kind: Kind, code: Option<&str>) {
        self.record(op, kind, |record| {
            record.task = Some(grant.task);
            record.lease = Some(grant.lease);
            record.fence = Some(grant.fence);
            record.code = code.map(str::to_owned);
            record.digest = (op == Op::Complete).then(|| digest("done"));
        });
    }

    fn complete(&mut self, grant: &Grant) {
        self.event(grant.task, "completed", "completed", |_| ());
        self.holder(Op::Complete, grant, Kind::Ok, None);
        self.end(grant, "completed", true);
        let (task, fence) = (grant.task, grant.fence);
        let stored = Stored {
            task,
            fence,
            digest: digest("done"),
        };
        self.evidence.dump.results.insert(grant.lease, stored);
    }

    fn effect(&mut self, grant: &Grant, what: What) {
        self.now += 1000;
        let effect = Effect {
            task: grant.task,
            fence: grant.fence,
            worker: WORKER.to_owned(),
            what,
            w: self.now,
            digest: (what == What::End).then(|| digest("done")),
        };
        self.evidence.effects.push(effect);
    }

    /// The state tables follow from the last events.
    fn finish(mut self) -> Evidence {
        let tables = &mut self.evidence.dump.tables;
        tables.events.sort_by_key(|event| (event.task, event.ver));
        let lasts: Vec<Event> = tables.by_task().map(|e| e[e.len() - 1].clone()).collect();
        tables.states = lasts.iter().map(state_of).collect();
        self.evidence
    }
}

fn state_of(last: &Event) -> State {
    State {
        task: last.task,
        place: match last.status.as_str() {
            "queued" => "ready",
            "failed" => "deferred",
            "leased" | "running" => "lease",
            _ => "finished",
        }
        .to_owned(),
        queue: last.queue.clone(),
        status: last.status.clone(),
        ver: last.ver,
        epoch: last.epoch,
        fence: last.fence,
        attempts: last.attempts,
        crashes: last.crashes,
        xmin: last.xid,
        lease: last.lease,
        worker: last.worker.clone(),
    }
}

/// A run in which everything happened, and nothing wrong.
pub fn clean() -> Evidence {
    let mut story = Story::new();
    let plain = story.submit("plain", Kind::Ok);
    let grant = story.lease(plain);
    story.holder(Op::Heartbeat, &grant, Kind::Ok, None);
    story.effect(&grant, What::Start);
    story.effect(&grant, What::Accepted);
    story.effect(&grant, What::End);
    story.complete(&grant);
    story.record(Op::Beat, Kind::Ok, |record| record.ttl = Some(3));

    // Let go, run out, taken by another, and too late for the first.
    let twice = story.submit("twice", Kind::Ok);
    let first = story.lease(twice);
    story.effect(&first, What::Accepted);
    let gone = first.lease;
    story.record(Op::Abandon, Kind::Ok, |record| record.lease = Some(gone));
    story.now += 3 * SECOND;
    story.event(twice, "expired", "queued", |event| event.crashes += 1);
    story.end(&first, "expired", false);
    story.record(Op::Superseded, Kind::Ok, |record| record.lease = Some(gone));
    let second = story.lease(twice);
    story.effect(&second, What::Accepted);
    story.holder(Op::Heartbeat, &first, Kind::Fail, Some("lease_lost"));
    story.holder(Op::Complete, &first, Kind::Fail, Some("lease_lost"));
    story.complete(&second);

    // Failed once, and tried again in time.
    let failed = story.submit("failed", Kind::Ok);
    let grant = story.lease(failed);
    story.event(failed, "failed", "failed", |_| ());
    story.end(&grant, "failed", true);
    story.now += 2 * SECOND;
    story.event(failed, "due", "queued", |_| ());
    let grant = story.lease(failed);
    story.complete(&grant);

    // Nobody knows, and it was; nobody knows, and it was not; refused.
    let unknown = story.submit("unknown", Kind::Info);
    story.event(unknown, "cancelled", "cancelled", |_| ());
    let key = |key: &'static str| move |record: &mut Record| record.key = Some(key.to_owned());
    story.record(Op::Enqueue, Kind::Info, key("vanished"));
    story.record(Op::Enqueue, Kind::Fail, key("refused"));
    let (began, ended) = (story.now, story.now + 1000);
    story.evidence.faults.push(FaultRecord {
        step: 0,
        id: "F09".to_owned(),
        what: "killed".to_owned(),
        began,
        ended,
        failed: None,
    });
    let after = story.submit("after", Kind::Ok);
    let grant = story.lease(after);
    story.complete(&grant);
    story.finish()
}
