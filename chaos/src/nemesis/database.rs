//! A database that takes no writes, has no connections left, or is held up by its other clients.

use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Client;

use crate::rig::cluster::{DATABASE, through};
use crate::rig::link::{Cut, Scope};
use crate::rig::postgres::{Stop, connect};
use crate::rig::{Rig, SQL_USER};

/// The most connections that somebody else takes.
const GREEDY: usize = 200;
/// How long a statement of ours may wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// F12: the primary dies, and a standby that has all commits takes over.
pub async fn failover(rig: &Rig, hold: Duration) -> anyhow::Result<String> {
    let _surgery = rig.cluster.surgery.lock().await;
    rig.cluster.primary().stop(Stop::Kill).await;
    sleep(hold / 2).await;
    if let Err(error) = promote(rig).await {
        // Another fault may have filled the standby's disk. Somebody would start the old one again.
        rig.cluster.primary().start().await?;
        return Err(error);
    }
    rig.cluster.add_standby().await?;
    Ok("the primary killed, the synchronous standby promoted".to_owned())
}

/// The standby takes over from a primary that is gone, and everybody goes to it.
///
/// # Errors
/// When it does not.
pub async fn promote(rig: &Rig) -> anyhow::Result<()> {
    let old = rig.cluster.fail_over().await?;
    let new = rig.cluster.primary();
    for link in rig.links.to_postgres() {
        link.aim(new.port);
        link.cut(Scope::All, Cut::Reset);
    }
    // The write-ahead log may be elsewhere.
    let wal = std::fs::canonicalize(old.data.join("pg_wal"))?;
    std::fs::remove_dir_all(&old.data)?;
    if wal.exists() {
        std::fs::remove_dir_all(wal)?;
    }
    Ok(())
}

/// F13: the services find themselves connected to a server that takes no writes.
pub async fn read_only(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let _surgery = rig.cluster.surgery.lock().await;
    if let Some(standby) = rig.cluster.follower().filter(|_| rng.bool()) {
        // As after a failover that a load balancer has not understood.
        for link in rig.links.to_postgres() {
            link.aim(standby.port);
            link.cut(Scope::All, Cut::Close);
        }
        sleep(hold).await;
        for link in rig.links.to_postgres() {
            link.aim(rig.cluster.primary().port);
            link.cut(Scope::All, Cut::Close);
        }
        return Ok("services connected to the standby".to_owned());
    }
    let admin = rig.cluster.admin().await?;
    crate::rig::cluster::set(&admin, "default_transaction_read_only", "on").await?;
    sleep(hold).await;
    // A session that is read-only by default can still say otherwise.
    admin
        .batch_execute("set default_transaction_read_only = off")
        .await?;
    admin
        .batch_execute("alter system reset default_transaction_read_only")
        .await?;
    admin.batch_execute("select pg_reload_conf()").await?;
    Ok("default_transaction_read_only was on".to_owned())
}

/// F14: commits wait for a standby that is not there.
pub async fn standby_gone(rig: &Rig, hold: Duration) -> anyhow::Result<String> {
    let _surgery = rig.cluster.surgery.lock().await;
    let admin = rig.cluster.admin().await?;
    let sql = "select setting from pg_settings where name = 'synchronous_standby_names'";
    let before: String = admin.query_one(sql, &[]).await?.get(0);
    crate::rig::cluster::set(&admin, "synchronous_standby_names", "nosuch").await?;
    sleep(hold).await;
    crate::rig::cluster::set(&admin, "synchronous_standby_names", &before).await?;
    Ok("commits waited for a standby that is not there".to_owned())
}

/// F16: somebody listens and never ends his transaction, so that notifications pile up.
pub async fn notifications_pile_up(rig: &Rig, hold: Duration) -> anyhow::Result<String> {
    let admin = rig.cluster.admin().await?;
    admin.batch_execute("listen bloom_ready").await?;
    admin.batch_execute("begin; select 1").await?;
    sleep(hold * 2).await;
    let usage = admin
        .query_one("select pg_notification_queue_usage()", &[])
        .await?;
    let usage: f64 = usage.get(0);
    admin.batch_execute("rollback").await?;
    Ok(format!(
        "a listener sat in a transaction; the queue was {usage:.5} full"
    ))
}

