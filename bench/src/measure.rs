//! Closed loops, and what is said of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// What one loop did.
pub struct Figures {
    /// How much was done, counted by the operation itself.
    pub done: u64,
    /// In what time.
    pub took: Duration,
    /// How long each operation took, in microseconds.
    pub latency: Histogram<u64>,
}

impl Figures {
    /// Per second.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.took.as_secs_f64()
    }

    /// A quantile in milliseconds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds are far below 2^52"
    )]
    #[must_use]
    pub fn ms(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// Prints figures, as JSON lines on stdout and for people on stderr.
pub struct Report {
    /// What the figures were measured on.
    settings: Value,
    said: Mutex<Vec<(String, f64)>>,
}

impl Report {
    /// Nothing measured yet.
    #[must_use]
    pub fn new(settings: Value) -> Self {
        Self {
            settings,
            said: Mutex::default(),
        }
    }

    /// A figure that was printed.
    #[must_use]
    pub fn said(&self, name: &str) -> Option<f64> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let found = said.iter().rev().find(|(said, _)| said == name);
        found.map(|(_, value)| *value)
    }

    /// One figure with its latencies.
    pub fn figures(&self, name: &str, unit: &str, figures: &Figures) {
        self.line(
            name,
            figures.rate(),
            unit,
            Some((figures.ms(0.5), figures.ms(0.99))),
        );
    }

    /// One figure.
    #[expect(
        clippy::print_stdout,
        clippy::print_stderr,
        reason = "that is its purpose"
    )]
    pub fn line(&self, name: &str, value: f64, unit: &str, latency: Option<(f64, f64)>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push((name.to_owned(), value));
        drop(said);
        let (p50, p99) = latency.unzip();
        println!(
            "{}",
            json!({"name": name, "value": rounded(value), "unit": unit,
                "p50_ms": p50.map(rounded), "p99_ms": p99.map(rounded),
                "settings": self.settings})
        );
        let latency = latency.map_or_else(String::new, |(p50, p99)| {
            format!("   p50 {p50:.2} ms, p99 {p99:.2} ms")
        });
        eprintln!("{name:<44} {value:>12.1} {unit}{latency}");
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Runs `operation` in a loop on each of `clients` for `time`, after a tenth of it to warm up. It
/// returns how much it did; 0 ends its loop.
pub async fn closed<C, F>(
    name: &str,
    clients: Vec<C>,
    time: Duration,
    operation: impl Fn(C) -> F + Clone + Send + 'static,
) -> anyhow::Result<Figures>
where
    C: Send + 'static,
    F: Future<Output = anyhow::Result<(C, u64)>> + Send,
{
    let bar = ProgressBar::new(time.as_millis().try_into().unwrap_or(u64::MAX));
    bar.set_style(ProgressStyle::with_template(
        "{msg:<44} {bar:30} {elapsed}",
    )?);
    bar.set_message(name.to_owned());
    let (counts, stop) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let done = Arc::new(AtomicU64::new(0));
    let mut loops = JoinSet::new();
    for client in clients {
        let (counts, stop, done) = (Arc::clone(&counts), Arc::clone(&stop), Arc::clone(&done));
        let operation = operation.clone();
        loops.spawn(async move {
            let mut latency = Histogram::<u64>::new(3)?;
            let mut client = Some(client);
            while let Some(current) = client.take() {
                let begun = Instant::now();
                let (back, did) = operation(current).await?;
                if counts.load(Ordering::Relaxed) {
                    done.fetch_add(did, Ordering::Relaxed);
                    let took = begun.elapsed().as_micros();
                    latency.record(took.try_into().unwrap_or(u64::MAX))?;
                }
                if did > 0 && !stop.load(Ordering::Relaxed) {
                    client = Some(back);
                }
            }
            anyhow::Ok(latency)
        });
    }
    tokio::time::sleep(time / 10).await;
    let begun = Instant::now();
    counts.store(true, Ordering::Relaxed);
    let mut latency = Histogram::<u64>::new(3)?;
    while begun.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Some(ended) = loops.try_join_next() {
            // Nothing was left to do.
            latency.add(ended??)?;
            break;
        }
        bar.set_position(begun.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
    }
    counts.store(false, Ordering::Relaxed);
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = loops.join_next().await {
        latency.add(ended??)?;
    }
    bar.finish_and_clear();
    Ok(Figures {
        done: done.load(Ordering::Relaxed),
        took,
        latency,
    })
}
