//! `docs/reference/cli.md`: the help of every command, as the program prints it.

use std::fmt::Write as _;

use bloom_runtime::cli::exit;
use clap::Command;

pub fn render() -> String {
    let mut text = format!(
        "# Command line\n\n\
         What `bloom COMMAND --help` prints. What `serve` and `worker` can be told is in\n\
         [configuration](configuration.md).\n\n\
         - **Which service**: `--server` or `BLOOM_SERVER`. **Which key**: `BLOOM_API_KEY`, or the file that\n  \
           `--api-key-file` names; never an argument. `bloom key`, `migrate` and `doctor` work on the\n  \
           database itself: `DATABASE_URL` or `--data-dir`.\n\
         - **For people**: tables, local times (`TZ`), and bars and spinners only where standard error is a\n  \
           terminal. `NO_COLOR` turns the colours of the help off; there are no others.\n\
         - **For programs**: `--json` prints one JSON value; `task watch`, `task submit --file`, `task cancel`,\n  \
           `task requeue`, `worker drain`, `resume`, `remove` and `audit tail` print one a line. Members are\n  \
           added, but not renamed or taken away. Errors go to standard error.\n\
         - A reader that closes the pipe (`| head`) is no error.\n\
         - **Completions**: `bloom completions bash|zsh|fish`.\n\n\
         ```text\n{}\n```\n",
        exit::HELP
    );
    let mut command = bloom_runtime::cli::command();
    command.build();
    section(&mut text, &command, &[]);
    text
}

fn section(text: &mut String, command: &Command, words: &[&str]) {
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        let words = [words, &[sub.get_name()]].concat();
        let name = words.join(" ");
        writeln!(text, "\n## bloom {name}\n").unwrap();
        let help = match words.as_slice() {
            // Their flags fill a page of their own.
            ["serve" | "worker"] | ["worker", "run"] => brief(sub),
            _ => sub.clone().render_long_help().to_string(),
        };
        let lines: Vec<_> = help.lines().map(str::trim_end).collect();
        writeln!(text, "```text\n{}\n```", lines.join("\n").trim_end()).unwrap();
        section(text, sub, &words);
    }
}

/// What a command is for, and its examples.
fn brief(command: &Command) -> String {
    let parts = [command.get_about(), command.get_after_help()];
    let parts: Vec<_> = parts
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    parts.join("\n\n")
}
