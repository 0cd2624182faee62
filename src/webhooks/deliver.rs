//! One webhook at work: what comes next, sending it, and what became of it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::{Method, Url};
use secrecy::SecretString;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::{Webhooks, sign};
use crate::db::calls::audit::{Event, audit_read};
use crate::db::calls::webhook::{
    Attempt, Pending, Work, webhook_complete, webhook_release, webhook_submit,
};
use crate::error::{Error, Kind, Result};
use crate::events::{Filter, View};
use crate::outbound::Request;
use crate::shutdown::Shutdown;

/// How many events are read from the log at once.
const PAGE: i32 = 1000;
/// How many pages without a wanted event are read before the webhook's place is written down.
const PAGES_MAX: usize = 10;
/// How many deliveries are made before others get a turn.
const DELIVERIES_MAX: usize = 100;
/// How large a receiver's answer may be, in bytes. Nothing of it is kept.
const ANSWER_MAX: usize = 64 << 10;
/// How long the text of a failure may be, in characters.
const ERROR_MAX: usize = 500;
/// How long a request may go on after the process was asked to stop.
const LAST_MOMENT: Duration = Duration::from_secs(3);

impl Webhooks {
    /// Makes deliveries until there is nothing to do, or one has to be tried again later.
    pub(super) async fn work(&self, work: Work, shutdown: &Shutdown) {
        let (id, service) = (work.webhook, self.inner.service);
        match self.deliver_all(work, shutdown).await {
            Ok(()) => {}
            // Another process owns it by now, and goes on.
            Err(Error::Refused {
                kind: Kind::Conflict,
                code,
                ..
            }) => info!(webhook.id = %id, code, "a webhook is left to others"),
            Err(error) => {
                warn!(webhook.id = %id, error = error.chain(), "a webhook cannot be worked on");
                // For as long as it stays ours nobody tries again.
                return;
            }
        }
        if let Err(error) = webhook_release(&self.inner.db, id, service).await {
            debug!(webhook.id = %id, error = error.chain(), "a webhook cannot be given back");
        }
    }

    async fn deliver_all(&self, mut work: Work, shutdown: &Shutdown) -> Result<()> {
        for _ in 0..DELIVERIES_MAX {
            if shutdown.is_requested() {
                break;
            }
            if work.pending.is_none() {
                self.gather(&mut work).await?;
            }
            let Some(pending) = work.pending.take() else {
                break;
            };
            let secret = self.opened(work.secret.clone(), work.webhook)?;
            let body = (pending.events.as_str(), pending.attempts + 1);
            let sending = self.send(&work.url, &secret, work.webhook, pending.id, body);
            let attempt = tokio::select! {
                attempt = sending => attempt,
                // Not known to be taken, so it will be sent again, by whoever owns it next.
                () = last_moment(shutdown) => break,
            };
            if self.note(&work, &pending, &attempt).await? == "pending" {
                break;
            }
        }
        Ok(())
    }

    /// Writes down what became of an attempt; the state of the delivery.
    async fn note(&self, work: &Work, pending: &Pending, attempt: &Attempt) -> Result<String> {
        let (db, service) = (&self.inner.db, self.inner.service);
        let state = webhook_complete(db, pending.id, service, attempt, self.own_seconds()).await?;
        if !attempt.is_delivered {
            info!(
                webhook.id = %work.webhook, delivery.id = %pending.id, state,
                attempt = pending.attempts + 1, status = attempt.status, error = attempt.error,
                "a delivery was not taken"
            );
        }
        Ok(state)
    }

    /// The next events that the webhook wants become its pending delivery; its place moves behind
    /// them. It is looked at anew, since it may have been changed.
    async fn gather(&self, work: &mut Work) -> Result<()> {
        let filter = Filter {
            types: work.types.clone(),
            queues: work.queues.clone(),
            ..Filter::default()
        };
        let start = work.position;
        let mut wanted: Vec<Event> = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = match audit_read(&self.inner.db, work.position, PAGE).await {
                Err(Error::Refused { code, .. }) if code == "cursor_expired" => {
                    warn!(webhook.id = %work.webhook, "the event log does not reach back to where a \
                        webhook was; it goes on with the oldest events there are");
                    audit_read(&self.inner.db, (0, 0), PAGE).await?
                }
                page => page?,
            };
            let is_full = i32::try_from(page.len()).is_ok_and(|rows| rows >= PAGE);
            for event in page {
                work.position = event.position;
                if filter.wants(&event) {
                    wanted.push(event);
                    if wanted.len() >= work.max_events {
                        break;
                    }
                }
            }
            if !is_full || !wanted.is_empty() {
                break;
            }
        }
        if work.position == start {
            return Ok(());
        }
        let views: Vec<_> = wanted.iter().map(View::from).collect();
        let events = serde_json::to_string(&views).map_err(Error::internal)?;
        let count = i32::try_from(views.len()).unwrap_or(i32::MAX);
        let (db, service) = (&self.inner.db, self.inner.service);
        let made = (events.as_str(), count);
        *work = webhook_submit(db, work.webhook, service, work.position, made).await?;
        Ok(())
    }

    /// One request. Whatever happens, it becomes an attempt.
    pub(super) async fn send(
        &self,
        url: &str,
        secret: &SecretString,
        webhook: Uuid,
        delivery: Uuid,
        (events, number): (&str, i16),
    ) -> Attempt {
        let begun = Instant::now();
        let answer = self.exchange(url, secret, (webhook, delivery), (events, number));
        let (status, error) = match answer.await {
            Ok(status @ 200..=299) => (Some(status), None),
            Ok(status) => (
                Some(status),
                Some(format!("the receiver answered {status}")),
            ),
            Err(why) => (None, Some(why.chars().take(ERROR_MAX).collect())),
        };
        Attempt {
            is_delivered: error.is_none(),
            status,
            error,
            duration_ms: i32::try_from(begun.elapsed().as_millis()).unwrap_or(i32::MAX),
        }
    }

    async fn exchange(
        &self,
        url: &str,
        secret: &SecretString,
        (webhook, delivery): (Uuid, Uuid),
        (events, number): (&str, i16),
    ) -> std::result::Result<u16, String> {
        let options = &self.inner.options;
        let url: Url = options.guard.check(url)?;
        let body = format!(r#"{{"id":"{delivery}","webhook_id":"{webhook}","events":{events}}}"#);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = since.map_or(0, |since| since.as_secs());
        let signature = sign(secret, seconds, body.as_bytes());
        let request = Request {
            method: Method::POST,
            url,
            secret: None,
            headers: vec![
                ("x-bloom-signature", signature),
                ("x-bloom-delivery", delivery.to_string()),
                ("x-bloom-webhook", webhook.to_string()),
                ("x-bloom-attempt", number.to_string()),
                (
                    "user-agent",
                    concat!("bloom-runtime/", env!("CARGO_PKG_VERSION")).to_owned(),
                ),
            ],
            body: Some(body.into_bytes()),
            time_limit: options.time_limit,
            size_limit: ANSWER_MAX,
        };
        let answer = options.guard.send(request).await;
        // What a connection failed of may tell of networks inside: that stays in the log.
        answer.map(|answer| answer.status).map_err(|failure| {
            debug!(webhook.id = %webhook, error = failure.chain(), "a webhook did not answer");
            failure.to_string()
        })
    }
}

async fn last_moment(shutdown: &Shutdown) {
    shutdown.requested().await;
    tokio::time::sleep(LAST_MOMENT).await;
}
