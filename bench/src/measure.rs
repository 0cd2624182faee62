//! Loops that put load on something, and what they saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

/// How often progress is noted.
const SAMPLE: Duration = Duration::from_millis(100);
/// What a loop that counts its work may take at most.
const LONGEST: Duration = Duration::from_secs(600);

/// What one loop did.
pub struct Figures {
    /// How much was done, counted by the operation itself.
    pub done: u64,
    /// In what time.
    pub took: Duration,
    /// How long each operation took, in microseconds.
    pub latency: Histogram<u64>,
    /// How much was done until when, in seconds from the start.
    pub series: Vec<(f64, u64)>,
}

impl Figures {
    /// Per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        count(self.done) / self.took.as_secs_f64()
    }

    /// Per second while the work went from one share of its whole to another.
    #[must_use]
    pub fn rate_between(&self, from: f64, to: f64) -> f64 {
        let all = count(self.done);
        let when = |share: f64| {
            let reached = |(_, done): &&(f64, u64)| count(*done) >= share * all;
            self.series.iter().find(reached).copied()
        };
        let begin = when(from).unwrap_or_default();
        let Some(end) = when(to).or(self.series.last().copied()) else {
            return 0.0;
        };
        count(end.1.saturating_sub(begin.1)) / (end.0 - begin.0).max(f64::EPSILON)
    }

    /// A quantile in milliseconds.
    #[must_use]
    pub fn ms(&self, quantile: f64) -> f64 {
        count(self.latency.value_at_quantile(quantile)) / 1000.0
    }
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
#[must_use]
pub fn count(of: u64) -> f64 {
    of as f64
}

/// When a loop ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After so long.
    Time(Duration),
    /// When so much was done.
    Done(u64),
}

impl From<Duration> for Until {
    fn from(time: Duration) -> Self {
        Self::Time(time)
    }
}

/// A bar that shows how far something is.
fn bar(name: &str, whole: u64) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new(whole);
    let style = ProgressStyle::with_template("{msg:<44} {bar:30} {elapsed}")?;
    bar.set_style(style);
    bar.set_message(name.to_owned());
    Ok(bar)
}

/// What the parts of a loop share.
#[derive(Default)]
struct Shared {
    counts: AtomicBool,
    stop: AtomicBool,
    done: AtomicU64,
}

/// Runs `operation` in a loop on each of `clients`: each one begins its next operation when its last
/// one has ended. A tenth of the time goes by first, to warm up, where the end is a time. The
/// operation returns how much it did; 0 ends its loop.
pub async fn closed<C, F>(
    name: &str,
    clients: Vec<C>,
    until: impl Into<Until>,
    operation: impl Fn(C) -> F + Clone + Send + 'static,
) -> anyhow::Result<Figures>
where
    C: Send + 'static,
    F: Future<Output = anyhow::Result<(C, u64)>> + Send,
{
    let (until, shared) = (until.into(), Arc::new(Shared::default()));
    let mut loops = JoinSet::new();
    if let Until::Done(_) = until {
        shared.counts.store(true, Ordering::Relaxed);
    }
    for client in clients {
        let (shared, operation) = (Arc::clone(&shared), operation.clone());
        loops.spawn(async move {
            let mut latency = Histogram::<u64>::new(3)?;
            let mut client = Some(client);
            while let Some(current) = client.take() {
                let begun = Instant::now();
                let (back, did) = operation(current).await?;
                if shared.counts.load(Ordering::Relaxed) {
                    shared.done.fetch_add(did, Ordering::Relaxed);
                    record(&mut latency, begun.elapsed())?;
                }
                if did > 0 && !shared.stop.load(Ordering::Relaxed) {
                    client = Some(back);
                }
            }
            anyhow::Ok(latency)
        });
    }
    if let Until::Time(time) = until {
        tokio::time::sleep(time / 10).await;
    }
    let begun = Instant::now();
    shared.counts.store(true, Ordering::Relaxed);
    let (mut latency, mut series) = (Histogram::<u64>::new(3)?, vec![(0.0, 0)]);
    let bar = bar(name, whole(until))?;
    loop {
        tokio::time::sleep(SAMPLE).await;
        let done = shared.done.load(Ordering::Relaxed);
        series.push((begun.elapsed().as_secs_f64(), done));
        bar.set_position(match until {
            Until::Time(_) => millis(begun.elapsed()),
            Until::Done(_) => done,
        });
        let is_over = match until {
            Until::Time(time) => begun.elapsed() >= time,
            Until::Done(most) => done >= most || begun.elapsed() >= LONGEST,
        };
        if is_over {
            break;
        }
        if let Some(ended) = loops.try_join_next() {
            // Nothing was left to do.
            latency.add(ended??)?;
            break;
        }
    }
    shared.counts.store(false, Ordering::Relaxed);
    let (took, done) = (begun.elapsed(), shared.done.load(Ordering::Relaxed));
    shared.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = loops.join_next().await {
        latency.add(ended??)?;
    }
    bar.finish_and_clear();
    // Less than was asked for is another figure than the one that has this name.
    match until {
        Until::Time(time) => ensure!(took >= time / 2, "{name}: out of work after {took:?}"),
        Until::Done(most) => ensure!(done >= most, "{name}: {done} of {most} in {took:?}"),
    }
    Ok(Figures {
        done,
        took,
        latency,
        series,
    })
}

