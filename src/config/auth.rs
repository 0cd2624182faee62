//! Who may call.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

use super::{Error, secret};

/// The key with all rights. Keys with fewer rights live in the database.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Access")]
pub struct AuthArgs {
    /// A file whose only line is the key with all rights; else the variable `RUNTIME_API_KEY` is
    /// the key. There is no flag for the key itself, as command lines can be read by others.
    #[arg(long, value_name = "FILE", env = "RUNTIME_API_KEY_FILE")]
    pub api_key_file: Option<PathBuf>,
}

impl AuthArgs {
    /// The key, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read, or the key cannot be a header's value.
    pub fn api_key(&self) -> Result<Option<SecretString>, Error> {
        secret::key(self.api_key_file.as_deref(), "RUNTIME_API_KEY")
    }
}
