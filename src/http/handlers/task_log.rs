//! The live log of a task: workers add to it while a program runs, people read and follow it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{App, task_id};
use crate::db::calls::VerbOptions;
use crate::db::calls::task::task_status;
use crate::db::calls::task_log::{Piece, task_log_append, task_log_read};
use crate::error::{Error, Kind, Result};
use crate::http::validate::Form;
use crate::http::{Request, Response, wire};

/// The longest piece, in characters, as in the verb.
const PIECE_MAX: usize = 64 << 10;
/// The largest position.
const POSITION_MAX: i64 = 1 << 40;
/// How many pieces a page has at most.
pub(super) const PAGE_MAX: i64 = 1000;
/// How many pieces a page has.
pub(super) const PAGE: i64 = 200;
/// How long a reader may wait for more, in seconds.
pub(super) const WAIT_MAX: i64 = 60;
/// How often a waiting reader is looked after.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// `POST /llm-tasks/:id/log`: `{"lease_id", "offset", "text"}` → `{"next_offset", "capped"}`.
pub async fn append(app: Arc<App>, request: Request) -> Result<Response> {
    let id = task_id(&request)?;
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let (lease, offset, text, options) = read_piece(&mut form);
    form.finish()?;
    let (next_offset, capped) = task_log_append(&app.db, id, lease, offset, &text, options).await?;
    Response::ok(&wire::Appended {
        next_offset,
        capped,
    })
}

/// A piece of a log: the lease, where it begins, its text, and whose it is.
pub(super) fn read_piece(form: &mut Form<'_>) -> (Uuid, i64, String, VerbOptions) {
    let lease = form.uuid("lease_id").required();
    let offset = form.integer("offset").range(0, POSITION_MAX).required();
    let text: String = form.string("text").max(PIECE_MAX).required();
    let worker = form.string("worker_id").max(128).nullable();
    let options = VerbOptions::default().maybe("worker_id", worker);
    (lease, offset, text, options)
}

/// `GET /llm-tasks/:id/log?after=&limit=&wait_seconds=`: `{"chunks": […], "next_cursor", "end"}`.
/// With `wait_seconds` an answer with nothing in it waits for something, or for the task's end.
pub async fn read(app: Arc<App>, request: Request) -> Result<Response> {
    let id = task_id(&request)?;
    let query = request.query()?;
    let after = match query.text("after")? {
        None | Some("") => (0, -1),
        Some(text) => cursor(text)?,
    };
    let limit = query.limit(PAGE, PAGE_MAX)?;
    let wait = query.integer("wait_seconds", 0..=WAIT_MAX)?.unwrap_or(0);
    // Beyond the bound readers are answered at once.
    let seat = app.log_readers.try_acquire().ok();
    let wait = seat.as_ref().map_or(0, |_| wait.unsigned_abs());
    let deadline = Instant::now() + Duration::from_secs(wait);
    let limit = i32::try_from(limit).unwrap_or(1);
    loop {
        // First the state: what was written before its end is seen after it.
        let is_over = is_over(&app, id).await?;
        let pieces = task_log_read(&app.db, id, after, limit).await?;
        let is_full = i32::try_from(pieces.len()).is_ok_and(|pieces| pieces >= limit);
        let is_late = Instant::now() >= deadline || app.shutdown.is_requested();
        if !pieces.is_empty() || is_over || is_late {
            let next = pieces
                .last()
                .map_or(after, |last| (last.fence, last.position));
            return Response::ok(&wire::LogPage {
                chunks: pieces.iter().map(shown).collect(),
                next_cursor: format!("{}.{}", next.0, next.1),
                end: is_over && !is_full,
            });
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = app.shutdown.requested() => {}
        }
    }
}

async fn is_over(app: &App, id: Uuid) -> Result<bool> {
    let status = task_status(&app.db, id).await?;
    Ok(matches!(
        status.as_str(),
        "completed" | "dead" | "cancelled"
    ))
}

fn shown(piece: &Piece) -> wire::LogChunk {
    wire::LogChunk {
        cursor: format!("{}.{}", piece.fence, piece.position),
        lease_id: piece.lease_id,
        attempt: piece.attempt,
        fence: piece.fence,
        at: piece.at,
        text: piece.text.clone(),
    }
}

/// `FENCE.POSITION`, as an earlier answer named it.
fn cursor(text: &str) -> Result<(i32, i64)> {
    let read = || {
        let (fence, position) = text.split_once('.')?;
        Some((fence.parse().ok()?, position.parse().ok()?))
    };
    read().ok_or_else(|| {
        Error::refused(
            Kind::Invalid,
            "invalid_cursor",
            "after is not a cursor of this log",
        )
    })
}
