//! Gates over the files of functions/.

use std::path::{Path, PathBuf};

const FUNCTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/functions");

/// Longest body of a function, in lines; and the length that is wanted.
const BODY_LIMIT: usize = 100;
const BODY_WANTED: usize = 70;

/// Files that hold something else than one function.
const OTHERS: &[&str] = &[
    "index.sql",
    "grants.sql",
    "partitions.sql",
    "_internal/triggers.sql",
    "views/read_views.sql",
];

/// Verbs a function's name may end with, after its noun. `stats` and `measures` stand for
/// themselves.
const VERBS: &[&str] = &[
    "submit",
    "submit_many",
    "cancel",
    "cancel_many",
    "requeue",
    "requeue_many",
    "prioritize",
    "verify",
    "unsealed",
    "seal",
    "seals",
    "sealed",
    "requeue_dead",
    "promote",
    "get",
    "get_many",
    "list",
    "reach",
    "result",
    "attempts",
    "events",
    "explain",
    "next",
    "next_many",
    "task",
    "heartbeat",
    "heartbeat_many",
    "start",
    "extend",
    "check",
    "complete",
    "complete_many",
    "complete_stored",
    "release",
    "overdue",
    "note_use",
    "expire",
    "register",
    "update",
    "remove",
    "beat",
    "leave",
    "beat_many",
    "sweep",
    "sync",
    "note",
    "clear",
    "log_append",
    "log_read",
    "configure",
    "pause",
    "resume",
    "read",
    "end",
    "set",
    "create",
    "find",
    "revoke",
    "fold",
    "advance",
    "mark",
    "wake",
    "ready",
    "ensure",
    "run",
    "place",
];

fn sql_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sql_files(&path, found);
        } else {
            let ending = path.extension().and_then(|e| e.to_str());
            assert_eq!(ending, Some("sql"), "{}", path.display());
            found.push(path);
        }
    }
}

/// Every file with its path below functions/ and its text.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    sql_files(Path::new(FUNCTIONS), &mut found);
    let mut files: Vec<_> = found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(FUNCTIONS).expect("below").to_str();
            let name = name.expect("UTF-8").to_owned();
            (name, std::fs::read_to_string(path).expect("readable"))
        })
        .collect();
    files.sort();
    files
}

fn functions() -> Vec<(String, String)> {
    let files = files().into_iter();
    files
        .filter(|(name, _)| !OTHERS.contains(&name.as_str()))
        .collect()
}

#[test]
fn the_index_lists_every_file_once_and_nothing_else() {
    let index = std::fs::read_to_string(format!("{FUNCTIONS}/index.sql")).expect("an index");
    let mut listed: Vec<_> = index
        .lines()
        .filter_map(|line| line.strip_prefix("\\ir "))
        .map(str::to_owned)
        .collect();
    listed.sort();
    let names = files().into_iter().map(|(name, _)| name);
    let present: Vec<_> = names.filter(|name| name != "index.sql").collect();
    assert_eq!(listed, present);
}

#[test]
fn a_file_holds_the_one_function_that_it_is_named_after() {
    let mut wrong = Vec::new();
    for (name, text) in functions() {
        let heads: Vec<_> = text
            .match_indices("create or replace function")
            .map(|(at, head)| text[at + head.len()..].trim_start())
            .collect();
        let (folder, stem) = name.strip_suffix(".sql").unwrap().split_once('/').unwrap();
        let schema = if folder == "_internal" {
            "bloom_private"
        } else {
            "bloom"
        };
        let wanted = format!("{schema}.{stem}(");
        if heads.len() != 1 || !heads[0].starts_with(&wanted) {
            wrong.push(format!("{name}: wants exactly one function {wanted}…)"));
        }
        if !text.starts_with("create or replace function") {
            wrong.push(format!("{name}: begins with something else"));
        }
        let of_noun = stem
            .strip_prefix(folder)
            .and_then(|rest| rest.strip_prefix('_'));
        let verb = of_noun.or_else(|| stem.split_once('_').map(|(_, verb)| verb));
        if schema == "bloom"
            && !["stats", "measures"].contains(&stem)
            && !VERBS.contains(&verb.unwrap_or(""))
        {
            wrong.push(format!("{name}: no noun_verb of the closed list"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_function_states_its_volatility_and_begins_with_its_header() {
    let mut wrong = Vec::new();
    for (name, text) in functions() {
        let (head, body) = text.split_once(" as $$").expect("a body");
        let words: Vec<_> = head.split_whitespace().collect();
        let stated = ["immutable", "stable", "volatile"];
        if words.iter().filter(|word| stated.contains(word)).count() != 1 {
            wrong.push(format!("{name}: states no volatility"));
        }
        let mut lines = body.lines().skip(1).filter(|line| !line.starts_with('#'));
        if !lines.next().is_some_and(|line| line.starts_with("-- ")) {
            wrong.push(format!("{name}: has no header inside its body"));
        }
        let public = !name.starts_with("_internal/");
        if public && head.contains("volatile") && !body.contains("rites") {
            // "Writes:", or a reference to the verb that says it.
            if !body.contains("ee ") && !body.contains("same as") && !body.contains("changes") {
                wrong.push(format!("{name}: does not say what it writes"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bodies_are_short_and_lines_narrow() {
    let mut wrong = Vec::new();
    let mut long = Vec::new();
    for (name, text) in functions() {
        let (_, body) = text.split_once(" as $$").expect("a body");
        let (body, _) = body.split_once("\n$$;").expect("an end");
        match body.lines().count() {
            lines if lines > BODY_LIMIT => wrong.push(format!("{name}: {lines} lines")),
            lines if lines > BODY_WANTED => long.push(format!("{name}: {lines}")),
            _ => {}
        }
    }
    for (name, text) in files() {
        let wide = text.lines().filter(|line| line.chars().count() > 100);
        wrong.extend(wide.map(|line| format!("{name}: over 100 columns: {line}")));
    }
    assert!(
        wrong.is_empty(),
        "{}\nover {BODY_WANTED}: {long:?}",
        wrong.join("\n")
    );
}
