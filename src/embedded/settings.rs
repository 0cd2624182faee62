//! How the private Postgres is configured.
//!
//! Everything goes onto the command line, where it beats `postgresql.conf` and `ALTER SYSTEM`: no
//! edit of a file weakens the service's promise unnoticed.

use std::net::Ipv4Addr;

use super::error::Error;
use super::layout::Layout;

/// What the promise rests on; nobody may set these otherwise.
const DURABILITY: [(&str, &str); 4] = [
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("synchronous_commit", "on"),
    ("zero_damaged_pages", "off"),
];

/// Names that belong to the service for another reason: it would not find its server again.
const PLACES: [&str; 10] = [
    "data_directory",
    "config_file",
    "hba_file",
    "listen_addresses",
    "port",
    "unix_socket_directories",
    "unix_socket_permissions",
    "log_directory",
    "log_filename",
    "logging_collector",
];

/// Size of one log file; see [`super::logs`] for how many are kept.
const LOG_FILE: &str = "16MB";

/// Everything else, for a modest machine. `Options::extra_settings` come after these.
const TUNING: [(&str, &str); 24] = [
    ("cluster_name", "bloom"),
    ("max_connections", "100"),
    ("shared_buffers", "256MB"),
    // Fewer, larger checkpoints: less full-page writing for a queue that rewrites few pages.
    ("min_wal_size", "256MB"),
    ("max_wal_size", "2GB"),
    ("wal_compression", "on"),
    // Small hot tables with many dead rows: clean early and often.
    ("autovacuum", "on"),
    ("autovacuum_naptime", "15s"),
    // Calls of a millisecond gain nothing from compiled expressions.
    ("jit", "off"),
    ("password_encryption", "scram-sha-256"),
    ("timezone", "UTC"),
    ("restart_after_crash", "on"),
    ("log_timezone", "UTC"),
    ("log_rotation_age", "1d"),
    ("log_rotation_size", LOG_FILE),
    ("log_line_prefix", "%m [%p] %q%u@%d %a "),
    ("log_checkpoints", "off"),
    ("log_lock_waits", "on"),
    ("log_min_messages", "warning"),
    // Prompts and results do not belong in a log: neither statements nor the rows in DETAIL.
    ("log_statement", "none"),
    ("log_min_error_statement", "panic"),
    ("log_min_duration_statement", "-1"),
    ("log_parameter_max_length_on_error", "0"),
    ("log_error_verbosity", "terse"),
];

/// Refuses settings that are not the caller's to choose.
pub(super) fn check(extra: &[(String, String)]) -> Result<(), Error> {
    let fixed = DURABILITY.iter().map(|(name, _)| *name).chain(PLACES);
    for name in fixed {
        if let Some((given, _)) = extra
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
        {
            return Err(Error::FixedSetting(given.clone()));
        }
    }
    Ok(())
}

/// The `name=value` settings for the command line, the strongest last.
pub(super) fn all(
    layout: &Layout,
    tcp_port: Option<u16>,
    extra: &[(String, String)],
) -> Vec<String> {
    let addresses = tcp_port
        .map(|_| Ipv4Addr::LOCALHOST.to_string())
        .unwrap_or_default();
    let places = [
        (
            "unix_socket_directories",
            layout.sockets().display().to_string(),
        ),
        ("unix_socket_permissions", "0700".to_owned()),
        ("listen_addresses", addresses),
        ("port", tcp_port.unwrap_or(super::SOCKET_PORT).to_string()),
        ("logging_collector", "on".to_owned()),
        ("log_directory", layout.logs().display().to_string()),
        ("log_filename", "postgres-%Y%m%dT%H%M%S.log".to_owned()),
    ];
    let tuning = TUNING.iter().map(|(name, value)| format!("{name}={value}"));
    let extra = extra.iter().map(|(name, value)| format!("{name}={value}"));
    let places = places
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"));
    let durability = DURABILITY
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    tuning
        .chain(extra)
        .chain(places)
        .chain(durability)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durability_cannot_be_turned_off() {
        let off = |name: &str| check(&[(name.to_owned(), "off".to_owned())]);
        assert!(off("fsync").is_err());
        assert!(off("Synchronous_Commit").is_err());
        assert!(off("full_page_writes").is_err());
        assert!(off("jit").is_ok());
    }
}
