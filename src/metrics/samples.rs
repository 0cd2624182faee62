//! The values of one scrape, and their text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;
use prometheus_client::registry::Registry;

use super::histogram::Counted;
use super::table::{ALL, Kind, Metric};

/// The ending of every counter's name. The library adds it.
const TOTAL: &str = "_total";

/// A label's value.
pub type Label<'l> = &'l str;

/// What one scrape has gathered.
#[derive(Debug, Default)]
pub struct Samples {
    of: HashMap<&'static str, Vec<Sample>>,
}

#[derive(Debug)]
struct Sample {
    labels: Vec<(&'static str, Cow<'static, str>)>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Number(f64),
    Histogram(Counted),
}

impl Samples {
    /// Adds a number: a gauge's state, or what a counter has reached. Labels stand in the order of
    /// the metric's; a sample whose labels are not the metric's is left out.
    pub fn number(&mut self, metric: &'static Metric, labels: &[Label<'_>], value: f64) {
        self.add(metric, labels, Value::Number(value));
    }

    /// Adds a whole number.
    pub fn count(&mut self, metric: &'static Metric, labels: &[Label<'_>], value: u64) {
        #[expect(clippy::cast_precision_loss, reason = "what Prometheus keeps anyway")]
        self.number(metric, labels, value as f64);
    }

    /// Adds a histogram.
    pub fn histogram(&mut self, metric: &'static Metric, labels: &[Label<'_>], counted: Counted) {
        self.add(metric, labels, Value::Histogram(counted));
    }

    fn add(&mut self, metric: &'static Metric, labels: &[Label<'_>], value: Value) {
        let is_sound = labels.len() == metric.labels.len()
            && (metric.kind == Kind::Histogram) == matches!(value, Value::Histogram(_));
        debug_assert!(is_sound, "{}", metric.name);
        if !is_sound {
            return;
        }
        let named = metric.labels.iter().copied();
        let values = labels.iter().map(|value| Cow::Owned((*value).to_owned()));
        let labels = named.zip(values).collect();
        let of = self.of.entry(metric.name).or_default();
        of.push(Sample { labels, value });
    }

    /// The text, in the `OpenMetrics` format.
    ///
    /// # Errors
    /// Never, unless memory for a text can be had no more.
    pub fn encode(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Samples {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in ALL {
            let Some(samples) = self.of.get(metric.name) else {
                continue;
            };
            let (name, kind) = match metric.kind {
                Kind::Counter => (
                    metric.name.strip_suffix(TOTAL).unwrap_or(metric.name),
                    MetricType::Counter,
                ),
                Kind::Gauge => (metric.name, MetricType::Gauge),
                Kind::Histogram => (metric.name, MetricType::Histogram),
            };
            let help = metric.help.trim_end_matches('.');
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for sample in samples {
                if sample.labels.is_empty() {
                    write(metric.kind, &sample.value, &mut family)?;
                } else {
                    write(
                        metric.kind,
                        &sample.value,
                        &mut family.encode_family(&sample.labels)?,
                    )?;
                }
            }
        }
        Ok(())
    }
}

fn write(kind: Kind, value: &Value, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Number(number)) => encoder
            .encode_counter::<NoLabelSet, f64, f64>(number, None::<&Exemplar<NoLabelSet, f64>>),
        (_, Value::Number(number)) => encoder.encode_gauge(number),
        (_, Value::Histogram(counted)) => encoder.encode_histogram::<NoLabelSet>(
            counted.sum,
            counted.count,
            &counted.buckets,
            None,
        ),
    }
}
