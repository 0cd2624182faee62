//! Which faults, in which order, for how long: all of it from the seed.

use serde::{Deserialize, Serialize};

/// The faults, named as in the fault matrix.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[value(rename_all = "verbatim")]
pub enum Fault {
    /// A worker process dies.
    F01,
    /// A worker's program dies.
    F02,
    /// A worker and its programs stand still for longer than its leases live.
    F03,
    /// The machine is busy.
    F04,
    /// A service dies.
    F05,
    /// Answers to claims are lost.
    F06,
    /// Answers to submissions are lost.
    F07,
    /// A backend of PostgreSQL dies.
    F08,
    /// PostgreSQL dies.
    F09,
    /// PostgreSQL dies again while it recovers.
    F10,
    /// The primary dies and the synchronous standby takes over.
    F12,
    /// Services are connected to a server that takes no writes.
    F13,
    /// Commits wait for a standby that is not there.
    F14,
    /// The listening connections are lost, loudly or silently.
    F15,
    /// A listener lets notifications pile up.
    F16,
    /// All connections are taken (F18: while a service starts).
    F17,
    /// Clients hang up in the middle of a request.
    F19,
    /// The volume of the data is full.
    F21,
    /// The volume of the write-ahead log is full.
    F22,
    /// The volume of the logs is full.
    F23,
    /// A service or the workers have the time wrong.
    F25,
    /// The database's clock jumps (only in runs with `--clock-jumps`).
    F26,
    /// Hundreds wait for one task.
    F27,
    /// Many tasks fail every time.
    F28,
    /// A task kills its worker.
    F29,
    /// Somebody keeps a snapshot.
    F31,
    /// Somebody locks what everybody needs.
    F32,
    /// Processes are asked to stop.
    F33,
    /// The schema is installed again under load, twice at once, once killed half-way.
    F34,
    /// nginx fails.
    F35,
    /// The control plane misbehaves.
    F36,
    /// Packets pass in one direction only.
    F38,
    /// A service may open no more files.
    F39,
    /// A link is late, cut, slow or deaf.
    Net,
    /// All links are clogged one by one, and freed in another order.
    Swizzle,
}

impl Fault {
    /// Its name in the matrix.
    #[must_use]
    pub fn id(self) -> String {
        match self {
            Self::Net => "NET".to_owned(),
            Self::Swizzle => "SWIZZLE".to_owned(),
            other => format!("{other:?}"),
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::F01 => "a worker process dies",
            Self::F02 => "a worker's program dies",
            Self::F03 => "a worker and its programs stand still for longer than its leases live",
            Self::F04 => "the machine is busy",
            Self::F05 => "a service dies",
            Self::F06 => "answers to claims are lost",
            Self::F07 => "answers to submissions are lost",
            Self::F08 => "a backend of PostgreSQL dies",
            Self::F09 => "PostgreSQL dies",
            Self::F10 => "PostgreSQL dies again while it recovers",
            Self::F12 => "the primary dies and the synchronous standby takes over",
            Self::F13 => "services are connected to a server that takes no writes",
            Self::F14 => "commits wait for a standby that is not there",
            Self::F15 => "the listening connections are lost, loudly or silently",
            Self::F16 => "a listener lets notifications pile up",
            Self::F17 => "all connections are taken (F18: while a service starts)",
            Self::F19 => "clients hang up in the middle of a request",
            Self::F21 => "the volume of the data is full",
            Self::F22 => "the volume of the write-ahead log is full",
            Self::F23 => "the volume of the logs is full",
            Self::F25 => "a service or the workers have the time wrong",
            Self::F26 => "the database's clock jumps (only in runs with `--clock-jumps`)",
            Self::F27 => "hundreds wait for one task",
            Self::F28 => "many tasks fail every time",
            Self::F29 => "a task kills its worker",
            Self::F31 => "somebody keeps a snapshot",
            Self::F32 => "somebody locks what everybody needs",
            Self::F33 => "processes are asked to stop",
            Self::F34 => {
                "the schema is installed again under load, twice at once, once killed half-way"
            }
            Self::F35 => "nginx fails",
            Self::F36 => "the control plane misbehaves",
            Self::F38 => "packets pass in one direction only",
            Self::F39 => "a service may open no more files",
            Self::Net => "a link is late, cut, slow or deaf",
            Self::Swizzle => "all links are clogged one by one, and freed in another order",
        }
    }

    /// All.
    #[must_use]
    pub fn all() -> Vec<Self> {
        <Self as clap::ValueEnum>::value_variants().to_vec()
    }
}

/// One fault of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// Which.
    pub fault: Fault,
    /// For how long, milliseconds; some take their own time.
    pub hold_ms: u64,
    /// Decides its details.
    pub dice: u64,
}

/// What happens next: one fault, or two at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// After a pause of so many milliseconds.
    pub gap_ms: u64,
    /// These.
    pub picks: Vec<Pick>,
}

/// An endless schedule. Every fault comes up once before one comes up again.
#[derive(Debug, Clone)]
pub struct Schedule {
    rng: fastrand::Rng,
    faults: Vec<Fault>,
    deck: Vec<Fault>,
}

impl Schedule {
    /// From a seed, of these faults.
    #[must_use]
    pub fn new(seed: u64, mut faults: Vec<Fault>) -> Self {
        faults.sort_unstable();
        faults.dedup();
        Self {
            rng: fastrand::Rng::with_seed(seed),
            faults,
            deck: Vec::new(),
        }
    }

    fn pick(&mut self) -> Option<Pick> {
        if self.deck.is_empty() {
            self.deck = self.faults.clone();
            self.rng.shuffle(&mut self.deck);
        }
        let fault = self.deck.pop()?;
        let hold_ms = self.rng.u64(300..3500);
        Some(Pick {
            fault,
            hold_ms,
            dice: self.rng.u64(..),
        })
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let gap_ms = self.rng.u64(200..2000);
        let mut picks = vec![self.pick()?];
        if self.rng.u32(..100) < 25 {
            picks.extend(self.pick());
        }
        Some(Step { gap_ms, picks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_its_schedule_and_another_seed_does_not() {
        let steps = |seed| {
            Schedule::new(seed, Fault::all())
                .take(200)
                .collect::<Vec<_>>()
        };
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
    }

    #[test]
    fn every_fault_comes_up_before_one_comes_up_again() {
        let all = Fault::all();
        let picks = Schedule::new(1, all.clone()).flat_map(|step| step.picks);
        let mut first: Vec<Fault> = picks.take(all.len()).map(|pick| pick.fault).collect();
        first.sort_unstable();
        assert_eq!(first, all);
    }
}
