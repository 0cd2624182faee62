//! What lies where in the data directory.
//!
//! ```text
//! DIR/                  the service's (0711 when root's, so that Postgres' user may pass; else 0700)
//! DIR/lock              held while a service runs; names its process
//! DIR/pgpass            the superuser's password, for the service and for psql (0600)
//! DIR/startup.log       what Postgres says before its own log is open
//! DIR/postgres/         the cluster's, owned by the user that Postgres runs as (0700)
//! DIR/postgres/data     PGDATA
//! DIR/postgres/log      the server log, a bounded number of files
//! DIR/postgres/run      the socket
//! ```

use std::fs::{DirBuilder, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::SUPERUSER;
use super::error::Error;
use super::owner::Owner;

/// The longest path of a socket that every system takes, in bytes: macOS has room for 104 with the
/// ending NUL, Linux for 108.
const SOCKET_PATH_MAX: usize = 103;

/// How Postgres names its socket (and so the longest name, with the longest port).
const SOCKET_NAME: &str = "/.s.PGSQL.65535";

/// Where socket directories go that would be too deep inside the data directory. Not `TMPDIR`:
/// that may be deep itself.
const SHORT_PARENT: &str = "/tmp";

/// The paths of one cluster, all absolute.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Makes the data directory where it is missing, and resolves it.
    pub(super) fn create(dir: &Path) -> Result<Self, Error> {
        // As root the directory must let Postgres' user pass; nothing in it is readable to others.
        let mode = if rustix::process::geteuid().is_root() {
            0o711
        } else {
            0o700
        };
        let making = || Error::io(format!("making the data directory {}", dir.display()));
        if !dir.exists() {
            if let Some(parent) = dir.parent() {
                std::fs::create_dir_all(parent).map_err(making())?;
            }
            // Another start may have been quicker.
            make_dir(dir, mode).or_else(|error| if dir.is_dir() { Ok(()) } else { Err(error) })?;
        }
        let root = dir.canonicalize().map_err(making())?;
        Ok(Self { root })
    }

    /// The layout of a directory that is there.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        dir.canonicalize().ok().map(|root| Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(super) fn pgpass(&self) -> PathBuf {
        self.root.join("pgpass")
    }

    pub(super) fn startup_log(&self) -> PathBuf {
        self.root.join("startup.log")
    }

    /// The password in the form that `initdb` reads; there only while it runs.
    pub(super) fn initial_password(&self) -> PathBuf {
        self.root.join("initdb-password")
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.root.join("postgres")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.cluster().join("data")
    }

    /// Where `initdb` works, so that `data` is either absent or complete.
    pub(super) fn unfinished_data(&self) -> PathBuf {
        self.cluster().join("data.unfinished")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.cluster().join("log")
    }

    /// The directory of the socket: inside the data directory, or where the path would be too long
    /// for a socket, one of its own under `/tmp` whose name follows from the data directory.
    pub(super) fn sockets(&self) -> PathBuf {
        let inside = self.cluster().join("run");
        if inside.as_os_str().len() + SOCKET_NAME.len() <= SOCKET_PATH_MAX {
            return inside;
        }
        let hash = Sha256::digest(self.root.as_os_str().as_encoded_bytes());
        let name = hash
            .iter()
            .take(8)
            .fold(String::from("bloom-pg-"), |name, byte| {
                format!("{name}{byte:02x}")
            });
        Path::new(SHORT_PARENT).join(name)
    }

    /// Removes the socket directory under `/tmp`, where there is one, after Postgres has stopped
    /// and removed its sockets.
    pub(super) fn remove_short_sockets(&self) {
        let sockets = self.sockets();
        if !sockets.starts_with(&self.root) {
            // What is not empty stays; the next start uses it again.
            std::fs::remove_dir(sockets).ok();
        }
    }

    /// The cluster's major version, if there is a cluster.
    pub(super) fn cluster_major(&self) -> Result<Option<u32>, Error> {
        let data = self.data();
        if !data.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(data.join("PG_VERSION")).unwrap_or_default();
        text.trim()
            .parse()
            .map(Some)
            .map_err(|_| Error::NotACluster(data))
    }

    /// Makes the directories that Postgres writes to, owned by its user and closed to others.
    pub(super) fn create_cluster_dirs(&self, owner: &Owner) -> Result<(), Error> {
        for dir in [self.cluster(), self.logs(), self.sockets()] {
            owned_dir(&dir, owner)?;
        }
        Ok(())
    }

    /// The superuser's password: the stored one, or a new one while there is no cluster yet.
    ///
    /// A password and not `trust`: the socket's directory is closed to other users, but when root
    /// starts the service Postgres runs as `postgres`, whom other clusters of the machine run as
    /// too, and their superusers could come in. `peer` cannot work there either, as the service's
    /// uid is another. The file has libpq's format, so that psql can use it as it is.
    pub(super) fn password(&self, may_create: bool) -> Result<SecretString, Error> {
        let path = self.pgpass();
        match std::fs::read_to_string(&path) {
            Ok(text) => parse_pgpass(&text).ok_or(Error::PasswordFile(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_create => {
                let password = format!(
                    "{}{}",
                    uuid::Uuid::new_v4().simple(),
                    uuid::Uuid::new_v4().simple()
                );
                let line = format!("*:*:*:{SUPERUSER}:{password}\n");
                let fresh = path.with_extension("new");
                write_private(&fresh, &line)?;
                std::fs::rename(&fresh, &path)
                    .map_err(Error::io(format!("writing {}", path.display())))?;
                sync_dir(&self.root)?;
                Ok(SecretString::from(password))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::PasswordFile(path))
            }
            Err(error) => Err(Error::io(format!("reading {}", path.display()))(error)),
        }
    }

    /// Writes the file that `initdb` reads the password from.
    pub(super) fn write_initial_password(
        &self,
        password: &SecretString,
        owner: &Owner,
    ) -> Result<(), Error> {
        let path = self.initial_password();
        write_private(&path, &format!("{}\n", password.expose_secret()))?;
        owner.give(&path)
    }
}

