//! The database that a command works on: the one that was named, or the private one, started for
//! as long as the command runs.

use anyhow::Context;
use tokio::task::JoinHandle;

use crate::config::DatabaseArgs;
use crate::db::Endpoint;
use crate::embedded::{self, Cluster};
use crate::shutdown::Shutdown;

/// The database of the private cluster that holds the queue.
const EMBEDDED_DATABASE: &str = "bloom";

/// A database to work on.
pub(super) struct Database {
    pub(super) endpoint: Endpoint,
    cluster: Option<Cluster>,
}

impl Database {
    /// Finds or starts it.
    pub(super) async fn open(args: &DatabaseArgs) -> anyhow::Result<Self> {
        if let Some(url) = args.external() {
            let endpoint = Endpoint::parse(url.expose(), None)?;
            return Ok(Self {
                endpoint,
                cluster: None,
            });
        }
        let mut options = embedded::Options::new(&args.data_dir);
        options.bin_dir = args.bin_dir();
        let cluster = Cluster::start(options).await.context(
            "no database was named (DATABASE_URL), and the private one cannot be started",
        )?;
        let endpoint = match Self::prepare(&cluster).await {
            Ok(endpoint) => endpoint,
            Err(error) => {
                cluster.stop().await;
                return Err(error);
            }
        };
        Ok(Self {
            endpoint,
            cluster: Some(cluster),
        })
    }

    /// Finds it, also where a service holds the private one, or starts it.
    pub(super) async fn reach(args: &DatabaseArgs) -> anyhow::Result<Self> {
        match Self::open(args).await {
            Err(error) if is_in_use(&error) => {
                let config = embedded::attach(&args.data_dir, EMBEDDED_DATABASE)?;
                Ok(Self {
                    endpoint: Endpoint::new(config, None)?,
                    cluster: None,
                })
            }
            opened => opened,
        }
    }

    /// [`Self::reach`] for commands that only look: they make no cluster where there is none.
    pub(super) async fn existing(args: &DatabaseArgs) -> anyhow::Result<Self> {
        if args.external().is_none() && !embedded::exists(&args.data_dir) {
            anyhow::bail!(
                "there is no database in {}; name the service's --data-dir, or DATABASE_URL",
                args.data_dir.display()
            );
        }
        Self::reach(args).await
    }

    /// How a person connects to the private server: an argument for psql.
    pub(super) fn url(&self) -> Option<String> {
        Some(self.cluster.as_ref()?.url(EMBEDDED_DATABASE))
    }

    async fn prepare(cluster: &Cluster) -> anyhow::Result<Endpoint> {
        cluster.ensure_database(EMBEDDED_DATABASE).await?;
        Ok(Endpoint::new(cluster.config(EMBEDDED_DATABASE), None)?)
    }

    /// Restarts the private server whenever it dies, until `shutdown`.
    pub(super) fn supervise(&self, shutdown: &Shutdown) -> Option<JoinHandle<()>> {
        let cluster = self.cluster.clone()?;
        Some(tokio::spawn(cluster.supervise(shutdown.clone())))
    }

    /// Stops what was started.
    pub(super) async fn close(self) {
        if let Some(cluster) = self.cluster {
            cluster.stop().await;
        }
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<embedded::Error>(),
        Some(embedded::Error::InUse { .. })
    )
}