/// F17 and F18: all connections are taken, and the services lose theirs, or are started anew.
pub async fn connections_taken(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let url = rig
        .cluster
        .primary()
        .url(DATABASE)
        .replace("postgres@", &format!("{SQL_USER}@"));
    let mut taken: Vec<Client> = Vec::new();
    for link in &rig.links.pg {
        link.cut(Scope::All, Cut::Reset);
    }
    // As many as an ordinary login may have.
    while taken.len() < GREEDY {
        match connect(&url).await {
            Ok(client) => taken.push(client),
            Err(_) => break,
        }
    }
    let count = taken.len();
    let restarted = rng.bool();
    if restarted {
        let mut service = rig.services[rng.usize(..2)].hold().await;
        service.kill(false).await;
        service.start()?;
    }
    sleep(hold).await;
    drop(taken);
    let start = if restarted {
        ", a service started meanwhile"
    } else {
        ""
    };
    Ok(format!("{count} connections taken{start}"))
}

/// F31: somebody keeps a snapshot.
pub async fn old_snapshot(rig: &Rig, hold: Duration) -> anyhow::Result<String> {
    let admin = rig.cluster.admin().await?;
    let begin = "begin isolation level repeatable read; select count(*) from bloom_private.ready";
    admin.batch_execute(begin).await?;
    sleep(hold * 4).await;
    admin.batch_execute("rollback").await?;
    Ok(format!("a snapshot kept for {} ms", (hold * 4).as_millis()))
}

/// F32: somebody locks what everybody needs.
pub async fn locks(rig: &Rig, hold: Duration, mut rng: fastrand::Rng) -> anyhow::Result<String> {
    let admin = rig.cluster.admin().await?;
    let (what, sql) = match rng.u32(..5) {
        0 => (
            "leases locked",
            "select from bloom_private.lease order by random() limit 20 for update",
        ),
        1 => (
            "ready tasks locked",
            "select from bloom_private.ready limit 200 for update",
        ),
        2 => (
            "the counters locked",
            "select from bloom_private.worker_slot for update",
        ),
        3 => (
            "the table ready locked",
            "lock table bloom_private.ready in exclusive mode",
        ),
        _ => return opposite_order(rig).await,
    };
    admin
        .batch_execute("begin; set local lock_timeout = '5s'")
        .await?;
    timeout(PATIENCE, admin.batch_execute(sql)).await??;
    sleep(hold).await;
    admin.batch_execute("rollback").await?;
    Ok(format!("{what} by somebody else"))
}

/// Two sessions that lock counters in opposite orders until one of them is sacrificed.
async fn opposite_order(rig: &Rig) -> anyhow::Result<String> {
    let (one, other) = (rig.cluster.admin().await?, rig.cluster.admin().await?);
    let lock = |order: &str| {
        format!(
            "do $$ declare w text; begin for w in select worker_id from bloom_private.worker_slot \
             order by worker_id {order} loop perform from bloom_private.worker_slot \
             where worker_id = w for update; perform pg_sleep(0.05); end loop; end $$"
        )
    };
    let (up, down) = (lock("asc"), lock("desc"));
    let both = async { tokio::join!(one.batch_execute(&up), other.batch_execute(&down)) };
    let (first, second) = timeout(PATIENCE, both).await?;
    let sacrificed = usize::from(first.is_err()) + usize::from(second.is_err());
    Ok(format!(
        "counters locked in opposite orders, {sacrificed} sacrificed"
    ))
}

/// F34: the schema is installed again under load, twice at once, one of them killed half-way.
pub async fn migrations(rig: &Rig, mut rng: fastrand::Rng) -> anyhow::Result<String> {
    let migrate = || {
        let mut command = Command::new(&rig.options.bloom);
        command
            .args(["migrate", "--force"])
            .env("DATABASE_URL", through(&rig.links.sql, "postgres"));
        command
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command.kill_on_drop(true).spawn()
    };
    let begin = Instant::now();
    let (mut first, mut second) = (migrate()?, migrate()?);
    sleep(Duration::from_millis(rng.u64(20..600))).await;
    let _may_be_over = first.kill().await;
    let ended = timeout(Duration::from_secs(60), second.wait()).await??;
    let ms = begin.elapsed().as_millis();
    Ok(format!(
        "two installations at once, one killed; the other: {ended}, {ms} ms"
    ))
}
