//! The figures as a page for people.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Figures, Spread, verdict};
use crate::controls::Outcome;
use crate::journal::files;
use crate::nemesis::schedule::Fault;

/// Faults of the matrix that no run does, and why.
const UNTESTED: &[(&str, &str)] = &[
    (
        "F11",
        "an asynchronous standby takes over and loses commits: the control C2",
    ),
    (
        "F20",
        "a pooler in transaction mode: tested without this harness, in `tests/it/pooler.rs`",
    ),
    (
        "F24",
        "loss of writes that were never synced (a power cut): needs a file system that forgets, \
      LazyFS; kill -9 does not show it",
    ),
    (
        "F30",
        "a service that is killed for its memory: needs a control group with a limit; what one \
      request may use is bounded, and tested in the service's own tests",
    ),
    (
        "F37",
        "lost wake-ups inside one process: tested without this harness, in the unit tests of \
      `src/wake`",
    ),
    (
        "F40",
        "a sealer of the audit trail that is down, or one of several: tested without this harness, in \
      `tests/it/seals.rs`",
    ),
    (
        "I16",
        "the seals over the audit trail: tested without this harness, in `tests/it/seals.rs`; gaps \
      and order are judged here (I8)",
    ),
    (
        "F16",
        "a listener that lets notifications pile up is tested; the full queue of 8 GB is not",
    ),
];

/// What a page is made of.
#[derive(Debug)]
pub struct Sources {
    /// The main run.
    pub main: Figures,
    /// Its directory.
    pub dir: PathBuf,
    /// Runs beside it, each with what it was about.
    pub others: Vec<(String, Figures)>,
    /// The controls.
    pub controls: Vec<Outcome>,
    /// Which commit, on what machine.
    pub facts: Vec<(String, String)>,
}

