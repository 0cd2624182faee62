//! Makes seals, and keeps them outside the database.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::fs::{self, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, SeekFrom};
use tracing::info;

use super::{Seal, Signers, beginning, leaf, no_digest, root};
use crate::db::Db;
use crate::db::calls::seal::{audit_seal, audit_seals, audit_unsealed};
use crate::error::{Error, Result};
use crate::secrets::to_hex;

/// Most events under one seal.
const EVENTS_MAX: i32 = 5000;
/// How many seals are read at once: each carries up to 160 KB of digests.
const PAGE: i32 = 50;
/// How much of the file's end is read, in bytes: many times the length of a line.
const TAIL: u64 = 64 << 10;

/// What the sealer is told.
#[derive(Debug)]
pub struct Options {
    /// Who signs; without a key nothing is sealed.
    pub signers: Option<Signers>,
    /// The file that every seal is written to, one a line.
    pub file: Option<PathBuf>,
    /// About how often it looks.
    pub interval: Duration,
}

/// Seals the event log.
#[derive(Clone)]
pub struct Sealer {
    db: Db,
    signers: Arc<Signers>,
    file: Option<PathBuf>,
}

impl Sealer {
    /// `None` where nobody can sign.
    #[must_use]
    pub fn new(db: &Db, options: Options) -> Option<Self> {
        Some(Self {
            db: db.clone(),
            signers: Arc::new(options.signers?),
            file: options.file,
        })
    }

    /// Whose signatures are trusted.
    #[must_use]
    pub fn public_keys(&self) -> Vec<String> {
        self.signers.public_keys()
    }

    /// Seals what can be sealed now, and brings the file up to date.
    ///
    /// # Errors
    /// When the database or the file fails. Nothing is lost: the next run goes on from there.
    pub async fn run(&self) -> Result<()> {
        let kept = match &self.file {
            Some(file) => last_line(file)
                .await
                .map_err(|error| unkept(file, &error))?,
            None => None,
        };
        if let (Some(file), Some(kept)) = (&self.file, &kept) {
            self.compare(file, kept).await?;
        }
        while self.seal().await? {}
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut after = kept.map_or(0, |seal| seal.id);
        loop {
            let stored = audit_seals(&self.db, Some(after), PAGE).await?;
            let Some(last) = stored.last() else {
                return Ok(());
            };
            after = last.seal.id;
            let seals: Vec<_> = stored.into_iter().map(|stored| stored.seal).collect();
            if let Some(seal) = seals.iter().find(|seal| !self.is_ours(seal)) {
                return Err(stranger(seal));
            }
            append(file, &seals)
                .await
                .map_err(|error| unkept(file, &error))?;
        }
    }

    /// Goes on only where the database still has the last seal that was kept: or history that was
    /// removed would be sealed anew, without a word.
    async fn compare(&self, file: &Path, kept: &Seal) -> Result<()> {
        let stored = audit_seals(&self.db, Some(kept.id - 1), 1).await?;
        if stored.first().is_some_and(|stored| stored.seal == *kept) {
            return Ok(());
        }
        Err(Error::internal(format!(
            "the database does not have seal {} of {}: seals were removed, or an older state was \
             restored. Nothing is sealed until that file is moved away",
            kept.id,
            file.display()
        )))
    }

    /// Makes the next seal. False when there is nothing more for now, or another process is at it.
    async fn seal(&self) -> Result<bool> {
        let last = audit_seals(&self.db, None, 1).await?;
        let last = last.into_iter().next_back().map(|stored| stored.seal);
        if let Some(seal) = last.as_ref().filter(|seal| !self.is_ours(seal)) {
            return Err(stranger(seal));
        }
        let events = audit_unsealed(&self.db, EVENTS_MAX).await?;
        let Some((to, _)) = events.last() else {
            return Ok(false);
        };
        let leaves: Vec<_> = events.iter().map(|(_, text)| leaf(text)).collect();
        let seal = self.signers.sign(Seal {
            id: last.as_ref().map_or(1, |last| last.id + 1),
            at: now_ms(),
            from: last.as_ref().map_or_else(beginning, |last| last.to.clone()),
            to: to.clone(),
            events: leaves.len(),
            root: to_hex(&root(&leaves)),
            prior: last.as_ref().map_or_else(no_digest, Seal::digest),
            public_key: String::new(),
            signature: String::new(),
        });
        let is_stored = audit_seal(&self.db, &seal, &leaves).await?;
        if is_stored {
            info!(seal = line(&seal), "sealed");
        }
        Ok(is_stored && i32::try_from(leaves.len()).is_ok_and(|sealed| sealed == EVENTS_MAX))
    }

    fn is_ours(&self, seal: &Seal) -> bool {
        self.public_keys().contains(&seal.public_key) && seal.is_signed()
    }
}

fn stranger(seal: &Seal) -> Error {
    let id = seal.id;
    Error::internal(format!(
        "seal {id} in the database is not signed by any key of this service; see bloom audit verify"
    ))
}

fn unkept(file: &Path, error: &io::Error) -> Error {
    Error::internal(format!("cannot keep seals in {}: {error}", file.display()))
}

fn now_ms() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

fn line(seal: &Seal) -> String {
    serde_json::to_string(seal).unwrap_or_default()
}

/// The end of the file, which grows for ever; empty where there is none.
async fn tail(file: &Path) -> io::Result<Vec<u8>> {
    let mut file = match fs::File::open(file).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let length = file.metadata().await?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))
        .await?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// The last seal in the file. A line that was cut off counts as none.
async fn last_line(file: &Path) -> io::Result<Option<Seal>> {
    let bytes = tail(file).await?;
    let text = String::from_utf8_lossy(&bytes);
    let mut seals = text
        .lines()
        .rev()
        .filter_map(|line| serde_json::from_str(line).ok());
    Ok(seals.next())
}

/// Adds lines, and returns when they are on the disk.
async fn append(file: &Path, seals: &[Seal]) -> io::Result<()> {
    let is_torn = tail(file).await?.last().is_some_and(|byte| *byte != b'\n');
    let mut text = String::from(if is_torn { "\n" } else { "" });
    for seal in seals {
        text.push_str(&line(seal));
        text.push('\n');
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .await?;
    file.write_all(text.as_bytes()).await?;
    file.sync_all().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(id: i64) -> Seal {
        Seal {
            id,
            at: 0,
            from: beginning(),
            to: beginning(),
            events: 1,
            root: no_digest(),
            prior: no_digest(),
            public_key: no_digest(),
            signature: no_digest(),
        }
    }

    #[tokio::test]
    async fn the_last_whole_line_counts_however_long_the_file_and_a_torn_one_is_ended() {
        let file = std::env::temp_dir().join(format!("bloom-seals-{}", uuid::Uuid::new_v4()));
        assert_eq!(last_line(&file).await.unwrap(), None);
        let many: Vec<_> = (1..=1000).map(seal).collect();
        append(&file, &many).await.unwrap();
        assert!(std::fs::metadata(&file).unwrap().len() > 2 * TAIL);
        let mut text = std::fs::read_to_string(&file).unwrap();
        text.push_str("{\"id\": 1001, \"at");
        std::fs::write(&file, text).unwrap();
        assert_eq!(last_line(&file).await.unwrap(), Some(seal(1000)));
        append(&file, &[seal(1001)]).await.unwrap();
        assert_eq!(last_line(&file).await.unwrap(), Some(seal(1001)));
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert_eq!(lines, 1002);
        std::fs::remove_file(&file).unwrap();
    }
}
