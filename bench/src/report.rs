//! What is said of figures: JSON lines for programs, a table for people.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::measure::{Figures, count};

/// The figure that others are compared with.
pub const FLOOR: &str = "floor/insert";

/// Prints figures, as JSON lines on stdout and for people on stderr; keeps them.
pub struct Report {
    /// What the figures were measured on.
    settings: Value,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    said: Vec<(String, f64)>,
    figures: Option<File>,
    curves: Option<File>,
}

impl Report {
    /// Nothing measured yet. With `dir`, figures are also appended to `figures.jsonl` there, and
    /// what plots are made of to `curves.jsonl`.
    pub fn new(settings: Value, dir: Option<&Path>) -> anyhow::Result<Self> {
        let mut state = State::default();
        if let Some(dir) = dir {
            std::fs::create_dir_all(dir)?;
            let append = |name| {
                let path = dir.join(name);
                OpenOptions::new().create(true).append(true).open(path)
            };
            state.figures = Some(append("figures.jsonl")?);
            state.curves = Some(append("curves.jsonl")?);
        }
        Ok(Self {
            settings,
            state: Mutex::new(state),
        })
    }

    /// A figure that was printed.
    #[must_use]
    pub fn said(&self, name: &str) -> Option<f64> {
        let state = self.lock();
        let found = state.said.iter().rev().find(|(said, _)| said == name);
        found.map(|(_, value)| *value)
    }

    /// One figure with its latencies.
    pub fn figures(&self, name: &str, unit: &str, figures: &Figures) -> anyhow::Result<()> {
        let latency = Some((figures.ms(0.5), figures.ms(0.99)));
        self.line(name, figures.rate(), unit, latency)
    }

    /// One figure.
    #[expect(
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "that is its purpose"
    )]
    pub fn line(
        &self,
        name: &str,
        value: f64,
        unit: &str,
        latency: Option<(f64, f64)>,
    ) -> anyhow::Result<()> {
        let is_rate = unit.ends_with("/s") && !name.starts_with("floor");
        let floor = self.said(FLOOR).filter(|_| is_rate);
        let (p50, p99) = latency.unzip();
        let line = json!({
            "name": name, "value": rounded(value), "unit": unit,
            "p50_ms": p50.map(rounded), "p99_ms": p99.map(rounded),
            "floor": floor.map(rounded), "ratio": floor.map(|floor| rounded(value / floor)),
            "settings": self.settings,
        });
        let mut state = self.lock();
        state.said.push((name.to_owned(), value));
        if let Some(file) = &mut state.figures {
            writeln!(file, "{line}")?;
        }
        drop(state);
        println!("{line}");
        let ratio = floor.map_or_else(String::new, |floor| format!(" {:6.2}×", value / floor));
        let latency = latency.map_or_else(String::new, |(p50, p99)| {
            format!("   p50 {p50:.2} ms, p99 {p99:.2} ms")
        });
        eprintln!("{name:<44} {value:>12.2} {unit:<14}{ratio}{latency}");
        Ok(())
    }

    /// Keeps how the rate went over time, second by second, and how the latencies are spread.
    pub fn curve(&self, name: &str, figures: &Figures) -> anyhow::Result<()> {
        let (mut rates, mut last) = (Vec::new(), (0.0, 0));
        for (at, done) in &figures.series {
            if at - last.0 >= 1.0 {
                let rate = count(done - last.1) / (at - last.0);
                rates.push(json!([rounded(*at), rounded(rate)]));
                last = (*at, *done);
            }
        }
        let shares = 1..1000;
        let quantiles: Vec<_> = shares
            .map(|share| rounded(figures.ms(count(share) / 1000.0)))
            .collect();
        let line = json!({"name": name, "rates": rates, "quantiles_ms": quantiles,
            "settings": self.settings});
        if let Some(file) = &mut self.lock().curves {
            writeln!(file, "{line}")?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
