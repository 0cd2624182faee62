//! Keeps the server log bounded. Postgres starts a new file when one is full but removes none.

use std::path::Path;

use super::layout::Layout;

/// How many log files are kept beside the one being written.
const KEPT: usize = 8;

/// How much of a log an error quotes, in lines.
const TAIL_LINES: usize = 6;

/// Removes all but the newest files. Their names sort by time.
pub(super) fn prune(layout: &Layout) {
    let mut files = files(&layout.logs());
    let excess = files.len().saturating_sub(KEPT + 1);
    for file in files.drain(..excess) {
        if let Err(error) = std::fs::remove_file(&file) {
            tracing::warn!(file = %file.display(), %error, "cannot remove an old log");
        }
    }
}

/// The last lines that Postgres wrote, before and after it opened its own log.
pub(super) fn tail(layout: &Layout) -> String {
    let newest = files(&layout.logs()).pop();
    let mut lines = Vec::new();
    for file in std::iter::once(layout.startup_log()).chain(newest) {
        let text = std::fs::read(&file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let all: Vec<&str> = text.lines().collect();
        let from = all.len().saturating_sub(TAIL_LINES);
        lines.extend(all[from..].iter().map(|line| (*line).to_owned()));
    }
    format!("{} (log: {})", lines.join("; "), layout.logs().display())
}

/// The regular files of the log directory, the oldest first.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = dir.read_dir() else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    files.sort();
    files
}
