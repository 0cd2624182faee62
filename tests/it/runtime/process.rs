//! The real `bloom` program.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Api, DEADLINE, KEY};

/// A command line of the real program, free of the test's own environment.
pub fn bloom() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bloom"));
    command.stdin(Stdio::null()).current_dir("/");
    for name in [
        "DATABASE_URL",
        "RUNTIME_API_KEY",
        "RUNTIME_API_KEY_FILE",
        "BLOOM_LISTEN",
        "BLOOM_DATA_DIR",
        "BLOOM_SERVER",
        "BLOOM_API_KEY",
        "NO_COLOR",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    bloom().args(arguments).output().expect("bloom runs")
}

/// A directory that is deleted when dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("bloom-it-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&dir).unwrap();
        // The private cluster's user has to get through.
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o711)).unwrap();
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A running `bloom serve` on a port of its own. Killed when dropped.
pub struct Process {
    child: Child,
    pub api: Api,
    log: PathBuf,
}

impl Process {
    /// Starts it with these arguments beside address and key, and waits for its address. Its log
    /// goes into `scratch`.
    pub fn serve(scratch: &Scratch, arguments: &[&str]) -> Self {
        Self::start(scratch, arguments, Some(KEY))
    }

    /// The same with no configured key.
    pub fn serve_without_key(scratch: &Scratch, arguments: &[&str]) -> Self {
        Self::start(scratch, arguments, None)
    }

    fn start(scratch: &Scratch, arguments: &[&str], key: Option<&str>) -> Self {
        Self::start_by(bloom(), scratch, arguments, key)
    }

    /// The same with a prepared command line.
    pub fn start_by(
        mut command: Command,
        scratch: &Scratch,
        arguments: &[&str],
        key: Option<&str>,
    ) -> Self {
        let log = scratch.path().join(format!("{}.log", uuid::Uuid::new_v4()));
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments);
        command.envs(key.map(|key| ("RUNTIME_API_KEY", key)));
        command
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap());
        let mut child = command.spawn().expect("bloom runs");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let base = loop {
            match lines.next() {
                Some(Ok(line)) => {
                    if let Some((_, base)) = line.split_once(" is at ") {
                        break base.trim().to_owned();
                    }
                }
                _ => panic!("no address: {}", std::fs::read_to_string(&log).unwrap()),
            }
        };
        // What it says later goes nowhere, but there must be somebody who takes it.
        std::thread::spawn(move || lines.for_each(drop));
        let api = Api::new(&base, Some(KEY));
        Self { child, api, log }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// kill -9, and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end, for this long at most; its exit code.
    pub async fn ended(&mut self, limit: Duration) -> Option<i32> {
        let deadline = Instant::now() + limit.min(DEADLINE);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "still runs: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
