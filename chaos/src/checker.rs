//! Holds a run against the invariants. All of it takes linear time (or a sort): each task has its
//! own total order, `ver`, so that nothing has to be searched.
//!
//! | | promise | judged in |
//! |---|---|---|
//! | I1 | what was acknowledged is there | [`accounting`] |
//! | I2 | what is there was asked for | [`accounting`] |
//! | I3 | one task a key | [`accounting`], tables at rest |
//! | I4 | one live lease, fence + 1 with each | [`crate::tables`], [`leases`] |
//! | I5 | nothing of a superseded lease is accepted | [`crate::tables`], [`leases`] |
//! | I6–I10, I12 | terminal states, edges, completeness, counters, capacity, spacing | [`crate::tables`] |
//! | I11 | what is stored is what was sent | [`leases`], [`effects`] |
//! | I13 | no lease runs out before its time | [`crate::tables`], [`leases`] |
//! | I14 | in the end everything is done | [`accounting`] |
//! | I15 | who did it was allowed to | [`authority`] |
//! | I17, I18 | no secrets, no leaks, no panics | collected in [`crate::run`] |
//! | I19 | each lease that ran out has a cause | [`timing`] |
//! | I20 | no program outlives its lease, no older fence after a newer one | [`effects`] |
//! | I21, I22 | recovery and fairness within bounds | [`timing`] |
//!
//! I16 (the chain over the audit trail) is judged by the audit's own verifier, not here.

pub mod accounting;
pub mod authority;
pub mod effects;
pub mod leases;
#[cfg(test)]
mod planted;
pub mod timing;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::dump::Dump;
use crate::journal::{self, FaultRecord, Record};
use crate::program::Effect;
use crate::tables::{self, Bounds, Violation};

/// What a service may answer with while something is wrong.
const UNAVAILABLE: [u16; 4] = [502, 503, 504, 507];
/// By how much a service's memory may grow beside doubling, KiB.
const GROWTH_KIB: u64 = 64 << 10;

/// What held in a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Terms {
    /// The seed.
    pub seed: u64,
    /// The longest time to live that clients asked for, microseconds.
    pub ttl: i64,
    /// How long after an outage nothing is taken back, microseconds.
    pub grace: i64,
    /// The slots of each worker.
    pub slots: HashMap<String, i64>,
    /// Whether the database's clock was left alone: with a clock that jumps, times say nothing.
    pub clock_trusted: bool,
    /// Whether clients waited for the queue to run empty.
    pub drained: bool,
    /// How long a program may live after its lease, microseconds.
    pub orphan_limit: i64,
    /// How long a task may be overtaken by its neighbours, microseconds.
    pub fairness_limit: i64,
    /// How long it may take until the first claim after a fault, microseconds.
    pub recovery_limit: i64,
    /// How long a task of the queue `probe` may wait for the worker that asks for it all the time,
    /// microseconds, if that is to be judged.
    pub probe_limit: Option<i64>,
    /// Who may cause what: cause → beginnings of actors' names. Causes that are not named are free.
    pub actors: BTreeMap<String, Vec<String>>,
    /// When the load began and when it ended, microseconds since 1970.
    pub span: (i64, i64),
}

/// What the services used at one moment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Sample {
    /// When, microseconds since 1970.
    pub w: i64,
    /// Memory of the larger service, KiB.
    pub memory_kib: u64,
    /// Open files of the one that has more.
    pub files: usize,
    /// Connections to the database.
    pub connections: i64,
}

/// All that is known of a run.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Lines of all clients.
    pub records: Vec<Record>,
    /// What the nemesis did.
    pub faults: Vec<FaultRecord>,
    /// What the workers' programs did.
    pub effects: Vec<Effect>,
    /// What was left in the database.
    pub dump: Dump,
    /// What held.
    pub terms: Terms,
    /// What was found while collecting: secrets, panics, leaks.
    pub findings: Vec<Violation>,
    /// What the services used.
    pub samples: Vec<Sample>,
}

impl Evidence {
    /// Reads the evidence of a run from its directory.
    ///
    /// # Errors
    /// When a file is missing or cannot be read.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let terms: Vec<Terms> = journal::read(&dir.join("terms.jsonl"))?;
        Ok(Self {
            records: journal::read_all(&dir.join("clients"))?,
            faults: journal::read(&dir.join("faults.jsonl"))?,
            effects: journal::read(&dir.join("effects.jsonl"))?,
            dump: Dump::read(&dir.join("tables"))?,
            terms: terms.into_iter().next().context("no terms")?,
            findings: journal::read(&dir.join("findings.jsonl"))?,
            samples: journal::read(&dir.join("samples.jsonl"))?,
        })
    }
}

/// Every violation in a run, worst first in the order of the invariants.
#[must_use]
pub fn check(evidence: &Evidence) -> Vec<Violation> {
    let bounds = Bounds {
        workers: evidence.terms.slots.clone(),
        queues: HashMap::new(),
        hurried: false,
    };
    let mut found = tables::judge(&evidence.dump.tables, &bounds);
    if !evidence.terms.clock_trusted {
        // These are judged by the database's times.
        found.retain(|v| !matches!(v.invariant.as_str(), "I10" | "I12" | "I13" | "serial"));
    }
    found.extend(evidence.dump.facts.rest.iter().cloned());
    found.extend(evidence.findings.iter().cloned());
    found.extend(accounting::check(evidence));
    found.extend(leases::check(evidence));
    found.extend(authority::check(evidence));
    found.extend(effects::check(evidence));
    found.extend(timing::check(evidence));
    found.extend(durability(evidence));
    found.extend(hygiene(evidence));
    found.sort_by_key(|v| (number(&v.invariant), v.invariant.clone()));
    found
}

fn number(invariant: &str) -> u32 {
    let digits = invariant.strip_prefix('I').unwrap_or("99");
    digits.parse().unwrap_or(99)
}

/// I18: nothing is left open, nothing grows, nothing breaks in another way than it says.
fn hygiene(evidence: &Evidence) -> Vec<Violation> {
    let mut found = Vec::new();
    let idle = evidence.dump.facts.idle_in_transaction;
    if idle > 0 {
        let text = format!("{idle} sessions are idle in a transaction");
        found.push(Violation::new("I18", text));
    }
    let odd = |record: &&Record| {
        record
            .http
            .is_some_and(|s| s >= 500 && !UNAVAILABLE.contains(&s))
    };
    for record in evidence.records.iter().filter(odd).take(5) {
        let text = format!("{:?} was answered with {:?}", record.f, record.http);
        found.push(Violation::new("I18", text));
    }
    let part = evidence.samples.len() / 4;
    let most = |samples: &[Sample]| samples.iter().map(|s| s.memory_kib).max().unwrap_or(0);
    if part > 10 {
        let (early, late) = (&evidence.samples[..part], &evidence.samples[3 * part..]);
        if most(late) > 2 * most(early) + GROWTH_KIB {
            let text = format!("memory grew from {} to {} KiB", most(early), most(late));
            found.push(Violation::new("I18", text));
        }
    }
    found
}

/// A run without the promised durability proves nothing.
fn durability(evidence: &Evidence) -> Vec<Violation> {
    let settings = &evidence.dump.facts.settings;
    let wrong = ["fsync", "synchronous_commit", "full_page_writes"]
        .into_iter()
        .filter(|name| settings.get(*name).is_none_or(|value| value != "on"));
    wrong
        .map(|name| {
            let value = settings.get(name).map_or("unknown", String::as_str);
            Violation::new("durability", format!("{name} is {value}"))
        })
        .collect()
}
