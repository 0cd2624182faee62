//! The table of docs/execution-path.md names tests that exist.

use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> String {
    let mut text = String::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

#[test]
fn every_step_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/execution-path.md")).unwrap();
    let sources = sources(&root.join("tests/it"));
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| ")).collect();
    let steps = [
        "nginx",
        "API",
        "auth",
        "proxy",
        "queue",
        "lease",
        "sync",
        "Membridge",
        "worker",
        "heartbeat",
        "CLI",
        "complete",
        "artifact",
        "audit",
        "answer",
    ];
    for step in steps {
        assert!(
            rows.iter()
                .any(|row| row.starts_with(&format!("| {step} |"))),
            "{step}"
        );
    }
    let mut named = 0;
    for row in rows {
        let Some(test) = row.split('`').nth(1) else {
            continue;
        };
        assert!(
            sources.contains(&format!("fn {test}(")),
            "there is no test {test}"
        );
        named += 1;
    }
    assert!(named > steps.len(), "{named}");
}
