//! One service per data directory.
//!
//! The lock is an `flock`, so the system drops it with the last process that has the file open:
//! the service and its guard (see [`super::guard`]). When the lock is free, no service uses the
//! directory and no guard is still busy stopping a dead one's Postgres.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::Error;
use super::process;

/// How long to wait for the guard of a service that has died. Longer than the guard needs.
const GUARD_WAIT: Duration = Duration::from_secs(60);

/// How often to look again.
const RETRY: Duration = Duration::from_millis(50);

/// The held lock; dropping it (and ending the guard) lets go.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of the data directory `root`, whose lock file is `path`.
    ///
    /// A live holder is an error at once; a dead one's guard is waited for.
    pub(super) async fn take(root: &Path, path: &Path) -> Result<Self, Error> {
        let opening = || Error::io(format!("locking {}", path.display()));
        let mut options = File::options();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(path).map_err(opening())?;
        let started = Instant::now();
        let mut told = false;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(opening()(error.into())),
            }
            let pid = holder(&mut file);
            if started.elapsed() > GUARD_WAIT || pid.is_some_and(process::is_alive) {
                return Err(Error::InUse {
                    dir: root.to_owned(),
                    pid,
                });
            }
            if !told {
                told = true;
                tracing::info!("waiting until the Postgres of a dead service has stopped");
            }
            tokio::time::sleep(RETRY).await;
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(opening())?;
        Ok(Self { file })
    }

    /// Lets go at once, whoever else has the file open: a process that is just being spawned has a
    /// copy of every open file until it becomes another program.
    pub(super) fn release(self) {
        flock(&self.file, FlockOperation::Unlock).ok();
    }

    /// A second handle on the same lock, for the guard.
    pub(super) fn share(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(Error::io("sharing the lock"))
    }
}

/// The process that wrote its number into the file.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind()
        .and_then(|()| file.read_to_string(&mut text))
        .ok()?;
    text.trim().parse().ok()
}
