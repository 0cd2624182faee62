//! Finds the PostgreSQL server programs of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::Error;
use super::process;

/// The oldest major version that the queue's SQL runs on.
pub const OLDEST_MAJOR: u32 = 14;

/// What a directory must hold to be of use.
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// Directories of which each entry is one installation, and the way from there to its programs:
/// Debian and Ubuntu, PGDG's RPMs, Alpine, Homebrew on ARM and on Intel.
const FAMILIES: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
];

/// Single directories: source builds, BSD, Fedora and Arch.
const PLACES: [&str; 3] = ["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"];

/// One installation of the server programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
    major: u32,
    version: String,
}

impl Binaries {
    /// Finds an installation. `bin_dir`, when given, is the only place looked at. `wanted` is the
    /// major version that made an existing cluster: only that one can open it.
    ///
    /// # Errors
    /// When there is none, only too old ones, or none of the wanted version.
    pub async fn find(bin_dir: Option<&Path>, wanted: Option<(u32, &Path)>) -> Result<Self, Error> {
        let candidates = match bin_dir {
            Some(dir) => vec![checked(dir)?],
            None => candidates().await,
        };
        Self::choose(candidates, wanted).await
    }

    async fn choose(candidates: Vec<PathBuf>, wanted: Option<(u32, &Path)>) -> Result<Self, Error> {
        let mut first = None;
        let mut problem = None;
        for dir in candidates {
            match Self::probe(dir).await {
                Ok(found) if wanted.is_none_or(|(major, _)| major == found.major) => {
                    return Ok(found);
                }
                Ok(found) => first = first.or(Some(found)),
                Err(error) => problem = problem.or(Some(error)),
            }
        }
        match (first, wanted, problem) {
            (Some(found), Some((made_by, data)), _) => Err(Error::OtherMajor {
                data: data.to_owned(),
                made_by,
                found: found.major,
            }),
            (_, _, Some(error)) => Err(error),
            _ => Err(Error::NoBinaries),
        }
    }

    /// Asks the programs in `dir` for their version.
    async fn probe(dir: PathBuf) -> Result<Self, Error> {
        let program = dir.join("postgres");
        let mut command = Command::new(&program);
        command.arg("--version");
        let answer = process::output(command, process::QUICK).await?;
        let answer = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        let Some((major, version)) = parse_version(&answer) else {
            return Err(Error::NoVersion { program, answer });
        };
        if major < OLDEST_MAJOR {
            return Err(Error::TooOld {
                bin_dir: dir,
                version,
            });
        }
        Ok(Self {
            dir,
            major,
            version,
        })
    }

    /// The path of one of the programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Where the programs are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The full version, e.g. `15.18`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// The directory as given, if all programs are in it.
fn checked(dir: &Path) -> Result<PathBuf, Error> {
    match PROGRAMS.into_iter().find(|name| !dir.join(name).is_file()) {
        Some(missing) => Err(Error::BadBinDir {
            bin_dir: dir.to_owned(),
            missing,
        }),
        // The programs are started with another working directory.
        None => dir
            .canonicalize()
            .map_err(Error::io(format!("resolving {}", dir.display()))),
    }
}

/// All complete installations in order of preference, each once.
async fn candidates() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    dirs.extend(answer_of("pg_config --bindir").await);
    for (parent, prefix, below) in FAMILIES {
        dirs.extend(family(Path::new(parent), prefix, below));
    }
    dirs.extend(PLACES.map(PathBuf::from));
    // The shell looks through PATH, so that the environment is not read here.
    let in_path = answer_of("command -v postgres").await;
    dirs.extend(in_path.and_then(|postgres| postgres.parent().map(Path::to_owned)));
    let mut found: Vec<PathBuf> = Vec::new();
    for dir in dirs.into_iter().filter_map(|dir| checked(&dir).ok()) {
        if !found.contains(&dir) {
            found.push(dir);
        }
    }
    found
}

/// The absolute path that a shell line prints, if it does.
async fn answer_of(line: &str) -> Option<PathBuf> {
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    let output = process::output(command, process::QUICK).await.ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    (output.status.success() && path.is_absolute()).then_some(path)
}

/// The installations `parent/prefixN/below`, the newest first.
fn family(parent: &Path, prefix: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = parent.read_dir() else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let major = name.strip_prefix(prefix)?.split('.').next()?.parse().ok()?;
            Some((major, entry.path().join(below)))
        })
        .collect();
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// Major and full version out of `postgres (PostgreSQL) 15.18 (Debian 15.18-1)`.
fn parse_version(answer: &str) -> Option<(u32, String)> {
    let version = answer
        .split_once("(PostgreSQL) ")?
        .1
        .split_whitespace()
        .next()?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((digits.parse().ok()?, version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_all_usual_answers() {
        let major = |text| parse_version(text).map(|(major, _)| major);
        assert_eq!(
            major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major("command not found"), None);
    }

    #[tokio::test]
    async fn without_binaries_the_error_names_the_package_of_each_system() {
        let error = Binaries::choose(Vec::new(), None)
            .await
            .unwrap_err()
            .to_string();
        for part in [
            "apt-get install postgresql",
            "postgresql-server",
            "apk",
            "brew",
            "BLOOM_PG_BIN",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn the_newest_of_a_family_comes_first() {
        let parent = std::env::temp_dir().join(format!("family-{}", uuid::Uuid::new_v4()));
        for name in ["9.6", "15", "17", "common"] {
            std::fs::create_dir_all(parent.join(name)).unwrap();
        }
        let found = family(&parent, "", "bin");
        std::fs::remove_dir_all(&parent).unwrap();
        assert_eq!(
            found,
            ["17/bin", "15/bin", "9.6/bin"].map(|name| parent.join(name))
        );
    }
}
