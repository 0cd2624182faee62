//! Reads secrets from a file or the environment.

use std::ffi::OsString;
use std::path::Path;

use secrecy::SecretString;

use super::Error;

/// The key in `file` if one is named, else in the environment variable `variable`. An unset or
/// empty variable is no key; an empty file is an error, because somebody meant to have one.
pub(super) fn key(file: Option<&Path>, variable: &str) -> Result<Option<SecretString>, Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is config, and a flag would show in ps"
    )]
    let value = std::env::var_os(variable);
    resolve(file, variable, value)
}

pub(super) fn resolve(
    file: Option<&Path>,
    variable: &str,
    value: Option<OsString>,
) -> Result<Option<SecretString>, Error> {
    let (source, text) = match (file, value) {
        (Some(path), _) => {
            let text = std::fs::read_to_string(path).map_err(|source| Error::KeyFile {
                path: path.to_owned(),
                source,
            })?;
            (path.display().to_string(), text)
        }
        (None, Some(value)) if !value.is_empty() => {
            let bad = |_| Error::BadKey(variable.to_owned());
            (variable.to_owned(), value.into_string().map_err(bad)?)
        }
        (None, _) => return Ok(None),
    };
    let key = text.trim_end_matches(['\r', '\n']);
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::BadKey(source));
    }
    Ok(Some(SecretString::from(key)))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn an_empty_variable_is_no_key_and_a_bad_one_an_error_that_does_not_show_it() {
        let resolve = |value: &str| resolve(None, "RUNTIME_API_KEY", Some(value.into()));
        assert!(resolve("").unwrap().is_none());
        assert_eq!(resolve("k3y\n").unwrap().unwrap().expose_secret(), "k3y");
        let text = resolve("two words").unwrap_err().to_string();
        assert!(
            text.contains("RUNTIME_API_KEY") && !text.contains("two words"),
            "{text}"
        );
    }

    #[test]
    fn a_named_file_beats_the_variable_and_must_hold_a_key() {
        let path = std::env::temp_dir().join(format!("key-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, "from-file\n").unwrap();
        let found = resolve(Some(&path), "X", Some("from-env".into()))
            .unwrap()
            .unwrap();
        assert_eq!(found.expose_secret(), "from-file");
        std::fs::write(&path, "\n").unwrap();
        assert!(resolve(Some(&path), "X", None).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(
            resolve(Some(&path), "X", None),
            Err(Error::KeyFile { .. })
        ));
    }
}
