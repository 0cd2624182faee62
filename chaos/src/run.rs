//! A run: parts, load, faults, healing, quiet, evidence.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::checker::{Evidence, Sample, Terms};
use crate::clients::api::Api;
use crate::clients::operator::{Operator, resume};
use crate::clients::pool::Pool;
use crate::clients::producer::Producer;
use crate::clients::pull::{Manner, Puller};
use crate::clients::sql::SqlProducer;
use crate::dump::Dump;
use crate::journal::{self, Clock, FaultRecord, wall};
use crate::nemesis::machine::set_clock;
use crate::nemesis::schedule::{Fault, Schedule};
use crate::nemesis::{Stage, rage};
use crate::rig::cluster::{ClusterOptions, through};
use crate::rig::machine::{open_files, resident_kib};
use crate::rig::proc::Proc;
use crate::rig::{GRACE_SECONDS, Rig, RigOptions, SQL_USER, Volumes};
use crate::tables::Violation;

/// Time to live of pullers' leases, seconds.
const TTL: i32 = 3;
/// Time to live of the leases of workers with programs, seconds.
const WORKER_TTL: u64 = 5;
/// The longest that the queue may take to run empty.
const DRAIN_LIMIT: Duration = Duration::from_secs(180);
/// After that, nothing is asked for so long.
const QUIET: Duration = Duration::from_secs(2);

/// What a run is like.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// How long the faults last.
    pub long: Duration,
    /// Where the evidence goes.
    pub out: PathBuf,
    /// The program under test.
    pub bloom: PathBuf,
    /// The database.
    pub cluster: ClusterOptions,
    /// Volumes that can be filled.
    pub volumes: Volumes,
    /// From which file the database takes its time, if not from the machine.
    pub clock: Option<PathBuf>,
    /// Which faults.
    pub faults: Vec<Fault>,
    /// About how many tasks are submitted in a second.
    pub rate: f64,
    /// Workers with programs.
    pub workers: usize,
    /// Clients that pull.
    pub pullers: usize,
    /// Whether submissions carry their key for the service, too.
    pub with_keys: bool,
    /// How long pullers work on each task at least.
    pub linger: Duration,
    /// How often pullers send heartbeats, if not in time.
    pub heartbeat: Option<Duration>,
}

/// A rig with its load.
#[derive(Debug)]
pub struct Load {
    /// The parts and the clients.
    pub stage: Stage,
    clients: JoinSet<()>,
    slots: HashMap<String, i64>,
}

fn dice(seed: u64, what: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed ^ (what + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl Load {
    /// Starts the usual clients on a rig.
    ///
    /// # Errors
    /// When a client cannot be made.
    pub fn start(rig: &Arc<Rig>, pool: &Arc<Pool>, options: &RunOptions) -> anyhow::Result<Self> {
        let stage = Stage {
            rig: Arc::clone(rig),
            pool: Arc::clone(pool),
        };
        let mut load = Self {
            stage,
            clients: JoinSet::new(),
            slots: HashMap::new(),
        };
        let (seed, links, keys) = (options.seed, &rig.links, &rig.keys);
        for number in 0..3 {
            let producer = Producer {
                api: Api::new(links.front.port(), &keys.producer)?,
                pool: Arc::clone(pool),
                journal: pool.journal("producer")?,
                rng: dice(seed, number),
                rate: options.rate / 4.0,
            };
            load.clients.spawn(producer.run());
        }
        let producer = SqlProducer {
            url: through(&links.sql, SQL_USER),
            pool: Arc::clone(pool),
            journal: pool.journal("sql")?,
            rng: dice(seed, 10),
            rate: options.rate / 4.0,
        };
        load.clients.spawn(producer.run());
        let operator = Operator {
            api: Api::new(links.front.port(), &keys.operator)?,
            pool: Arc::clone(pool),
            journal: pool.journal("operator")?,
            rng: dice(seed, 11),
        };
        load.clients.spawn(operator.run());
        for number in 0..options.pullers {
            let manner = Manner {
                name: format!("puller-{number}"),
                queue: "pulled".to_owned(),
                slots: 6,
                ttl: TTL,
                wait: 4,
                beats: number % 2 == 1,
                wild: true,
                linger: options.linger,
                heartbeat: options.heartbeat,
            };
            load.pull(manner, dice(seed, 20 + number as u64))?;
        }
        for worker in &rig.workers {
            load.slots.insert(worker.name().to_owned(), 2);
        }
        load.clients.spawn(watch(Arc::clone(rig), Arc::clone(pool)));
        Ok(load)
    }

    /// Adds a client that pulls.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn pull(&mut self, manner: Manner, rng: fastrand::Rng) -> anyhow::Result<()> {
        let (rig, pool) = (&self.stage.rig, &self.stage.pool);
        let slots = i64::try_from(manner.slots)?;
        self.slots.insert(manner.name.clone(), slots);
        let api = Api::new(rig.links.pull.port(), &rig.keys.worker)?;
        let journal = pool.journal(&manner.name)?;
        let puller = Puller::new(manner, api, Arc::clone(pool), journal);
        self.clients.spawn(puller.run(rng));
        Ok(())
    }

    /// Lets the queue run empty: whether it did.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn drain(&mut self, limit: Duration) -> anyhow::Result<bool> {
        let rig = &self.stage.rig;
        self.stage.pool.calm_down();
        rig.heal().await?;
        resume(&rig.direct(0)?).await;
        let admin = rig.cluster.admin().await?;
        let deadline = Instant::now() + limit;
        let sql = "select (select count(*) from bloom_private.ready) \
                   + (select count(*) from bloom_private.lease) \
                   + (select count(*) from bloom_private.parked) \
                   + (select count(*) from bloom_private.deferred)";
        let drained = loop {
            let left: i64 = admin.query_one(sql, &[]).await?.get(0);
            if left == 0 {
                break true;
            }
            if Instant::now() > deadline {
                break false;
            }
            sleep(Duration::from_millis(300)).await;
        };
        self.stage.pool.end();
        // Those that wait for work get an empty answer within seconds.
        let over = async { while self.clients.join_next().await.is_some() {} };
        let _late = tokio::time::timeout(Duration::from_secs(20), over).await;
        self.clients.abort_all();
        sleep(QUIET).await;
        Ok(drained)
    }
}

