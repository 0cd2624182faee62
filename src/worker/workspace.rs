//! Where a program works: a directory of its own for each attempt, or one that all attempts of a
//! context share, so that what one leaves the next one finds.
//!
//! A context's id is any text. Its directory is named after a hash of it, with the readable part
//! in front for people, so that no id leads anywhere else and no two share one.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::api::Granted;

/// The folder of the contexts' directories in the work root.
const CONTEXTS: &str = "contexts";
/// Behind a context directory's name: the file whose lock says that the directory is in use, and
/// whose age says since when it is not.
const LOCK: &str = ".lock";
/// How much of a context's id is kept readable, in characters.
const READABLE: usize = 40;
/// How much of its hash follows, in bytes.
const HASH: usize = 10;

/// What decides about a program's working directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A new one for each attempt, removed afterwards.
    Attempt,
    /// The context's.
    Context,
}

/// The directories of one attempt.
#[derive(Debug)]
pub struct Workspace {
    /// The attempt's own, removed at its end.
    pub scratch: PathBuf,
    /// Where the program works.
    pub cwd: PathBuf,
    /// Held while the program works in its context's directory, in this process or another.
    lock: Option<File>,
}

impl Workspace {
    /// Makes the directories for `granted` below `root`, for `owner` (user and group) if it is
    /// somebody else.
    ///
    /// # Errors
    /// When one cannot be made; nothing of this attempt is left then.
    pub async fn open(
        root: PathBuf,
        scope: Scope,
        granted: &Granted,
        owner: Option<(u32, u32)>,
    ) -> io::Result<Self> {
        let name = format!("bloom-{}-{}", granted.lease.id, granted.lease.attempt);
        let context = (scope == Scope::Context).then(|| granted.task.context_id.clone());
        let made = spawn_blocking(move || {
            let scratch = root.join(name);
            make_private(&scratch)?;
            let opened = match context {
                None => Ok((scratch.clone(), None)),
                Some(id) => shared(&root, &id).map(|(cwd, lock)| (cwd, Some(lock))),
            };
            let result = opened.and_then(|(cwd, lock)| {
                let folder = cwd.parent().filter(|_| lock.is_some());
                give(owner, &[&scratch, &cwd], folder)?;
                Ok((cwd, lock))
            });
            match result {
                Ok((cwd, lock)) => Ok(Self { scratch, cwd, lock }),
                Err(error) => {
                    drop(std::fs::remove_dir_all(scratch));
                    Err(error)
                }
            }
        });
        made.await
            .unwrap_or_else(|_| Err(io::Error::other("broke")))
    }

    /// Removes what belongs to the attempt alone.
    pub async fn close(self) {
        let Self { scratch, lock, .. } = self;
        let shown = scratch.display().to_string();
        let removed = spawn_blocking(move || std::fs::remove_dir_all(scratch)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, work_dir = shown, "cannot remove a working directory");
        }
        drop(lock);
    }
}

/// Makes directories another user's, who may also pass through `folder`.
fn give(owner: Option<(u32, u32)>, dirs: &[&Path], folder: Option<&Path>) -> io::Result<()> {
    let Some((uid, gid)) = owner else {
        return Ok(());
    };
    for dir in dirs {
        std::os::unix::fs::chown(dir, Some(uid), Some(gid))?;
    }
    match folder {
        Some(folder) => std::fs::set_permissions(folder, Permissions::from_mode(0o711)),
        None => Ok(()),
    }
}

/// Makes a directory that nobody else may look into.
fn make_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(dir)
}

/// The directory of a context, and its lock, shared with the context's other attempts.
fn shared(root: &Path, context_id: &str) -> io::Result<(PathBuf, File)> {
    let folder = root.join(CONTEXTS);
    let mut builder = DirBuilder::new();
    builder.mode(0o700).recursive(true).create(&folder)?;
    let name = directory_name(context_id);
    let dir = folder.join(&name);
    let lock = loop {
        let lock = lock_file(&folder.join(name.clone() + LOCK))?;
        flock(&lock, FlockOperation::LockShared)?;
        // The sweep removes the file with the directory: then what is locked is not there any more.
        if is_current(&lock, &folder.join(name.clone() + LOCK)) {
            break lock;
        }
    };
    lock.set_modified(SystemTime::now())?;
    match make_private(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // What a program put in its place is not followed.
    if !std::fs::symlink_metadata(&dir)?.is_dir() {
        return Err(io::Error::other(
            "the context's directory is not a directory",
        ));
    }
    Ok((dir.canonicalize()?, lock))
}

fn lock_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600);
    options.open(path)
}

