//! Makes the cluster, once, so that a crash in the middle leaves nothing half made.

use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;

use super::SUPERUSER;
use super::binaries::Binaries;
use super::error::Error;
use super::layout::{Layout, remove_file, sync_dir};
use super::owner::Owner;
use super::process;

/// The longest that `initdb` may take.
const INITDB_LIMIT: Duration = Duration::from_secs(180);

/// Makes the cluster if there is none. `initdb` works in a directory beside the real one, which it
/// syncs; the rename then makes it real. What an interrupted attempt left is removed first.
pub(super) async fn ensure(
    layout: &Layout,
    binaries: &Binaries,
    owner: &Owner,
    password: &SecretString,
) -> Result<(), Error> {
    let (data, unfinished) = (layout.data(), layout.unfinished_data());
    remove_dir(&unfinished)?;
    remove_file(&layout.initial_password())?;
    if data.exists() {
        return Ok(());
    }
    tracing::info!(dir = %data.display(), version = binaries.version(), "making a Postgres cluster");
    layout.write_initial_password(password, owner)?;
    let outcome = initdb(layout, binaries, owner).await;
    remove_file(&layout.initial_password())?;
    outcome?;
    std::fs::rename(&unfinished, &data).map_err(Error::io(format!(
        "moving the new cluster to {}",
        data.display()
    )))?;
    for dir in [&*layout.cluster(), layout.root()]
        .into_iter()
        .chain(layout.root().parent())
    {
        sync_dir(dir)?;
    }
    Ok(())
}

async fn initdb(layout: &Layout, binaries: &Binaries, owner: &Owner) -> Result<(), Error> {
    let mut command = owner.command(&binaries.program("initdb"));
    command
        .arg("--pgdata")
        .arg(layout.unfinished_data())
        .arg("--pwfile")
        .arg(layout.initial_password())
        .args(["--username", SUPERUSER])
        // Byte order: the same on every system and after every upgrade of its C library.
        .args(["--encoding=UTF8", "--locale=C", "--data-checksums"])
        .args(["--auth-local=scram-sha-256", "--auth-host=scram-sha-256"]);
    let output = process::output(command, INITDB_LIMIT).await?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Init(
        said.lines()
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("; "),
    ))
}

fn remove_dir(dir: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("removing {}", dir.display()))(error))
        }
        _ => Ok(()),
    }
}
