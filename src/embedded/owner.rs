//! The user that Postgres runs as: ourselves, or as root somebody unprivileged.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::error::Error;
use super::layout::Layout;
use super::process;

/// The user that the PostgreSQL packages make.
///
/// Not `nobody` as a second choice: that one is shared by every program that should own nothing.
const POSTGRES_USER: &str = "postgres";

/// Where programs of ours and of Postgres are looked for; nothing of the caller's environment
/// reaches Postgres, which may hold keys and `PG*` variables.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Prints the first of the directories that may not be entered.
const FIRST_CLOSED: &str = r#"for dir; do [ -x "$dir" ] || { printf %s "$dir"; exit; }; done"#;

/// Who owns the cluster's files and runs its processes.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
    name: String,
    /// Whether processes must change to this user (only root can, and must).
    switch: bool,
}

impl Owner {
    /// Decides who it is. A cluster that is there keeps its owner.
    pub(super) async fn resolve(layout: &Layout) -> Result<Self, Error> {
        let uid = rustix::process::geteuid();
        if !uid.is_root() {
            let gid = rustix::process::getegid().as_raw();
            let (uid, name) = (uid.as_raw(), format!("uid {}", uid.as_raw()));
            return Ok(Self {
                uid,
                gid,
                name,
                switch: false,
            });
        }
        let owner = std::fs::symlink_metadata(layout.cluster())
            .ok()
            .filter(|found| found.is_dir() && found.uid() != 0)
            .map(|found| (found.uid(), found.gid()));
        let (uid, gid) = match owner {
            Some(ids) => ids,
            None => (
                id("-u").await.ok_or(Error::NoUser)?,
                id("-g").await.ok_or(Error::NoUser)?,
            ),
        };
        let name = if owner.is_some() {
            format!("uid {uid}")
        } else {
            POSTGRES_USER.to_owned()
        };
        Ok(Self {
            uid,
            gid,
            name,
            switch: true,
        })
    }

    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// Makes `path` theirs.
    pub(super) fn give(&self, path: &Path) -> Result<(), Error> {
        if !self.switch {
            return Ok(());
        }
        chown(path, Some(self.uid), Some(self.gid)).map_err(Error::io(format!(
            "giving {} to {}",
            path.display(),
            self.name
        )))
    }

    /// A command that will run as this user, with a bare environment, in a process group of its
    /// own (so that Ctrl-C reaches the service only, which then stops things in order).
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .current_dir("/")
            .process_group(0);
        if self.switch {
            // The standard library drops root's supplementary groups here too.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Checks that this user can get to `dir`, and names the outermost directory that stops them.
    pub(super) async fn require_reach(&self, dir: &Path) -> Result<(), Error> {
        let mut command = self.command(Path::new("sh"));
        let mut ancestors: Vec<&Path> = dir.ancestors().collect();
        ancestors.reverse();
        command.args(["-c", FIRST_CLOSED, "sh"]).args(ancestors);
        let output = process::output(command, process::QUICK).await?;
        if output.stdout.is_empty() {
            return Ok(());
        }
        let blocked = String::from_utf8_lossy(&output.stdout).into_owned().into();
        Err(Error::Unreachable {
            user: self.name.clone(),
            blocked,
        })
    }
}

/// One number of the user `postgres`, as the system knows it (not only `/etc/passwd`).
async fn id(which: &str) -> Option<u32> {
    let mut command = Command::new("id");
    command.args([which, POSTGRES_USER]);
    let output = process::output(command, process::QUICK).await.ok()?;
    let uid: u32 = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    (output.status.success() && uid != 0).then_some(uid)
}
