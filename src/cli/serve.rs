//! `bloom serve`: the service.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use super::database::Database;
use super::output::Out;
use super::outside::Outside;
use crate::config::{
    AuthArgs, DatabaseArgs, LimitArgs, ListenArgs, ObjectArgs, OutboundArgs, PoolArgs,
    RetentionArgs, ServeArgs,
};
use crate::db::calls::key::key_list;
use crate::db::calls::maintenance::Retention;
use crate::db::{self, Db};
use crate::events;
use crate::http::limits::{self, Cidr, Proxies, Rate};
use crate::http::{self, Policy};
use crate::maintenance;
use crate::service;
use crate::shutdown::Shutdown;

/// How long the start waits for a database that was named.
const PATIENCE: Duration = Duration::from_secs(60);

/// Arguments of `bloom serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bloom serve
  DATABASE_URL=postgresql://bloom@db/queue RUNTIME_API_KEY=… bloom serve --listen 0.0.0.0:5000")]
pub struct Args {
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    #[command(flatten)]
    auth: AuthArgs,
    #[command(flatten)]
    pub(super) service: ServeArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    pool: PoolArgs,
    #[command(flatten)]
    retention: RetentionArgs,
    #[command(flatten)]
    pub(super) outbound: OutboundArgs,
    #[command(flatten)]
    objects: ObjectArgs,
}

/// Runs the service until SIGINT or SIGTERM.
///
/// # Errors
/// When it cannot start.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::new();
    watch_signals(&shutdown)?;
    // First the address, so that a second service on it says so before it touches anything.
    let listener = bind(args.listen.listen).await?;
    let database = tokio::select! {
        opened = Database::open(&args.database) => opened?,
        () = shutdown.requested() => return Ok(ExitCode::SUCCESS),
    };
    let served = serve(&args, &database, listener, &shutdown).await;
    database.close().await;
    served.map(|()| ExitCode::SUCCESS)
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.with_context(|| {
        format!(
            "cannot listen on {address} (is another bloom running there? \
             --listen or BLOOM_LISTEN names another address)"
        )
    })
}

async fn serve(
    args: &Args,
    database: &Database,
    listener: TcpListener,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let ended = Shutdown::new();
    let supervisor = database.supervise(&ended);
    let served = async {
        let schema = async {
            if args.service.no_migrate {
                service::check_schema(&database.endpoint, PATIENCE).await
            } else {
                service::install(&database.endpoint, PATIENCE).await
            }
        };
        tokio::select! {
            stands = schema => stands?,
            () = shutdown.requested() => return Ok(()),
        }
        db::pooler::check(&database.endpoint).await?;
        let address = listener.local_addr()?;
        let mut options = options(args, database, address).await?;
        if let Some(metrics) = args.listen.metrics_listen {
            options.metrics = Some(bind(metrics).await?);
        }
        info!(%address, "serving");
        let mut out = Out::stdout();
        out.line(format!("BLOOM Runtime is at http://{address}"))?;
        if let Some(url) = database.url() {
            out.line(format!("Its database:      psql '{url}'"))?;
        }
        service::run(options, listener, shutdown.clone()).await
    }
    .await;
    // Postgres is kept alive until the last request has ended.
    ended.request();
    if let Some(supervisor) = supervisor {
        supervisor.await.ok();
    }
    served
}

async fn options(
    args: &Args,
    database: &Database,
    address: SocketAddr,
) -> anyhow::Result<service::Options> {
    let outside = Outside::new(args, database, address)?;
    let (reserved, general) = args.pool.shares()?;
    let pools = db::Options {
        general,
        reserved,
        ..db::Options::default()
    };
    let api_key = args.auth.api_key()?;
    let policy = if api_key.is_some() || has_keys(database, &pools).await? {
        Policy::Keys
    } else if args.listen.is_loopback() {
        warn!("no API key is configured: everyone on this machine may do everything");
        Policy::Open
    } else {
        bail!(
            "refusing to serve {} without any API key. Set RUNTIME_API_KEY, create a key with \
             `bloom key create`, or listen on 127.0.0.1.",
            args.listen.listen
        );
    };
    Ok(service::Options {
        endpoint: database.endpoint.clone(),
        pools,
        server: server_options(args)?,
        api_key,
        policy,
        maintenance: maintenance::Options {
            grace: Duration::from_secs(args.service.reap_grace_seconds.into()),
            keep: Retention {
                finished_days: days(args.retention.keep_tasks_days),
                event_days: days(args.retention.keep_events_days),
                artifact_days: days(args.retention.keep_artifacts_days),
            },
        },
        events: events::Options {
            max_streams: args.limits.max_event_streams as usize,
            ..events::Options::default()
        },
        max_waiters: args.limits.max_waiters as usize,
        seals: outside.seals,
        strict_leases: args.service.strict_leases,
        membridge: outside.membridge,
        dispatch: outside.dispatch,
        metrics: None,
        webhooks: outside.webhooks,
        objects: args.objects.options()?,
    })
}

fn days(days: u32) -> i32 {
    i32::try_from(days).unwrap_or(i32::MAX)
}

/// Whether a stored key is valid, so that requests are to be asked for one.
async fn has_keys(database: &Database, pools: &db::Options) -> anyhow::Result<bool> {
    let db = Db::new(&database.endpoint, pools);
    let keys = key_list(&db)
        .await
        .context("cannot look for stored API keys")?;
    Ok(keys.iter().any(|key| key.revoked_at.is_none()))
}

fn server_options(args: &Args) -> anyhow::Result<http::Options> {
    let limits = &args.limits;
    let trusted = limits
        .trusted_proxies
        .iter()
        .map(|text| {
            text.parse::<Cidr>()
                .with_context(|| format!("--trusted-proxy {text}"))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let minute = Duration::from_secs(60);
    let defaults = http::Options::default();
    Ok(http::Options {
        max_connections: limits.max_connections as usize,
        header_timeout: limits.header_timeout(),
        body_timeout: limits.body_timeout(),
        drain_timeout: Duration::from_secs(args.service.drain_seconds.into()),
        small_body_bytes: limits.max_body_bytes as usize,
        large_body_bytes: limits.max_completion_bytes as usize,
        limits: limits::Options {
            general: Rate::new(limits.rate_per_minute, minute),
            heavy: Rate::new(limits.heavy_rate_per_minute, minute),
            worker: Rate::new(limits.worker_rate_per_second, Duration::from_secs(1)),
            proxies: Proxies::new(trusted),
            ..defaults.limits
        },
        ..defaults
    })
}

/// The first signal asks for an orderly end, the second for an immediate one.
fn watch_signals(shutdown: &Shutdown) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        info!("stopping; a second signal ends it at once");
        shutdown.request();
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        // What was acknowledged is committed, and the guard stops the private Postgres.
        warn!("stopped by a second signal, with requests under way");
        std::process::exit(1);
    });
    Ok(())
}
