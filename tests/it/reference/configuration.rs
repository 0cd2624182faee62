//! `docs/reference/configuration.md`: every flag and variable of the program.

use std::fmt::Write as _;

use clap::{Arg, Command};

pub fn render() -> String {
    let mut command = bloom_runtime::cli::command();
    command.build();
    let mut text = String::from(
        "# Configuration\n\n\
         There is no configuration file. What can be set is a flag, and where a variable is named\n\
         below, an environment variable; the flag wins. `bloom COMMAND --help` says the same.\n\n\
         Keys have a variable or a file but never a flag, because every user of a machine can read\n\
         its command lines:\n\n\
         | variable | read by | meaning |\n|---|---|---|\n\
         | `RUNTIME_API_KEY` | `serve` | the key with all rights |\n\
         | `BLOOM_API_KEY`, else `RUNTIME_API_KEY` | `worker`, `task`, `queue`, `audit`, `stats`, `demo --server` | the key to show to the service |\n\
         | `TMPDIR` | `worker` | where working directories are made, unless `--work-dir` says |\n",
    );
    let global = |arg: &&Arg| arg.is_global_set();
    let logging: Vec<&Arg> = command.get_arguments().filter(global).collect();
    text.push_str("\n## Every command\n\n");
    table(&mut text, &logging);
    for sub in command
        .get_subcommands()
        .filter(|sub| !ELSEWHERE.contains(&sub.get_name()))
    {
        section(&mut text, sub, "bloom", &logging);
    }
    text.push_str("\nEverything else: [command line](cli.md).\n");
    text
}

/// What is for people at a terminal: see the reference of the command line.
const ELSEWHERE: [&str; 6] = ["help", "task", "queue", "audit", "stats", "completions"];

fn section(text: &mut String, command: &Command, parent: &str, known: &[&Arg]) {
    let name = format!("{parent} {}", command.get_name());
    write!(text, "\n## {name}\n").unwrap();
    if let Some(about) = command.get_about() {
        write!(text, "\n{about}.\n").unwrap();
    }
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !known.iter().any(|one| one.get_id() == arg.get_id()))
        .collect();
    if own.iter().any(|arg| is_shown(arg)) {
        text.push('\n');
        table(text, &own);
    }
    let mut known: Vec<&Arg> = known.to_vec();
    known.extend(own.iter().filter(|arg| arg.is_global_set()));
    // What `bloom worker` has beside the worker itself is for people, too.
    let is_shown = |sub: &&Command| sub.get_name() != "help" && command.get_name() != "worker";
    for sub in command.get_subcommands().filter(is_shown) {
        section(text, sub, &name, &known);
    }
}

fn is_shown(arg: &Arg) -> bool {
    !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version")
}

fn table(text: &mut String, args: &[&Arg]) {
    text.push_str("| flag | variable | default | meaning |\n|---|---|---|---|\n");
    for arg in args.iter().filter(|arg| is_shown(arg)) {
        let value = arg
            .get_value_names()
            .filter(|_| arg.get_action().takes_values());
        let value = value.map(|names| names[0].to_string()).unwrap_or_default();
        let flag = match arg.get_long() {
            Some(long) => format!("--{long} {value}").trim().to_owned(),
            None => format!("[{value}]"),
        };
        let env = arg
            .get_env()
            .map(|env| format!("`{}`", env.to_string_lossy()));
        let defaults = arg.get_default_values().iter().filter(|_| {
            // Hidden because it is long, and said in the text.
            !arg.is_hide_default_value_set() && arg.get_action().takes_values()
        });
        let defaults: Vec<_> = defaults
            .map(|one| format!("`{}`", one.to_string_lossy()))
            .collect();
        let possible: Vec<_> = arg
            .get_possible_values()
            .iter()
            .filter(|_| arg.get_action().takes_values())
            .map(|one| format!("`{}`", one.get_name()))
            .collect();
        let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        if let Some(long) = arg.get_long_help() {
            help = long.to_string();
        }
        let mut help = help.replace('\n', " ").replace('|', "\\|");
        if !help.ends_with('.') {
            help.push('.');
        }
        if !possible.is_empty() {
            write!(help, " One of {}.", possible.join(", ")).unwrap();
        }
        let (env, defaults) = (env.unwrap_or_default(), defaults.join(" "));
        writeln!(text, "| `{flag}` | {env} | {defaults} | {help} |").unwrap();
    }
}
