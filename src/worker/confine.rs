//! What keeps programs apart from the worker and from each other, beside their own environment and
//! directory: another user, and a control group for each attempt.
//!
//! A control group (version 2) holds every process that a program starts, whatever they do to their
//! environment, process group or parent: it makes the end of a program certain. Where the controllers
//! are there, it also limits memory, processes and processor time.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use uuid::Uuid;

/// The user that programs run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// Its home.
    pub home: PathBuf,
}

impl User {
    /// The user called `name`, for a worker that may become one.
    ///
    /// # Errors
    /// A text for the operator.
    pub fn find(name: &str) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only a worker that runs as root can run programs as another user".into());
        }
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("'{name}' is not the name of a user"));
        }
        let answer = Command::new("getent")
            .args(["passwd", name])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .map_err(|error| format!("cannot look for users (getent): {error}"))?;
        let line = String::from_utf8_lossy(&answer.stdout);
        let user = read_user(line.lines().next().unwrap_or_default());
        match user.ok_or_else(|| format!("there is no user {name}"))? {
            user if user.uid == 0 => Err("programs would run as root".to_owned()),
            user => Ok(user),
        }
    }
}

/// `name:password:uid:gid:comment:home:shell`.
fn read_user(line: &str) -> Option<User> {
    let fields: Vec<_> = line.split(':').collect();
    Some(User {
        name: (*fields.first()?).to_owned(),
        uid: fields.get(2)?.parse().ok()?,
        gid: fields.get(3)?.parse().ok()?,
        home: PathBuf::from(fields.get(5)?),
    })
}

/// Where the attempts' control groups are made, and what each may take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// A directory of a version 2 hierarchy that the worker may write to.
    pub dir: PathBuf,
    /// What stands in the limits' files: `memory.max`, `pids.max`, `cpu.max`.
    pub limits: Vec<(&'static str, String)>,
}

impl Cgroup {
    /// Tries whether all of it can be had.
    ///
    /// # Errors
    /// A text for the operator: what cannot.
    pub fn check(&self) -> Result<(), String> {
        let shown = self.dir.display();
        let cell = self.open(Uuid::new_v4()).map_err(|error| {
            format!("cannot make control groups with these limits in {shown}: {error}")
        })?;
        let has_kill = cell.dir.join("cgroup.kill").exists();
        cell.remove();
        if has_kill {
            Ok(())
        } else {
            Err(format!(
                "{shown} is not in a version 2 hierarchy of control groups (Linux 5.14)"
            ))
        }
    }

    /// Makes the group of an attempt.
    ///
    /// # Errors
    /// When it cannot be made, or a limit cannot be set; then nothing is left.
    pub fn open(&self, lease_id: Uuid) -> io::Result<Cell> {
        let dir = self.dir.join(format!("bloom-{lease_id}"));
        std::fs::create_dir(&dir)?;
        let cell = Cell { dir };
        for (file, value) in &self.limits {
            if let Err(error) = std::fs::write(cell.dir.join(file), value) {
                cell.remove();
                return Err(io::Error::new(error.kind(), format!("{file}: {error}")));
            }
        }
        Ok(cell)
    }
}

/// The control group of one attempt.
#[derive(Debug, Clone)]
pub struct Cell {
    dir: PathBuf,
}

impl Cell {
    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Puts a process into it; what that process starts is born into it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn enter(&self, pid: u32) -> io::Result<()> {
        std::fs::write(self.dir.join("cgroup.procs"), pid.to_string())
    }

    /// The processes in it.
    #[must_use]
    pub fn members(&self) -> Vec<i32> {
        let text = std::fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Kills every process in it, also those that are being born.
    pub fn kill(&self) {
        if let Err(error) = std::fs::write(self.dir.join("cgroup.kill"), "1") {
            tracing::warn!(%error, dir = %self.dir.display(), "cannot kill a control group");
        }
    }

    /// Removes it, once it is empty.
    pub fn remove(&self) {
        if let Err(error) = std::fs::remove_dir(&self.dir) {
            tracing::warn!(%error, dir = %self.dir.display(), "cannot remove a control group");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_from_its_line() {
        let user = read_user("worker:x:1001:1002:A worker,,,:/srv/worker:/bin/sh").unwrap();
        assert_eq!((user.uid, user.gid), (1001, 1002));
        assert_eq!(user.home, Path::new("/srv/worker"));
        for wrong in ["", "worker", "worker:x:a:b:::", "worker:x:1"] {
            assert_eq!(read_user(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_control_group_is_said_at_the_start() {
        let dir = std::env::temp_dir().join(format!("bloom-cgroup-{}", Uuid::new_v4()));
        let cgroup = Cgroup {
            dir: dir.clone(),
            limits: Vec::new(),
        };
        assert!(cgroup.check().unwrap_err().contains("cannot make"));
        std::fs::create_dir(&dir).unwrap();
        assert!(cgroup.check().unwrap_err().contains("version 2"));
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        std::fs::remove_dir(dir).unwrap();
    }
}
