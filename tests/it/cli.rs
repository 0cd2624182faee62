//! The command line: the real program, run as people and scripts run it, against a real service.

mod bulk;
mod fleet;
mod look;
mod refusals;
mod shape;
mod trail;

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::runtime::process::bloom;
use crate::runtime::{KEY, Runtime};

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// How a command ended.
#[derive(Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Answer {
    /// Asserts the exit status, and nothing more.
    #[track_caller]
    fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// The output as one JSON value.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The output as JSON, a value a line.
    #[track_caller]
    fn lines(&self) -> Vec<Value> {
        let lines = self.out.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    }
}

/// The program with a service and a key.
fn command(base: &str, key: Option<&str>, args: &[&str]) -> Command {
    let mut command = bloom();
    command.args(args).env("BLOOM_SERVER", base);
    command.envs(key.map(|key| ("BLOOM_API_KEY", key)));
    command
}

/// Runs it to its end, with `input` on standard input. The service of the test goes on meanwhile.
async fn run(mut command: Command, input: &str) -> Answer {
    let input = input.to_owned();
    let ended = tokio::task::spawn_blocking(move || {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("bloom runs");
        let mut stdin = child.stdin.take().unwrap();
        // It need not be read: a command that refuses to begin has ended already.
        drop(stdin.write_all(input.as_bytes()));
        drop(stdin);
        child.wait_with_output().unwrap()
    });
    let output = ended.await.unwrap();
    Answer {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs `bloom ARGS` against a test's service.
pub async fn ask(runtime: &Runtime, args: &[&str]) -> Answer {
    run(command(&runtime.api.base, Some(KEY), args), "").await
}

/// The same with something on standard input.
async fn ask_with(runtime: &Runtime, args: &[&str], input: &str) -> Answer {
    run(command(&runtime.api.base, Some(KEY), args), input).await
}