/// A number with commas.
#[must_use]
pub fn number(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes the page.
///
/// # Errors
/// When the evidence cannot be read for its checksums.
pub fn write(sources: &Sources) -> anyhow::Result<String> {
    let mut page = String::from(
        "<!-- Written by `make chaos` from a run; see chaos/README.md. -->\n\n\
         # What faults did to it\n\n\
         How this is measured: [the harness](../chaos/README.md). All figures below are of one run \
         with one seed, and of the short runs beside it.\n\n",
    );
    verdict::write(&mut page, &sources.main, &sources.controls)?;
    facts(&mut page, sources)?;
    safety(&mut page, &sources.main)?;
    faults(&mut page, &sources.main)?;
    speed(&mut page, &sources.main)?;
    others(&mut page, &sources.others)?;
    controls(&mut page, &sources.controls)?;
    untested(&mut page, &sources.main)?;
    checksums(&mut page, &sources.dir)?;
    Ok(page)
}

fn facts(page: &mut String, sources: &Sources) -> std::fmt::Result {
    let main = &sources.main;
    writeln!(
        page,
        "| | |\n|---|---|\n| seed | {} |\n| load | {} s |",
        main.seed, main.seconds
    )?;
    for (name, value) in &sources.facts {
        writeln!(page, "| {name} | {value} |")?;
    }
    for (name, value) in &main.settings {
        writeln!(page, "| `{name}` | {value} |")?;
    }
    writeln!(page)
}

fn safety(page: &mut String, main: &Figures) -> std::fmt::Result {
    let (s, l) = (&main.submissions, &main.leases);
    let violations = |id: &str| main.violations.get(id).copied().unwrap_or(0);
    let faults: usize = main.faults.values().sum();
    writeln!(page, "## Promises\n\n| | |\n|---|---|")?;
    let rows = [
        ("faults", faults),
        ("submissions tried", s.attempted),
        ("acknowledged", s.acknowledged),
        ("of which nobody knew", s.indeterminate),
        ("of those, there after all", s.recovered),
        ("**acknowledged and lost**", s.lost),
        ("**tasks that nobody submitted**", s.phantom),
        ("**keys with two tasks**", s.duplicates),
        ("leases", l.grants),
        ("leases beyond the first of a task", l.extra),
        ("leases that ran out", l.expired),
        (
            "**leases that ran out with no fault near them**",
            main.unexplained,
        ),
        ("late reports and heartbeats refused", l.stale_refused),
        ("**late reports and heartbeats accepted**", l.stale_accepted),
        ("**more leases than slots**", violations("I10")),
        ("events of the audit trail", main.events),
        (
            "**gaps and contradictions in it**",
            violations("I8") + violations("I7"),
        ),
        (
            "**violations of any invariant**",
            main.violations.values().sum(),
        ),
    ];
    for (what, count) in rows {
        writeln!(page, "| {what} | {} |", number(count))?;
    }
    for (status, count) in &s.ended {
        writeln!(page, "| tasks that ended {status} | {} |", number(*count))?;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let bound = 3.0 / s.acknowledged.max(1) as f64;
    writeln!(
        page,
        "\nNone in {} trials says, with 95 % confidence, that fewer than one in {:.0} is lost.\n",
        number(s.acknowledged),
        1.0 / bound
    )?;
    if !main.violations.is_empty() {
        writeln!(page, "Violations by invariant: {:?}\n", main.violations)?;
    }
    Ok(())
}

fn row(page: &mut String, what: &str, spread: &Spread) -> std::fmt::Result {
    let Spread {
        count,
        p50,
        p95,
        p99,
        max,
    } = spread;
    writeln!(
        page,
        "| {what} | {} | {p50} | {p95} | {p99} | {max} |",
        number(*count)
    )
}

const TIMES: &str = "count | p50 | p95 | p99 | longest |\n|---|---:|---:|---:|---:|---:|";

fn faults(page: &mut String, main: &Figures) -> std::fmt::Result {
    writeln!(page, "## Faults\n")?;
    writeln!(
        page,
        "From the end of each fault to the next lease that is granted, milliseconds.\n"
    )?;
    writeln!(page, "| fault | {TIMES}")?;
    for fault in Fault::all() {
        let id = fault.id();
        let what = fault.what();
        if let Some(spread) = main.recovery.get(&id) {
            row(page, &format!("{id} {what}"), spread)?;
        }
    }
    writeln!(
        page,
        "\nSeconds of the run in which no lease was granted: {}.\n",
        main.seconds_without_grant
    )
}

fn speed(page: &mut String, main: &Figures) -> std::fmt::Result {
    writeln!(page, "## Times\n\nMilliseconds.\n\n| | {TIMES}")?;
    row(
        page,
        "acknowledging a submission, away from faults",
        &main.enqueue[0],
    )?;
    row(
        page,
        "acknowledging a submission, during and just after faults",
        &main.enqueue[1],
    )?;
    row(
        page,
        "from ready to leased, away from faults",
        &main.pickup[0],
    )?;
    row(
        page,
        "from ready to leased, during and just after faults",
        &main.pickup[1],
    )?;
    let (memory, files, connections) = main.most;
    writeln!(
        page,
        "\nThe most that a service used: {} MiB of memory, {files} files. The most connections to \
         PostgreSQL, all clients together: {connections}.\n",
        memory >> 10
    )
}

fn others(page: &mut String, others: &[(String, Figures)]) -> std::fmt::Result {
    if others.is_empty() {
        return Ok(());
    }
    writeln!(page, "## Short runs beside it\n")?;
    writeln!(
        page,
        "| what | faults | acknowledged | lost | late accepted | violations |"
    )?;
    writeln!(page, "|---|---:|---:|---:|---:|---:|")?;
    for (what, figures) in others {
        let (faults, bad): (usize, usize) = (
            figures.faults.values().sum(),
            figures.violations.values().sum(),
        );
        let (s, l) = (&figures.submissions, &figures.leases);
        let acknowledged = number(s.acknowledged);
        writeln!(
            page,
            "| {what} | {faults} | {acknowledged} | {} | {} | {bad} |",
            s.lost, l.stale_accepted
        )?;
    }
    writeln!(page)
}

fn controls(page: &mut String, controls: &[Outcome]) -> std::fmt::Result {
    writeln!(page, "## Controls\n")?;
    writeln!(
        page,
        "Queues that were broken on purpose. C0 is not, and must pass.\n"
    )?;
    writeln!(
        page,
        "| | broken | as it must be | found | for instance |\n|---|---|---|---|---|"
    )?;
    for control in controls {
        let found: Vec<String> = control
            .found
            .iter()
            .map(|(id, count)| format!("{id}: {count}"))
            .collect();
        let caught = if control.caught { "yes" } else { "**no**" };
        let example = control
            .example
            .as_deref()
            .unwrap_or_default()
            .replace('|', " ");
        let (id, what) = (&control.id, &control.what);
        writeln!(
            page,
            "| {id} | {what} | {caught} | {} | {example} |",
            found.join(", ")
        )?;
    }
    writeln!(page)
}

fn untested(page: &mut String, main: &Figures) -> std::fmt::Result {
    writeln!(page, "## Not tested\n")?;
    for (id, why) in UNTESTED {
        writeln!(page, "- {id}: {why}.")?;
    }
    for (id, count) in &main.not_done {
        writeln!(
            page,
            "- {id}: could not be done on this machine {count} times."
        )?;
    }
    writeln!(page)
}

fn checksums(page: &mut String, dir: &Path) -> anyhow::Result<()> {
    writeln!(
        page,
        "## Raw histories\n\nSHA-256 of the evidence of the main run.\n\n```text"
    )?;
    for part in ["clients", ".", "tables"] {
        for path in files(&dir.join(part))? {
            let name = path.strip_prefix(dir)?.display().to_string();
            let mut hex = String::new();
            for byte in Sha256::digest(std::fs::read(&path)?) {
                write!(hex, "{byte:02x}")?;
            }
            writeln!(page, "{hex}  {}", name.trim_start_matches("./"))?;
        }
    }
    writeln!(page, "```")?;
    Ok(())
}
