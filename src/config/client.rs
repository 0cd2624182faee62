//! Where the service is and which key to show it: shared by `bloom worker`, `task` and `demo`.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

/// The address that a service listens on when nobody says otherwise.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:5000";

/// The environment variables that may hold the key, the first one wins.
pub const KEY_VARIABLES: [&str; 2] = ["BLOOM_API_KEY", "RUNTIME_API_KEY"];

/// The longest key file that is read, in bytes.
const MAX_KEY_FILE: u64 = 4096;

/// Which service to talk to. The key is never an argument: arguments are visible to everybody on
/// the machine.
#[derive(Debug, Clone, Default, Args)]
pub struct ClientArgs {
    /// Address of the service, e.g. `https://queue.example.com`.
    #[arg(long, env = "BLOOM_SERVER", default_value = DEFAULT_SERVER, value_name = "URL", global = true)]
    pub server: String,
    /// File that holds the API key (otherwise `BLOOM_API_KEY` or `RUNTIME_API_KEY`).
    #[arg(long, value_name = "FILE", global = true)]
    pub api_key_file: Option<PathBuf>,
}

impl ClientArgs {
    /// The key to show, if any: the file's first line, or the first variable that is set.
    ///
    /// # Errors
    /// When the key file cannot be read or is not text.
    pub fn key(&self) -> std::io::Result<Option<SecretString>> {
        if let Some(path) = &self.api_key_file {
            let mut text = String::new();
            std::fs::File::open(path)?
                .take(MAX_KEY_FILE)
                .read_to_string(&mut text)?;
            let line = text.lines().next().unwrap_or_default().trim();
            return Ok(Some(SecretString::from(line)));
        }
        Ok(KEY_VARIABLES
            .iter()
            .find_map(|name| variable(name))
            .map(SecretString::from))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is config: the place that reads it"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
