//! How much a program has written to its directory.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The unit of a file's blocks, in bytes, whatever the file system's own.
const BLOCK: u64 = 512;

/// Resolves, with what is used, when the directory holds more than `limit` bytes.
pub async fn over(dir: PathBuf, limit: u64) -> u64 {
    loop {
        let counted = dir.clone();
        // A directory of a million files takes its time.
        let used = spawn_blocking(move || used(&counted)).await.unwrap_or(0);
        if used > limit {
            return used;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What the directory takes up, in bytes. Symbolic links are not followed; what cannot be read or
/// vanishes meanwhile counts nothing.
fn used(dir: &Path) -> u64 {
    let mut bytes = 0;
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            bytes += meta.blocks() * BLOCK;
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_folders_count_and_links_do_not() {
        let dir = std::env::temp_dir().join(format!("bloom-disk-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(dir.join("a/b")).unwrap();
        std::fs::write(dir.join("a/b/c"), vec![1; 300_000]).unwrap();
        std::os::unix::fs::symlink("/usr", dir.join("link")).unwrap();
        let used = used(&dir);
        assert!((300_000..1_000_000).contains(&used), "{used}");
        std::fs::remove_dir_all(dir).unwrap();
    }
}
