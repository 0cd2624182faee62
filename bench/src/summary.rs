//! From the figures of several runs: medians, spreads, goals met and missed, plots.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use crate::goals::{self, Of};

/// 150 cycles/s, where the floor read 17,000.
const FIRST: f64 = 150.0 / 17_000.0;

/// The figures of one run, by name; the last one counts.
type Run = BTreeMap<String, Value>;

/// Reads all runs of `figures.jsonl`, by their start.
fn runs(dir: &Path) -> anyhow::Result<BTreeMap<String, Run>> {
    let text = fs::read_to_string(dir.join("figures.jsonl")).context("no figures")?;
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    for line in text.lines() {
        let figure: Value = serde_json::from_str(line)?;
        let run = figure["settings"]["run"].as_str().context("no run")?;
        let name = figure["name"].as_str().context("no name")?;
        let run = runs.entry(run.to_owned()).or_default();
        run.insert(name.to_owned(), figure);
    }
    Ok(runs)
}

/// One quantity of one run, if it was measured there.
fn quantity(run: &Run, of: Of) -> Option<f64> {
    let member = |name: &str, member: &str| run.get(name)?[member].as_f64();
    match of {
        Of::Value(name) => member(name, "value"),
        Of::P50(name) => member(name, "p50_ms"),
        Of::P99(name) => member(name, "p99_ms"),
        Of::Ratio(one, other) => Some(member(one, "value")? / member(other, "value")?),
        Of::Floor(name) => member(name, "ratio"),
        Of::First(name) => Some(member(name, "ratio")? / FIRST),
    }
}

/// The median of some numbers, and the least and the greatest.
fn spread(mut of: Vec<f64>) -> Option<(f64, f64, f64)> {
    of.sort_by(f64::total_cmp);
    let (first, last) = (*of.first()?, *of.last()?);
    let half = of.len() / 2;
    let median = if of.len() % 2 == 1 {
        of[half]
    } else {
        f64::midpoint(of[half - 1], of[half])
    };
    Some((median, first, last))
}

/// A number in as many digits as say something.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Writes `summary.md` and the plots into `dir`.
///
/// # Errors
/// When there are no figures, or they cannot be read.
pub fn write(dir: &Path) -> anyhow::Result<()> {
    let runs = runs(dir)?;
    let mut text =
        String::from("# Results\n\nMade from `figures.jsonl` by `make bench-summary`.\n");
    text += &goals_table(&runs)?;
    text += &figures_table(&runs)?;
    fs::write(dir.join("summary.md"), text)?;
    crate::plots::write(dir)
}

fn goals_table(runs: &BTreeMap<String, Run>) -> anyhow::Result<String> {
    let mut text = String::from(
        "\n## Goals\n\n| what | goal | median | least – most | runs | |\n|---|---|---|---|---|---|\n",
    );
    for row in goals::ALL {
        let values = runs.values().filter_map(|run| quantity(run, row.of));
        let values: Vec<_> = values.collect();
        let count = values.len();
        if let Some((median, first, last)) = spread(values) {
            let verdict = if row.goal.is_met(median) {
                "met"
            } else {
                "**missed**"
            };
            writeln!(
                text,
                "| {} | {} | {} | {} – {} | {count} | {verdict} |",
                row.text,
                row.goal,
                short(median),
                short(first),
                short(last),
            )?;
        } else {
            writeln!(
                text,
                "| {} | {} | | | 0 | not measured |",
                row.text, row.goal
            )?;
        }
    }
    Ok(text)
}

fn figures_table(runs: &BTreeMap<String, Run>) -> anyhow::Result<String> {
    let mut figures: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for run in runs.values() {
        for (name, figure) in run {
            figures.entry(name).or_default().push(figure);
        }
    }
    let mut text = String::from(
        "\n## Figures\n\nMedians; × floor is the ratio to one-row durable inserts of the same minute.\n\n\
         | figure | median | unit | least – most | × floor | p50 ms | p99 ms | runs |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (name, figures) in figures {
        let of = |member: &str| {
            let values = figures.iter().filter_map(|figure| figure[member].as_f64());
            spread(values.collect())
        };
        let median = |member: &str| of(member).map_or(String::new(), |(median, ..)| short(median));
        let Some((_, first, last)) = of("value") else {
            continue;
        };
        writeln!(
            text,
            "| {name} | {} | {} | {} – {} | {} | {} | {} | {} |",
            median("value"),
            figures[0]["unit"].as_str().unwrap_or_default(),
            short(first),
            short(last),
            median("ratio"),
            median("p50_ms"),
            median("p99_ms"),
            figures.len(),
        )?;
    }
    Ok(text)
}
