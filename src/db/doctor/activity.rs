//! What goes on in the server: who holds the horizon, and how much room is left.

use std::time::Duration;

use tokio_postgres::Client;

use super::{Finding, Looked};

/// A replication slot that holds back more transactions than this is a danger.
const OLD_SLOT_TRANSACTIONS: i64 = 1_000_000;
/// Holders that are named one by one.
const MAX_NAMED: i64 = 10;
/// The share of the notification queue from which NOTIFY is in danger.
const NOTIFY_QUEUE_WARN: f64 = 0.1;
/// The share from which it is about to fail, and every commit with a NOTIFY with it.
const NOTIFY_QUEUE_FAIL: f64 = 0.5;
/// Connections that should be free.
const FREE_CONNECTIONS: i64 = 10;

/// Whatever keeps vacuum from removing dead rows: the claim path walks over them.
pub(super) async fn horizon(client: &Client, old: Duration) -> Looked {
    let mut findings = transactions(client, old).await?;
    findings.extend(prepared(client, old).await?);
    findings.extend(slots(client).await?);
    if !findings.is_empty() {
        return Ok(findings);
    }
    let sees_all = client
        .query_one(
            "select pg_has_role('pg_read_all_stats', 'usage'), current_user::text",
            &[],
        )
        .await?;
    if sees_all.get(0) {
        return Ok(vec![Finding::ok(
            "horizon",
            "nothing old holds back vacuum",
        )]);
    }
    let user: String = sees_all.get(1);
    let text = "nothing old of this role holds back vacuum; it may not see those of others";
    let advice = format!("grant pg_read_all_stats to \"{user}\", or run this as a superuser");
    Ok(vec![Finding {
        advice: Some(advice),
        ..Finding::ok("horizon", text)
    }])
}

async fn transactions(client: &Client, old: Duration) -> Looked {
    // Backends of other databases do not hold this one's tables back, except walsenders.
    let rows = client
        .query(
            "select pid, coalesce(usename::text, backend_type), coalesce(application_name, ''), \
                 coalesce(state, 'active'), extract(epoch from clock_timestamp() - xact_start)::float8 \
             from pg_catalog.pg_stat_activity \
             where (backend_xmin is not null or backend_xid is not null) \
                 and pid <> pg_backend_pid() \
                 and (datname = current_database() or datname is null) \
                 and extract(epoch from clock_timestamp() - xact_start) > $1::float8 \
                 and backend_type <> 'autovacuum worker' \
             order by xact_start limit $2",
            &[&old.as_secs_f64(), &MAX_NAMED],
        )
        .await?;
    let findings = rows.iter().map(|row| {
        let (pid, user, application): (i32, String, String) = (row.get(0), row.get(1), row.get(2));
        let (state, age): (String, f64) = (row.get(3), row.get(4));
        let text = format!(
            "process {pid} of {user} ({application:?}, {state}) has a transaction open for {age:.0} s"
        );
        let advice = format!(
            "dead rows pile up until it ends: end it there, or `select pg_terminate_backend({pid})`; \
             set idle_in_transaction_session_timeout for that role"
        );
        Finding::warn("horizon", text, advice)
    });
    Ok(findings.collect())
}

async fn prepared(client: &Client, old: Duration) -> Looked {
    let rows = client
        .query(
            "select gid, owner::text, extract(epoch from clock_timestamp() - prepared)::float8 \
             from pg_catalog.pg_prepared_xacts \
             where database = current_database() \
                 and extract(epoch from clock_timestamp() - prepared) > $1::float8 \
             order by prepared limit $2",
            &[&old.as_secs_f64(), &MAX_NAMED],
        )
        .await?;
    let findings = rows.iter().map(|row| {
        let (gid, owner, age): (String, String, f64) = (row.get(0), row.get(1), row.get(2));
        let text = format!("prepared transaction {gid:?} of {owner} is {age:.0} s old");
        let gid = gid.replace('\'', "''");
        let advice = format!("finish it: `commit prepared '{gid}'` or `rollback prepared '{gid}'`");
        Finding::warn("horizon", text, advice)
    });
    Ok(findings.collect())
}

async fn slots(client: &Client) -> Looked {
    let rows = client
        .query(
            "select slot_name::text, active, greatest(age(xmin), age(catalog_xmin))::int8 \
             from pg_catalog.pg_replication_slots \
             where greatest(age(xmin), age(catalog_xmin)) > $1::int8 \
             order by 3 desc limit $2",
            &[&OLD_SLOT_TRANSACTIONS, &MAX_NAMED],
        )
        .await?;
    let findings = rows.iter().map(|row| {
        let (slot, active, age): (String, bool, i64) = (row.get(0), row.get(1), row.get(2));
        let used = if active { "in use" } else { "unused" };
        let text = format!("replication slot {slot:?} ({used}) holds back {age} transactions");
        let advice = format!(
            "bring its consumer back, or `select pg_drop_replication_slot('{slot}')`; it also \
             keeps WAL until the disk is full"
        );
        Finding::warn("horizon", text, advice)
    });
    Ok(findings.collect())
}

pub(super) async fn notify_queue(client: &Client) -> Looked {
    const NAME: &str = "notify_queue";
    let row = client
        .query_one("select pg_notification_queue_usage()", &[])
        .await?;
    let usage: f64 = row.get(0);
    let text = format!("the notification queue is {:.1} % full", usage * 100.0);
    let advice = "a session that listens sits in an old transaction: find and end it (see the \
                  server's log for its process id); when the queue is full, commits that notify fail";
    Ok(vec![if usage >= NOTIFY_QUEUE_FAIL {
        Finding::fail(NAME, text, advice)
    } else if usage >= NOTIFY_QUEUE_WARN {
        Finding::warn(NAME, text, advice)
    } else {
        Finding::ok(NAME, text)
    }])
}

pub(super) async fn connections(client: &Client) -> Looked {
    const NAME: &str = "connections";
    let row = client
        .query_one(
            "select current_setting('max_connections')::int8 \
                 - current_setting('superuser_reserved_connections')::int8, \
                 (select count(*) from pg_catalog.pg_stat_activity \
                  where backend_type = 'client backend')",
            &[],
        )
        .await?;
    let (most, used): (i64, i64) = (row.get(0), row.get(1));
    let text = format!("{used} of {most} connections are in use");
    if most - used >= FREE_CONNECTIONS {
        return Ok(vec![Finding::ok(NAME, text)]);
    }
    let advice = "raise max_connections, or make the pools smaller; without a free connection the \
                  service answers 503 after a reconnect";
    Ok(vec![Finding::warn(NAME, text, advice)])
}