/// Begins `rate` operations a second for `time`, whether or not the ones before have ended, as far
/// as there are `clients`. How long one took counts from the moment at which it was due, so that a
/// stall is seen by everything that it held up.
pub async fn open<C, F>(
    name: &str,
    clients: Vec<C>,
    rate: f64,
    time: Duration,
    operation: impl Fn(C, Instant, u64) -> F + Clone + Send + 'static,
) -> anyhow::Result<Figures>
where
    C: Send + 'static,
    F: Future<Output = anyhow::Result<C>> + Send,
{
    let (next, shared) = (Arc::new(AtomicU64::new(0)), Arc::new(Shared::default()));
    let begun = Instant::now();
    let mut loops = JoinSet::new();
    for mut client in clients {
        let (next, shared, operation) = (Arc::clone(&next), Arc::clone(&shared), operation.clone());
        loops.spawn(async move {
            let mut latency = Histogram::<u64>::new(3)?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let due = Duration::from_secs_f64(count(number) / rate);
                if due >= time {
                    return anyhow::Ok(latency);
                }
                let due = begun + due;
                tokio::time::sleep_until(due.into()).await;
                client = operation(client, due, number).await?;
                record(&mut latency, due.elapsed())?;
                shared.done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let bar = bar(name, millis(time))?;
    let mut latency = Histogram::<u64>::new(3)?;
    let mut series = vec![(0.0, 0)];
    while !loops.is_empty() {
        match tokio::time::timeout(SAMPLE, loops.join_next()).await {
            Ok(Some(ended)) => latency.add(ended??)?,
            Ok(None) => break,
            Err(_) => {}
        }
        let done = shared.done.load(Ordering::Relaxed);
        series.push((begun.elapsed().as_secs_f64(), done));
        bar.set_position(millis(begun.elapsed()));
    }
    bar.finish_and_clear();
    Ok(Figures {
        done: shared.done.load(Ordering::Relaxed),
        took: begun.elapsed(),
        latency,
        series,
    })
}

/// Notes how long something took, in microseconds.
pub fn record(latency: &mut Histogram<u64>, took: Duration) -> anyhow::Result<()> {
    latency.record(took.as_micros().try_into().unwrap_or(u64::MAX))?;
    Ok(())
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

fn whole(until: Until) -> u64 {
    match until {
        Until::Time(time) => millis(time),
        Until::Done(most) => most,
    }
}
