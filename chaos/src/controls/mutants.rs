//! What is broken in the database of a control.

use anyhow::ensure;
use tokio_postgres::Client;

use super::Control;

/// Replaces a piece of a function. It must be there, or the control would control nothing.
async fn alter(admin: &Client, function: &str, from: &str, to: &str) -> anyhow::Result<()> {
    let sql = "select pg_get_functiondef(oid) from pg_proc \
               where pronamespace::regnamespace || '.' || proname = $1";
    let text: String = admin.query_one(sql, &[&function]).await?.get(0);
    ensure!(
        text.contains(from),
        "{function} does not say {from:?} any more"
    );
    admin.batch_execute(&text.replace(from, to)).await?;
    Ok(())
}

/// Breaks it.
pub async fn apply(control: Control, admin: &Client) -> anyhow::Result<()> {
    match control {
        Control::C0 | Control::C2 | Control::C8 | Control::C10 => {}
        Control::C1 => {
            for setting in [
                "synchronous_commit = off",
                "wal_writer_delay = '10s'",
                "wal_writer_flush_after = '1GB'",
                "wal_buffers = '64MB'",
            ] {
                admin
                    .batch_execute(&format!("alter system set {setting}"))
                    .await?;
            }
            admin.batch_execute("select pg_reload_conf()").await?;
        }
        Control::C3 => {
            let named = "l.lease_id = p_lease_id";
            alter(admin, "bloom.lease_complete", named, "true").await?;
            alter(admin, "bloom.lease_heartbeat", named, "true").await?;
            let named = "l.lease_id = i.lease_id";
            alter(admin, "bloom.lease_complete_many", named, "true").await?;
        }
        Control::C4 => {
            let reap = "bloom.lease_expire";
            alter(admin, reap, " and lease_expiry(c) < v_now", "").await?;
            alter(admin, reap, "and lease_expiry(l) < v_now", "").await?;
            let found = "v_sessions := array(";
            alter(
                admin,
                reap,
                found,
                &format!("perform pg_sleep(0.7); {found}"),
            )
            .await?;
        }
        Control::C5 => {
            uncounted(admin).await?;
            let rooms = "bloom_private.claim_rooms";
            alter(admin, rooms, "for no key update", "").await?;
            let counted = "(select count(*)::integer from bloom_private.lease l \
                           where l.worker_id = s.worker_id)";
            alter(
                admin,
                rooms,
                "s.max_concurrency - s.active",
                &format!("s.max_concurrency - {counted}"),
            )
            .await?;
            let take = "bloom_private.lease_take";
            alter(
                admin,
                take,
                "where s.worker_id = c.worker_id",
                "where false",
            )
            .await?;
        }
        Control::C6 => {
            uncounted(admin).await?;
            let limit = "limit v_limit for update skip locked";
            let loose = "limit v_limit + 5 for update skip locked";
            alter(admin, "bloom_private.claim_lane", limit, loose).await?;
        }
        Control::C7 => {
            let sql = "alter table bloom_private.deferred disable trigger event_of_entry";
            admin.batch_execute(sql).await?;
        }
        Control::C9 => {
            let any = "where not q.paused";
            alter(
                admin,
                "bloom.lane_ready",
                any,
                "where false and not q.paused",
            )
            .await?;
        }
    }
    Ok(())
}

/// Takes the CHECK away that keeps a worker within its capacity.
async fn uncounted(admin: &Client) -> anyhow::Result<()> {
    let sql = "alter table bloom_private.worker_slot \
               drop constraint worker_never_over_capacity";
    Ok(admin.batch_execute(sql).await?)
}
