//! Settings of the server that the promises rest on, and its clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_postgres::Client;

use super::{Finding, Looked};

/// A difference between the clocks that deserves a word. No decision of ours depends on ours.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// A setting, the values that are fine, and what another one means.
struct Rule {
    setting: &'static str,
    good: &'static [&'static str],
    /// Whether another value breaks a promise, or only weakens it.
    fatal: bool,
    meaning: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        setting: "fsync",
        good: &["on"],
        fatal: true,
        meaning: "a crash of the machine loses or corrupts acknowledged work; set fsync = on",
    },
    Rule {
        setting: "full_page_writes",
        good: &["on"],
        fatal: true,
        meaning: "a crash of the machine can tear pages; set full_page_writes = on, unless the \
                  file system prevents torn pages",
    },
    Rule {
        setting: "synchronous_commit",
        good: &["on", "remote_apply"],
        fatal: true,
        meaning: "the last acknowledged work is lost in a crash or failover; set \
                  synchronous_commit = on for this role and database",
    },
    Rule {
        setting: "autovacuum",
        good: &["on"],
        fatal: false,
        meaning: "the queue's tables change all the time and will bloat; set autovacuum = on",
    },
    Rule {
        setting: "track_counts",
        good: &["on"],
        fatal: false,
        meaning: "autovacuum does not work without it; set track_counts = on",
    },
    Rule {
        setting: "transaction_read_only",
        good: &["off"],
        fatal: true,
        meaning: "this is a standby, or writing is switched off; use the primary's address",
    },
];

pub(super) async fn look(client: &Client) -> Looked {
    let row = client
        .query_one(
            "select current_setting('server_version'), current_setting('server_encoding')",
            &[],
        )
        .await?;
    let mut findings = vec![
        Finding::ok(
            "server_version",
            format!("PostgreSQL {}", row.get::<_, String>(0)),
        ),
        Finding::ok("encoding", row.get::<_, String>(1)),
    ];
    for rule in RULES {
        let row = client
            .query_one("select current_setting($1)", &[&rule.setting])
            .await?;
        let value: String = row.get(0);
        let text = format!("{} = {value}", rule.setting);
        findings.push(match (rule.good.contains(&value.as_str()), rule.fatal) {
            (true, _) => Finding::ok(rule.setting, text),
            (false, true) => Finding::fail(rule.setting, text, rule.meaning),
            (false, false) => Finding::warn(rule.setting, text, rule.meaning),
        });
    }
    Ok(findings)
}

/// Compares our clock with the server's, allowing for the time that the question takes.
pub(super) async fn clock(client: &Client) -> Looked {
    let started = Instant::now();
    let row = client
        .query_one(
            "select (extract(epoch from clock_timestamp()) * 1000)::int8",
            &[],
        )
        .await?;
    let (asked, ours) = (started.elapsed(), SystemTime::now());
    let theirs = Duration::from_millis(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default());
    let ours = ours.duration_since(UNIX_EPOCH).unwrap_or_default();
    let apart = ours.abs_diff(theirs);
    let text = format!(
        "this machine and the database are {} ms apart",
        apart.as_millis()
    );
    if apart <= CLOCK_TOLERANCE + asked {
        return Ok(vec![Finding::ok("clock", text)]);
    }
    let advice = "leases live by the database's clock alone, so nothing breaks; logs and times \
                  will not match: synchronise both machines (NTP)";
    Ok(vec![Finding::warn("clock", text, advice)])
}
