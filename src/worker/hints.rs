//! Files that a task points at: paths and patterns within its context's directory. They become a
//! section in front of the prompt. What leads outside is refused, what is missing is noted.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};

use globset::Glob;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::output::{head, to_text};

/// How many entries of the directory a pattern is compared with.
const MAX_ENTRIES: usize = 10_000;
/// How many files are shown.
const MAX_FILES: usize = 50;
/// How much of a file is shown, in bytes.
const MAX_FILE: usize = 32 << 10;
/// How much of a file is read, in bytes: its size is told up to this.
const MAX_READ: u64 = 16 << 20;
/// How much is shown altogether, in bytes.
const MAX_TOTAL: usize = 256 << 10;

/// What became of a task's hints.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The section for the prompt; empty when there is nothing to show.
    pub section: String,
    /// How many files it shows.
    pub shown: usize,
    /// Hints that led to nothing, with the reason.
    pub missing: Vec<(String, &'static str)>,
}

/// Looks the hints up in `dir`.
#[must_use]
pub fn look_up(dir: &Path, hints: &[String]) -> Found {
    let mut found = Found::default();
    let Ok(root) = dir.canonicalize() else {
        return found;
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for hint in hints {
        match resolve(&root, hint) {
            Ok(paths) => {
                for path in paths {
                    if !files.contains(&path) {
                        files.push(path);
                    }
                }
            }
            Err(why) => found.missing.push((head(hint, 200), why)),
        }
    }
    for path in files.into_iter().take(MAX_FILES) {
        if found.section.len() >= MAX_TOTAL {
            break;
        }
        found.show(&root, &path);
    }
    if !found.section.is_empty() {
        let intro = "Files of the working directory that belong to this task:\n\n";
        found.section.insert_str(0, intro);
    }
    found
}

impl Found {
    fn show(&mut self, root: &Path, path: &Path) {
        let name = path.strip_prefix(root).unwrap_or(path).display();
        let Ok(bytes) = read_beneath(root, path) else {
            self.missing.push((name.to_string(), "cannot be read"));
            return;
        };
        let text = if bytes.contains(&0) {
            "(not a text)".to_owned()
        } else {
            head(&to_text(&bytes), MAX_FILE)
        };
        let size = bytes.len();
        let head = format!("--- {name} ({size} bytes)\n");
        self.section.extend([head.as_str(), text.as_str(), "\n\n"]);
        self.shown += 1;
    }
}

/// Reads a file that was found, without following anything that leads out of `root` meanwhile: the
/// worker may be allowed to read what the task is not.
fn read_beneath(root: &Path, path: &Path) -> io::Result<Vec<u8>> {
    let path = path.strip_prefix(root).map_err(io::Error::other)?;
    let dir = File::open(root)?;
    let file = openat2(
        &dir,
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
    )?;
    let mut bytes = Vec::new();
    File::from(file).take(MAX_READ).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The files of one hint.
fn resolve(root: &Path, hint: &str) -> Result<Vec<PathBuf>, &'static str> {
    let path = Path::new(hint);
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if hint.is_empty() || hint.contains('\0') || !path.components().all(is_plain) {
        return Err("is not a path within the working directory");
    }
    if !hint.contains(['*', '?', '[', '{']) {
        return inside(root, &root.join(path)).map(|path| vec![path]);
    }
    let glob = Glob::new(hint).map_err(|_| "is not a pattern")?;
    let matcher = glob.compile_matcher();
    let mut files: Vec<_> = entries(root)
        .into_iter()
        .filter(|path| matcher.is_match(path))
        .filter_map(|path| inside(root, &root.join(path)).ok())
        .collect();
    files.sort();
    if files.is_empty() {
        return Err("matches no file");
    }
    Ok(files)
}

/// The file itself, which links must not lead out of `root`.
fn inside(root: &Path, path: &Path) -> Result<PathBuf, &'static str> {
    let real = path.canonicalize().map_err(|_| "is not there")?;
    if !real.starts_with(root) {
        return Err("leads out of the working directory");
    }
    if !real.is_file() {
        return Err("is not a file");
    }
    Ok(real)
}

/// Files below `root`, relative to it; links are not followed into folders.
fn entries(root: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders, mut seen) = (Vec::new(), vec![PathBuf::new()], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            seen += 1;
            if seen > MAX_ENTRIES {
                return files;
            }
            let path = folder.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(_) => files.push(path),
                Err(_) => {}
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_show_files_inside_and_nothing_outside() {
        let base = std::env::temp_dir().join(format!("bloom-hints-{}", uuid::Uuid::new_v4()));
        let dir = base.join("ctx");
        std::fs::create_dir_all(dir.join("src")).unwrap();
        std::fs::create_dir_all(base.join("ctx-evil")).unwrap();
        std::fs::write(base.join("secret"), "SECRET").unwrap();
        std::fs::write(base.join("ctx-evil/x"), "SECRET").unwrap();
        std::fs::write(dir.join("a.txt"), "alpha").unwrap();
        std::fs::write(dir.join("src/b.rs"), "beta").unwrap();
        std::fs::write(dir.join("bin"), b"\0\x01").unwrap();
        std::os::unix::fs::symlink(base.join("secret"), dir.join("link")).unwrap();
        std::os::unix::fs::symlink(&base, dir.join("up")).unwrap();
        let hints: Vec<String> = [
            "a.txt",
            "./a.txt",
            "**/*.rs",
            "bin",
            "gone",
            "*.none",
            "../secret",
            "/etc/passwd",
            "link",
            "up/secret",
            "up/ctx-evil/x",
            "",
            "src",
            "[",
            "a\0",
        ]
        .map(ToOwned::to_owned)
        .to_vec();
        let found = look_up(&dir, &hints);
        assert!(!found.section.contains("SECRET"), "{}", found.section);
        assert!(
            found.section.contains("--- a.txt (5 bytes)\nalpha\n"),
            "{}",
            found.section
        );
        assert!(found.section.contains("--- src/b.rs (4 bytes)\nbeta\n"));
        assert!(found.section.contains("--- bin (2 bytes)\n(not a text)\n"));
        assert_eq!(found.shown, 3);
        assert_eq!(found.missing.len(), 11, "{:?}", found.missing);
        assert_eq!(look_up(&dir, &[]), Found::default());
        std::fs::remove_dir_all(base).unwrap();
    }
}
