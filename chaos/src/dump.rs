//! The tables after a run, as the checker wants them, and as files.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::journal::{read, write};
use crate::tables::{self, Attempt, History, Task, Violation};

/// What the checker wants to know of a submission, beside [`tables::Task`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submission {
    /// The client's own key: the first of the task's context hints.
    pub key: Option<String>,
    /// Queue, labels and priority: tasks that are alike in these are served in order.
    pub lane: String,
    /// Who submitted it.
    pub by: String,
}

/// A result that is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stored {
    /// Its task.
    pub task: Uuid,
    /// The number of its lease.
    pub fence: i32,
    /// SHA-256 of its text, in hexadecimal.
    pub digest: String,
}

/// Facts beside the tables.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Facts {
    /// Settings of the server at the end.
    pub settings: BTreeMap<String, String>,
    /// Sessions that stand in a transaction and do nothing, at rest.
    pub idle_in_transaction: i64,
    /// What superseded leases sent, as the database counted it.
    pub stale_refused: i64,
    /// What the checks of the tables at rest found.
    pub rest: Vec<Violation>,
}

/// Everything that a run left in the database.
#[derive(Debug, Clone, Default)]
pub struct Dump {
    /// Events, states, attempts.
    pub tables: History,
    /// By task.
    pub submissions: HashMap<Uuid, Submission>,
    /// By lease.
    pub results: HashMap<Uuid, Stored>,
    /// The rest.
    pub facts: Facts,
}

const SUBMISSIONS: &str = "select task_id, context_hints[1], \
     queue || ' ' || requires::text || ' ' || priority, created_by from bloom_private.task";
const RESULTS: &str = "select a.lease_id, a.task_id, a.fence, \
     encode(sha256(convert_to(coalesce(f.content, ''), 'UTF8')), 'hex') \
     from bloom_private.attempt a left join bloom_private.artifact f \
       on f.artifact_id = a.artifact_id where a.result_status is not null";
const SETTINGS: &str = "select name, setting || coalesce(' ' || unit, '') from pg_settings where \
     name in ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', \
     'synchronous_standby_names', 'max_connections', 'shared_buffers', 'wal_level', \
     'default_transaction_isolation')";
const IDLE: &str = "select count(*) from pg_stat_activity \
     where state like 'idle in transaction%' and pid <> pg_backend_pid()";
const STALE: &str = "select case when is_called then last_value else 0 end \
     from bloom_private.stale_refused";

impl Dump {
    /// Reads everything. Nothing else may be writing.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn take(client: &Client) -> anyhow::Result<Self> {
        let history = tables::load(client).await?;
        let submissions = client.query(SUBMISSIONS, &[]).await?;
        let submissions = submissions.iter().map(|row| {
            let submission = Submission {
                key: row.get(1),
                lane: row.get(2),
                by: row.get(3),
            };
            (row.get(0), submission)
        });
        let results = client.query(RESULTS, &[]).await?;
        let results = results.iter().map(|row| {
            let stored = Stored {
                task: row.get(1),
                fence: row.get(2),
                digest: row.get(3),
            };
            (row.get(0), stored)
        });
        let settings = client.query(SETTINGS, &[]).await?;
        let facts = Facts {
            settings: settings.iter().map(|r| (r.get(0), r.get(1))).collect(),
            idle_in_transaction: client.query_one(IDLE, &[]).await?.get(0),
            stale_refused: client.query_one(STALE, &[]).await?.get(0),
            rest: tables::at_rest(&history, client).await?,
        };
        Ok(Self {
            submissions: submissions.collect(),
            results: results.collect(),
            facts,
            tables: history,
        })
    }

    /// Writes it as files into `dir`.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn write(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(dir)?;
        write(&dir.join("events.jsonl"), &self.tables.events)?;
        write(&dir.join("tasks.jsonl"), &self.tables.tasks)?;
        write(&dir.join("states.jsonl"), &self.tables.states)?;
        write(&dir.join("attempts.jsonl"), &self.tables.attempts)?;
        write(&dir.join("slots.jsonl"), &self.tables.slots)?;
        write(&dir.join("submissions.jsonl"), &self.submissions)?;
        write(&dir.join("results.jsonl"), &self.results)?;
        write(&dir.join("facts.jsonl"), [&self.facts])
    }

    /// Reads what [`Dump::write`] wrote.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let tables = History {
            events: read(&dir.join("events.jsonl"))?,
            tasks: pairs::<Uuid, Task>(&dir.join("tasks.jsonl"))?,
            states: read(&dir.join("states.jsonl"))?,
            attempts: pairs::<(Uuid, i32), Attempt>(&dir.join("attempts.jsonl"))?,
            slots: pairs(&dir.join("slots.jsonl"))?,
        };
        let facts: Vec<Facts> = read(&dir.join("facts.jsonl"))?;
        Ok(Self {
            tables,
            submissions: pairs(&dir.join("submissions.jsonl"))?,
            results: pairs(&dir.join("results.jsonl"))?,
            facts: facts.into_iter().next().context("no facts")?,
        })
    }
}

fn pairs<K, V>(path: &Path) -> anyhow::Result<HashMap<K, V>>
where
    K: serde::de::DeserializeOwned + Eq + std::hash::Hash,
    V: serde::de::DeserializeOwned,
{
    Ok(read::<(K, V)>(path)?.into_iter().collect())
}
