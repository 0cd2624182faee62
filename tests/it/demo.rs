//! The real `bloom demo`.

use crate::runtime::process::{Scratch, bloom};

#[test]
fn the_demo_processes_every_text_and_shows_it() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("demo");
    let output = bloom().arg("demo").arg(&dir).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    let (rows, rest) = text
        .split_once(" texts submitted to http://127.0.0.1:")
        .expect("an address");
    let count = rows.lines().last().unwrap_or_default();
    assert!(count.parse::<u32>().is_ok_and(|count| count > 0), "{text}");
    let all = format!("{count} texts processed in ");
    assert!(
        rest.contains(&all) && rest.contains("each with an artifact and 4 audit rows"),
        "{text}"
    );
    let columns = [
        "text",
        "words",
        "result",
        "attempts",
        "duration",
        "audit rows",
    ];
    let is_head = |line: &str| columns.iter().all(|column| line.contains(column));
    assert!(rest.lines().any(is_head), "{text}");
    let rows = rest
        .lines()
        .filter(|line| line.contains(" ms ") || line.contains(" s "));
    assert!(rows.count() >= count.parse().unwrap(), "{text}");
    assert!(!text.contains("NOT AS PROMISED"), "{text}");
}

#[test]
fn conversations_go_through_the_real_cli_in_order_and_stay_where_they_are() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("demo");
    let output = bloom()
        .args(["demo", "--claude", "--claude-bin"])
        .arg(crate::claude_kit::cli())
        .arg(&dir)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("20 prompts in 5 contexts"), "{text}");
    assert!(text.contains("went on with its conversation"), "{text}");
    let rows: Vec<_> = text
        .lines()
        .filter(|line| line.contains("claude-demo-"))
        .collect();
    assert_eq!(rows.len(), 5, "{text}");
}
