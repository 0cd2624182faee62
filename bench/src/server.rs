//! The service under test: the real program with its private Postgres, in a directory of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_postgres::NoTls;

use crate::process::cpu_seconds;

/// A running service; killed when dropped.
pub struct Server {
    /// `http://HOST:PORT`.
    pub base: String,
    /// Its database.
    pub database: String,
    program: PathBuf,
    child: Child,
    dir: PathBuf,
    keep: bool,
}

impl Server {
    /// Starts `program` on `dir`, or on a new directory that is removed afterwards.
    pub async fn start(program: &Path, dir: Option<&Path>) -> anyhow::Result<Self> {
        Self::start_on(program, dir, None).await
    }

    /// Starts the same program a second time, on the same database.
    pub async fn second(&self) -> anyhow::Result<Self> {
        Self::start_on(&self.program, None, Some(&self.url()?)).await
    }

    async fn start_on(
        program: &Path,
        dir: Option<&Path>,
        database: Option<&str>,
    ) -> anyhow::Result<Self> {
        let keep = dir.is_some();
        let dir = dir.map_or_else(
            || std::env::temp_dir().join(format!("bloom-bench-{}", uuid::Uuid::new_v4())),
            Path::to_path_buf,
        );
        std::fs::create_dir_all(&dir)?;
        // The private cluster's user has to get through.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(&dir, mode)?;
        let mut command = Command::new(program);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir.join("data"))
            .args(["--rate-per-minute", "0", "--heavy-rate-per-minute", "0"])
            .env_remove("DATABASE_URL")
            .env("BLOOM_LOG", "warn");
        if let Some(url) = database {
            command.env("DATABASE_URL", url);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = child.stdout.take().context("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut base = None;
        let mut known = database.map(str::to_owned);
        while base.is_none() || known.is_none() {
            let Some(line) = lines.next_line().await? else {
                bail!("the service ended before it served");
            };
            if let Some((_, address)) = line.split_once(" is at ") {
                base = Some(address.trim().to_owned());
            } else if let Some((_, url)) = line.split_once("psql '") {
                known = Some(url.trim_end_matches('\'').to_owned());
            }
        }
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            base: base.unwrap_or_default(),
            database: known.unwrap_or_default(),
            program: program.to_owned(),
            child,
            dir,
            keep,
        })
    }

    /// The URL of its database, password and all: not every driver knows password files.
    pub fn url(&self) -> anyhow::Result<String> {
        let Some((url, _)) = self.database.rsplit_once("&passfile=") else {
            return Ok(self.database.clone());
        };
        let line = std::fs::read_to_string(self.dir.join("data/pgpass"))?;
        let password = line.trim().rsplit(':').next().unwrap_or_default();
        Ok(url.replacen("@/", &format!(":{password}@/"), 1))
    }

    /// The same for another database of its Postgres.
    pub fn url_of(&self, database: &str) -> anyhow::Result<String> {
        let url = self.url()?;
        let (head, options) = url.split_once('?').context("no options")?;
        let (head, _) = head.rsplit_once('/').context("no database")?;
        // Drivers that split a URL by the book want a host in it; the socket's folder wins.
        Ok(format!("{head}localhost/{database}?{options}"))
    }

    /// How its database is reached, as its owner.
    pub fn config(&self) -> anyhow::Result<tokio_postgres::Config> {
        Ok(self.url()?.parse()?)
    }

    /// What it and its Postgres have cost so far, in seconds of CPU time.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        self.child.id().map_or(0.0, cpu_seconds)
    }

    /// A session of its database.
    pub async fn connect(&self) -> anyhow::Result<tokio_postgres::Client> {
        let (client, connection) = self.config()?.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Stops it in order.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id() {
            Command::new("kill")
                .args(["-TERM", &pid.to_string()])
                .status()
                .await?;
        }
        self.child.wait().await?;
        if !self.keep {
            std::fs::remove_dir_all(&self.dir)?;
        }
        Ok(())
    }
}
