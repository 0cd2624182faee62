//! Reports whose output goes to object storage before they do.

use futures_util::stream::{self, StreamExt as _};
use uuid::Uuid;

use super::Said;
use crate::artifacts::Stored;
use crate::db::Lane;
use crate::db::calls::artifact::{Artifact, artifact_get};
use crate::db::calls::lease::{Completed, Report, lease_complete_many, lease_complete_stored};
use crate::db::calls::task::task_get_through;
use crate::error::{Error, Result};
use crate::http::handlers::App;

/// How many outputs of one request are on their way to object storage at a time.
const PUTS: usize = 8;

/// Puts the output into object storage, if it belongs there. One that names no lease is put there
/// for the current one, and counts only if that is still the current one when it ends.
pub(super) async fn put(app: &App, id: Uuid, said: &Said) -> Option<Stored> {
    let output = said.output.as_deref();
    if !app.artifacts.wants(output) {
        return None;
    }
    let lease = if let Some(lease) = said.lease_id {
        lease
    } else {
        let task = task_get_through(&app.db, Lane::Reserved, id).await.ok()?;
        task.lease_id?
    };
    app.artifacts.put(id, lease, output).await
}

/// The artifact as it is now. A repeated report may have been put elsewhere the first time.
pub(super) async fn artifact(
    app: &App,
    done: &Completed,
    said: &Said,
    stored: Option<Stored>,
) -> Artifact {
    if done.replayed
        && app.artifacts.is_set_up()
        && let Ok(artifact) = artifact_get(&app.db, done.artifact_id).await
    {
        return artifact;
    }
    let size = said.output.as_ref().map_or(0, String::len);
    Artifact {
        id: done.artifact_id,
        task_id: done.task_id,
        kind: said.kind.clone(),
        created_at: done.completed_at,
        content: said.output.clone().filter(|_| stored.is_none()),
        size_bytes: i64::try_from(size).unwrap_or(i64::MAX),
        sha256: stored.as_ref().map(|stored| stored.sha256.clone()),
        url: stored.map(|stored| stored.url),
        tags: said.tags.clone(),
    }
}

/// An answer for each report, in order. Those whose output went to object storage are ended one by
/// one: what was put there took longer.
pub(super) async fn end_many(app: &App, reports: &[&Report]) -> Result<Vec<Result<Completed>>> {
    if !app.artifacts.is_set_up() {
        return if reports.is_empty() {
            Ok(Vec::new())
        } else {
            lease_complete_many(&app.db, reports).await
        };
    }
    let mut puts = Vec::with_capacity(reports.len());
    for report in reports {
        let artifacts = app.artifacts.clone();
        let output = report.output.as_ref();
        let output = output
            .filter(|output| artifacts.wants(Some(output)))
            .cloned();
        let (task, lease) = (report.task_id, report.lease_id);
        puts.push(async move { artifacts.put(task, lease, output.as_deref()).await });
    }
    let stored: Vec<_> = stream::iter(puts).buffered(PUTS).collect().await;
    let plain = reports.iter().zip(&stored);
    let plain: Vec<_> = plain
        .filter(|(_, stored)| stored.is_none())
        .map(|(report, _)| *report)
        .collect();
    let mut ended = if plain.is_empty() {
        Vec::new()
    } else {
        lease_complete_many(&app.db, &plain).await?
    }
    .into_iter();
    let mut answers = Vec::with_capacity(reports.len());
    for (report, stored) in reports.iter().zip(stored) {
        answers.push(match stored {
            None => ended
                .next()
                .unwrap_or_else(|| Err(Error::internal("a report without an answer"))),
            Some(stored) => {
                let (lease, options) = (Some(report.lease_id), report.options.clone());
                let (status, stored) = (report.status, stored.json());
                lease_complete_stored(&app.db, report.task_id, lease, status, &stored, options)
                    .await
            }
        });
    }
    Ok(answers)
}
