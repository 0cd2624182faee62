//! One process that is meant to run, and is started again when it does not.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex as Lock;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};

use super::machine::{ids_of, is_root, send, tree};

/// How a process is started.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its variables, beside `PATH`, `HOME` and `LC_ALL`.
    pub env: Vec<(String, String)>,
    /// The user that it runs as, if we are root.
    pub user: Option<&'static str>,
    /// The signal that it gets when we die.
    pub at_our_death: &'static str,
}

impl Launch {
    /// The command: whatever happens to us, the process ends with us.
    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", self.at_our_death]);
        if let Some((uid, gid)) = self.user.filter(|_| is_root()).and_then(ids_of) {
            let (uid, gid) = (uid.to_string(), gid.to_string());
            command.args(["--reuid", &uid, "--regid", &gid, "--clear-groups"]);
        }
        // The variables are for the program alone: a preloaded library must not begin as root.
        command.args(["--", "env"]);
        command.args(
            self.env
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        command.arg(&self.program).args(&self.args);
        command.env_clear().current_dir("/");
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command.env("LC_ALL", "C").env("HOME", "/nonexistent");
        command
    }
}

/// A process by name.
#[derive(Debug)]
pub struct Proc {
    name: String,
    launch: Lock<Launch>,
    log: PathBuf,
    child: Mutex<Option<Child>>,
    pid: AtomicI32,
    starts: AtomicU64,
}

/// A process that nobody else starts or stops meanwhile.
#[derive(Debug)]
pub struct Held<'a> {
    proc: &'a Proc,
    child: MutexGuard<'a, Option<Child>>,
}

impl Proc {
    /// Starts nothing yet. What it says goes to `DIR/NAME.log`.
    #[must_use]
    pub fn new(dir: &Path, name: &str, launch: Launch) -> Self {
        Self {
            name: name.to_owned(),
            launch: Lock::new(launch),
            log: dir.join(format!("{name}.log")),
            child: Mutex::new(None),
            pid: AtomicI32::new(0),
            starts: AtomicU64::new(0),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id while it runs, else 0.
    pub fn pid(&self) -> i32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// How often it was started.
    pub fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Changes how it is started the next time.
    pub fn relaunch(&self, change: impl FnOnce(&mut Launch)) {
        if let Ok(mut launch) = self.launch.lock() {
            change(&mut launch);
        }
    }

    /// Nobody else starts or stops it while this is held.
    pub async fn hold(&self) -> Held<'_> {
        let child = self.child.lock().await;
        Held { proc: self, child }
    }

    /// Starts it unless it runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(&self) -> anyhow::Result<()> {
        self.hold().await.start()
    }

    /// Starts it again if it has ended by itself; waits for nobody. Whether it did.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn revive(&self) -> anyhow::Result<bool> {
        let Ok(child) = self.child.try_lock() else {
            return Ok(false);
        };
        let mut held = Held { proc: self, child };
        let ended = match held.child.as_mut() {
            Some(child) => child.try_wait()?.is_some(),
            None => false,
        };
        if ended {
            held.forget();
            held.start()?;
        }
        Ok(ended)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if self.pid() > 0 {
            send(self.pid(), signal);
        }
    }

    /// Sends a signal to it and everything below it.
    pub fn signal_tree(&self, signal: Signal) {
        if self.pid() > 0 {
            for pid in tree(self.pid()) {
                send(pid, signal);
            }
        }
    }
}

impl Held<'_> {
    fn forget(&mut self) {
        *self.child = None;
        self.proc.pid.store(0, Ordering::Relaxed);
    }

    /// Starts it unless it runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let launch = self
            .proc
            .launch
            .lock()
            .map_err(|_| anyhow::anyhow!("poisoned"))?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.proc.log)?;
        let mut command = launch.command();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        command.kill_on_drop(true);
        let child = command.spawn();
        let child = child.with_context(|| format!("cannot start {}", self.proc.name))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        self.proc.pid.store(pid.unwrap_or(0), Ordering::Relaxed);
        self.proc.starts.fetch_add(1, Ordering::Relaxed);
        *self.child = Some(child);
        Ok(())
    }

    /// kill -9 of it and of all that is below it if `whole`; waits for its end.
    pub async fn kill(&mut self, whole: bool) {
        let below = if whole {
            tree(self.proc.pid())
        } else {
            Vec::new()
        };
        if let Some(child) = self.child.as_mut() {
            // It may have ended by itself.
            let _ended = child.kill().await;
        }
        for pid in below.into_iter().skip(1) {
            send(pid, Signal::KILL);
        }
        self.forget();
    }

    /// Sends `signal` and waits for its end, at most for `limit`; then kill -9. Whether it obeyed.
    pub async fn stop(&mut self, signal: Signal, limit: Duration) -> bool {
        self.proc.signal(signal);
        let Some(child) = self.child.as_mut() else {
            return true;
        };
        let obeyed = tokio::time::timeout(limit, child.wait()).await.is_ok();
        if obeyed {
            self.forget();
        } else {
            self.kill(true).await;
        }
        obeyed
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        match self.child.as_mut() {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => true,
        }
    }
}

/// Asks every 30 ms until it is so, at most for `limit`. Whether it was.
pub async fn until(limit: Duration, mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !is_so().await {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    true
}
