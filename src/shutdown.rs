//! One signal that tells every component to stop, and a tracker that waits until they have.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A cheap clonable handle on the process's orderly end.
///
/// Components take one, run until [`Shutdown::requested`] resolves, and are spawned through
/// [`Shutdown::spawn`] so that [`Shutdown::finished`] can wait for them.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// A new one, not yet requested.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone to stop. May be called more than once.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// Whether stopping was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Resolves once stopping was asked for.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Spawns a task that [`Shutdown::finished`] waits for.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(future)
    }

    /// Resolves when stopping was asked for and every spawned task has ended.
    pub async fn finished(&self) {
        self.token.cancelled().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}
