//! Pages that claim something name the test that shows it; such a test exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{ROOT, assert_none, files};

/// Every test function of the tree: the path of its file from the root, without `.rs`, and its name.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["src", "tests", "chaos", "bench"] {
        for (name, text) in files(folder, &["rs"]) {
            let path = name.trim_end_matches(".rs");
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    is_test = true;
                }
                let function = line.trim_start_matches("async ").strip_prefix("fn ");
                if let Some((name, _)) = function.and_then(|rest| rest.split_once('(')) {
                    if is_test {
                        found.insert(format!("{path}::{name}"));
                    }
                    is_test = false;
                }
            }
        }
    }
    found
}

/// The faults and controls of the fault runs: `F01`, `C4`, ….
fn faults() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in ["chaos/src/nemesis/schedule.rs", "chaos/src/controls.rs"] {
        let text = std::fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
        let variants = text.lines().filter_map(|line| line.strip_prefix("    "));
        let variants = variants.filter_map(|line| line.strip_suffix(','));
        found.extend(variants.filter(|name| is_fault(name)).map(str::to_owned));
    }
    found
}

fn is_fault(name: &str) -> bool {
    name.strip_prefix(['F', 'C'])
        .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
}

/// What there is to be named.
struct Proofs {
    tests: BTreeSet<String>,
    faults: BTreeSet<String>,
}

impl Proofs {
    fn new() -> Self {
        let (tests, faults) = (tests(), faults());
        assert!(tests.len() > 500, "the tests are found: {}", tests.len());
        assert!(faults.len() > 40, "the faults are found: {}", faults.len());
        Self { tests, faults }
    }

    /// How many tests and faults `text` names, which of them do not exist.
    fn look(&self, text: &str) -> (usize, Vec<String>) {
        let (mut named, mut missing) = (0, Vec::new());
        for word in text.split('`').skip(1).step_by(2) {
            let exists = if is_fault(word) {
                self.faults.contains(word)
            } else if word.contains("::") {
                let here = ["src/", "tests/", "chaos/", "bench/"];
                let is_path = here.iter().any(|folder| word.starts_with(folder));
                let path = if is_path { "" } else { "tests/it/" };
                self.tests.contains(&format!("{path}{word}"))
            } else {
                continue;
            };
            named += 1;
            if !exists {
                missing.push(word.to_owned());
            }
        }
        (named, missing)
    }
}

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

/// What is wrong with a page whose table has one row each for `wanted`, in order, the last column
/// being what shows it.
fn wrong_rows(name: &str, wanted: &[String]) -> Vec<String> {
    let proofs = Proofs::new();
    let text = page(name);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|row| row.split(" | ").map(str::trim).collect())
        .filter(|row: &Vec<&str>| wanted[0].starts_with(&row[0][..1]) && row[0].len() < 4)
        .collect();
    let mut wrong = Vec::new();
    let ids: Vec<_> = rows.iter().map(|row| row[0]).collect();
    if ids != wanted {
        wrong.push(format!("{name}: {ids:?} instead of {wanted:?}"));
    }
    for row in &rows {
        if row.iter().any(|cell| cell.is_empty()) {
            wrong.push(format!("{name}: {} has an empty cell", row[0]));
        }
        let shown = row.last().unwrap();
        let (named, missing) = proofs.look(shown);
        if named == 0 && !shown.starts_with("does not apply: ") {
            wrong.push(format!("{name}: {} names no test", row[0]));
        }
        wrong.extend(
            missing
                .iter()
                .map(|test| format!("{name}: {} names {test}, which does not exist", row[0])),
        );
    }
    wrong
}

fn numbered(letter: char, numbers: impl Iterator<Item = usize>, width: usize) -> Vec<String> {
    numbers
        .map(|number| format!("{letter}{number:0width$}"))
        .collect()
}

#[test]
fn every_bug_of_a_peer_has_its_row_and_the_tests_that_it_names_exist() {
    let wanted = numbered('B', 1..=40, 2);
    assert_none(&wrong_rows("docs/peers-bugs.md", &wanted));
}

#[test]
fn every_goal_of_security_has_its_row_and_the_tests_that_it_names_exist() {
    assert_none(&wrong_rows("security/goals.md", &numbered('S', 1..=22, 1)));
}

