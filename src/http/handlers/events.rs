//! Event streams: `/events`, and the one of a task.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::App;
use crate::db::calls::audit::Position;
use crate::error::{Error, Kind, Result};
use crate::events::{self, Batch, Filter, Reader, Seat, View};
use crate::http::query::Query;
use crate::http::sse::{self, Text};
use crate::http::{Request, Response};
use crate::shutdown::Shutdown;

/// How soon a client should come back, in milliseconds.
const RETRY: u32 = 2000;
/// How many names of a kind a filter may have.
const NAMES_MAX: usize = 100;
/// How long a name may be, in characters.
const NAME_MAX: usize = 200;

/// `GET /events?task=&queue=&worker=&type=&after=`: a stream of what happens.
pub async fn stream(app: Arc<App>, request: Request) -> Result<Response> {
    let query = request.query()?;
    let filter = filter(&query)?;
    let after = after(&request, query.text("after")?)?;
    let seat = app.feed.seat()?;
    let reader = app.feed.read(filter, after).await?;
    answer(&app, seat, reader)
}

/// The stream of one task, from its beginning.
pub async fn stream_task(app: Arc<App>, request: Request, task: Uuid) -> Result<Response> {
    let after = after(&request, None)?;
    let seat = app.feed.seat()?;
    let reader = app.feed.read_task(task, after).await?;
    answer(&app, seat, reader)
}

/// Whether a client asks for a stream where there is a list, too.
pub fn wants_stream(request: &Request) -> bool {
    let accept = request.header("accept").unwrap_or_default();
    accept.split(',').any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case(sse::CONTENT_TYPE)
    })
}

fn filter(query: &Query) -> Result<Filter> {
    let tasks = names(query, "task")?.into_iter().map(|id| {
        Uuid::try_parse(&id).map_err(|_| invalid("Query parameter 'task' must be a list of ids"))
    });
    Ok(Filter {
        tasks: tasks.collect::<Result<_>>()?,
        queues: names(query, "queue")?,
        workers: names(query, "worker")?,
        types: names(query, "type")?,
    })
}

/// A list of names, separated by commas.
fn names(query: &Query, name: &str) -> Result<Vec<String>> {
    let text = query.text(name)?.unwrap_or_default();
    let names = text.split(',').map(str::trim);
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    if names.len() > NAMES_MAX || names.iter().any(|name| name.chars().count() > NAME_MAX) {
        let bounds = format!("at most {NAMES_MAX} names of at most {NAME_MAX} characters");
        return Err(invalid(format!("Query parameter '{name}' takes {bounds}")));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// The cursor to go on from. What a client was told last weighs more than what it asked for first.
fn after(request: &Request, asked: Option<&str>) -> Result<Option<Position>> {
    const NAME: &str = "last-event-id";
    let header = request.header(NAME);
    if header.is_none() && request.headers().contains_key(NAME) {
        return Err(not_a_cursor());
    }
    let header = header.filter(|text| !text.is_empty());
    let Some(text) = header.or(asked.filter(|text| !text.is_empty())) else {
        return Ok(None);
    };
    let cursor = Uuid::try_parse(text).map_err(|_| not_a_cursor())?;
    Ok(Some(events::position(cursor)))
}

fn not_a_cursor() -> Error {
    let text = "The cursor is not one of our cursors";
    Error::refused(Kind::Invalid, "invalid_cursor", text)
}

fn invalid(text: impl Into<String>) -> Error {
    Error::refused(Kind::Invalid, "invalid_query", text)
}

fn answer(app: &App, seat: Seat, reader: Reader) -> Result<Response> {
    let options = app.feed.options();
    let lifetime = options.lifetime.mul_f64(0.9 + 0.2 * fastrand::f64());
    let running = Running {
        reader,
        _seat: seat,
        shutdown: app.shutdown.clone(),
        ping: options.ping,
        ends_at: Instant::now() + lifetime,
        is_new: true,
    };
    let pieces = stream::unfold(Some(running), async |running| {
        let mut running = running?;
        let (text, goes_on) = running.next().await;
        Some((text.bytes(), goes_on.then_some(running)))
    });
    // Proxies must not collect what is to arrive at once.
    Response::stream(sse::CONTENT_TYPE, pieces).header("x-accel-buffering", "no")
}

/// A stream that somebody reads.
struct Running {
    reader: Reader,
    _seat: Seat,
    shutdown: Shutdown,
    ping: Duration,
    ends_at: Instant,
    is_new: bool,
}

impl Running {
    /// The next piece, and whether there is another.
    async fn next(&mut self) -> (Text, bool) {
        if std::mem::take(&mut self.is_new) {
            let text = Text::default().retry(RETRY);
            return (self.with_place(text), true);
        }
        let ping_at = (Instant::now() + self.ping).min(self.ends_at);
        let batch = tokio::select! {
            batch = self.reader.next() => batch,
            () = self.shutdown.requested() => return stops(),
            () = sleep_until(ping_at) => {
                let text = self.with_place(Text::default().comment("ping"));
                return (text, Instant::now() < self.ends_at);
            }
        };
        match batch {
            Ok(Some(batch)) => match told(&batch) {
                Ok(text) => (text, Instant::now() < self.ends_at),
                Err(error) => broken(&error),
            },
            // The feed closes its queues with the service, and may be heard of first.
            Ok(None) if self.shutdown.is_requested() => stops(),
            Ok(None) => (
                Text::default().comment("too slow: come back with your cursor"),
                false,
            ),
            Err(error) => broken(&error),
        }
    }

    fn with_place(&mut self, text: Text) -> Text {
        match self.reader.place() {
            Some(place) => text.place(events::cursor(place)),
            None => text,
        }
    }
}

fn stops() -> (Text, bool) {
    (Text::default().comment("the service stops"), false)
}

/// The client comes back, and is told then.
fn broken(error: &Error) -> (Text, bool) {
    tracing::debug!(error = error.chain(), "an event stream ends");
    (
        Text::default().comment("interrupted: come back with your cursor"),
        false,
    )
}

fn told(batch: &Batch) -> Result<Text> {
    batch.iter().try_fold(Text::default(), |text, event| {
        let view = View::from(&**event);
        text.event(view.cursor, view.action, &view)
    })
}
