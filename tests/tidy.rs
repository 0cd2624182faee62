//! Rules about the tree itself: what the compiler and clippy cannot see.

#![expect(
    clippy::unwrap_used,
    reason = "a test says what is wrong by panicking; clippy's own exception leaves out helpers"
)]

#[path = "tidy/proofs.rs"]
mod proofs;
#[path = "tidy/supply.rs"]
mod supply;

use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Most lines of a file.
const FILE_LIMIT: usize = 500;

/// Names that say nothing.
const EMPTY_NAMES: [&str; 5] = ["utils", "util", "common", "helpers", "manager"];

/// Modules that meet in `db`, `error` and `config`, and never import each other.
const STRANGERS: [&str; 4] = ["http", "worker", "maintenance", "membridge"];

/// Every file below `folder` with one of these endings: its path from the root, and its text.
fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(ROOT).join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
            if path.is_dir() {
                // What is built or installed is not ours.
                if !path.ends_with("target") && !path.ends_with("bench/peers") {
                    folders.push(path);
                }
            } else if endings.contains(&ending) {
                let text = std::fs::read_to_string(&path).unwrap();
                let name = path.strip_prefix(ROOT).unwrap().to_str().unwrap();
                found.push((name.to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    files("src", &["rs"])
}

/// The text of a source file up to its unit tests.
fn product(text: &str) -> &str {
    text.split_once("#[cfg(test)]")
        .map_or(text, |(before, _)| before)
}

/// The lines that are not comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    product(text)
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sql_text_lives_only_in_db() {
    let starts = [
        "select ",
        "insert into ",
        "update ",
        "delete from ",
        "with ",
    ];
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if name.starts_with("src/db") {
            continue;
        }
        for line in code(&text) {
            let literals = line.split('"').skip(1).step_by(2);
            let sql = literals.map(str::trim_start).filter(|literal| {
                let literal = literal.to_lowercase();
                let verb = starts.iter().any(|start| literal.starts_with(start));
                verb && ["bloom.", " from ", "pg_", " set ", "values"]
                    .iter()
                    .any(|word| literal.contains(word))
            });
            wrong.extend(sql.map(|sql| format!("{name}: {sql}")));
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_statement_of_db_calls_is_one_call_of_one_verb() {
    let mut wrong = Vec::new();
    let mut statements = 0;
    for (name, text) in files("src/db/calls", &["rs"]) {
        for literal in product(&text).split('"').skip(1).step_by(2) {
            let words = literal.trim_start().to_lowercase();
            if !words.starts_with("select ") {
                continue;
            }
            statements += 1;
            if literal.matches("bloom.").count() != 1 || literal.contains("bloom_private") {
                wrong.push(format!("{name}: {literal}"));
            }
        }
    }
    assert!(statements > 40, "the statements are found: {statements}");
    assert_none(&wrong);
}

#[test]
fn modules_that_must_not_know_each_other_do_not() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let module = name.trim_start_matches("src/");
        let module = module.split(['/', '.']).next().unwrap();
        let mut forbidden: Vec<_> = match module {
            "db" => vec!["http", "worker", "maintenance", "membridge", "cli"],
            module if STRANGERS.contains(&module) => STRANGERS.to_vec(),
            _ => continue,
        };
        forbidden.retain(|other| *other != module);
        for other in forbidden {
            let imports = [format!("crate::{other}::"), format!("crate::{other};")];
            if code(&text).any(|line| imports.iter().any(|import| line.contains(import))) {
                wrong.push(format!("{name} imports {other}"));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn http_knows_no_sqlstate_and_db_no_status_code() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let forbidden: &[&str] = match &name {
            name if name.starts_with("src/http") => &["SqlState", "tokio_postgres"],
            name if name.starts_with("src/db") => &["StatusCode"],
            _ => continue,
        };
        for word in forbidden {
            if code(&text).any(|line| line.contains(word)) {
                wrong.push(format!("{name}: {word}"));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn files_are_short() {
    let mut all = sources();
    all.extend(files("tests", &["rs"]));
    all.extend(files("functions", &["sql"]));
    all.extend(files("chaos", &["rs"]));
    let long = all.iter().map(|(name, text)| (name, text.lines().count()));
    let long: Vec<_> = long
        .filter(|(_, lines)| *lines > FILE_LIMIT)
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect();
    assert_none(&long);
}

#[test]
fn modules_have_names_that_say_something() {
    let mut all = sources();
    all.extend(files("tests", &["rs"]));
    let mut wrong = Vec::new();
    for (name, _) in all {
        let parts: Vec<_> = name.split(['/', '.']).collect();
        if name.ends_with("/mod.rs") || parts.iter().any(|part| EMPTY_NAMES.contains(part)) {
            wrong.push(name);
        }
    }
    assert_none(&wrong);
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["TODO", "FIXME", "XXX", "HACK"];
    let mut all = sources();
    all.extend(files("functions", &["sql"]));
    let mut wrong = Vec::new();
    for (name, text) in all {
        let lines = text
            .lines()
            .filter(|line| words.iter().any(|word| line.contains(word)));
        wrong.extend(lines.map(|line| format!("{name}: {}", line.trim())));
    }
    assert_none(&wrong);
}

#[test]
fn the_environment_is_read_only_in_config() {
    let words = ["env::var", "env::vars", "env = \"", "option_env!"];
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if name.starts_with("src/config") {
            continue;
        }
        let lines = code(&text).filter(|line| words.iter().any(|word| line.contains(word)));
        wrong.extend(lines.map(|line| format!("{name}: {}", line.trim())));
    }
    assert_none(&wrong);
}

#[test]
fn no_path_of_somebodys_machine_is_written_down() {
    let mut all = sources();
    for folder in [
        "tests",
        "functions",
        "docs",
        "scripts",
        "migrations",
        "bench",
        "deploy",
    ] {
        all.extend(files(
            folder,
            &["rs", "sql", "md", "sh", "toml", "yml", "yaml"],
        ));
    }
    // Put together here, so that this file does not name them itself.
    let words = [
        ["/wo", "rk/"].concat(),
        ["/ho", "me/"].concat(),
        ["/Us", "ers/"].concat(),
    ];
    let mut wrong = Vec::new();
    for (name, text) in all {
        let lines = text
            .lines()
            .filter(|line| words.iter().any(|word| line.contains(word)));
        wrong.extend(lines.map(|line| format!("{name}: {}", line.trim())));
    }
    assert_none(&wrong);
}

#[test]
fn the_index_of_decisions_is_complete() {
    let decisions = files("docs/adr", &["md"]);
    let Some((_, index)) = decisions
        .iter()
        .find(|(name, _)| name.ends_with("/README.md"))
    else {
        assert!(
            decisions.is_empty(),
            "docs/adr has no README.md as its index"
        );
        return;
    };
    let names = decisions
        .iter()
        .map(|(name, _)| name.rsplit('/').next().unwrap());
    let missing: Vec<_> = names
        .filter(|name| *name != "README.md" && !index.contains(name))
        .map(str::to_owned)
        .collect();
    assert_none(&missing);
}
