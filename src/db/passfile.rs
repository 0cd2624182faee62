//! The password file that an address names with `passfile`, read as libpq reads it: one
//! `host:port:database:user:password` a line, `*` matches anything, a backslash quotes the next
//! character, and the first line that matches counts.

use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The password for a connection to `[host, port, database, user]`; `None` where no line matches.
///
/// # Errors
/// The file cannot be read, or may be read by others: libpq would not use it either.
pub fn password(path: &Path, connection: [&str; 4]) -> Result<Option<String>> {
    let text = std::fs::read_to_string(path)?;
    if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        let message = "it may be read by others; its mode must be 0600 or less";
        return Err(Error::new(ErrorKind::PermissionDenied, message));
    }
    Ok(text.lines().find_map(|line| matching(line, connection)))
}

fn matching(line: &str, connection: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line;
    for wanted in connection {
        let (raw, tail) = field(rest)?;
        if raw != "*" && unquoted(raw) != wanted {
            return None;
        }
        rest = tail;
    }
    Some(unquoted(rest))
}

/// What stands before the first colon that is not quoted, and what after it.
fn field(text: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    for (at, one) in text.char_indices() {
        match one {
            _ if is_quoted => is_quoted = false,
            '\\' => is_quoted = true,
            ':' => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

fn unquoted(text: &str) -> String {
    let mut chars = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(one) = chars.next() {
        plain.push(match one {
            '\\' => chars.next().unwrap_or('\\'),
            other => other,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::matching;

    const HERE: [&str; 4] = ["h", "5432", "d", "u"];

    #[test]
    fn lines_match_as_for_libpq() {
        for (line, password) in [
            ("h:5432:d:u:secret", Some("secret")),
            ("*:*:*:*:secret", Some("secret")),
            ("h:5432:d:u:a:b", Some("a:b")),
            (r"h:5432:d:u:a\:b\\c", Some(r"a:b\c")),
            (r"\h:*:d:u:secret", Some("secret")),
            (r"\*:*:*:*:secret", None),
            ("h:5433:d:u:secret", None),
            ("# h:5432:d:u:secret", None),
            ("h:5432:d", None),
            ("", None),
        ] {
            assert_eq!(matching(line, HERE).as_deref(), password, "{line}");
        }
    }
}
