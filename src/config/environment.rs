//! What a program that a worker starts may see of the worker's environment.

use std::ffi::OsString;
use std::path::PathBuf;

/// The variables that every program gets, where the worker has them.
pub const ALWAYS: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TERM", "TZ"];

/// The variables that no program ever gets, whatever was asked for: they open the queue itself.
pub const NEVER: [&str; 3] = ["BLOOM_API_KEY", "RUNTIME_API_KEY", "DATABASE_URL"];

/// `PATH` for programs when the worker itself has none.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Where programs' working directories are made when nobody says otherwise (`TMPDIR`).
#[must_use]
pub fn work_root() -> PathBuf {
    std::env::temp_dir()
}

/// The environment for programs: [`ALWAYS`] and the names in `pass`, each only where it is set.
///
/// # Errors
/// A text for the operator when `pass` holds a name that is not a variable's, that belongs to the
/// worker (`BLOOM_…`), or that is one of [`NEVER`].
pub fn for_program(pass: &[String]) -> Result<Vec<(String, OsString)>, String> {
    select(std::env::vars_os(), pass)
}

fn select(
    all: impl Iterator<Item = (OsString, OsString)>,
    pass: &[String],
) -> Result<Vec<(String, OsString)>, String> {
    for name in pass {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!(
                "'{name}' is not the name of an environment variable"
            ));
        }
        if NEVER.contains(&name.as_str()) || name.starts_with("BLOOM_") {
            return Err(format!("{name} is never passed on to programs"));
        }
    }
    let mut chosen: Vec<(String, OsString)> = all
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| ALWAYS.contains(&name.as_str()) || pass.contains(name))
        .collect();
    if !chosen.iter().any(|(name, _)| name == "PATH") {
        chosen.push(("PATH".to_owned(), DEFAULT_PATH.into()));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (OsString, OsString)> {
        [
            ("HOME", "/h"),
            ("BLOOM_API_KEY", "k"),
            ("EXTRA", "x"),
            ("SECRET", "s"),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
    }

    #[test]
    fn only_the_listed_variables_pass() {
        let chosen = select(all(), &["EXTRA".to_owned()]).unwrap();
        let names: Vec<&str> = chosen.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["HOME", "EXTRA", "PATH"]);
    }

    #[test]
    fn keys_of_the_queue_are_refused() {
        for name in [
            "BLOOM_API_KEY",
            "RUNTIME_API_KEY",
            "DATABASE_URL",
            "BLOOM_FENCE",
            "",
            "A=B",
        ] {
            assert!(select(all(), &[name.to_owned()]).is_err(), "{name} passed");
        }
    }
}
