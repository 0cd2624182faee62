//! What the numbers must become, and whether they are that.

/// How a figure is held against its goal.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// It must be so much at least.
    AtLeast(f64),
    /// It may be so much at most.
    AtMost(f64),
}

impl Goal {
    /// Whether `value` is good enough.
    #[must_use]
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::AtMost(most) => write!(f, "≤ {most}"),
        }
    }
}

/// What of a figure is looked at.
#[derive(Clone, Copy, Debug)]
pub enum Of {
    /// Its value.
    Value(&'static str),
    /// Its median latency in milliseconds.
    P50(&'static str),
    /// Its 99th percentile in milliseconds.
    P99(&'static str),
    /// Its value, divided by that of another one of the same run.
    Ratio(&'static str, &'static str),
    /// Its value, divided by the floor (one-row durable inserts) of the same minute.
    Floor(&'static str),
    /// The same, in units of the first implementation: 150 cycles/s where the floor was 17,000.
    First(&'static str),
}

/// One goal: what it is about, what is measured, and what that must be.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What it is about.
    pub text: &'static str,
    /// What is measured.
    pub of: Of,
    /// What it must be.
    pub goal: Goal,
}

const fn least(text: &'static str, of: Of, goal: f64) -> Row {
    let goal = Goal::AtLeast(goal);
    Row { text, of, goal }
}

const fn most(text: &'static str, of: Of, goal: f64) -> Row {
    let goal = Goal::AtMost(goal);
    Row { text, of, goal }
}

/// The goals.
pub const ALL: [Row; 32] = [
    least(
        "HTTP cycle, 64 clients : the first implementation (submits, too)",
        Of::First("cycle-64"),
        50.0,
    ),
    least(
        "HTTP life, 64 clients : the first implementation",
        Of::First("life/64"),
        50.0,
    ),
    least(
        "HTTP cycle, 64 clients : graphile-worker, defaults",
        Of::Ratio("cycle-64", "graphile/defaults"),
        4.0,
    ),
    least(
        "HTTP cycle, 64 clients : awa, 64 workers",
        Of::Ratio("cycle-64", "awa/64"),
        3.0,
    ),
    least(
        "HTTP cycle, 64 clients : insert floor (8,000 of 17,000)",
        Of::Floor("cycle-64"),
        0.47,
    ),
    least(
        "HTTP batches of 100, 4 clients : River",
        Of::Ratio("batch/4x100", "river"),
        1.3,
    ),
    least(
        "HTTP batches of 100, 4 clients : graphile-worker, tuned",
        Of::Ratio("batch/4x100", "graphile/tuned"),
        1.3,
    ),
    least(
        "HTTP submit, 64 clients : insert floor",
        Of::Floor("submit/64"),
        0.5,
    ),
    least(
        "HTTP submit, minimal answers : insert floor",
        Of::Floor("submit/64/minimal"),
        0.5,
    ),
    least(
        "SQL batches of 100 : graphile-worker, tuned",
        Of::Ratio("sql-batch/2x100", "graphile/tuned"),
        1.5,
    ),
    least(
        "SQL one task a call, 8 connections : insert floor",
        Of::Floor("sql-one/8"),
        0.2,
    ),
    least(
        "1,000,000 queued : 10,000, HTTP one by one",
        Of::Ratio("backlog-1000000/64", "backlog-10000/64"),
        0.9,
    ),
    least(
        "1,000,000 queued : 10,000, SQL batches of 100",
        Of::Ratio("backlog-1000000/2x100", "backlog-10000/2x100"),
        0.9,
    ),
    least(
        "snapshot held for 300,000 cycles : none held",
        Of::Ratio("held/8x10", "free/8x10"),
        0.6,
    ),
    least(
        "snapshot held: last third : first third",
        Of::Ratio("held/last-third", "held/first-third"),
        0.8,
    ),
    most(
        "submit → 1,000 waiters, 100/s, p50 ms",
        Of::P50("wake/1000"),
        3.0,
    ),
    most(
        "submit → 1,000 waiters, 100/s, p99 ms",
        Of::P99("wake/1000"),
        15.0,
    ),
    most(
        "submit → 1,000 waiters, 10/s, p50 ms",
        Of::P50("wake/calm"),
        3.0,
    ),
    most(
        "submit → 1,000 waiters, 10/s, p99 ms",
        Of::P99("wake/calm"),
        15.0,
    ),
    most(
        "1,000 idle waiters, queries/s",
        Of::Value("idle/waiters/queries"),
        1.0,
    ),
    most(
        "1,000 idle waiters, % of a core",
        Of::Value("idle/waiters/cpu"),
        1.0,
    ),
    most(
        "10,000 leases beating, row versions/s",
        Of::Value("beats/rows"),
        60.0,
    ),
    most(
        "10,000 leases beating, % of a core",
        Of::Value("beats/cpu"),
        5.0,
    ),
    most(
        "10,000 leases beating, dead rows of task tables",
        Of::Value("beats/dead"),
        0.0,
    ),
    most("WAL for a whole life, bytes", Of::Value("wal/life"), 2048.0),
    least(
        "1,000,000 finished : none, HTTP one by one",
        Of::Ratio("history-1000000/64", "history-0/64"),
        0.9,
    ),
    least(
        "1,000,000 finished : none, SQL batches of 100",
        Of::Ratio("history-1000000/2x100", "history-0/2x100"),
        0.9,
    ),
    most(
        "statistics with 1,000,000 finished tasks, p99 in ms",
        Of::P99("history/stats"),
        50.0,
    ),
    most(
        "completed tasks listed with 1,000,000 of them, p99 in ms",
        Of::P99("history/completed"),
        50.0,
    ),
    most(
        "failed tasks listed (there are none) beside 1,000,000 others, p99 in ms",
        Of::P99("history/failed"),
        50.0,
    ),
    most(
        "runs with 1,000,000 finished tasks, p99 in ms",
        Of::P99("history/runs"),
        50.0,
    ),
    least(
        "two service processes : one",
        Of::Ratio("two/64", "cycle-64"),
        0.9,
    ),
];
