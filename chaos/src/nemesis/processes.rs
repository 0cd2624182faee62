//! Processes that die, sleep, and are asked to stop.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use crate::rig::Rig;
use crate::rig::machine::{send, tree};
use crate::rig::postgres::Stop;
use crate::rig::proc::Proc;

/// How long an orderly stop may take before it is none.
const STOP_LIMIT: Duration = Duration::from_secs(15);

fn some<'a>(procs: &'a [Proc], rng: &mut fastrand::Rng) -> anyhow::Result<&'a Proc> {
    anyhow::ensure!(!procs.is_empty(), "there is none");
    Ok(&procs[rng.usize(..procs.len())])
}

/// F01.
pub async fn worker_dies(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let worker = some(&rig.workers, &mut rng)?;
    let mut grip = worker.hold().await;
    grip.kill(false).await;
    sleep(hold).await;
    grip.start()?;
    Ok(format!("kill -9 of {}", worker.name()))
}

/// F02. Waits a moment for a program to be there.
pub async fn program_dies(rig: &Rig, mut rng: fastrand::Rng) -> anyhow::Result<String> {
    for _ in 0..60 {
        let worker = some(&rig.workers, &mut rng)?;
        let programs = tree(worker.pid());
        // The worker itself comes first.
        if programs.len() > 1 && worker.pid() > 0 {
            let victim = programs[rng.usize(1..programs.len())];
            send(victim, Signal::KILL);
            return Ok(format!("kill -9 of a program of {}", worker.name()));
        }
        sleep(Duration::from_millis(30)).await;
    }
    anyhow::bail!("no program ran")
}

/// F03.
pub async fn worker_sleeps(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let worker = some(&rig.workers, &mut rng)?;
    // Held, so that nobody starts another in its place.
    let grip = worker.hold().await;
    let sleepers = tree(worker.pid());
    for pid in &sleepers {
        send(*pid, Signal::STOP);
    }
    sleep(Duration::from_secs(rig.options.worker_ttl + 3) + hold).await;
    for pid in &sleepers {
        send(*pid, Signal::CONT);
    }
    drop(grip);
    Ok(format!(
        "{} stood still with {} programs",
        worker.name(),
        sleepers.len() - 1
    ))
}

/// F05.
pub async fn service_dies(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let which: &[usize] = [&[0][..], &[1], &[0, 1]][rng.usize(..3)];
    let mut grip = Vec::new();
    for index in which {
        let mut service = rig.services[*index].hold().await;
        service.kill(false).await;
        grip.push(service);
    }
    sleep(hold).await;
    for service in &mut grip {
        service.start()?;
    }
    Ok(format!("kill -9 of {} service(s)", which.len()))
}

/// F08.
pub async fn backend_dies(rig: &Rig, mut rng: fastrand::Rng) -> anyhow::Result<String> {
    let _surgery = rig.cluster.surgery.lock().await;
    let admin = rig.cluster.admin().await?;
    let sql = "select pid from pg_stat_activity where datname = current_database() \
               and backend_type = 'client backend' and pid <> pg_backend_pid()";
    let backends = admin.query(sql, &[]).await?;
    anyhow::ensure!(!backends.is_empty(), "no backend");
    if rng.u32(..4) == 0 {
        let pid: i32 = backends[rng.usize(..backends.len())].get(0);
        // The server ends all of them then, and recovers.
        send(pid, Signal::KILL);
        rig.cluster.primary().ready().await?;
        return Ok("kill -9 of a backend".to_owned());
    }
    let count = rng.usize(1..=backends.len());
    for row in &backends[..count] {
        let pid: i32 = row.get(0);
        admin
            .execute("select pg_terminate_backend($1)", &[&pid])
            .await?;
    }
    Ok(format!("{count} of {} backends terminated", backends.len()))
}

/// F09.
pub async fn database_dies(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let _surgery = rig.cluster.surgery.lock().await;
    let how = [Stop::Kill, Stop::Immediate, Stop::Fast][rng.usize(..3)];
    let server = rig.cluster.primary();
    server.stop(how).await;
    sleep(hold).await;
    server.start().await?;
    Ok(format!("PostgreSQL stopped: {how:?}"))
}

/// F10.
pub async fn database_dies_in_recovery(
    rig: &Rig,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let _surgery = rig.cluster.surgery.lock().await;
    let server = rig.cluster.primary();
    let times = rng.u32(2..4);
    for _ in 0..times {
        server.stop(Stop::Kill).await;
        server.proc.start().await?;
        sleep(Duration::from_millis(rng.u64(10..700))).await;
    }
    // A service that starts meanwhile finds the same.
    let mut service = rig.services[rng.usize(..2)].hold().await;
    service.kill(false).await;
    service.start()?;
    server.ready().await?;
    Ok(format!(
        "PostgreSQL killed {times} times while it started, a service with it"
    ))
}

/// F33: one process, or both services one after the other.
pub async fn orderly_stop(rig: &Rig, mut rng: fastrand::Rng) -> anyhow::Result<String> {
    match rng.u32(..4) {
        0 => {
            let worker = some(&rig.workers, &mut rng)?;
            let mut grip = worker.hold().await;
            let obeyed = grip.stop(Signal::TERM, STOP_LIMIT).await;
            grip.start()?;
            anyhow::ensure!(obeyed, "{} did not stop", worker.name());
            Ok(format!("SIGTERM to {}", worker.name()))
        }
        1 => {
            let service = some(&rig.services, &mut rng)?;
            let mut grip = service.hold().await;
            service.signal(Signal::TERM);
            sleep(Duration::from_millis(rng.u64(1..300))).await;
            let obeyed = grip.stop(Signal::TERM, STOP_LIMIT).await;
            grip.start()?;
            anyhow::ensure!(obeyed, "{} did not stop", service.name());
            Ok(format!("SIGTERM twice to {}", service.name()))
        }
        _ => {
            for (index, service) in rig.services.iter().enumerate() {
                let mut grip = service.hold().await;
                let obeyed = grip.stop(Signal::TERM, STOP_LIMIT).await;
                grip.start()?;
                drop(grip);
                anyhow::ensure!(obeyed, "{} did not stop", service.name());
                crate::rig::ready(rig.service_ports[index], &rig.keys.root).await?;
            }
            Ok("rolling restart of both services".to_owned())
        }
    }
}

/// F35.
pub async fn front_fails(
    rig: &Rig,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    if rng.bool() {
        rig.nginx.signal(Signal::HUP);
        sleep(hold).await;
        return Ok("nginx reloaded".to_owned());
    }
    let mut grip = rig.nginx.hold().await;
    grip.kill(true).await;
    sleep(hold / 2).await;
    grip.start()?;
    Ok("kill -9 of nginx".to_owned())
}
