//! A machine that is busy, full, out of files, or wrong about the time.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::fs::statvfs;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::rig::Rig;
use crate::rig::machine::{faketime_library, open_files};
use crate::rig::proc::Proc;

/// The largest piece of a volume that is reserved at once; a volume is smaller than two of them.
const LARGEST: usize = 8 << 30;
/// How much is written at once where nothing more can be reserved.
const BLOCK: usize = 1 << 20;
/// The most that is written so.
const REST_LIMIT: usize = 1 << 30;
/// How many segments of its log a server is made to begin: fewer than `wal_keep_size` holds.
const SEGMENTS: usize = 6;

/// F04: programs that do nothing but use the processors.
pub async fn busy(hold: Duration) -> anyhow::Result<String> {
    let mut burners = Vec::new();
    for _ in 0..6 {
        let mut command = Command::new("setpriv");
        command.args([
            "--pdeathsig",
            "KILL",
            "--",
            "/bin/sh",
            "-c",
            "while :; do :; done",
        ]);
        burners.push(command.kill_on_drop(true).spawn()?);
    }
    sleep(hold * 2).await;
    for mut burner in burners {
        burner.kill().await?;
    }
    Ok("six programs burned processor time".to_owned())
}

/// F21, F23: nothing more fits on a volume.
pub async fn full(volume: Option<&Path>, hold: Duration) -> anyhow::Result<String> {
    let fillers = Fillers::on(volume)?;
    let taken = fillers.fill()?;
    sleep(hold).await;
    Ok(taken)
}

/// F22: nothing more fits on the volume of the write-ahead log, and the server needs a new segment
/// of it.
pub async fn no_wal(rig: &Rig, hold: Duration) -> anyhow::Result<String> {
    let fillers = Fillers::on(rig.options.volumes.wal.as_deref())?;
    let taken = fillers.fill()?;
    let segments = timeout(hold, next_segments(rig)).await;
    let came = match segments {
        Ok(Err(_)) => "the server gave up",
        Ok(Ok(())) => "the server went on in segments that it had",
        Err(_) => "the server did not answer",
    };
    sleep(hold).await;
    Ok(format!("{taken}; {came}"))
}

/// Makes the server go on to new segments. No more of them than it keeps for a standby that lags.
async fn next_segments(rig: &Rig) -> anyhow::Result<()> {
    let admin = rig.cluster.admin().await?;
    for _ in 0..SEGMENTS {
        let sql = "select pg_logical_emit_message(false, 'chaos', ''), pg_switch_wal()";
        admin.batch_execute(sql).await?;
    }
    Ok(())
}

/// Files that take all the room of a volume, for as long as this lives.
struct Fillers {
    dir: PathBuf,
}

impl Drop for Fillers {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.dir);
    }
}