/// The standard's sections, each with how many of its first requirements are of level 1 or 2, or in
/// [`LEVEL_3`].
const SECTIONS: &str = "\
    1.1:2 1.2:9 1.3:11 1.4:3 1.5:2 2.1:3 2.2:3 2.3:4 2.4:1 3.2:2 3.3:4 3.4:6 3.5:5 3.7:2 4.1:3 \
    4.2:1 4.3:2 4.4:4 5.1:1 5.2:3 5.3:2 5.4:3 6.1:3 6.2:12 6.3:4 6.4:4 6.5:5 6.6:3 6.8:4 7.1:3 \
    7.2:4 7.3:2 7.4:5 7.5:2 7.6:2 8.1:2 8.2:3 8.3:1 8.4:1 9.1:3 9.2:4 10.1:2 10.2:2 10.3:4 \
    10.4:11 10.5:5 10.6:2 10.7:3 11.1:2 11.2:4 11.3:3 11.4:4 11.5:1 11.6:1 12.1:3 12.2:2 12.3:4 \
    13.1:3 13.2:5 13.3:2 13.4:5 14.1:2 14.2:4 14.3:3 15.1:3 15.2:3 15.3:7 15.4:2 16.1:1 16.2:5 \
    16.3:4 16.4:3 16.5:3 17.1:1 17.2:4 17.3:2";

/// The requirements of level 3 that are held, too.
const LEVEL_3: [&str; 4] = ["V11.2.4", "V13.1.2", "V13.1.3", "V15.4.2"];

fn requirements() -> Vec<String> {
    let all = SECTIONS.split(' ').flat_map(|section| {
        let (section, count) = section.split_once(':').unwrap();
        let count: u32 = count.parse().unwrap();
        (1..=count).map(move |number| format!("V{section}.{number}"))
    });
    // Of level 3 and not held.
    let all: Vec<_> = all.filter(|id| id != "V15.4.1").collect();
    assert_eq!(all.len(), 253 + LEVEL_3.len());
    all
}

/// A field of a line, without the quotes that commas make necessary.
fn field(text: &str) -> String {
    let inner = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.map_or_else(|| text.to_owned(), |inner| inner.replace("\"\"", "\""))
}

/// What is wrong with a proof of the kind `setting`: files that do not say what they are to say.
fn wrong_settings(proof: &str) -> Vec<String> {
    let places = proof.split(';').next().unwrap().split(" + ");
    let wrong = places.filter(|place| {
        let Some((file, words)) = place.split_once(": ") else {
            return true;
        };
        let text = std::fs::read_to_string(Path::new(ROOT).join(file)).unwrap_or_default();
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        words.trim().is_empty() || !one_line(&text).contains(&one_line(words))
    });
    wrong.map(str::to_owned).collect()
}

#[test]
fn every_requirement_of_the_standard_is_answered_once_and_its_proofs_exist() {
    let proofs = Proofs::new();
    let text = page("security/asvs.csv");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("requirement,level,chapter,kind,proof"));
    let (mut ids, mut wrong) = (Vec::new(), Vec::new());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.splitn(5, ',').collect();
        let [id, level, chapter, kind, proof] = cells[..] else {
            panic!("five cells: {line}")
        };
        ids.push(id.to_owned());
        *counts.entry(kind).or_default() += 1;
        let is_level_3 = LEVEL_3.contains(&id);
        let levels: &[&str] = if is_level_3 { &["3"] } else { &["1", "2"] };
        let proof = field(proof);
        if !levels.contains(&level) || !id.starts_with(&format!("{chapter}.")) || proof.is_empty() {
            wrong.push(line.to_owned());
        }
        match kind {
            "test" => {
                let tests = proof.split(';').next().unwrap().replace(' ', "` `");
                let (named, missing) = proofs.look(&format!("`{tests}`"));
                if named == 0 || named != tests.split("` `").count() {
                    wrong.push(format!("{id} is to name tests: {proof}"));
                }
                wrong.extend(missing.iter().map(|test| format!("{id}: no test {test}")));
            }
            "setting" => {
                let missing = wrong_settings(&proof);
                wrong.extend(missing.iter().map(|place| format!("{id}: not so: {place}")));
            }
            "not applicable" | "gap" => {}
            other => wrong.push(format!("{id}: {other}")),
        }
    }
    if ids != requirements() {
        wrong.push("security/asvs.csv has other requirements than the standard".to_owned());
    }
    let readme = page("security/README.md");
    for (kind, count) in counts {
        if !readme.contains(&format!("| {kind} | {count} |")) {
            wrong.push(format!("security/README.md: {kind} is {count}"));
        }
    }
    assert_none(&wrong);
}
