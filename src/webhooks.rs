//! Webhooks: events that are sent to addresses of others.
//!
//! A webhook has a place in the event log. The process that owns it for the moment reads on from
//! there, makes a *delivery* of the events that it wants (up to so many), and sends it as one signed
//! request, until it is taken or its attempts are used up. Then comes the next. So events reach each
//! webhook in the order of the log, at least once; a repeated delivery has the same id and the same
//! body. Place and delivery are rows, so a process that dies in the middle loses nothing: the next
//! owner goes on when the time of the last is over.
//!
//! Each webhook that has something to do is worked on by a task of its own, so that one that does not
//! answer keeps no other waiting, and never the queue.

mod deliver;
mod settings;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;
use tracing::{info, warn};
use uuid::Uuid;

pub(crate) use settings::shown;
pub use settings::{Change, Tested};
pub use signature::sign;

use crate::db::Db;
use crate::db::calls::webhook::webhook_next;
use crate::error::Error;
use crate::outbound::Guard;
use crate::secrets::Keyring;
use crate::shutdown::Shutdown;

/// How many webhooks a process works on at the same time.
const AT_ONCE: usize = 32;
/// The longest pause after looks that fail.
const PAUSE: Duration = Duration::from_secs(5);

/// What the component has to be told.
pub struct Options {
    /// Through which it talks to the outside.
    pub guard: Guard,
    /// Encrypts the secrets; without one no webhook can be made.
    pub keyring: Option<Keyring>,
    /// How long one request may take, 1 to 60 seconds.
    pub time_limit: Duration,
    /// About how often it looks for something to do.
    pub poll: Duration,
}

/// A cheap clonable handle.
#[derive(Clone)]
pub struct Webhooks {
    inner: Arc<Inner>,
}

struct Inner {
    db: Db,
    options: Options,
    /// This process, as an owner.
    service: Uuid,
    /// There is something to do, as far as this process knows.
    news: Notify,
    hands: Arc<Semaphore>,
}

impl Webhooks {
    /// Sends nothing until it is run.
    #[must_use]
    pub fn new(db: Db, options: Options) -> Self {
        Self {
            inner: Arc::new(Inner {
                db,
                options,
                service: Uuid::new_v4(),
                news: Notify::new(),
                hands: Arc::new(Semaphore::new(AT_ONCE)),
            }),
        }
    }

    /// Says that there is something to do.
    pub fn nudge(&self) {
        self.inner.news.notify_one();
    }

    /// Delivers until `shutdown`.
    pub async fn run(self, shutdown: Shutdown) {
        let mut is_failing = false;
        while !shutdown.is_requested() {
            let poll = self.inner.options.poll;
            let pause = match self.round(&shutdown).await {
                Ok(()) => {
                    if std::mem::take(&mut is_failing) {
                        info!("webhooks are looked after again");
                    }
                    poll
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        warn!(error = error.chain(), "webhooks cannot be looked after");
                    }
                    PAUSE.max(poll)
                }
            };
            tokio::select! {
                () = sleep(pause.mul_f64(0.8 + 0.4 * fastrand::f64())) => {}
                () = self.inner.news.notified() => {}
                () = shutdown.requested() => {}
            }
        }
    }

    /// Takes what there is to do and has hands for each.
    async fn round(&self, shutdown: &Shutdown) -> Result<(), Error> {
        let free = i32::try_from(self.inner.hands.available_permits()).unwrap_or(1);
        if free == 0 {
            return Ok(());
        }
        let (db, service) = (&self.inner.db, self.inner.service);
        for work in webhook_next(db, service, free, self.own_seconds()).await? {
            // No more than are free were asked for, and nobody else takes any.
            let Ok(hand) = Arc::clone(&self.inner.hands).try_acquire_owned() else {
                break;
            };
            let (webhooks, stop) = (self.clone(), shutdown.clone());
            shutdown.spawn(async move {
                webhooks.work(work, &stop).await;
                drop(hand);
                // What happened meanwhile need not wait for the next poll.
                webhooks.nudge();
            });
        }
        Ok(())
    }

    /// How long a webhook stays ours after each call about it: longer than a request may take.
    fn own_seconds(&self) -> i32 {
        let limit = self.inner.options.time_limit.as_secs();
        i32::try_from(limit * 2 + 2).unwrap_or(i32::MAX)
    }
}