impl Fillers {
    fn on(volume: Option<&Path>) -> anyhow::Result<Self> {
        let dir = volume.context("no volume of its own here")?.join("fillers");
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// Fills it: what was done, in words.
    fn fill(&self) -> anyhow::Result<String> {
        let before = statvfs(&self.dir)?;
        fill(&self.dir)?;
        let after = statvfs(&self.dir)?;
        let taken = before.f_bavail.saturating_sub(after.f_bavail) * before.f_frsize;
        let volume = self.dir.parent().and_then(Path::file_name);
        let volume = volume.unwrap_or_default().to_string_lossy();
        Ok(format!(
            "the volume {volume} filled with {} MiB",
            taken >> 20
        ))
    }
}

/// Reserves in large pieces what can be reserved, and writes the rest, until really nothing fits. A
/// reservation that is refused may have taken all the room there was.
fn fill(fillers: &Path) -> anyhow::Result<()> {
    let mut size = LARGEST;
    while size > BLOCK {
        let mut reserve = std::process::Command::new("fallocate");
        reserve.args(["-l", &size.to_string()]);
        reserve.arg(fillers.join(size.to_string())).output()?;
        size /= 2;
    }
    let mut file = File::create(fillers.join("rest"))?;
    let mut block = vec![0; BLOCK];
    let mut written = 0;
    while !block.is_empty() {
        ensure!(written < REST_LIMIT, "the volume does not get full");
        match file.write(&block) {
            Ok(0) | Err(_) => block.truncate(block.len() / 2),
            Ok(count) => written += count,
        }
    }
    Ok(())
}

/// F25: a service, or the workers, an hour off, in either direction.
pub async fn wrong_clock(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let library = faketime_library().context("libfaketime is not installed")?;
    let offset = ["+1h", "-1h", "+0 x1.5"][rng.usize(..3)];
    let procs: Vec<&Proc> = if rng.bool() {
        vec![&rig.services[rng.usize(..2)]]
    } else {
        rig.workers.iter().collect()
    };
    let monotonic = if rng.bool() { "1" } else { "0" };
    let env = [
        ("LD_PRELOAD".to_owned(), library.display().to_string()),
        ("FAKETIME".to_owned(), offset.to_owned()),
        (
            "FAKETIME_DONT_FAKE_MONOTONIC".to_owned(),
            monotonic.to_owned(),
        ),
    ];
    for proc in &procs {
        proc.relaunch(|launch| launch.env.extend(env.clone()));
        restart(proc).await?;
    }
    sleep(hold * 2).await;
    for proc in &procs {
        proc.relaunch(|launch| launch.env.retain(|pair| !env.contains(pair)));
        restart(proc).await?;
    }
    let names: Vec<&str> = procs.iter().map(|proc| proc.name()).collect();
    Ok(format!("{} lived at {offset}", names.join(" and ")))
}

/// F26: the database's clock jumps an hour ahead, or back to where it was.
pub async fn clock_jumps(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let clock = rig
        .options
        .clock
        .as_deref()
        .context("its clock is left alone in this run")?;
    let offset = ["+3600", "+7200", "+0", "-20"][rng.usize(..4)];
    set_clock(clock, offset)?;
    sleep(hold).await;
    Ok(format!("the database's clock was set to {offset} s"))
}

/// Sets the clock of a server that was started with [`clock_env`].
///
/// # Errors
/// When the file cannot be written.
pub fn set_clock(clock: &Path, offset: &str) -> anyhow::Result<()> {
    // Renamed into place: the server reads it at any time.
    let new = clock.with_extension("new");
    std::fs::write(&new, format!("{offset}\n"))?;
    Ok(std::fs::rename(new, clock)?)
}

/// Variables with which a server takes its time from `clock`.
///
/// # Errors
/// When libfaketime is not installed.
pub fn clock_env(clock: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let library = faketime_library().context("libfaketime is not installed")?;
    let pairs = [
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    Ok(pairs.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

async fn restart(proc: &Proc) -> anyhow::Result<()> {
    let mut grip = proc.hold().await;
    grip.stop(Signal::TERM, Duration::from_secs(10)).await;
    grip.start()
}

/// F39: a service may open hardly any more files, and everybody wants to talk to it.
pub async fn no_files(rig: &Rig, hold: Duration, mut rng: fastrand::Rng) -> anyhow::Result<String> {
    let index = rng.usize(..2);
    let service = &rig.services[index];
    // Held, so that the limit cannot be left on the wrong process.
    let grip = service.hold().await;
    let raw = service.pid();
    let pid = Pid::from_raw(raw).context("the service does not run")?;
    let before = getrlimit(Resource::Nofile);
    let few = u64::try_from(open_files(raw) + 4)?;
    let limit = Rlimit {
        current: Some(few),
        maximum: before.maximum,
    };
    prlimit(Some(pid), Resource::Nofile, limit)?;
    let mut callers = Vec::new();
    for _ in 0..60 {
        let address = ("127.0.0.1", rig.service_ports[index]);
        if let Ok(stream) = TcpStream::connect(address).await {
            callers.push(stream);
        }
    }
    sleep(hold).await;
    drop(callers);
    let back = Rlimit {
        current: before.current,
        maximum: before.maximum,
    };
    prlimit(Some(pid), Resource::Nofile, back)?;
    drop(grip);
    Ok(format!("{} could open {few} files", service.name()))
}
