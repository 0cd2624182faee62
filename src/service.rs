//! The service as a whole: puts the parts together, starts them in order and ends them in order.

mod control;
mod keys;
mod measures;
mod wakeups;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_postgres::Client;
use tracing::{info, warn};

use crate::artifacts::{self, Artifacts};
use crate::batch::complete::Completions;
use crate::batch::heartbeat::{Beats, Heartbeats};
use crate::batch::lease::Leases;
use crate::batch::submit::Submits;
use crate::db::install::{self, Bundle, SchemaStatus};
use crate::db::listen::{self, Listener};
use crate::db::{self, Db, Endpoint};
use crate::dispatch::{self, Dispatcher};
use crate::error::chain;
use crate::events::{self, Feed};
use crate::fleet::Fleet;
use crate::http::handlers::{App, metrics_router, router};
use crate::http::{self, Authenticator, KeyStore, Policy, Server};
use crate::maintenance;
use crate::membridge::{self, Membridge};
use crate::overview::Overview;
use crate::seals::{self, Sealer};
use crate::shutdown::Shutdown;
use crate::wake::{Notifier, Waiters};
use crate::webhooks::{self, Webhooks};

/// How many readers of live logs may wait at the same time.
const LOG_READERS: usize = 256;
/// How long jobs may take to end once the last request is answered.
const FINISH_LIMIT: Duration = Duration::from_secs(10);

/// Everything that the service has to be told.
pub struct Options {
    /// The database.
    pub endpoint: Endpoint,
    /// Its pools.
    pub pools: db::Options,
    /// The HTTP server.
    pub server: http::Options,
    /// The key with all rights.
    pub api_key: Option<SecretString>,
    /// Whether requests need a key at all.
    pub policy: Policy,
    /// The jobs.
    pub maintenance: maintenance::Options,
    /// The event streams.
    pub events: events::Options,
    /// Where events are sent to.
    pub webhooks: webhooks::Options,
    /// How many lease requests may wait.
    pub max_waiters: usize,
    /// Who seals the event log, and where seals are kept.
    pub seals: seals::Options,
    /// Whether heartbeats and completions must name their lease.
    pub strict_leases: bool,
    /// The connection to Membridge.
    pub membridge: membridge::Options,
    /// How tasks are pushed to agents.
    pub dispatch: dispatch::Options,
    /// Where scrapers may read metrics without a key, beside the place where they need one.
    pub metrics: Option<TcpListener>,
    /// Where large outputs go; none: they stay in Postgres.
    pub objects: Option<artifacts::Options>,
}

/// Installs or upgrades the schema, waiting for a server that is still starting.
///
/// # Errors
/// When the server stays away, is too old, or refuses.
pub async fn install(endpoint: &Endpoint, patience: Duration) -> anyhow::Result<()> {
    let mut client = reach(endpoint, patience).await?;
    let bundle = Bundle::embedded()?;
    let report = install::install(&mut client, &bundle, install::Options::default()).await?;
    info!(version = report.to, functions = ?report.functions, "the schema stands");
    Ok(())
}

/// Makes sure that the schema is the one that this program was written for, changing nothing.
///
/// # Errors
/// When the server stays away, or the schema is another one.
pub async fn check_schema(endpoint: &Endpoint, patience: Duration) -> anyhow::Result<()> {
    let client = reach(endpoint, patience).await?;
    match install::status(&client, &Bundle::embedded()?).await? {
        SchemaStatus::Current { .. } => Ok(()),
        other => Err(anyhow!(
            "this program cannot work with the database: {other}. Run `bloom migrate` of the same \
             version, or serve without --no-migrate"
        )),
    }
}

/// A connection to a server that may still be starting.
async fn reach(endpoint: &Endpoint, patience: Duration) -> anyhow::Result<Client> {
    let deadline = Instant::now() + patience;
    loop {
        match endpoint.connect().await {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() < deadline => {
                info!(error = %chain(&error), "waiting for the database");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error).context("the database cannot be reached"),
        }
    }
}

