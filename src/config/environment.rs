//! What a program that a worker starts may see of the worker's environment.

use std::ffi::OsString;
use std::path::PathBuf;

/// The variables that every program gets, where the worker has them.
pub const ALWAYS: [&str; 18] = [
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TERM",
    "TZ",
    "USER",
    "LOGNAME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
];
/// Beginnings of variables that every program gets: those of the Claude CLI.
pub const ALWAYS_BEGIN: [&str; 2] = ["ANTHROPIC_", "CLAUDE_"];
/// Beginnings of variables that no program ever gets: those of this service and its database.
pub const NEVER_BEGIN: [&str; 4] = ["BLOOM_", "RUNTIME_", "MEMBRIDGE_", "PG"];

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
/// service ([`NEVER_BEGIN`]), or that is one of [`NEVER`].
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
        if NEVER.contains(&name.as_str()) || NEVER_BEGIN.iter().any(|never| name.starts_with(never))
        {
            return Err(format!("{name} is never passed on to programs"));
        }
    }
    let mut chosen: Vec<(String, OsString)> = all
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| is_usual(name) || pass.contains(name))
        .collect();
    if !chosen.iter().any(|(name, _)| name == "PATH") {
        chosen.push(("PATH".to_owned(), DEFAULT_PATH.into()));
    }
    Ok(chosen)
}

fn is_usual(name: &str) -> bool {
    ALWAYS.contains(&name) || ALWAYS_BEGIN.iter().any(|usual| name.starts_with(usual))
}

/// The first `claude` on this process's `PATH`.
#[must_use]
pub fn find_claude() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "this is config")]
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join("claude"))
        .find(|file| file.is_file())
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
