//! The one LISTEN connection of a process.
//!
//! Notifications only shorten waits: whoever consumes them also polls. What this promises is that
//! a loss is noticed and followed by [`Event::Resync`], after which consumers look at everything
//! once. The connection never sits in a transaction (it would pin the server's notification
//! queue), and what arrives is drained at once, however slow the consumers are.
//!
//! A half-open connection gives no error, and a transaction pooler accepts LISTEN without effect,
//! so the listener sends itself a notification now and then and expects it back.

use std::future::{pending, poll_fn};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{AsyncMessage, Client};

use crate::db::endpoint::{ConnectError, Driver, Endpoint};
use crate::error::chain;
use crate::shutdown::Shutdown;

/// Events kept for a slow consumer; one that falls further behind gets a resync instead.
const EVENT_BUFFER: usize = 4_096;
/// The first pause before connecting again; doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before connecting again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a listener listens to, and how it tests itself.
#[derive(Debug, Clone)]
pub struct Options {
    /// The channels.
    pub channels: Vec<String>,
    /// Time between two self-tests.
    pub test_every: Duration,
    /// How long the test's notification may take to come back.
    pub test_limit: Duration,
}

impl Options {
    /// The usual timing.
    #[must_use]
    pub fn new(channels: Vec<String>) -> Self {
        let (test_every, test_limit) = (Duration::from_secs(20), Duration::from_secs(5));
        Self {
            channels,
            test_every,
            test_limit,
        }
    }
}

/// What consumers learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A notification. Anybody may send one: a payload that cannot be read is to be ignored.
    Notified {
        /// Its channel.
        channel: String,
        /// Its payload.
        payload: String,
    },
    /// Notifications may have been missed (the connection is new, or the consumer was too slow):
    /// look at everything once.
    Resync,
}

/// How the listener is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListenHealth {
    /// Whether it listens now, as far as the last self-test knows.
    pub connected: bool,
    /// When anything last arrived; `None` when nothing ever did.
    pub last_seen: Option<Instant>,
    /// How often it has connected.
    pub connections: u64,
}

/// Why a session of the listener ended.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the connection broke")]
    Broke(#[source] tokio_postgres::Error),
    #[error("the connection ended")]
    Ended,
    #[error("a notification to itself did not come back; is there a transaction pooler between?")]
    Deaf,
}

/// The component: owns the connection while it runs.
pub struct Listener {
    endpoint: Endpoint,
    options: Options,
    handle: ListenHandle,
    /// Our own channel for self-tests.
    mirror: String,
}

/// A cheap clonable handle on a listener.
#[derive(Clone)]
pub struct ListenHandle {
    events: broadcast::Sender<Event>,
    health: Arc<Mutex<ListenHealth>>,
}

impl ListenHandle {
    /// The events from now on.
    #[must_use]
    pub fn subscribe(&self) -> Events {
        Events(self.events.subscribe())
    }

    /// How the listener is doing.
    #[must_use]
    pub fn health(&self) -> ListenHealth {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut ListenHealth)) {
        change(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn send(&self, event: Event) {
        // Nobody may be interested at the moment.
        self.events.send(event).ok();
    }
}

/// A consumer's view of the events.
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next event; `None` once listener and handles are gone.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                // What is buffered is older than the scan that follows.
                self.0 = self.0.resubscribe();
                Some(Event::Resync)
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Listener {
    /// Does nothing until it is run.
    #[must_use]
    pub fn new(endpoint: &Endpoint, options: Options) -> (Self, ListenHandle) {
        let handle = ListenHandle {
            events: broadcast::Sender::new(EVENT_BUFFER),
            health: Arc::default(),
        };
        let endpoint = endpoint
            .clone()
            .with_settings(&[("statement_timeout", "10s")]);
        let mirror = format!("bloom_mirror_{}", uuid::Uuid::new_v4().simple());
        (
            Self {
                endpoint,
                options,
                handle: handle.clone(),
                mirror,
            },
            handle,
        )
    }

    /// Listens until shutdown, connecting again for as long as it takes.
    pub async fn run(self, shutdown: Shutdown) {
        let mut pause = FIRST_PAUSE;
        loop {
            let before = self.handle.health().connections;
            let lost = tokio::select! {
                () = shutdown.requested() => return self.disconnected(),
                lost = self.session() => lost,
            };
            self.disconnected();
            if self.handle.health().connections > before {
                pause = FIRST_PAUSE;
                tracing::warn!(error = chain(&lost), "listening was interrupted");
            } else {
                tracing::debug!(error = chain(&lost), "listening is not possible yet");
            }
            tokio::select! {
                () = shutdown.requested() => return,
                () = sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn disconnected(&self) {
        self.handle.update(|health| health.connected = false);
    }

    /// One connection, from its start to its loss.
    async fn session(&self) -> Lost {
        let (client, driver) = match self.endpoint.open().await {
            Ok(opened) => opened,
            Err(error) => return error.into(),
        };
        let (echo, echoes) = watch::channel(0);
        tokio::select! {
            lost = self.drain(driver, echo) => lost,
            lost = self.converse(&client, echoes) => lost,
        }
    }

    /// Moves along whatever arrives. Never waits for a consumer.
    async fn drain(&self, mut driver: Driver, echo: watch::Sender<u64>) -> Lost {
        loop {
            match poll_fn(|context| driver.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(message))) => {
                    self.handle
                        .update(|health| health.last_seen = Some(Instant::now()));
                    if message.channel() == self.mirror {
                        echo.send_replace(message.payload().parse().unwrap_or_default());
                        continue;
                    }
                    self.handle.send(Event::Notified {
                        channel: message.channel().to_owned(),
                        payload: message.payload().to_owned(),
                    });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Lost::Broke(error),
                None => return Lost::Ended,
            }
        }
    }

    /// Subscribes, then tests itself for ever.
    async fn converse(&self, client: &Client, mut echoes: watch::Receiver<u64>) -> Lost {
        let channels = self.options.channels.iter().chain([&self.mirror]);
        let listen: Vec<_> = channels
            .map(|channel| format!("listen \"{}\"", channel.replace('"', "\"\"")))
            .collect();
        if let Err(error) = client.batch_execute(&listen.join(";")).await {
            return Lost::Broke(error);
        }
        for number in 1.. {
            match timeout(
                self.options.test_limit,
                self.echo(client, &mut echoes, number),
            )
            .await
            {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Lost::Broke(error),
                Err(_) => return Lost::Deaf,
            }
            if number == 1 {
                // Only now: what happened before we could hear is found by the scan.
                self.handle.update(|health| {
                    health.connected = true;
                    health.connections += 1;
                });
                self.handle.send(Event::Resync);
            }
            sleep(self.options.test_every).await;
        }
        pending().await
    }

    async fn echo(
        &self,
        client: &Client,
        echoes: &mut watch::Receiver<u64>,
        number: u64,
    ) -> Result<(), tokio_postgres::Error> {
        client
            .batch_execute(&format!("notify \"{}\", '{number}'", self.mirror))
            .await?;
        // The sender lives as long as the session.
        echoes
            .wait_for(|seen| *seen >= number)
            .await
            .map(|_| ())
            .ok();
        Ok(())
    }
}
