//! Help, completions, and manners: pipes that close, terminals that are none, colours that are not
//! wanted.

use std::process::{Command, Stdio};

use super::{ask, command, run};
use crate::runtime::process::bloom;
use crate::runtime::{KEY, Runtime, task};

/// Every command without subcommands of its own, as words.
fn leaves(command: &clap::Command, words: &[&str], found: &mut Vec<Vec<String>>) {
    let mut subs = command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
        .peekable();
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    if subs.peek().is_none() || words == ["worker"] {
        found.push(owned(words));
    }
    for sub in subs {
        leaves(sub, &[words, &[sub.get_name()]].concat(), found);
    }
}

fn commands() -> Vec<Vec<String>> {
    let mut command = bloom_runtime::cli::command();
    command.build();
    let mut found = Vec::new();
    leaves(&command, &[], &mut found);
    found
}

#[tokio::test]
async fn every_command_has_help_with_an_example() {
    let all = commands();
    assert!(all.len() > 25, "{all:?}");
    for words in all {
        let mut command = bloom();
        command.args(&words).arg("--help");
        let help = run(command, "").await.ends(0).out;
        let example = format!("  bloom {}", words.join(" "));
        assert!(
            help.contains("Examples:") && help.contains(&example),
            "{words:?}:\n{help}"
        );
    }
    for words in [&["task"][..], &["queue"], &["audit"]] {
        let mut command = bloom();
        command.args(words).arg("--help");
        let help = run(command, "").await.ends(0).out;
        assert!(help.contains("Exit status:"), "{words:?}:\n{help}");
    }
}

#[tokio::test]
async fn completions_complete_in_bash_and_exist_for_zsh_and_fish() {
    let script = |shell: &'static str| async move {
        let mut command = bloom();
        command.args(["completions", shell]);
        run(command, "").await.ends(0).out
    };
    let bash = format!(
        "{}\nCOMP_WORDS=(bloom task re); COMP_CWORD=2; _bloom bloom re task\n\
         echo \"${{COMPREPLY[@]}}\"\n\
         COMP_WORDS=(bloom audit tail --fo); COMP_CWORD=3; _bloom bloom --fo tail\n\
         echo \"${{COMPREPLY[@]}}\"",
        script("bash").await
    );
    let mut shell = Command::new("bash");
    shell.args(["--norc", "-s"]);
    let completed = run(shell, &bash).await.ends(0);
    assert_eq!(completed.out, "result requeue\n--follow\n", "{completed:?}");
    assert!(script("zsh").await.starts_with("#compdef bloom"));
    assert!(script("fish").await.contains("complete -c bloom"));
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_is_no_error_and_ends_what_only_shows() {
    let runtime = Runtime::start().await;
    let id = runtime.api.submit(task("c")).await;
    let program = env!("CARGO_BIN_EXE_bloom");
    for line in [
        format!("{program} task list --json | head -n 1"),
        format!("{program} task list | head -n 1"),
        format!("{program} completions bash | head -n 1"),
        format!("{program} --help | head -n 1"),
    ] {
        let mut shell = Command::new("bash");
        let script = format!("set -o pipefail; {line} > /dev/null; echo ${{PIPESTATUS[0]}}");
        shell.args(["-c", &script]);
        shell
            .env("BLOOM_SERVER", &runtime.api.base)
            .env("BLOOM_API_KEY", KEY);
        let ended = run(shell, "").await.ends(0);
        assert_eq!(
            (ended.out.as_str(), ended.err.as_str()),
            ("0\n", ""),
            "{line}"
        );
    }
    // This one would go on: the task never ends.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut watch = command(&runtime.api.base, Some(KEY), &["task", "watch", &id]);
    watch.stdout(writer).stderr(Stdio::piped());
    let ended =
        tokio::task::spawn_blocking(move || watch.spawn().unwrap().wait_with_output().unwrap());
    let ended = ended.await.unwrap();
    assert!(
        ended.status.success() && ended.stderr.is_empty(),
        "{ended:?}"
    );
}

#[tokio::test]
async fn nothing_but_text_goes_where_no_terminal_is() {
    let runtime = Runtime::start().await;
    let id = runtime.api.submit(task("c\u{1b}[2J")).await;
    for args in [
        &["task", "list"][..],
        &["task", "show", &id],
        &["stats"],
        &["audit", "verify"],
        &["audit", "tail"],
        &["task", "nonsense"],
        &["task", "--help"],
    ] {
        let mut coloured = command(&runtime.api.base, Some(KEY), args);
        coloured.env("TERM", "xterm-256color");
        let answer = run(coloured, "").await;
        let text = format!("{}{}", answer.out, answer.err);
        assert!(!text.contains('\u{1b}'), "{args:?}: {text:?}");
    }
    let file = ask(&runtime, &["audit", "verify"]).await.ends(0);
    assert!(file.err.is_empty(), "no bar where no terminal is: {file:?}");
}

#[tokio::test]
async fn no_color_is_obeyed_on_a_terminal() {
    let program = env!("CARGO_BIN_EXE_bloom");
    let help = |no_color: bool| async move {
        // util-linux gives the command a terminal.
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &format!("{program} task --help"), "/dev/null"]);
        terminal.env("TERM", "xterm-256color");
        terminal.env_remove("NO_COLOR");
        if no_color {
            terminal.env("NO_COLOR", "1");
        }
        run(terminal, "").await.ends(0).out
    };
    assert!(
        help(false).await.contains("\u{1b}["),
        "the terminal shows colours"
    );
    let plain = help(true).await;
    assert!(
        plain.contains("Usage") && !plain.contains("\u{1b}["),
        "{plain:?}"
    );
}
