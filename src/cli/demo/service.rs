//! The demo's own service: this program again, as `bloom serve`, on a free port.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::client::Client;

/// The data directory inside the demo's.
pub(super) const DATA: &str = "data";
/// The service's log inside the demo's directory.
const LOG: &str = "service.log";
/// How long the service may take to start: it makes a Postgres cluster first.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(40);
/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long one look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// How much of the log is shown when it does not start, in lines.
const LOG_LINES: usize = 15;

/// A running service of our own.
pub(super) struct Service {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Service {
    /// Starts it and waits until it is ready.
    pub(super) async fn start(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the directory {}", dir.display()))?;
        let log = dir.join(LOG);
        let sink = std::fs::File::create(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let address = free_address()?;
        let child = Command::new(std::env::current_exe().context("where is this program?")?)
            .args(["serve", "--listen", &address, "--data-dir"])
            .arg(dir.join(DATA))
            // A database or a key of the caller's is not the demo's business.
            .env_remove("DATABASE_URL")
            .env_remove("RUNTIME_API_KEY")
            .stdin(Stdio::null())
            .stdout(sink.try_clone()?)
            .stderr(sink)
            // Ctrl-C reaches this program only, which then stops the service in order.
            .process_group(0)
            .spawn()
            .context("cannot start the service")?;
        let mut service = Self {
            child,
            url: format!("http://{address}"),
            log,
        };
        if let Err(error) = service.ready().await {
            let tail = service.log_tail();
            drop(service.stop().await);
            bail!("{error:#}; it says:\n{tail}");
        }
        Ok(service)
    }

    /// Its address.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Its log.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let client = Client::new(&self.url, None)?;
        let deadline = Instant::now() + START_LIMIT;
        while !client.is_ready("/readyz", LOOK_LIMIT).await {
            if let Some(status) = self.child.try_wait()? {
                bail!("the service ended while starting ({status})");
            }
            if Instant::now() > deadline {
                bail!(
                    "the service was not ready within {} s",
                    START_LIMIT.as_secs()
                );
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Stops it in order.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let Some(id) = self.child.id() else {
            return Ok(());
        };
        terminate(id).context("cannot stop the service")?;
        if let Ok(ended) = timeout(STOP_LIMIT, self.child.wait()).await {
            let status = ended?;
            anyhow::ensure!(status.success(), "the service stopped with {status}");
            return Ok(());
        }
        self.child.kill().await?;
        bail!(
            "the service did not stop within {} s and was killed",
            STOP_LIMIT.as_secs()
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Dropped without being stopped, as when the demo is interrupted: it stops by itself.
        if let Some(id) = self.child.id()
            && let Err(error) = terminate(id)
        {
            tracing::warn!(%error, "cannot stop the demo's service");
        }
    }
}

fn terminate(id: u32) -> rustix::io::Result<()> {
    match i32::try_from(id).ok().and_then(Pid::from_raw) {
        Some(pid) => kill_process(pid, Signal::TERM),
        None => Ok(()),
    }
}

/// A loopback address whose port is free now.
fn free_address() -> anyhow::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.to_string())
}
