//! Runs of a queue that is broken on purpose. If one of them passes, nothing that passed means
//! anything. C0 is the same short run with nothing broken: it has to pass.

mod mutants;
mod scripts;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checker::{Terms, check};
use crate::rig::cluster::Replica;
use crate::run::{Run, RunOptions};
use crate::tables::Violation;

/// How long a broken queue may take to run empty; some never do.
const DRAIN: Duration = Duration::from_secs(25);

/// A variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum Control {
    /// Nothing is broken.
    C0,
    /// `synchronous_commit` is off, and PostgreSQL is killed.
    C1,
    /// The standby is asynchronous and behind, and is promoted.
    C2,
    /// The lease id is not compared.
    C3,
    /// Leases are taken back without a second look.
    C4,
    /// Capacity is counted instead of kept, at REPEATABLE READ.
    C5,
    /// The limit of a claim does not bind.
    C6,
    /// A transition leaves no event.
    C7,
    /// Submissions have no idempotency key, and answers are lost.
    C8,
    /// Nobody polls, and notifications are lost.
    C9,
    /// A worker that ends only the direct child of its program.
    C10,
}

/// What must be found, at least one of them: an invariant and a piece of the text.
type Expected = &'static [(&'static str, &'static str)];

impl Control {
    /// All, in order.
    #[must_use]
    pub fn all() -> Vec<Self> {
        <Self as clap::ValueEnum>::value_variants().to_vec()
    }

    /// Its name.
    #[must_use]
    pub fn id(self) -> String {
        format!("{self:?}")
    }

    /// What is broken.
    #[must_use]
    pub fn what(self) -> &'static str {
        match self {
            Self::C0 => "nothing",
            Self::C1 => "synchronous_commit = off, kill -9",
            Self::C2 => "asynchronous standby promoted",
            Self::C3 => "no fence in complete and heartbeat",
            Self::C4 => "reaper without a second look",
            Self::C5 => "capacity counted, at REPEATABLE READ",
            Self::C6 => "a claim's limit that does not bind",
            Self::C7 => "no event for one edge",
            Self::C8 => "no idempotency keys, answers lost",
            Self::C9 => "no polling, notifications lost",
            Self::C10 => "only the direct child is killed",
        }
    }

    fn expected(self) -> Expected {
        match self {
            Self::C0 => &[],
            Self::C1 | Self::C2 => &[("I1", "acknowledged and is not there")],
            Self::C3 => &[("I5", "accepted")],
            Self::C4 => &[("I13", "expired before its time"), ("I6", ""), ("I7", "")],
            Self::C5 | Self::C6 => &[("I10", "leases at once")],
            Self::C7 => &[("I8", "")],
            Self::C8 => &[("I3", "has")],
            Self::C9 => &[("I21", "for a worker that asked"), ("I14", "")],
            Self::C10 => &[("I20", "still worked")],
        }
    }

    fn replica(self) -> Replica {
        if self == Self::C2 {
            Replica::Async
        } else {
            Replica::None
        }
    }
}

/// What came of a control.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Which.
    pub id: String,
    /// What was broken.
    pub what: String,
    /// Whether the checker saw it (C0: saw nothing).
    pub caught: bool,
    /// What it saw, by invariant.
    pub found: BTreeMap<String, usize>,
    /// One of the violations that were expected (C0: one that was not).
    pub example: Option<String>,
}

fn outcome(control: Control, violations: &[Violation]) -> Outcome {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for violation in violations {
        *found.entry(violation.invariant.clone()).or_default() += 1;
    }
    let is_expected = |v: &&Violation| {
        let expected = control.expected();
        expected
            .iter()
            .any(|(id, text)| v.invariant == *id && v.text.contains(text))
    };
    let example = match control {
        Control::C0 => violations.first(),
        _ => violations.iter().find(is_expected),
    };
    Outcome {
        id: control.id(),
        what: control.what().to_owned(),
        caught: example.is_some() != (control == Control::C0),
        found,
        example: example.map(ToString::to_string),
    }
}

/// Runs a control. `options` says where the programs are; the rest is the control's own.
///
/// # Errors
/// When a part does not come up, or the text that is to be broken is not there any more.
pub async fn run(control: Control, options: &RunOptions) -> anyhow::Result<Outcome> {
    let mut options = options.clone();
    options.out = options.out.join(control.id());
    options.cluster.replica = control.replica();
    (options.rate, options.workers, options.pullers) = (20.0, 1, 4);
    options.with_keys = control != Control::C8;
    match control {
        Control::C3 => options.linger = Duration::from_millis(2500),
        Control::C4 => {
            options.linger = Duration::from_secs(8);
            options.heartbeat = Some(Duration::from_millis(3400));
        }
        _ => {}
    }
    std::fs::create_dir_all(&options.out)?;
    let rig = Run::rig(&options).await?;
    mutants::apply(control, &rig.cluster.admin().await?).await?;
    let mut run = Run::with(&options, &rig)?;
    let faults = scripts::play(control, &mut run.load).await?;
    let drain = if control == Control::C0 {
        4 * DRAIN
    } else {
        DRAIN
    };
    let evidence = run
        .finish(faults, drain, |terms| adapt(control, terms))
        .await?;
    Ok(outcome(control, &check(&evidence)))
}

/// What comes of a control that could not be run to its end: nothing was seen.
#[must_use]
pub fn not_run(control: Control, error: &anyhow::Error) -> Outcome {
    Outcome {
        id: control.id(),
        what: control.what().to_owned(),
        caught: false,
        found: BTreeMap::new(),
        example: Some(format!("could not be run: {error:#}")),
    }
}

fn adapt(control: Control, terms: &mut Terms) {
    match control {
        Control::C0 | Control::C9 => terms.probe_limit = Some(6_000_000),
        Control::C10 => terms.orphan_limit = 3_000_000,
        Control::C5 => drop(terms.slots.insert(scripts::CROWD.to_owned(), 1)),
        _ => {}
    }
}
