//! What the parts of this process tell a scrape.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::Method;

use crate::artifacts::Artifacts;
use crate::batch::complete::Completions;
use crate::batch::heartbeat::{Beats, Heartbeats};
use crate::batch::lease::Leases;
use crate::batch::submit::Submits;
use crate::db::Db;
use crate::db::listen::ListenHandle;
use crate::http::Router;
use crate::maintenance::Runs;
use crate::membridge::Membridge;
use crate::metrics::{
    BATCH_SIZE, BUILD_INFO, JOB_RUNS, LISTEN_CONNECTIONS, LISTEN_UP, MEMBRIDGE_SYNCS, Metrics,
    OBJECT_STORAGE_UP, OBJECTS, OPEN_FDS, OTHER, POOL_CONNECTIONS, POOL_WAITING, RESIDENT_BYTES,
    START_TIME, Samples, WAITERS, WAKE_SECONDS,
};
use crate::wake::Waiters;

/// The parts that count.
pub(super) struct Parts {
    pub(super) db: Db,
    pub(super) listening: ListenHandle,
    pub(super) waiters: Waiters,
    pub(super) submits: Submits,
    pub(super) leases: Leases,
    pub(super) completions: Completions,
    pub(super) heartbeats: Heartbeats,
    pub(super) beats: Beats,
    pub(super) membridge: Membridge,
    pub(super) artifacts: Artifacts,
    pub(super) jobs: Vec<Arc<Runs>>,
}

/// Metrics of these routes and parts.
pub(super) fn of<S>(router: &Router<S>, parts: Parts) -> Metrics {
    let table = router.routes().iter();
    let table = table.map(|route| (known(route.method()), route.path()));
    let mut metrics = Metrics::new(parts.db.clone(), table);
    watch(&mut metrics, parts);
    metrics
}

/// A method's name that lives as long as the program.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    let known = KNOWN.into_iter().find(|name| *name == method.as_str());
    known.unwrap_or(OTHER)
}

fn watch(metrics: &mut Metrics, parts: Parts) {
    let started = SystemTime::now().duration_since(UNIX_EPOCH);
    let started = started.map_or(0.0, |since| since.as_secs_f64());
    metrics.watch(move |out| {
        pools(&parts.db, out);
        let ear = parts.listening.health();
        out.count(LISTEN_UP, &[], u64::from(ear.connected));
        out.count(LISTEN_CONNECTIONS, &[], ear.connections);
        out.count(WAITERS, &[], parts.waiters.len() as u64);
        out.histogram(WAKE_SECONDS, &[], parts.waiters.latencies().read());
        let [free, tied] = parts.submits.sizes();
        out.histogram(BATCH_SIZE, &["submit"], free.read());
        out.histogram(BATCH_SIZE, &["tied"], tied.read());
        out.histogram(BATCH_SIZE, &["lease"], parts.leases.sizes().read());
        out.histogram(BATCH_SIZE, &["complete"], parts.completions.sizes().read());
        out.histogram(BATCH_SIZE, &["heartbeat"], parts.heartbeats.sizes().read());
        out.histogram(BATCH_SIZE, &["beat"], parts.beats.sizes().read());
        let (ok, failed) = parts.membridge.rounds();
        out.count(MEMBRIDGE_SYNCS, &["ok"], ok);
        out.count(MEMBRIDGE_SYNCS, &["failed"], failed);
        let objects = parts.artifacts.state();
        let is_up = objects.is_none_or(|state| state.is_available);
        out.count(OBJECT_STORAGE_UP, &[], u64::from(is_up));
        out.count(
            OBJECTS,
            &["stored"],
            objects.map_or(0, |state| state.stored),
        );
        out.count(OBJECTS, &["kept"], objects.map_or(0, |state| state.kept));
        for runs in &parts.jobs {
            let (ok, failed) = runs.counts();
            out.count(JOB_RUNS, &[runs.job, "ok"], ok);
            out.count(JOB_RUNS, &[runs.job, "failed"], failed);
        }
        process(started, out);
    });
}

fn pools(db: &Db, out: &mut Samples) {
    let health = db.health();
    for (lane, usage) in [("general", health.general), ("reserved", health.reserved)] {
        for (state, connections) in [
            ("size", usage.size),
            ("open", usage.open),
            ("lent", usage.lent),
        ] {
            out.count(POOL_CONNECTIONS, &[lane, state], connections.into());
        }
        out.count(POOL_WAITING, &[lane], usage.waiting as u64);
    }
}

/// The process itself. Where the system does not tell, these are left out.
fn process(started: f64, out: &mut Samples) {
    out.count(BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1);
    out.number(START_TIME, &[], started);
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        out.count(OPEN_FDS, &[], files.count() as u64);
    }
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    if let Some(pages) = pages {
        let bytes = pages * rustix::param::page_size() as u64;
        out.count(RESIDENT_BYTES, &[], bytes);
    }
}
