//! One run of the Postgres server: start, readiness, end.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls};

use super::binaries::Binaries;
use super::error::Error;
use super::layout::Layout;
use super::logs;
use super::owner::Owner;
use super::process;

/// The longest that a start may take. Crash recovery replays at most `max_wal_size`, minutes on a
/// slow disk.
const START_LIMIT: Duration = Duration::from_secs(600);

/// How often to try to connect meanwhile, and how often to say so.
const START_POLL: Duration = Duration::from_millis(25);
const START_REPORT: Duration = Duration::from_secs(5);

/// How long each way of stopping may take: fast (roll back and write a checkpoint), immediate
/// (recover at the next start), kill.
const STOPS: [(Signal, Duration); 3] = [
    (Signal::INT, Duration::from_secs(30)),
    (Signal::QUIT, Duration::from_secs(10)),
    (Signal::KILL, Duration::from_secs(5)),
];

/// How often to look whether it has ended.
const STOP_POLL: Duration = Duration::from_millis(10);

/// A server process of ours.
#[derive(Debug)]
pub(super) struct Postmaster {
    child: Child,
}

impl Postmaster {
    /// Starts the process; it is not ready yet.
    pub(super) fn spawn(
        layout: &Layout,
        binaries: &Binaries,
        owner: &Owner,
        settings: &[String],
    ) -> Result<Self, Error> {
        // Opened here, in a directory that only we write to, and handed over open.
        let path = layout.startup_log();
        let log = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(Error::io(format!("opening {}", path.display())))?;
        let errors = log
            .try_clone()
            .map_err(Error::io("opening the start log"))?;
        let mut command = owner.command(&binaries.program("postgres"));
        command.arg("-D").arg(layout.data());
        for setting in settings {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().map_err(Error::io("starting postgres"))?;
        Ok(Self { child })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process runs (and collects its exit status if not).
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends the process, gently first. Returns once it is gone.
    pub(super) async fn stop(&mut self) {
        for (signal, limit) in STOPS {
            if !self.is_alive() {
                return;
            }
            if let Some(pid) = process::as_pid(self.pid()) {
                kill_process(pid, signal).ok();
            }
            let deadline = Instant::now() + limit;
            while self.is_alive() && Instant::now() < deadline {
                tokio::time::sleep(STOP_POLL).await;
            }
        }
    }
}

/// Waits until the server lets a client in, which also means that recovery is over. `is_alive`
/// tells whether its process still runs.
pub(super) async fn ready(
    layout: &Layout,
    config: &Config,
    is_alive: impl Fn() -> bool,
) -> Result<(), Error> {
    let started = Instant::now();
    let mut report = START_REPORT;
    loop {
        let Err(error) = config.connect(NoTls).await else {
            return Ok(());
        };
        if !is_alive() {
            return Err(Error::Died(logs::tail(layout)));
        }
        // No code: no socket yet. With a code it must be one of "not now".
        if error.code().is_some_and(|code| !is_temporary(code)) {
            return Err(error.into());
        }
        if started.elapsed() > START_LIMIT {
            return Err(Error::NotReady {
                limit: START_LIMIT,
                last: error.to_string(),
            });
        }
        if started.elapsed() > report {
            report += START_REPORT;
            let seconds = started.elapsed().as_secs();
            tracing::info!(
                seconds,
                "waiting for Postgres to recover and accept connections"
            );
        }
        tokio::time::sleep(START_POLL).await;
    }
}

/// Whether the server may let us in later: it starts, stops or is full.
fn is_temporary(code: &SqlState) -> bool {
    code.code().starts_with("57P0") || *code == SqlState::TOO_MANY_CONNECTIONS
}