/// Looks at the backlog, so that producers wait when it grows, and at what the services use.
async fn watch(rig: Arc<Rig>, pool: Arc<Pool>) {
    let sql = "select (select count(*) from bloom_private.ready) \
               + (select count(*) from bloom_private.parked), \
               (select count(*) from pg_stat_activity where backend_type = 'client backend')";
    let mut session = None;
    while !pool.is_over() {
        sleep(Duration::from_millis(500)).await;
        if session.is_none() {
            session = rig.cluster.admin().await.ok();
        }
        let row = match &session {
            Some(client) => client.query_one(sql, &[]).await.ok(),
            None => None,
        };
        let Some(row) = row else {
            session = None;
            continue;
        };
        let count: i64 = row.get(0);
        pool.backlog.store(count.unsigned_abs(), Ordering::Relaxed);
        let pids = rig.services.each_ref().map(Proc::pid);
        let sample = Sample {
            w: wall(),
            memory_kib: pids.into_iter().map(resident_kib).max().unwrap_or(0),
            files: pids.into_iter().map(open_files).max().unwrap_or(0),
            connections: row.get(1),
        };
        if let Ok(mut samples) = pool.samples.lock() {
            samples.push(sample);
        }
    }
}

/// Who may cause what in a run.
fn actors() -> BTreeMap<String, Vec<String>> {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    [
        ("submitted", names(&["chaos-producer", "sql:chaos_sql"])),
        ("cancel_requested", names(&["chaos-admin"])),
        ("requeued", names(&["chaos-admin"])),
        ("expired", names(&["system"])),
        ("due", names(&["system"])),
        ("removed", names(&[])),
    ]
    .into_iter()
    .map(|(cause, names)| (cause.to_owned(), names))
    .collect()
}

/// Makes the directories of a run: where it runs, and where its evidence goes.
///
/// # Errors
/// When they cannot be made.
pub fn directories(out: &Path, seed: u64) -> anyhow::Result<PathBuf> {
    if out.exists() {
        std::fs::remove_dir_all(out)?;
    }
    std::fs::create_dir_all(out.join("clients"))?;
    let name = format!(
        "bloom-chaos-{}-{seed}-{}",
        std::process::id(),
        wall() % 1_000_000
    );
    Ok(std::env::temp_dir().join(name))
}

/// A run that is under way.
#[derive(Debug)]
pub struct Run {
    /// Its parts and clients.
    pub load: Load,
    options: RunOptions,
    dir: PathBuf,
    began: i64,
    supervisor: JoinHandle<()>,
}

impl Run {
    /// Starts the parts and their usual load.
    ///
    /// # Errors
    /// When a part does not come up.
    pub async fn start(options: &RunOptions) -> anyhow::Result<Self> {
        let rig = Self::rig(options).await?;
        Self::with(options, &rig)
    }

