//! What gets installed: the schema, its migrations and the functions, as one value with a hash.

use std::borrow::Cow;
use std::path::Path;

use rust_embed::Embed;
use sha2::{Digest, Sha256};

use super::InstallError;

/// The file that lists the functions in load order.
const INDEX: &str = "index.sql";

#[derive(Embed)]
#[folder = "functions/"]
struct FunctionFiles;

#[derive(Embed)]
#[folder = "migrations/"]
struct MigrationFiles;

/// One SQL file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its path from the root of the source tree, for messages.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Script {
    /// A script.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }
}

/// A migration: takes the schema from `version - 1` to `version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The schema version it leads to; 2 or more.
    pub version: i32,
    /// Its text.
    pub script: Script,
}

/// Everything that an installation consists of. A value, so that tests can install variants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    app_version: String,
    schema: Script,
    migrations: Vec<Migration>,
    functions: Vec<Script>,
}

impl Bundle {
    /// The bundle that this binary carries.
    ///
    /// # Errors
    /// [`InstallError::Bundle`] when the embedded files contradict each other; a test keeps that
    /// from being released.
    pub fn embedded() -> Result<Self, InstallError> {
        let index = text_of::<FunctionFiles>(INDEX)?;
        let paths = parse_index(&index)?;
        for file in sql_files::<FunctionFiles>() {
            if file != INDEX && !paths.iter().any(|path| *path == file) {
                return Err(InstallError::Bundle(format!(
                    "functions/{file} is not in {INDEX}"
                )));
            }
        }
        let functions = paths
            .iter()
            .map(|path| {
                Ok(Script::new(
                    format!("functions/{path}"),
                    text_of::<FunctionFiles>(path)?,
                ))
            })
            .collect::<Result<_, InstallError>>()?;
        let schema = Script::new("schema.sql", include_str!("../../../schema.sql"));
        let mut bundle = Self::new(env!("CARGO_PKG_VERSION"), schema, functions);
        for file in sql_files::<MigrationFiles>() {
            let text = text_of::<MigrationFiles>(&file)?;
            bundle = bundle.with_migration(&file, text)?;
        }
        Ok(bundle)
    }

    /// A bundle without migrations; `functions` are in load order.
    #[must_use]
    pub fn new(app_version: &str, schema: Script, functions: Vec<Script>) -> Self {
        Self {
            app_version: app_version.to_owned(),
            schema,
            migrations: Vec::new(),
            functions,
        }
    }

    /// The same, carried by another version of the program.
    #[must_use]
    pub fn with_app_version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.app_version);
        self
    }

    /// Adds the next migration. `file` is named `NNNN_what.sql`; numbers start at 2 (1 is the
    /// first schema) and have no gaps.
    ///
    /// # Errors
    /// [`InstallError::Bundle`] when the number is not the next one.
    pub fn with_migration(
        mut self,
        file: &str,
        text: impl Into<String>,
    ) -> Result<Self, InstallError> {
        let expected = self.version() + 1;
        let version = file
            .split_once('_')
            .and_then(|(number, _)| number.parse().ok());
        if version != Some(expected) {
            return Err(InstallError::Bundle(format!(
                "migrations/{file} should be numbered {expected:04}"
            )));
        }
        let script = Script::new(format!("migrations/{file}"), text);
        self.migrations.push(Migration {
            version: expected,
            script,
        });
        Ok(self)
    }

    /// Adds a function, or replaces the one with the same path.
    #[must_use]
    pub fn with_function(mut self, path: &str, text: impl Into<String>) -> Self {
        let script = Script::new(path, text);
        match self.functions.iter_mut().find(|known| known.path == path) {
            Some(known) => *known = script,
            None => self.functions.push(script),
        }
        self
    }

    /// The version of the program that carries it.
    #[must_use]
    pub fn app_version(&self) -> &str {
        &self.app_version
    }

    /// The schema version that it leads to: the highest migration's number, 1 without any.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.migrations
            .last()
            .map_or(1, |migration| migration.version)
    }

    /// The full schema.
    #[must_use]
    pub fn schema(&self) -> &Script {
        &self.schema
    }

    /// The migrations above `version`, in order.
    pub fn migrations_after(&self, version: i32) -> impl Iterator<Item = &Migration> {
        self.migrations
            .iter()
            .filter(move |migration| migration.version > version)
    }

    /// The functions in load order.
    #[must_use]
    pub fn functions(&self) -> &[Script] {
        &self.functions
    }

    /// SHA-256 over all paths and texts, in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let migrations = self.migrations.iter().map(|migration| &migration.script);
        for script in [&self.schema]
            .into_iter()
            .chain(migrations)
            .chain(&self.functions)
        {
            for part in [&script.path, &script.text] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part.as_bytes());
            }
        }
        format!("{:x}", hash.finalize())
    }
}

/// The paths that the index names, in order.
fn parse_index(index: &str) -> Result<Vec<&str>, InstallError> {
    let mut paths = Vec::new();
    for line in index.lines().map(str::trim) {
        if line.is_empty() || line.starts_with("--") {
            continue;
        }
        let Some(path) = line.strip_prefix("\\ir ").map(str::trim) else {
            return Err(InstallError::Bundle(format!(
                "functions/{INDEX}: what is {line:?}?"
            )));
        };
        if paths.contains(&path) {
            return Err(InstallError::Bundle(format!(
                "functions/{INDEX} names {path} twice"
            )));
        }
        paths.push(path);
    }
    Ok(paths)
}

/// The embedded files that hold SQL, sorted.
fn sql_files<Files: Embed>() -> Vec<String> {
    let is_sql = |file: &String| Path::new(file).extension().is_some_and(|ext| ext == "sql");
    let mut files: Vec<_> = Files::iter().map(Cow::into_owned).filter(is_sql).collect();
    files.sort();
    files
}

fn text_of<Files: Embed>(path: &str) -> Result<String, InstallError> {
    let file = Files::get(path)
        .ok_or_else(|| InstallError::Bundle(format!("{path} is named but missing")))?;
    String::from_utf8(file.data.into_owned())
        .map_err(|_| InstallError::Bundle(format!("{path} is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_bundle_is_consistent() {
        let bundle = Bundle::embedded().expect("consistent");
        assert_eq!(bundle.hash().len(), 64);
    }

    #[test]
    fn the_index_is_read_in_order_and_refuses_surprises() {
        let index = "-- Group: tasks\n\\ir task/a.sql\n\n\\ir task/b.sql\n";
        assert_eq!(
            parse_index(index).expect("valid"),
            ["task/a.sql", "task/b.sql"]
        );
        assert!(parse_index("drop table x;").is_err());
        assert!(parse_index("\\ir a.sql\n\\ir a.sql").is_err());
    }

    #[test]
    fn migrations_have_no_gaps() {
        let bundle = Bundle::new("1.0.0", Script::new("schema.sql", ""), Vec::new());
        assert_eq!(bundle.version(), 1);
        assert!(bundle.clone().with_migration("0003_gap.sql", "").is_err());
        let bundle = bundle
            .with_migration("0002_more.sql", "select 1")
            .expect("the next");
        assert_eq!(bundle.version(), 2);
        assert_eq!(bundle.migrations_after(1).count(), 1);
        assert_eq!(bundle.migrations_after(2).count(), 0);
    }
}
