//! What a worker finds out about itself: labels and a line about its system.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::Options;
use super::job::Executor;

/// How long the CLI may take to tell its version.
const VERSION_LIMIT: Duration = Duration::from_secs(10);
/// The longest line about the system, in characters.
const OS_MAX: usize = 200;

/// What a worker is, for its registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The operator's labels and those that were found: system, architecture, the CLI.
    pub labels: Vec<String>,
    /// The system, for people.
    pub os_info: String,
}

/// Looks around.
pub async fn find(options: &Options) -> Identity {
    let mut labels = options.labels.clone();
    let mut found = vec![
        std::env::consts::OS.to_owned(),
        std::env::consts::ARCH.to_owned(),
    ];
    match &options.executor {
        Executor::Exec(_) => found.push("exec".to_owned()),
        Executor::Claude(setup) => {
            found.push("claude".to_owned());
            let mut command = Command::new(&setup.bin);
            command
                .arg("--version")
                .env_clear()
                .envs(options.environment.iter().cloned())
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true);
            match timeout(VERSION_LIMIT, command.output()).await {
                Ok(Ok(output)) if output.status.success() => {
                    found.extend(version(&String::from_utf8_lossy(&output.stdout)));
                }
                answer => tracing::warn!(?answer, "the CLI does not tell its version"),
            }
        }
    }
    for label in found {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    Identity {
        labels,
        os_info: os_info(),
    }
}

/// `2.1.90 (Claude Code)` is the label `claude-2.1.90`.
fn version(text: &str) -> Option<String> {
    let number = text.split_whitespace().next()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    let is_number = number.starts_with(|c: char| c.is_ascii_digit());
    (is_number && number.len() <= 40 && number.chars().all(plain))
        .then(|| format!("claude-{number}"))
}

/// The distribution, the kernel, the architecture.
fn os_info() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map(|name| name.trim_matches('"').to_owned());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = name.unwrap_or_else(|| std::env::consts::OS.to_owned());
    let line = format!("{name} {} {}", kernel.trim(), std::env::consts::ARCH);
    line.chars()
        .filter(|c| !c.is_control())
        .take(OS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_becomes_a_label_and_nonsense_does_not() {
        assert_eq!(
            version("2.1.90 (Claude Code)\n").as_deref(),
            Some("claude-2.1.90")
        );
        for nonsense in ["", "error: x", "2.1;rm", "\n"] {
            assert_eq!(version(nonsense), None, "{nonsense}");
        }
    }

    #[tokio::test]
    async fn a_worker_knows_where_it_runs_and_keeps_its_own_labels() {
        let mut options = Options::new("http://127.0.0.1:1", "w", "true");
        options.labels = vec!["gpu".to_owned(), "exec".to_owned()];
        let identity = find(&options).await;
        assert_eq!(&identity.labels[..2], ["gpu", "exec"]);
        assert!(identity.labels.contains(&std::env::consts::ARCH.to_owned()));
        assert_eq!(identity.labels.len(), 4, "{identity:?}");
        assert!(!identity.os_info.is_empty());
    }
}
