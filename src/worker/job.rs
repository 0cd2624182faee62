//! What a task's program is, who reads what it prints, and what its end means.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use tokio::process::Command;

use super::api::{Completion, Granted, How};
use super::claude::stream::Story;
use super::claude::{self, Setup, Verdict};
use super::held::Held;
use super::live::Live;
use super::log::Lines;
use super::output::{Capture, Keep, tail_text, to_text};
use super::program::Launch;
use super::workspace::{Scope, Workspace};
use super::{MAX_STDERR_BYTES, Options, report};

/// How much of the end of stdout a failure carries when there is no stderr, in bytes.
const MAX_STDOUT_TAIL: usize = 4 << 10;

/// What runs tasks.
#[derive(Debug, Clone)]
pub enum Executor {
    /// Any program, for `sh -c`: the prompt on stdin, the result on stdout.
    Exec(String),
    /// The Claude CLI.
    Claude(Setup),
}

impl Executor {
    /// Where it works, unless the operator says otherwise: the CLI's conversations belong to a
    /// directory.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Exec(_) => Scope::Attempt,
            Self::Claude(_) => Scope::Context,
        }
    }

    /// Refuses a command whose program is not there: it would fail task after task. Where the
    /// command begins with more than a plain name or an absolute path, the shell alone can tell.
    ///
    /// # Errors
    /// With a text for people.
    pub async fn check(&self, environment: &[(String, OsString)]) -> Result<(), String> {
        let Self::Exec(command) = self else {
            return Ok(());
        };
        let Some(program) = plain_program(command) else {
            return Ok(());
        };
        let found = Command::new("/bin/sh")
            .args(["-c", "command -v \"$1\"", "sh", program])
            .env_clear()
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        match found.await {
            Ok(status) if !status.success() => Err(format!("there is no program {program:?}")),
            // Without a shell nothing will run, and the first task says why.
            _ => Ok(()),
        }
    }
}

/// The program that a command begins with.
fn plain_program(command: &str) -> Option<&str> {
    let word = command.split_ascii_whitespace().next()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+./".contains(&byte);
    (word.bytes().all(is_plain) && (word.starts_with('/') || !word.contains('/'))).then_some(word)
}

/// How an attempt is reported.
#[derive(Debug)]
pub enum Outcome {
    /// With a result.
    Complete(Completion),
    /// Not at all: the credential has reached its limit, until then (epoch milliseconds).
    Limited(i64, String),
}

/// Reads a program's output and knows what its end means.
#[derive(Debug)]
pub struct Reader {
    stderr: Capture,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Plain(Capture),
    Claude {
        story: Story,
        how: How,
        is_json: bool,
        missing_hints: usize,
    },
}

/// What to start for `granted`, and its reader.
///
/// # Errors
/// A text for the submitter, when the task asks for what is not acceptable.
pub fn prepare(
    options: &Options,
    held: &Held,
    granted: &Granted,
    workspace: &Workspace,
    others: usize,
) -> Result<(Launch, Reader), String> {
    let stderr = Capture::new(Keep::Tail(MAX_STDERR_BYTES));
    let (kept, mut lines) = (stderr.clone(), Lines::new(held.live.log(), "! "));
    let stderr_sink = Box::new(move |chunk: &[u8]| {
        lines.add(chunk);
        kept.add(chunk)
    });
    match &options.executor {
        Executor::Exec(command) => {
            let stdout = Capture::new(Keep::Whole(options.max_output_bytes));
            let (kept, mut lines) = (stdout.clone(), Lines::new(held.live.log(), ""));
            let launch = Launch {
                argv: ["/bin/sh", "-c", command].map(Into::into).to_vec(),
                environment: Vec::new(),
                stdin: granted.task.prompt.clone(),
                stdout: Box::new(move |chunk: &[u8]| {
                    lines.add(chunk);
                    kept.add(chunk)
                }),
                into_file: false,
                stderr: stderr_sink,
            };
            let kind = Kind::Plain(stdout);
            Ok((launch, Reader { stderr, kind }))
        }
        Executor::Claude(setup) => {
            let live = &held.live;
            let plan = setup.plan(options, granted, workspace, others, live)?;
            let story = Story::new(live, options.max_output_bytes);
            let told = story.clone();
            let launch = Launch {
                argv: plan.argv,
                environment: plan.environment,
                stdin: plan.stdin,
                stdout: Box::new(move |chunk: &[u8]| told.add(chunk)),
                // The CLI exits without flushing: what a pipe cannot take at once would be lost.
                into_file: true,
                stderr: stderr_sink,
            };
            let kind = Kind::Claude {
                story,
                how: plan.how,
                is_json: granted.task.desired_format == "json",
                missing_hints: plan.missing_hints,
            };
            Ok((launch, Reader { stderr, kind }))
        }
    }
}

impl Reader {
    /// What it means that the program left by itself.
    #[must_use]
    pub fn exited(&self, held: &Held, status: Option<ExitStatus>, ran: Duration) -> Outcome {
        let lease = held.lease_id;
        let is_good = status.is_some_and(|status| status.success());
        let report = match &self.kind {
            Kind::Plain(stdout) if is_good => report::success(lease, to_text(&stdout.take()), ran),
            Kind::Plain(stdout) => {
                report::error(lease, self.complaint(status, &stdout.take()), ran)
            }
            Kind::Claude {
                story,
                how,
                is_json,
                ..
            } => {
                let bad = (!is_good).then(|| self.complaint(status, b""));
                match claude::judge(&story.end(), *how, *is_json, bad) {
                    Verdict::Success(output, turn) => Completion {
                        conversation: turn,
                        ..report::success(lease, output, ran)
                    },
                    Verdict::Failure(why) => report::error(lease, why, ran),
                    Verdict::Limited(until, why) => return Outcome::Limited(until, why),
                }
            }
        };
        Outcome::Complete(self.with_metrics(report, &held.live))
    }

    /// The report with everything that is known of the run.
    #[must_use]
    pub fn with_metrics(&self, mut report: Completion, live: &Arc<Live>) -> Completion {
        let Kind::Claude {
            how, missing_hints, ..
        } = &self.kind
        else {
            return report;
        };
        let usage = live.shown().map(|(_, usage)| usage);
        report.metrics.tokens_used = usage.as_ref().map(|usage| usage.tokens_used);
        report.metrics.more = usage.map_or_else(Map::new, |usage| {
            claude::metrics(&usage, *how, *missing_hints)
        });
        report
    }

    /// How it left, and what it complained about.
    fn complaint(&self, status: Option<ExitStatus>, stdout: &[u8]) -> String {
        let Some(status) = status else {
            return "the worker could not learn how the program ended".to_owned();
        };
        let how = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "ended in an unknown way".to_owned(),
        };
        let mut why = tail_text(&self.stderr.take(), MAX_STDERR_BYTES);
        if why.trim().is_empty() {
            // Some programs complain on stdout.
            why = tail_text(stdout, MAX_STDOUT_TAIL);
        }
        let why = why.trim_end();
        if why.is_empty() {
            how
        } else {
            format!("{how}: {why}")
        }
    }
}
