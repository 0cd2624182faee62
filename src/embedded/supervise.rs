//! Brings Postgres back when it ends by itself, without ending the service.

use std::time::{Duration, Instant};

use super::Cluster;
use crate::shutdown::Shutdown;

/// How often the processes are looked at; a look costs two system calls.
const LOOK: Duration = Duration::from_millis(100);

/// Pause before the next attempt: doubled from the first to the last, and the first again after
/// Postgres has stayed up for as long as `SETTLED`.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(10);
const SETTLED: Duration = Duration::from_secs(60);

/// How often old logs are removed.
const PRUNE: Duration = Duration::from_secs(60);

/// Runs until the service stops or the cluster is stopped.
pub(super) async fn run(cluster: Cluster, shutdown: Shutdown) {
    let mut pause = FIRST_PAUSE;
    let mut up_since = Instant::now();
    let mut pruned = Instant::now();
    loop {
        if wait(LOOK, &cluster, &shutdown).await {
            return;
        }
        cluster.mend_guard();
        if pruned.elapsed() > PRUNE {
            pruned = Instant::now();
            cluster.prune_logs();
        }
        if cluster.is_alive() {
            continue;
        }
        if up_since.elapsed() > SETTLED {
            pause = FIRST_PAUSE;
        }
        tracing::error!("the embedded Postgres has ended; starting it again");
        if wait(pause, &cluster, &shutdown).await {
            return;
        }
        pause = LAST_PAUSE.min(pause * 2);
        let started = tokio::select! {
            () = shutdown.requested() => return,
            () = cluster.stopping().cancelled() => return,
            started = cluster.restart() => started,
        };
        match started {
            Ok(()) => tracing::info!("the embedded Postgres is back"),
            Err(error) => tracing::error!(%error, "the embedded Postgres does not start"),
        }
        up_since = Instant::now();
    }
}

/// Waits, and says whether it is time to end.
async fn wait(time: Duration, cluster: &Cluster, shutdown: &Shutdown) -> bool {
    tokio::select! {
        () = shutdown.requested() => true,
        () = cluster.stopping().cancelled() => true,
        () = tokio::time::sleep(time) => false,
    }
}
