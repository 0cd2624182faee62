//! The alert rules, what is said about them, and the dashboard.

mod scraped;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use bloom_runtime::metrics::{ALL, Kind};
use serde_json::Value;

/// Labels that Prometheus adds by itself.
const ADDED: [&str; 3] = ["instance", "job", "le"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The expressions of the rules.
fn rules() -> Vec<String> {
    let rules = read("deploy/prometheus/alerts.yml");
    let expressions = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("expr: "));
    expressions.map(str::to_owned).collect()
}

/// The expressions of the dashboard.
fn dashboard() -> Vec<String> {
    let board: Value = serde_json::from_str(&read("deploy/grafana/bloom.json")).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect()
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// The words of an expression that begin so.
fn words<'e>(expression: &'e str, with: &'static str) -> impl Iterator<Item = &'e str> {
    let words = expression.split(|character| !is_word(character));
    words.filter(move |word| word.starts_with(with))
}

/// The labels that an expression names, in braces and after `by`.
fn labels(expression: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for (begin, end) in [("{", '}'), ("by (", ')'), ("on (", ')')] {
        for part in expression.split(begin).skip(1) {
            let inside = part.split(end).next().unwrap();
            let names = inside
                .split(',')
                .map(|one| one.trim().split(['=', '!']).next().unwrap());
            found.extend(names.filter(|name| !name.is_empty()));
        }
    }
    found
}

/// Where `prometheus` and `promtool` are.
fn prometheus_dir() -> PathBuf {
    let mut find = Command::new(root().join("scripts/prometheus.sh"));
    let found = find.output().unwrap();
    assert!(found.status.success(), "{found:?}");
    PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())
}

#[test]
fn rules_and_dashboard_ask_for_metrics_and_labels_that_there_are() {
    let expressions = [rules(), dashboard()].concat();
    assert!(expressions.len() > 40, "{}", expressions.len());
    for expression in &expressions {
        let mut known: BTreeSet<&str> = ADDED.into();
        for word in words(expression, "bloom_") {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|ending| word.strip_suffix(ending))
                .unwrap_or(word);
            let metric = ALL.iter().find(|metric| {
                metric.name == word || metric.name == base && matches!(metric.kind, Kind::Histogram)
            });
            let metric = metric.unwrap_or_else(|| panic!("{word} in {expression}"));
            known.extend(metric.labels);
        }
        for label in labels(expression) {
            assert!(known.contains(label), "{label} in {expression}");
        }
    }
}

#[test]
fn every_alert_is_explained_and_nothing_else_is() {
    let rules = read("deploy/prometheus/alerts.yml");
    let alerts: BTreeSet<_> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert_eq!(rules.matches("\n        for: ").count(), alerts.len());
    let page = read("docs/alerts.md");
    let sections: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    assert_eq!(alerts, sections);
    for alert in alerts {
        let runbook = format!("runbook: docs/alerts.md#{}", alert.to_lowercase());
        assert!(rules.contains(&runbook), "{alert}");
        let section = page.split(&format!("## {alert}\n")).nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        assert!(
            section.contains("- Look: ") && section.contains("- Do: "),
            "{alert}"
        );
    }
}

#[test]
fn every_alert_is_heard_and_is_silent_in_a_test() {
    let rules = read("deploy/prometheus/alerts.yml");
    let tests = read("deploy/prometheus/alerts.test.yml");
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        let of = format!("alertname: {alert}\n");
        let expected: BTreeSet<_> = tests
            .split(&of)
            .skip(1)
            .map(|rest| rest.trim_start().starts_with("exp_alerts: []"))
            .collect();
        assert_eq!(expected, BTreeSet::from([false, true]), "{alert}");
    }
}

#[test]
fn the_rules_are_sound_and_speak_when_they_should() {
    let promtool = prometheus_dir().join("promtool");
    let place = root().join("deploy/prometheus");
    for words in [
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts.test.yml"],
    ] {
        let out = Command::new(&promtool)
            .args(words)
            .current_dir(&place)
            .output()
            .unwrap();
        assert!(out.status.success(), "{out:?}");
    }
}
