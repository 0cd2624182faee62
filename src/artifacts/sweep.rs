//! Removes nobody's objects: those whose completion was refused or never came, and those whose
//! artifact has gone with retention.
//!
//! It needs no memory of its own. What is in the bucket is compared with what is in the database,
//! and the database says which objects no lease can bring into use any more. So it may run anywhere,
//! at any time, twice, and be ended at any moment.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::sleep;
use tracing::{info, warn};

use super::store::Trouble;
use super::{Inner, Sweep};
use crate::db::calls::artifact::artifact_sweep;
use crate::error::Error;
use crate::shutdown::Shutdown;

/// How many objects are looked at together.
const PAGE: usize = 1000;
/// The first sweep comes so soon after a start, at most.
const SOON: Duration = Duration::from_secs(30);

/// Why a sweep did not come to its end.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Store(Trouble),
    #[error("{}", .0.chain())]
    Database(Error),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Store(trouble)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

/// Sweeps again and again until `shutdown`.
pub(super) async fn run(inner: Arc<Inner>, sweep: Sweep, shutdown: Shutdown) {
    let mut pause = sweep.every.min(SOON);
    let mut fails = false;
    loop {
        // A fifth more or less, so that processes do not march in step.
        let nap = pause.mul_f64(0.8 + 0.4 * fastrand::f64());
        tokio::select! {
            () = sleep(nap) => {}
            () = shutdown.requested() => return,
        }
        pause = sweep.every;
        let outcome = round(&inner, sweep.older_than, &shutdown).await;
        match &outcome {
            Err(failure) if !fails => {
                warn!(error = %failure, "the sweep of object storage fails; it goes on trying");
            }
            Ok(0) | Err(_) => {}
            Ok(removed) => info!(removed, "objects without an artifact removed"),
        }
        if fails && outcome.is_ok() {
            info!("the sweep of object storage works again");
        }
        fails = outcome.is_err();
    }
}

/// Looks at everything once; how many objects were removed.
async fn round(inner: &Inner, age: Duration, shutdown: &Shutdown) -> Result<usize, Failure> {
    let place = inner.place().await?;
    let mut after: Option<String> = None;
    let mut removed = 0;
    while !shutdown.is_requested() {
        let page = inner
            .store
            .list(place.prefix(), after.as_deref(), PAGE)
            .await?;
        let Some(last) = page.last() else {
            break;
        };
        after = Some(last.location.to_string());
        let old: Vec<_> = page
            .iter()
            .filter(|object| is_older(object.last_modified.timestamp(), age))
            .map(|object| object.location.to_string())
            .collect();
        let keys: Vec<_> = old.iter().filter_map(|key| place.read(key)).collect();
        if !keys.is_empty() {
            let tasks: Vec<_> = keys.iter().map(|key| key.task).collect();
            let leases: Vec<_> = keys.iter().map(|key| key.lease).collect();
            let urls: Vec<_> = keys.iter().map(|key| inner.url(key.text)).collect();
            let rubbish = artifact_sweep(&inner.db, &tasks, &leases, &urls).await?;
            let rubbish = rubbish.iter().filter_map(|at| keys.get(*at));
            let rubbish: Vec<_> = rubbish.map(|key| key.text.into()).collect();
            let count = rubbish.len();
            if count > 0 {
                inner.store.delete(rubbish).await?;
                removed += count;
            }
        }
        if page.len() < PAGE {
            break;
        }
    }
    Ok(removed)
}

/// Whether something of that moment (Unix seconds) is older. The clocks of two machines are
/// compared; nothing but patience hangs on it.
fn is_older(at: i64, age: Duration) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let at = u64::try_from(at).unwrap_or(0);
    now.saturating_sub(at) >= age.as_secs()
}
