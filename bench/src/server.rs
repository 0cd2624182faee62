//! The service under test: the real program with its private Postgres, in a directory of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_postgres::NoTls;

/// A running service; killed when dropped.
pub struct Server {
    /// `http://HOST:PORT`.
    pub base: String,
    /// Its database.
    pub database: String,
    child: Child,
    dir: PathBuf,
    keep: bool,
}

impl Server {
    /// Starts `program` on `dir`, or on a new directory that is removed afterwards.
    pub async fn start(program: &Path, dir: Option<&Path>) -> anyhow::Result<Self> {
        let keep = dir.is_some();
        let dir = dir.map_or_else(
            || std::env::temp_dir().join(format!("bloom-bench-{}", uuid::Uuid::new_v4())),
            Path::to_path_buf,
        );
        std::fs::create_dir_all(&dir)?;
        // The private cluster's user has to get through.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(&dir, mode)?;
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir.join("data"))
            .args(["--rate-per-minute", "0", "--heavy-rate-per-minute", "0"])
            .env_remove("DATABASE_URL")
            .env("BLOOM_LOG", "warn")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let stdout = child.stdout.take().context("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let (mut base, mut database) = (None, None);
        while base.is_none() || database.is_none() {
            let Some(line) = lines.next_line().await? else {
                bail!("the service ended before it served");
            };
            if let Some((_, address)) = line.split_once(" is at ") {
                base = Some(address.trim().to_owned());
            } else if let Some((_, url)) = line.split_once("psql '") {
                database = Some(url.trim_end_matches('\'').to_owned());
            }
        }
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self {
            base: base.unwrap_or_default(),
            database: database.unwrap_or_default(),
            child,
            dir,
            keep,
        })
    }

    /// How its database is reached, as its owner.
    pub fn config(&self) -> anyhow::Result<tokio_postgres::Config> {
        // The driver knows no password files.
        let (url, _) = self
            .database
            .rsplit_once("&passfile=")
            .context("no password file")?;
        let line = std::fs::read_to_string(self.dir.join("data/pgpass"))?;
        let password = line.trim().rsplit(':').next().unwrap_or_default();
        let mut config: tokio_postgres::Config = url.parse()?;
        config.password(password);
        Ok(config)
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
