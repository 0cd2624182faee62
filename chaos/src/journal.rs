//! What clients asked and were told, and what the nemesis did, as lines of JSON.
//!
//! A client writes a line before it sends and one after it received. `ok` is an answer that says
//! that it happened, `fail` one that says that it did not and will not, and `info` everything else:
//! a time-out, a broken connection, a 503. Who calls an `info` a `fail` checks nothing.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a line says about an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is about to be sent.
    Invoke,
    /// It happened.
    Ok,
    /// It did not happen, and will not.
    Fail,
    /// Nobody knows.
    Info,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Submit one task.
    Enqueue,
    /// Ask for work.
    Claim,
    /// A sign of life for one lease.
    Heartbeat,
    /// A sign of life for a session.
    Beat,
    /// Report a result.
    Complete,
    /// Give a lease back.
    Release,
    /// Add to a lease's log.
    Log,
    /// Cancel a task.
    Cancel,
    /// Queue a task anew.
    Requeue,
    /// Register a worker.
    Register,
    /// The client lets a lease go without a word (as a crash would), on purpose.
    Abandon,
    /// The client has seen that a lease is not its task's any more.
    Superseded,
}

/// A lease that an answer granted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grant {
    /// Its task.
    pub task: Uuid,
    /// Its id.
    pub lease: Uuid,
    /// Its number.
    pub fence: i32,
}

/// One line of a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The client. One that starts anew after a crash has a new name.
    pub proc: String,
    /// Numbers its operations.
    pub op: u64,
    /// Before or after, and with what end.
    pub kind: Kind,
    /// What was asked for.
    pub f: Op,
    /// Microseconds since the run began (monotonic).
    pub t: u64,
    /// Microseconds since 1970 by this machine's clock; for latencies, never for safety.
    pub w: i64,
    /// The submission's own key, which the task carries with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<Uuid>,
    /// The lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Uuid>,
    /// The lease's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<i32>,
    /// The worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// For how long a beat renews, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i32>,
    /// SHA-256 of a reported result, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Status code of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<u16>,
    /// The service's error code, the SQLSTATE, or what the network said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What a claim got, or a beat renewed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
}

/// One fault, from its beginning to its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaultRecord {
    /// Numbers the steps of the schedule; the faults of a pair have the same.
    pub step: usize,
    /// The fault of the matrix: `F01` and so on.
    pub id: String,
    /// What was done, in a few words.
    pub what: String,
    /// When it began, microseconds since 1970.
    pub began: i64,
    /// When everything was healed.
    pub ended: i64,
    /// Why it could not be done, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// Time of a run.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Default for Clock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock {
    /// Microseconds since the run began.
    #[must_use]
    pub fn elapsed(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Microseconds since 1970.
#[must_use]
pub fn wall() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_micros()).unwrap_or(i64::MAX))
}

/// The journal of one client.
#[derive(Debug)]
pub struct Journal {
    proc: String,
    clock: Clock,
    file: Mutex<File>,
    next: AtomicU64,
}

impl Journal {
    /// Of the client `proc`, as a file of its own in `dir`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(dir: &Path, proc: &str, clock: Clock) -> anyhow::Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(dir.join(format!("{proc}.jsonl")))?;
        Ok(Self {
            proc: proc.to_owned(),
            clock,
            file: Mutex::new(file),
            next: AtomicU64::new(1),
        })
    }

    /// The client's name.
    #[must_use]
    pub fn proc(&self) -> &str {
        &self.proc
    }

    /// Begins an operation: writes the invoke line and returns the record to be completed.
    pub fn invoke(&self, f: Op, fill: impl FnOnce(&mut Record)) -> Record {
        let mut record = Record {
            proc: self.proc.clone(),
            op: self.next.fetch_add(1, Ordering::Relaxed),
            kind: Kind::Invoke,
            f,
            t: 0,
            w: 0,
            key: None,
            task: None,
            lease: None,
            fence: None,
            worker: None,
            ttl: None,
            digest: None,
            http: None,
            code: None,
            grants: Vec::new(),
        };
        fill(&mut record);
        self.write(&mut record);
        record
    }

    /// Ends an operation.
    pub fn end(&self, mut record: Record, kind: Kind) {
        record.kind = kind;
        self.write(&mut record);
    }

    /// Something that the client did by itself.
    pub fn note(&self, f: Op, fill: impl FnOnce(&mut Record)) {
        let record = self.invoke(f, fill);
        self.end(record, Kind::Ok);
    }

    fn write(&self, record: &mut Record) {
        (record.t, record.w) = (self.clock.elapsed(), wall());
        let mut line = serde_json::to_vec(record).unwrap_or_default();
        line.push(b'\n');
        if let Ok(mut file) = self.file.lock() {
            // A history with a hole would pass for a clean one.
            file.write_all(&line).expect("the journal is written");
        }
    }
}

/// Reads a file of JSON lines; nothing if there is none.
///
/// # Errors
/// When it cannot be read or a line is no `T`.
pub fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for line in BufReader::new(File::open(path)?).lines() {
        all.push(serde_json::from_str(&line?)?);
    }
    Ok(all)
}

/// Writes a file of JSON lines.
///
/// # Errors
/// When it cannot be written.
pub fn write<T: Serialize>(path: &Path, items: impl IntoIterator<Item = T>) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(File::create(path)?);
    for item in items {
        serde_json::to_writer(&mut file, &item)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}

/// The journals in a directory, by name.
///
/// # Errors
/// When it cannot be read.
pub fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    found.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    found.sort();
    Ok(found)
}

/// Every line of every client in a directory.
///
/// # Errors
/// When one cannot be read.
pub fn read_all(dir: &Path) -> anyhow::Result<Vec<Record>> {
    let mut all = Vec::new();
    for path in files(dir)? {
        all.extend(read::<Record>(&path)?);
    }
    Ok(all)
}
