//! A PostgreSQL server of the run's own.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use tokio::process::Command;
use tokio_postgres::{Client, NoTls};

use super::machine::{free_port, ids_of, is_root};
use super::proc::{Launch, Proc, until};

/// The longest that a server may take to accept connections, recovery included.
const START_LIMIT: Duration = Duration::from_secs(90);
/// How long opening one connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// The user that servers run as.
pub const USER: &str = "postgres";

/// How to stop a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Orderly.
    Fast,
    /// Without writing: the next start recovers.
    Immediate,
    /// kill -9 of the server and all its children.
    Kill,
}

/// A server: its data directory, its port, its process.
#[derive(Debug)]
pub struct Server {
    /// Its process.
    pub proc: Proc,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    /// Its data directory.
    pub data: PathBuf,
    bin: PathBuf,
}

/// Runs one of the server's programs as the server's user, to its end.
async fn tool(bin: &Path, name: &str, args: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(bin.join(name));
    command.args(args).current_dir("/").env("LC_ALL", "C");
    if let Some((uid, gid)) = ids_of(USER).filter(|_| is_root()) {
        command.uid(uid).gid(gid);
    }
    let output = command
        .output()
        .await
        .with_context(|| format!("cannot run {name}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} failed: {text}");
    Ok(())
}

/// Makes a directory that belongs to the server's user, which can get there.
///
/// # Errors
/// When it cannot be made.
pub fn server_dir(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    if let Some((uid, gid)) = ids_of(USER).filter(|_| is_root()) {
        chown(dir, Some(uid), Some(gid))?;
    }
    Ok(std::fs::set_permissions(
        dir,
        PermissionsExt::from_mode(0o700),
    )?)
}

impl Server {
    /// Makes a new cluster in `data` (and its log in `wal`, if named), with these settings beside
    /// full durability; starts nothing.
    ///
    /// # Errors
    /// When `initdb` fails.
    pub async fn create(
        logs: &Path,
        bin: &Path,
        data: &Path,
        wal: Option<&Path>,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        server_dir(data)?;
        let at = data.to_string_lossy().into_owned();
        let wal = wal.map(|wal| format!("--waldir={}", wal.display()));
        let mut args = vec!["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale"];
        args.extend(["--no-sync", "-D", &at]);
        args.extend(wal.as_deref());
        tool(bin, "initdb", &args).await?;
        Self::on(logs, bin, data, settings)
    }

    /// Of a cluster that is there.
    ///
    /// # Errors
    /// When there is no port for it.
    pub fn on(
        logs: &Path,
        bin: &Path,
        data: &Path,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let port = free_port()?;
        let port_text = port.to_string();
        let defaults = [
            ("listen_addresses", "127.0.0.1"),
            ("port", &port_text),
            ("unix_socket_directories", ""),
            ("max_connections", "120"),
            ("wal_level", "replica"),
            ("max_wal_senders", "8"),
            ("wal_keep_size", "128"),
            ("max_wal_size", "512"),
            ("hot_standby", "on"),
            ("tcp_keepalives_idle", "5"),
            ("client_connection_check_interval", "1000"),
            ("log_line_prefix", "%m [%p] "),
            ("timezone", "UTC"),
        ];
        let settings = defaults.iter().chain(settings);
        let mut args = vec!["-D".to_owned(), data.to_string_lossy().into_owned()];
        args.extend(settings.map(|(name, value)| format!("--{name}={value}")));
        let launch = Launch {
            program: bin.join("postgres"),
            args,
            user: Some(USER),
            // What a server does at once, without leaving children behind.
            at_our_death: "QUIT",
            ..Launch::default()
        };
        let name = data
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Self {
            proc: Proc::new(logs, &name, launch),
            port,
            data: data.to_owned(),
            bin: bin.to_owned(),
        })
    }

    /// Makes a standby of this running server in `data`; starts nothing. `port` is where the
    /// standby finds it, which may be a link.
    ///
    /// # Errors
    /// When the copy fails.
    pub async fn standby(
        &self,
        logs: &Path,
        (data, wal): (&Path, Option<&Path>),
        port: u16,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        if data.exists() {
            std::fs::remove_dir_all(data)?;
        }
        server_dir(data)?;
        let at = data.to_string_lossy().into_owned();
        let from = format!("host=127.0.0.1 port={port} user=postgres application_name=standby");
        let wal = wal.map(|wal| format!("--waldir={}", wal.display()));
        let mut args = vec![
            "-D",
            &at,
            "-d",
            &from,
            "-X",
            "stream",
            "-R",
            "-c",
            "fast",
            "--no-sync",
        ];
        args.extend(wal.as_deref());
        tool(&self.bin, "pg_basebackup", &args).await?;
        Self::on(logs, &self.bin, data, settings)
    }

    /// Starts it and waits until it accepts connections.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(&self) -> anyhow::Result<()> {
        self.proc.start().await?;
        self.ready().await
    }

    /// Waits until it accepts connections. A child that was born while its server was killed may
    /// live a moment longer; then the new server does not start, and is started again.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let is_ready = until(START_LIMIT, async || {
            if self.connect("postgres").await.is_ok() {
                return true;
            }
            // Fails only if the program is gone; the deadline says so then.
            let _revived = self.proc.revive();
            false
        });
        ensure!(is_ready.await, "{} does not start", self.data.display());
        Ok(())
    }

    /// Stops it; somebody else may hold the process already (`held`).
    pub async fn stop(&self, how: Stop) {
        let mut held = self.proc.hold().await;
        self.stop_held(&mut held, how).await;
    }

    /// The same with the process in hand.
    pub async fn stop_held(&self, held: &mut super::proc::Held<'_>, how: Stop) {
        match how {
            Stop::Fast => drop(held.stop(Signal::INT, Duration::from_secs(20)).await),
            Stop::Immediate => drop(held.stop(Signal::QUIT, Duration::from_secs(20)).await),
            Stop::Kill => held.kill(true).await,
        }
    }

    /// Promotes a standby and waits until it accepts writes.
    ///
    /// # Errors
    /// When it does not.
    pub async fn promote(&self) -> anyhow::Result<()> {
        let at = self.data.to_string_lossy().into_owned();
        tool(
            &self.bin,
            "pg_ctl",
            &["promote", "-w", "-t", "60", "-D", &at],
        )
        .await
    }

    /// Address of one of its databases.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        url(self.port, "postgres", database)
    }

    /// A superuser's session.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn connect(&self, database: &str) -> anyhow::Result<Client> {
        connect(&self.url(database)).await
    }
}

/// Address of a database through a port of this machine.
#[must_use]
pub fn url(port: u16, user: &str, database: &str) -> String {
    format!("postgres://{user}@127.0.0.1:{port}/{database}?sslmode=disable")
}

/// A session.
///
/// # Errors
/// When it cannot be opened in time.
pub async fn connect(url: &str) -> anyhow::Result<Client> {
    let opened = tokio::time::timeout(CONNECT_LIMIT, tokio_postgres::connect(url, NoTls)).await;
    let (client, connection) = opened.context("no answer")??;
    tokio::spawn(connection);
    Ok(client)
}
