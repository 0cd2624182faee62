//! Who does the harm: a schedule from a seed, and the faults.

pub mod database;
pub mod load;
pub mod machine;
pub mod network;
pub mod processes;
pub mod schedule;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::clients::pool::Pool;
use crate::journal::{FaultRecord, wall};
use crate::rig::Rig;
use schedule::{Fault, Pick, Schedule, Step};

/// Where faults happen.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The parts.
    pub rig: Arc<Rig>,
    /// The clients.
    pub pool: Arc<Pool>,
}

/// One fault, from its beginning until everything that it did is healed: what was done, in words.
async fn act(stage: &Stage, pick: &Pick) -> anyhow::Result<String> {
    let rng = fastrand::Rng::with_seed(pick.dice);
    let hold = Duration::from_millis(pick.hold_ms);
    let rig = &*stage.rig;
    match pick.fault {
        Fault::F01 => processes::worker_dies(rig, hold, rng).await,
        Fault::F02 => processes::program_dies(rig, rng).await,
        Fault::F03 => processes::worker_sleeps(rig, hold, rng).await,
        Fault::F04 => machine::busy(hold).await,
        Fault::F05 => processes::service_dies(rig, hold, rng).await,
        Fault::F06 => network::claim_answers_lost(rig, hold, rng).await,
        Fault::F07 => network::enqueue_answers_lost(rig, hold, rng).await,
        Fault::F08 => processes::backend_dies(rig, rng).await,
        Fault::F09 => processes::database_dies(rig, hold, rng).await,
        Fault::F10 => processes::database_dies_in_recovery(rig, rng).await,
        Fault::F12 => database::failover(rig, hold).await,
        Fault::F13 => database::read_only(rig, hold, rng).await,
        Fault::F14 => database::standby_gone(rig, hold).await,
        Fault::F15 => network::listeners_lost(rig, hold, rng).await,
        Fault::F16 => database::notifications_pile_up(rig, hold).await,
        Fault::F17 => database::connections_taken(rig, hold, rng).await,
        Fault::F19 => network::clients_hang_up(rig, hold, rng).await,
        Fault::F21 => machine::full(rig.options.volumes.data.as_deref(), hold).await,
        Fault::F22 => machine::no_wal(rig, hold).await,
        Fault::F23 => machine::full(rig.options.volumes.logs.as_deref(), hold).await,
        Fault::F25 => machine::wrong_clock(rig, hold, rng).await,
        Fault::F26 => machine::clock_jumps(rig, hold, rng).await,
        Fault::F27 => load::herd(stage, hold, rng).await,
        Fault::F28 => load::storm(stage, rng).await,
        Fault::F29 => load::poison(stage, rng).await,
        Fault::F31 => database::old_snapshot(rig, hold).await,
        Fault::F32 => database::locks(rig, hold, rng).await,
        Fault::F33 => processes::orderly_stop(rig, rng).await,
        Fault::F34 => database::migrations(rig, rng).await,
        Fault::F35 => processes::front_fails(rig, hold, rng).await,
        Fault::F36 => load::control_plane(stage, hold, rng).await,
        Fault::F38 => network::one_way(rig, hold, rng).await,
        Fault::F39 => machine::no_files(rig, hold, rng).await,
        Fault::Net => network::some_link(rig, hold, rng).await,
        Fault::Swizzle => network::swizzle(rig, hold, rng).await,
    }
}

/// What came of a fault.
async fn record(stage: &Stage, number: usize, pick: &Pick) -> FaultRecord {
    let began = wall();
    let outcome = act(stage, pick).await;
    let (what, failed) = match outcome {
        Ok(what) => (what, None),
        Err(error) => ("could not be done".to_owned(), Some(format!("{error:#}"))),
    };
    FaultRecord {
        step: number,
        id: pick.fault.id(),
        what,
        began,
        ended: wall(),
        failed,
    }
}

/// Does one step. The two faults of a pair overlap, the second a little later.
async fn step(stage: &Stage, number: usize, step: &Step) -> Vec<FaultRecord> {
    match step.picks.as_slice() {
        [first, second] => {
            let later = async {
                sleep(Duration::from_millis(first.hold_ms / 3)).await;
                record(stage, number, second).await
            };
            let (first, second) = tokio::join!(record(stage, number, first), later);
            vec![first, second]
        }
        picks => {
            let mut records = Vec::new();
            for pick in picks {
                records.push(record(stage, number, pick).await);
            }
            records
        }
    }
}

/// Follows the schedule for so long; tells of every fault.
pub async fn rage(
    stage: &Stage,
    schedule: &mut Schedule,
    long: Duration,
    mut tell: impl FnMut(&FaultRecord),
) -> Vec<FaultRecord> {
    let deadline = Instant::now() + long;
    let mut records = Vec::new();
    for (number, next) in schedule.enumerate() {
        if Instant::now() + Duration::from_millis(next.gap_ms) > deadline {
            break;
        }
        sleep(Duration::from_millis(next.gap_ms)).await;
        for record in step(stage, number, &next).await {
            tell(&record);
            records.push(record);
        }
    }
    records
}
