//! Plots of what runs left in `curves.jsonl`, as SVG.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use plotters::prelude::*;
use serde_json::Value;

/// A line with its name.
type Curve = (String, Vec<(f64, f64)>);

/// Size of a plot.
const SIZE: (u32, u32) = (820, 380);
/// Colours of lines, far apart for most eyes.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 90, 181),
    RGBColor(220, 50, 32),
    RGBColor(64, 140, 64),
    RGBColor(148, 96, 200),
    RGBColor(120, 120, 120),
];

/// Writes the plots for which there is something.
pub fn write(dir: &Path) -> anyhow::Result<()> {
    let Ok(text) = fs::read_to_string(dir.join("curves.jsonl")) else {
        return Ok(());
    };
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    for line in text.lines() {
        let curve: Value = serde_json::from_str(line)?;
        let name = curve["name"].as_str().context("no name")?;
        last.insert(name.to_owned(), curve.clone());
    }
    let rates = |name: &str, label: &str| {
        let points = last.get(name)?["rates"].as_array()?.iter();
        let points = points.filter_map(|point| Some((point[0].as_f64()?, point[1].as_f64()?)));
        Some((label.to_owned(), points.collect()))
    };
    let held: Vec<Curve> = [
        rates("free/8x10", "no snapshot held"),
        rates("held/8x10", "a snapshot held open"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !held.is_empty() {
        let title = "300,000 cycles in batches of 10, 8 SQL connections";
        let axes = ("seconds", "cycles/s");
        draw(&dir.join("held.svg"), title, axes, &held, &|x| {
            format!("{x:.0}")
        })?;
    }
    let quantiles = |name: &str, label: &str| {
        let values = last.get(name)?["quantiles_ms"].as_array()?.iter();
        // Nines count alike: 90 %, 99 %, 99.9 % are one step each.
        let points = (1_u32..).zip(values).filter_map(|(at, value)| {
            let share = f64::from(at) / 1000.0;
            Some((-(1.0 - share).log10(), value.as_f64()?))
        });
        Some((label.to_owned(), points.collect()))
    };
    let latency: Vec<Curve> = [
        quantiles("cycle-64", "cycle, 64 clients, closed loop"),
        quantiles("cycle-open/1000", "cycle, 1,000/s, open loop"),
        quantiles("wake/1", "submit to lease, 1 waiter"),
        quantiles("wake/1000", "submit to lease, 1,000 waiters"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !latency.is_empty() {
        let nines = |x: &f64| format!("{} %", (1.0 - 10_f64.powf(-x)) * 100.0);
        let axes = ("share of requests", "ms");
        draw(
            &dir.join("latency.svg"),
            "Latency by quantile",
            axes,
            &latency,
            &nines,
        )?;
    }
    Ok(())
}

fn draw(
    path: &Path,
    title: &str,
    axes: (&str, &str),
    curves: &[Curve],
    x_label: &dyn Fn(&f64) -> String,
) -> anyhow::Result<()> {
    let most = |pick: fn(&(f64, f64)) -> f64| {
        let points = curves.iter().flat_map(|(_, points)| points);
        points.map(pick).fold(f64::EPSILON, f64::max)
    };
    let (x, y): (Range<f64>, Range<f64>) =
        (0.0..most(|point| point.0), 0.0..most(|point| point.1) * 1.1);
    let failed = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", path.display());
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(x, y)
        .map_err(|error| failed(&error))?;
    chart
        .configure_mesh()
        .x_desc(axes.0)
        .y_desc(axes.1)
        .x_label_formatter(x_label)
        .light_line_style(WHITE)
        .draw()
        .map_err(|error| failed(&error))?;
    for ((name, points), colour) in curves.iter().zip(COLOURS) {
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
        chart
            .draw_series(line)
            .map_err(|error| failed(&error))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(COLOURS[4])
        .draw()
        .map_err(|error| failed(&error))?;
    root.present().map_err(|error| failed(&error))
}
