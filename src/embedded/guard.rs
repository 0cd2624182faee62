//! A small process that outlives the service by a moment and stops its Postgres.
//!
//! `kill -9` leaves a process no time to stop its children. The guard waits on a pipe whose other
//! end only the service holds: the system closes it when the service ends, however it ends. It
//! holds the directory's lock meanwhile, so that the next service waits for it.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use super::binaries::Binaries;
use super::error::Error;
use super::lock::Lock;
use super::owner::Owner;

/// `$0` is `pg_ctl`, `$1` the data directory. A line on the pipe means that all is in order; its
/// end without one, that the service died. It may have died before Postgres had written down its
/// process number, hence the few more tries.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
if read -r line; then exit 0; fi
for try in 1 2 3; do
    "$0" stop -D "$1" -s -m fast -t 20 >/dev/null 2>&1 && exit 0
    "$0" stop -D "$1" -s -m immediate -t 10 >/dev/null 2>&1 && exit 0
    sleep 1
done
"#;

/// How long a dismissed guard may take to end before it is killed.
const DISMISS_LIMIT: Duration = Duration::from_secs(2);

/// The running guard. Dropping it without [`Guard::dismiss`] makes it stop Postgres.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts it; before Postgres, so that there is never one without the other.
    pub(super) fn start(
        owner: &Owner,
        binaries: &Binaries,
        data: &Path,
        lock: &Lock,
    ) -> Result<Self, Error> {
        let mut command = owner.command(Path::new("sh"));
        command
            .arg("-c")
            .arg(SCRIPT)
            .arg(binaries.program("pg_ctl"))
            .arg(data);
        // Its standard output is the lock file: the one way to hand over an open file.
        command
            .stdin(Stdio::piped())
            .stdout(lock.share()?)
            .stderr(Stdio::null());
        let mut child = command
            .spawn()
            .map_err(Error::io("starting the guard of Postgres"))?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Whether it still watches.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it after Postgres has stopped in order, and waits until it has let go of the lock.
    pub(super) async fn dismiss(mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // An error means that it has ended already.
            pipe.write_all(b"done\n").ok();
        }
        let deadline = Instant::now() + DISMISS_LIMIT;
        while self.is_alive() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
