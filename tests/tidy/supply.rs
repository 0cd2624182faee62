//! What the program is made of, and how it is built.

use std::path::Path;

use super::{ROOT, assert_none, files};

/// Words of cargo that build or run something out of dependencies.
const BUILDING: [&str; 6] = ["build", "test", "run", "doc", "clippy", "install"];

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

#[test]
fn every_build_is_locked_and_no_code_of_ours_is_unsafe() {
    let mut scripts = files("scripts", &["sh"]);
    for name in ["Makefile", ".ci/run", "Dockerfile"] {
        scripts.push((name.to_owned(), read(name)));
    }
    let mut wrong = Vec::new();
    let mut builds = 0;
    for (name, text) in &scripts {
        // A command may go on over lines.
        for line in text.replace("\\\n", " ").lines() {
            for command in line.split("cargo ").skip(1) {
                let mut words = command.split_whitespace();
                if words.next().is_some_and(|word| BUILDING.contains(&word)) {
                    builds += 1;
                    if !command.contains("--locked") {
                        wrong.push(format!("{name}: not --locked: {}", line.trim()));
                    }
                }
            }
        }
    }
    assert!(builds > 10, "{builds}");
    for name in ["Cargo.toml", "bench/Cargo.toml", "chaos/Cargo.toml"] {
        let text = read(name);
        let inherits = text.contains("[lints]\nworkspace = true");
        if !inherits && !text.contains("unsafe_code = \"forbid\"") {
            wrong.push(format!("{name}: does not forbid unsafe code"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn ci_holds_every_crate_against_the_rules() {
    assert!(read(".ci/run").contains("\nmake deny\n"));
    let rules = read("deny.toml");
    for rule in [
        "wildcards = \"deny\"",
        "unknown-registry = \"deny\"",
        "unknown-git = \"deny\"",
    ] {
        assert!(rules.contains(rule), "{rule}");
    }
}