/// Serves on `listener` until `shutdown`, then drains: no new leases, waiters answered, requests
/// finished, jobs ended.
///
/// # Errors
/// When the server cannot start.
pub async fn run(
    options: Options,
    listener: TcpListener,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let db = Db::new(&options.endpoint, &options.pools);
    let waiters = Waiters::new(options.max_waiters);
    let (notifier, announcer) = Notifier::new();
    let channels = vec![wakeups::CHANNEL.to_owned()];
    let (ear, listening) = Listener::new(&options.endpoint, listen::Options::new(channels));
    let events = listening.subscribe();
    shutdown.spawn(ear.run(shutdown.clone()));
    wakeups::start(&db, &waiters, notifier, events, &shutdown);
    let feed = Feed::new(db.clone(), options.events);
    shutdown.spawn(feed.clone().run(shutdown.clone()));
    shutdown.spawn(wakeups::nudge(
        feed.clone(),
        listening.subscribe(),
        shutdown.clone(),
    ));
    let interval = options.seals.interval;
    let sealer = Sealer::new(&db, options.seals);
    let seal_keys = sealer.as_ref().map_or_else(Vec::new, Sealer::public_keys);
    let sealer = sealer.map(|sealer| (sealer, interval));
    let mut jobs = maintenance::start(&db, options.maintenance, sealer, &shutdown);
    let keys = Arc::new(keys::Store::new(db.clone()));
    jobs.push(keys.note_uses(&shutdown));

    let webhooks = Webhooks::new(db.clone(), options.webhooks);
    shutdown.spawn(webhooks.clone().run(shutdown.clone()));
    let artifacts = Artifacts::new(&db, options.objects)?;
    artifacts.start(&shutdown);

    let membridge = Membridge::new(db.clone(), options.membridge);
    membridge.start(&shutdown);
    let keys: Arc<dyn KeyStore> = keys;
    let auth = Authenticator::new(options.policy, options.api_key.as_ref(), Some(keys));
    let overview = Overview::new(db.clone(), listening.clone());
    let router = router()?;
    let parts = measures::Parts {
        db: db.clone(),
        listening,
        waiters: waiters.clone(),
        submits: Submits::new(&db, &shutdown),
        leases: Leases::new(&db, &shutdown),
        completions: Completions::new(&db, &shutdown),
        heartbeats: Heartbeats::new(&db, &shutdown),
        beats: Beats::new(&db, &shutdown),
        membridge: membridge.clone(),
        artifacts: artifacts.clone(),
        jobs,
    };
    let app = Arc::new(App {
        submits: parts.submits.clone(),
        leases: parts.leases.clone(),
        completions: parts.completions.clone(),
        heartbeats: parts.heartbeats.clone(),
        beats: parts.beats.clone(),
        metrics: Arc::new(measures::of(&router, parts)),
        artifacts,
        fleet: Fleet::new(db.clone()),
        feed,
        webhooks,
        overview,
        control: Arc::new(control::Control(membridge)),
        dispatcher: Dispatcher::new(db.clone(), options.dispatch),
        db,
        waiters,
        announcer,
        seal_keys,
        shutdown: shutdown.clone(),
        log_readers: Semaphore::new(LOG_READERS),
        started: Instant::now(),
        strict_leases: options.strict_leases,
    });
    if let Some(listener) = options.metrics {
        serve_metrics(options.server.clone(), listener, &app, &shutdown)?;
    }
    let metrics = Arc::clone(&app.metrics);
    Server::new(options.server, router, auth, app)
        .observe(move |seen| {
            metrics.request(seen.method.as_str(), seen.route, seen.status, seen.elapsed);
        })
        .run(listener, shutdown.clone())
        .await?;
    shutdown.request();
    // Every call of theirs is one statement, so there is nothing that could be left half done.
    if timeout(FINISH_LIMIT, shutdown.finished()).await.is_err() {
        warn!("some jobs did not end in time; they are abandoned");
    }
    Ok(())
}

/// The metrics on an address of their own, open to whoever reaches it.
fn serve_metrics(
    options: http::Options,
    listener: TcpListener,
    app: &Arc<App>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    info!(address = %listener.local_addr()?, "serving metrics");
    let auth = Authenticator::new(Policy::Keys, None, None);
    let server = Server::new(options, metrics_router()?, auth, Arc::clone(app));
    shutdown.spawn(server.run(listener, shutdown.clone()));
    Ok(())
}
