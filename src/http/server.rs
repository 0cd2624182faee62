//! Accepts connections and serves them until the process is asked to stop.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::{sleep, timeout};

use super::access_log::{Observed, Observer};
use super::auth::Authenticator;
use super::limits::{self, Limits};
use super::router::Router;
use super::service::Service;
use super::stream::{Phase, StallLimits, TimedStream};
use crate::error::Result;
use crate::shutdown::Shutdown;

/// The first and the longest pause after a failed accept, e.g. for want of file descriptors.
const ACCEPT_PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Buffer space beside the head, so that the head's own limit decides and not the buffer's.
const BUFFER_SLACK: usize = 8 * 1024;

/// The limits of the server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections at one time; further ones wait in the listen queue.
    pub max_connections: usize,
    /// From a request's first byte to the end of its head.
    pub header_timeout: Duration,
    /// Between two requests of one connection.
    pub idle_timeout: Duration,
    /// The time that even the smallest body may take.
    pub body_timeout: Duration,
    /// How fast a body must arrive once that time is over, in bytes per second.
    pub body_min_rate: u32,
    /// How long a client may take nothing of what we send.
    pub write_timeout: Duration,
    /// How long requests may go on after the process was asked to stop.
    pub drain_timeout: Duration,
    /// The size of a request's head in bytes; 431 beyond.
    pub max_header_bytes: usize,
    /// How many headers a request may have; 431 beyond.
    pub max_headers: usize,
    /// The body size of most routes; 413 beyond.
    pub small_body_bytes: usize,
    /// The body size of routes that take large bodies; 413 beyond.
    pub large_body_bytes: usize,
    /// How much of an unwanted body is read and thrown away, so that a client which sends it all
    /// before it listens still gets the answer.
    pub discard_bytes: usize,
    /// How long that may take.
    pub discard_timeout: Duration,
    /// How often clients may call.
    pub limits: limits::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(10),
            body_min_rate: 64 * 1024,
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(20),
            max_header_bytes: 32 * 1024,
            max_headers: 100,
            small_body_bytes: 1024 * 1024,
            large_body_bytes: 16 * 1024 * 1024,
            discard_bytes: 64 * 1024 * 1024,
            discard_timeout: Duration::from_secs(5),
            limits: limits::Options::default(),
        }
    }
}

/// An HTTP/1 server over a state `S` that it hands to the handlers.
pub struct Server<S> {
    service: Service<S>,
}

impl<S> std::fmt::Debug for Server<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Server")
            .field("router", &self.service.router)
            .finish_non_exhaustive()
    }
}

impl<S: Send + Sync + 'static> Server<S> {
    /// A server of these routes.
    #[must_use]
    pub fn new(options: Options, router: Router<S>, auth: Authenticator, state: Arc<S>) -> Self {
        let limits = Limits::new(options.limits.clone());
        Self {
            service: Service {
                options,
                router,
                auth,
                limits,
                state,
                observer: None,
            },
        }
    }

    /// The same server, which tells `observer` of every request.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(&Observed<'_>) + Send + Sync + 'static) -> Self {
        let observer: Box<Observer> = Box::new(observer);
        self.service.observer = Some(observer);
        self
    }

    /// Serves until `shutdown` is requested, then lets requests under way finish within the drain
    /// time. Returns once every connection is closed.
    ///
    /// # Errors
    /// None at present; losing file descriptors or single connections only pauses it.
    pub async fn run(self, listener: TcpListener, shutdown: Shutdown) -> Result<()> {
        let service = Arc::new(self.service);
        let slots = Arc::new(Semaphore::new(service.options.max_connections));
        let mut pause = ACCEPT_PAUSES.0;
        loop {
            let accepted = tokio::select! {
                accepted = accept(&listener, &slots) => accepted,
                () = shutdown.requested() => break,
            };
            match accepted {
                Ok((stream, peer, slot)) => {
                    pause = ACCEPT_PAUSES.0;
                    let connection =
                        serve_connection(Arc::clone(&service), stream, peer, shutdown.clone());
                    shutdown.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    tracing::error!(%error, pause_ms = pause.as_millis(), "cannot accept");
                    tokio::select! {
                        () = sleep(pause) => {}
                        () = shutdown.requested() => break,
                    }
                    pause = (pause * 2).min(ACCEPT_PAUSES.1);
                }
            }
        }
        drop(listener);
        let all = u32::try_from(service.options.max_connections).unwrap_or(u32::MAX);
        // Fails only if somebody closed the semaphore, which nobody does.
        let _drained = slots.acquire_many(all).await;
        Ok(())
    }
}

/// Waits for a free slot, then for a connection.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = match Arc::clone(slots).try_acquire_owned() {
        Ok(slot) => slot,
        Err(TryAcquireError::NoPermits) => {
            tracing::warn!("the connection limit is reached; new connections wait");
            Arc::clone(slots)
                .acquire_owned()
                .await
                .map_err(io::Error::other)?
        }
        Err(closed @ TryAcquireError::Closed) => return Err(io::Error::other(closed)),
    };
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}

/// Whether a failed accept concerns a single connection only.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

async fn serve_connection<S: Send + Sync + 'static>(
    service: Arc<Service<S>>,
    stream: TcpStream,
    peer: SocketAddr,
    shutdown: Shutdown,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let options = &service.options;
    let drain = options.drain_timeout;
    let phase = Arc::new(Phase::default());
    let stall = StallLimits {
        head: options.header_timeout,
        write: options.write_timeout,
    };
    let io = TokioIo::new(TimedStream::new(stream, Arc::clone(&phase), stall));
    let builder = builder(options);
    let answer = service_fn(move |request| {
        let (service, phase) = (Arc::clone(&service), Arc::clone(&phase));
        phase.busy();
        async move {
            let response = service.serve(peer.ip(), request).await;
            phase.idle();
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(io, answer));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = shutdown.requested() => {
            connection.as_mut().graceful_shutdown();
            let Ok(outcome) = timeout(drain, connection).await else {
                tracing::warn!("a request did not finish in the drain time and was cut off");
                return;
            };
            outcome
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended early");
    }
}

fn builder(options: &Options) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // Inert without the timer.
        .timer(TokioTimer::new())
        .header_read_timeout(options.idle_timeout.max(options.header_timeout))
        .max_headers(options.max_headers)
        .max_header_size(options.max_header_bytes)
        .max_buf_size(options.max_header_bytes + BUFFER_SLACK)
        .half_close(false)
        .keep_alive(true);
    builder
}
