//! `bloom audit verify`, the part about seals.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::super::desk::{Desk, Trouble};
use super::patient;
use crate::seals::Seal;

/// Arguments of `bloom audit verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The seals as they were kept outside the database (`bloom serve --seal-file`). Those that the
    /// database should still have are compared.
    #[arg(long, value_name = "FILE")]
    pub seals: Option<PathBuf>,
    /// Trust only seals signed by this public key, of 64 hexadecimal digits; may be repeated. Without
    /// it, those of the service.
    #[arg(long = "public-key", value_name = "HEX", value_parser = public_key)]
    pub public_keys: Vec<String>,
}

fn public_key(text: &str) -> Result<String, String> {
    let is_key = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_key
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "expected 64 hexadecimal digits".to_owned())
}

/// The seals of the file, by number.
type Kept = BTreeMap<i64, Seal>;

impl Verify {
    /// Reads the file.
    pub(super) fn read(&self) -> Result<Kept, Trouble> {
        let Some(path) = &self.seals else {
            return Ok(Kept::new());
        };
        let failed = |why: String| Trouble::Usage(anyhow::anyhow!("{}: {why}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut kept = Kept::new();
        for (at, line) in text.lines().enumerate() {
            // A line that a crash cut off is followed by the same seal again; see below.
            let Ok(seal) = serde_json::from_str::<Seal>(line) else {
                continue;
            };
            if !seal.is_signed() {
                return Err(failed(format!(
                    "line {}: its signature is not of what it says",
                    at + 1
                )));
            }
            kept.insert(seal.id, seal);
        }
        let (Some(first), Some(last)) = (kept.keys().next(), kept.keys().next_back()) else {
            return Err(failed("it has no seal".to_owned()));
        };
        if let Some(lost) = (*first..*last).find(|id| !kept.contains_key(id)) {
            return Err(failed(format!(
                "it lacks seal {lost}, or its line cannot be read"
            )));
        }
        Ok(kept)
    }
}

/// What came of the seals.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    pub(super) seals: u64,
    pub(super) events: u64,
    pub(super) bad: Value,
    pub(super) dropped: u64,
    pub(super) compared: usize,
    is_off: bool,
}

impl Sealed {
    /// For people.
    pub(super) fn text(&self) -> String {
        if self.is_off {
            return "the service has no key-encryption key, so nothing is sealed".to_owned();
        }
        let dropped = match self.dropped {
            0 => String::new(),
            some => format!("; of {some} seals retention has dropped events"),
        };
        let compared = match self.compared {
            0 => String::new(),
            some => format!("; {some} seals are as the file has them"),
        };
        format!(
            "{} seals over {} events: nothing was changed{dropped}{compared}",
            self.seals, self.events
        )
    }
}

/// Holds the events against the seals of the database, and these against those that were kept.
pub(super) async fn verify(desk: &Desk, kept: &Kept, args: &Verify) -> Result<Sealed, Trouble> {
    let mut sealed = Sealed::default();
    let keys = patient(desk, "/audit/seals?limit=1").await?["public_keys"].clone();
    sealed.is_off = keys.as_array().is_none_or(Vec::is_empty);
    if sealed.is_off && !(kept.is_empty() && args.public_keys.is_empty()) {
        return Err(Trouble::Usage(anyhow::anyhow!(
            "this service has no key-encryption key and cannot verify seals; ask one that has"
        )));
    }
    let mut cursor = 0;
    while !sealed.is_off && sealed.bad.is_null() {
        let page = patient(desk, &format!("/audit/seals/verify?cursor={cursor}")).await?;
        let count = |member: &str| page[member].as_u64().unwrap_or_default();
        sealed.seals += count("seals");
        sealed.events += count("events");
        sealed.dropped += count("dropped");
        page["bad"].clone_into(&mut sealed.bad);
        match page["next_cursor"].as_i64() {
            Some(next) => cursor = next,
            None => break,
        }
    }
    if sealed.bad.is_null() && (!kept.is_empty() || !args.public_keys.is_empty()) {
        sealed.bad = compare(desk, kept, args, &mut sealed.compared).await?;
    }
    Ok(sealed)
}

/// The first seal that is not as it was kept, or not by whom it should be.
async fn compare(
    desk: &Desk,
    kept: &Kept,
    args: &Verify,
    compared: &mut usize,
) -> Result<Value, Trouble> {
    let bad =
        |id: i64, code: &str, text: &str| json!({ "seal_id": id, "code": code, "text": text });
    let (mut cursor, mut oldest) = (0, None);
    let mut missing = kept.clone();
    loop {
        let page = patient(desk, &format!("/audit/seals?cursor={cursor}")).await?;
        let seals: Vec<Seal> = serde_json::from_value(page["seals"].clone()).unwrap_or_default();
        let Some(last) = seals.last() else {
            break;
        };
        cursor = last.id;
        for seal in &seals {
            oldest = oldest.or(Some(seal.id));
            if !seal.is_signed() {
                return Ok(bad(
                    seal.id,
                    "signature",
                    "its signature is not of what it says",
                ));
            }
            if !args.public_keys.is_empty() && !args.public_keys.contains(&seal.public_key) {
                return Ok(bad(seal.id, "unknown_key", "it is signed by another key"));
            }
            match missing.remove(&seal.id) {
                Some(before) if before != *seal => {
                    return Ok(bad(
                        seal.id,
                        "seal_replaced",
                        "it is not the one in the file",
                    ));
                }
                Some(_) => *compared += 1,
                None => {}
            }
        }
    }
    // What is older than the oldest went with its events.
    let oldest = oldest.unwrap_or(0);
    let gone = missing.keys().find(|id| **id >= oldest);
    Ok(gone.map_or(Value::Null, |id| {
        bad(
            *id,
            "seal_removed",
            "it is in the file, and not in the database",
        )
    }))
}