    /// The parts alone.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn rig(options: &RunOptions) -> anyhow::Result<Arc<Rig>> {
        let dir = directories(&options.out, options.seed)?;
        let rig = Rig::start(RigOptions {
            bloom: options.bloom.clone(),
            dir,
            workers: options.workers,
            worker_ttl: WORKER_TTL,
            cluster: options.cluster.clone(),
            volumes: options.volumes.clone(),
            clock: options.clock.clone(),
        });
        Ok(Arc::new(rig.await.context("the parts do not come up")?))
    }

    /// The usual load on parts that are there.
    ///
    /// # Errors
    /// When a client cannot be made.
    pub fn with(options: &RunOptions, rig: &Arc<Rig>) -> anyhow::Result<Self> {
        let supervisor = tokio::spawn(Arc::clone(rig).supervise());
        let journals = options.out.join("clients");
        let pool = Arc::new(Pool::new(journals, Clock::default(), options.with_keys));
        let began = wall();
        let (options, dir) = (options.clone(), rig.options.dir.clone());
        let load = Load::start(rig, &pool, &options)?;
        Ok(Self {
            load,
            options,
            dir,
            began,
            supervisor,
        })
    }

    /// Heals everything, lets the queue run empty, and collects the evidence. `change` has the last
    /// word on the terms.
    ///
    /// # Errors
    /// When something does not come up again.
    pub async fn finish(
        mut self,
        faults: Vec<FaultRecord>,
        limit: Duration,
        change: impl FnOnce(&mut Terms),
    ) -> anyhow::Result<Evidence> {
        let ended = wall();
        let drained = self.load.drain(limit).await?;
        self.supervisor.abort();
        let rig = Arc::clone(&self.load.stage.rig);
        let dump = Dump::take(&rig.cluster.admin().await?).await?;
        let mut terms = self.terms((self.began, ended));
        change(&mut terms);
        let mut findings = logs(&rig);
        if !drained {
            findings.push(Violation::new("I14", "the queue did not run empty"));
        }
        rig.end().await;
        let samples = self.load.stage.pool.samples.lock();
        let samples = samples.map(|samples| samples.clone()).unwrap_or_default();
        let evidence = Evidence {
            records: journal::read_all(&self.options.out.join("clients"))?,
            faults,
            effects: journal::read(&self.dir.join("program/effects.jsonl"))?,
            dump,
            terms,
            findings,
            samples,
        };
        let volume = self.options.volumes.logs.as_deref();
        keep(
            &evidence,
            &[&self.dir, volume.unwrap_or(&self.dir)],
            &self.options.out,
        )?;
        std::fs::remove_dir_all(&self.dir)?;
        Ok(evidence)
    }

    fn terms(&self, span: (i64, i64)) -> Terms {
        Terms {
            seed: self.options.seed,
            ttl: i64::try_from(WORKER_TTL).unwrap_or(0) * 1_000_000,
            grace: GRACE_SECONDS * 1_000_000,
            slots: self.load.slots.clone(),
            clock_trusted: true,
            drained: true,
            orphan_limit: 10_000_000,
            // A worker's own contexts go first until somebody has waited for aging_seconds (60);
            // and a claim that dies keeps its tasks locked for a moment while others pass.
            fairness_limit: 65_000_000,
            recovery_limit: 45_000_000,
            probe_limit: None,
            actors: actors(),
            span,
        }
    }
}

/// Runs, and collects the evidence in `options.out`.
///
/// # Errors
/// When a part does not come up, at the beginning or after the faults.
pub async fn run(options: &RunOptions, say: &dyn Fn(String)) -> anyhow::Result<Evidence> {
    let run = Run::start(options).await?;
    sleep(Duration::from_secs(3)).await;
    say(format!(
        "seed {}: faults for {} s",
        options.seed,
        options.long.as_secs()
    ));
    let mut schedule = Schedule::new(options.seed, options.faults.clone());
    let faults = rage(&run.load.stage, &mut schedule, options.long, |fault| {
        let failed = fault
            .failed
            .as_deref()
            .map(|f| format!(" ({f})"))
            .unwrap_or_default();
        let ms = (fault.ended - fault.began) / 1000;
        say(format!("{} {}{failed}, {ms} ms", fault.id, fault.what));
    })
    .await;
    say("healing, and letting the queue run empty".to_owned());
    if let Some(clock) = &options.clock {
        // What was put off while the clock was ahead is due now, too.
        set_clock(clock, "+36000")?;
    }
    let trusted = options.clock.is_none();
    run.finish(faults, DRAIN_LIMIT, |terms| terms.clock_trusted = trusted)
        .await
}

/// What logs must not say: I17 (secrets) and I18 (panics).
fn logs(rig: &Rig) -> Vec<Violation> {
    let keys = &rig.keys;
    let secrets = [&keys.root, &keys.producer, &keys.worker, &keys.operator];
    let mut found = Vec::new();
    for proc in rig.procs() {
        let text = std::fs::read(proc.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        if secrets.iter().any(|secret| text.contains(secret.as_str())) {
            found.push(Violation::new(
                "I17",
                format!("a key in the log of {}", proc.name()),
            ));
        }
        if let Some(line) = text.lines().find(|line| line.contains("panicked at")) {
            found.push(Violation::new("I18", format!("{}: {line}", proc.name())));
        }
    }
    found
}

/// Writes the evidence beside the journals, and copies the logs.
fn keep(evidence: &Evidence, dirs: &[&Path], out: &Path) -> anyhow::Result<()> {
    journal::write::<&FaultRecord>(&out.join("faults.jsonl"), &evidence.faults)?;
    journal::write(&out.join("effects.jsonl"), &evidence.effects)?;
    journal::write(&out.join("terms.jsonl"), [&evidence.terms])?;
    journal::write(&out.join("findings.jsonl"), &evidence.findings)?;
    journal::write(&out.join("samples.jsonl"), &evidence.samples)?;
    evidence.dump.write(&out.join("tables"))?;
    std::fs::create_dir_all(out.join("logs"))?;
    for dir in dirs {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "log")
                && let Some(name) = path.file_name()
            {
                std::fs::copy(&path, out.join("logs").join(name))?;
            }
        }
    }
    Ok(())
}