fn is_current(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// The name of a context's directory: the readable part of its id, and a hash of all of it.
#[must_use]
pub fn directory_name(context_id: &str) -> String {
    let readable = context_id.chars().take(READABLE).map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    });
    let mut name: String = readable.collect();
    name.push('-');
    let digest = Sha256::digest(context_id.as_bytes());
    name.extend(digest[..HASH].iter().map(|byte| format!("{byte:02x}")));
    name
}

/// Removes the directories of contexts that nobody has used for `keep`; returns them.
///
/// # Errors
/// When the work root cannot be read.
pub fn sweep(root: &Path, keep: Duration) -> io::Result<Vec<PathBuf>> {
    let folder = root.join(CONTEXTS);
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut removed = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.and_then(|name| name.strip_suffix(LOCK)) else {
            continue;
        };
        if is_old(&path, keep) && remove_unused(&path, &folder.join(name)) {
            removed.push(folder.join(name));
        }
    }
    Ok(removed)
}

fn is_old(path: &Path, keep: Duration) -> bool {
    let modified = std::fs::symlink_metadata(path).and_then(|meta| meta.modified());
    modified.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > keep))
}

/// Removes a context's directory unless an attempt works in it.
fn remove_unused(lock: &Path, dir: &Path) -> bool {
    let Ok(file) = lock_file(lock) else {
        return false;
    };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return false;
    }
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, dir = %dir.display(), "cannot remove an old working directory");
            false
        }
        _ => std::fs::remove_file(lock).is_ok(),
    }
}

/// Who works where in this process.
#[derive(Debug, Default)]
pub struct Occupancy {
    contexts: Mutex<HashMap<String, usize>>,
    tasks: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
}

impl Occupancy {
    /// Enters a context; the answer says how many are in it already.
    pub fn enter(self: &Arc<Self>, context_id: &str) -> (Presence, usize) {
        let mut contexts = self.contexts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = contexts.entry(context_id.to_owned()).or_default();
        let others = *count;
        *count += 1;
        let presence = Presence {
            all: Arc::clone(self),
            context_id: context_id.to_owned(),
        };
        (presence, others)
    }

    /// The task's turn in this process: an earlier attempt at it, whose lease was lost, may still
    /// be dying in the same directory.
    pub async fn turn(&self, task: Uuid) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(tasks.entry(task).or_default())
        };
        turn.lock_owned().await
    }
}

/// Stands for an attempt in its context.
#[derive(Debug)]
pub struct Presence {
    all: Arc<Occupancy>,
    context_id: String,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut contexts = self
            .all
            .contexts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = contexts.get_mut(&self.context_id) {
            *count -= 1;
            if *count == 0 {
                contexts.remove(&self.context_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_context_id_leads_out_of_its_folder_and_no_two_share_a_name() {
        let ids = [
            "../../etc",
            "..",
            "",
            "/",
            "a/b",
            "A/B",
            "a-b",
            "ä\0\n",
            &"x".repeat(600),
        ];
        let mut names: Vec<_> = ids.iter().map(|id| directory_name(id)).collect();
        for name in &names {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(name.chars().all(plain) && name.len() <= 61, "{name}");
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), ids.len());
    }

    #[test]
    fn an_unused_directory_is_swept_and_one_in_use_is_not() {
        let root = std::env::temp_dir().join(format!("bloom-sweep-{}", Uuid::new_v4()));
        let (idle, lock) = shared(&root, "idle").unwrap();
        drop(lock);
        let (busy, _lock) = shared(&root, "busy").unwrap();
        assert!(sweep(&root, Duration::from_secs(60)).unwrap().is_empty());
        std::thread::sleep(Duration::from_millis(5));
        let swept = sweep(&root, Duration::ZERO).unwrap();
        assert_eq!(swept.len(), 1);
        assert!(!idle.exists() && busy.exists());
        let (again, _lock) = shared(&root, "idle").unwrap();
        assert!(again.exists());
        std::fs::remove_dir_all(root).unwrap();
    }

    #[tokio::test]
    async fn attempts_at_one_task_take_turns_and_presence_counts() {
        let all = Arc::new(Occupancy::default());
        let (first, others) = all.enter("c");
        assert_eq!(others, 0);
        assert_eq!(all.enter("c").1, 1);
        drop(first);
        assert_eq!(all.enter("c").1, 0);
        let turn = all.turn(Uuid::nil()).await;
        let second = all.turn(Uuid::nil());
        tokio::pin!(second);
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        drop(turn);
        second.await;
    }
}
