//! Holds the event log against its seals.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::{Hash, Seal, beginning, leaf, no_digest, root};
use crate::db::Db;
use crate::db::calls::seal::{Covered, Stored, audit_sealed, audit_seals};
use crate::error::Result;
use crate::secrets::to_hex;

/// What came of a page of seals.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Found {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// How many seals were checked.
    pub seals: usize,
    /// How many events were held against them.
    pub events: usize,
    /// How many of the seals cover events that retention has dropped; what is left of those is
    /// held against them.
    pub dropped: usize,
    /// To go on from; null at the end.
    pub next_cursor: Option<i64>,
    /// The first that is wrong.
    pub bad: Option<Bad>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Bad {
    /// With this seal, or with an event that it covers:
    pub seal_id: i64,
    /// of this task,
    pub task_id: Option<Uuid>,
    /// with this version;
    pub ver: Option<i32>,
    /// or of this `KIND/ID`.
    pub subject: Option<String>,
    /// What, for programs.
    pub code: &'static str,
    /// What, for people.
    pub text: String,
}

/// Checks up to `limit` seals with numbers above `after`, in order. `keys` are trusted.
///
/// # Errors
/// When the database fails. That something is wrong is no error.
pub async fn check(db: &Db, keys: &[String], after: i64, limit: i32) -> Result<Found> {
    let mut found = Found::default();
    // The one before them is read along, for it is what the first builds on.
    let stored = audit_seals(db, Some((after - 1).max(0)), limit + 1).await?;
    let mut before: Option<&Seal> = None;
    for stored in &stored {
        if stored.seal.id > after && found.seals < usize::try_from(limit).unwrap_or(0) {
            found.seals += 1;
            found.next_cursor = Some(stored.seal.id);
            found.bad = bad_seal(stored, before, keys);
            if found.bad.is_none() {
                let events = audit_sealed(db, stored.seal.id).await?;
                found.events += events.len();
                found.dropped += usize::from(!stored.is_whole);
                found.bad = if stored.is_whole {
                    bad_event(stored, &events)
                } else {
                    bad_rest(stored, &events)
                };
            }
            if found.bad.is_some() {
                break;
            }
        }
        before = Some(&stored.seal);
    }
    if after == 0 && found.bad.is_none() && found.seals > 0 {
        let strays = audit_sealed(db, 0).await?;
        let text = "it stands where no event can be: before the oldest seal, or in the future";
        found.bad = strays
            .first()
            .map(|event| bad(0, Some(event), "event_stray", text));
    }
    found.ok = found.bad.is_none();
    if found.seals < usize::try_from(limit).unwrap_or(0) || !found.ok {
        found.next_cursor = None;
    }
    Ok(found)
}

/// What is wrong with a seal itself.
fn bad_seal(stored: &Stored, before: Option<&Seal>, keys: &[String]) -> Option<Bad> {
    let seal = &stored.seal;
    let (from, prior) = match before {
        Some(before) => (before.to.clone(), before.digest()),
        None => (beginning(), no_digest()),
    };
    let next = before.map_or(1, |before| before.id + 1);
    // Retention drops the oldest, but for the last whose events are all gone.
    let is_oldest = before.is_none() && !stored.is_whole;
    let (code, text) = if seal.id != next && !is_oldest {
        ("seal_missing", format!("seal {next} is missing"))
    } else if !is_oldest && (&seal.from, &seal.prior) != (&from, &prior) {
        (
            "seal_order",
            "it does not build on the seal before".to_owned(),
        )
    } else if !keys.contains(&seal.public_key) {
        (
            "unknown_key",
            format!("it is signed by the unknown key {}", seal.public_key),
        )
    } else if !seal.is_signed() {
        (
            "signature",
            "its signature is not of what it says".to_owned(),
        )
    } else if to_hex(&root(&stored.leaves)) != seal.root {
        (
            "leaves",
            "its digests are not those that were signed".to_owned(),
        )
    } else {
        return None;
    };
    Some(bad(seal.id, None, code, &text))
}

fn bad(seal_id: i64, event: Option<&Covered>, code: &'static str, text: &str) -> Bad {
    Bad {
        seal_id,
        task_id: event.and_then(|event| event.task_id),
        ver: event.and_then(|event| event.ver),
        subject: event.and_then(|event| event.subject.clone()),
        code,
        text: text.to_owned(),
    }
}

/// The first of the events that retention has left of a seal that is not among those it covers. The
/// database says that it has dropped some, and could say so falsely; what is there is still held
/// against the seal.
fn bad_rest(stored: &Stored, events: &[Covered]) -> Option<Bad> {
    let sealed: HashSet<&Hash> = stored.leaves.iter().collect();
    let is_other = |event: &&Covered| !sealed.contains(&leaf(&event.body));
    let other = events.iter().find(is_other)?;
    let text = "it is not one of the events that were sealed";
    Some(bad(stored.seal.id, Some(other), "event_changed", text))
}

/// The first event that is not as it was sealed.
fn bad_event(stored: &Stored, events: &[Covered]) -> Option<Bad> {
    let now: Vec<Hash> = events.iter().map(|event| leaf(&event.body)).collect();
    let sealed = &stored.leaves;
    let at = (0..sealed.len().max(now.len())).find(|at| sealed.get(*at) != now.get(*at))?;
    let (code, text) = match now.len().cmp(&sealed.len()) {
        std::cmp::Ordering::Equal => ("event_changed", "it was changed after it was sealed"),
        std::cmp::Ordering::Greater => ("event_added", "it was added after its place was sealed"),
        std::cmp::Ordering::Less => ("event_removed", "an event just before it was removed"),
    };
    let (event, text) = match events.get(at) {
        Some(event) => (Some(event), text),
        None => (None, "the last events of the seal were removed"),
    };
    Some(bad(stored.seal.id, event, code, text))
}