/// The password out of the line that [`Layout::password`] writes.
fn parse_pgpass(text: &str) -> Option<SecretString> {
    let password = text.trim_end().rsplit(':').next()?;
    let usable = password.len() >= 32 && password.chars().all(|c| c.is_ascii_alphanumeric());
    usable.then(|| SecretString::from(password))
}

/// Replaces `path` by a file that only the service's user can read, durably.
fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let writing = || Error::io(format!("writing {}", path.display()));
    remove_file(path)?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(writing())?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(writing())
}

/// Removes a file that may be absent.
pub(super) fn remove_file(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("removing {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

/// Makes the entries of a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), Error> {
    std::fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(Error::io(format!("syncing {}", dir.display())))
}

fn make_dir(dir: &Path, mode: u32) -> Result<(), Error> {
    let making = || Error::io(format!("making {}", dir.display()));
    DirBuilder::new().mode(mode).create(dir).map_err(making())?;
    // Whatever the umask says.
    std::fs::set_permissions(dir, Permissions::from_mode(mode)).map_err(making())
}

/// Makes a directory that belongs to `owner` alone, or checks that it does: in a shared place like
/// `/tmp` somebody else may have made one of that name.
fn owned_dir(dir: &Path, owner: &Owner) -> Result<(), Error> {
    let reading = || Error::io(format!("reading {}", dir.display()));
    if !dir.exists() {
        make_dir(dir, 0o700)?;
        owner.give(dir)?;
    }
    let found = std::fs::symlink_metadata(dir).map_err(reading())?;
    if found.is_dir() && found.uid() == 0 && owner.uid() != 0 {
        // Made by root, who ended before giving it away.
        owner.give(dir)?;
    } else if !found.is_dir() || found.uid() != owner.uid() {
        return Err(Error::Foreign {
            dir: dir.to_owned(),
            uid: found.uid(),
        });
    }
    if found.permissions().mode() & 0o077 != 0 {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(reading())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_stay_inside_while_the_path_fits() {
        let layout = Layout {
            root: PathBuf::from("/var/lib/bloom"),
        };
        assert_eq!(layout.sockets(), Path::new("/var/lib/bloom/postgres/run"));
        let deep = Layout {
            root: Path::new("/").join("x".repeat(90)),
        };
        assert_eq!(deep.sockets().parent(), Some(Path::new(SHORT_PARENT)));
        assert_eq!(deep.sockets(), deep.sockets(), "the same after a restart");
    }

    #[test]
    fn damaged_password_files_are_noticed() {
        assert!(parse_pgpass("*:*:*:bloom:\n").is_none());
        assert!(parse_pgpass("").is_none());
        let password = "a".repeat(64);
        assert!(parse_pgpass(&format!("*:*:*:bloom:{password}\n")).is_some());
    }
}
