//! `bloom worker list`, `drain`, `resume` and `remove`: looking after all workers, over HTTP.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::desk::{CALL_LIMIT, Desk, Trouble, text};
use crate::cli::exit;
use crate::cli::output::clean;
use crate::cli::when;
use crate::client::segment;
use crate::config::client::ClientArgs;

/// Which workers.
#[derive(Debug, Args)]
pub struct Names {
    /// Names of workers.
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// Print JSON for programs.
    #[arg(long)]
    pub json: bool,
}

/// What is done to workers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Drain,
    Resume,
    Remove,
}

pub(super) async fn list(client: &ClientArgs, json: bool) -> anyhow::Result<ExitCode> {
    Desk::serve(client, json, async |desk| {
        let workers = desk.get("/workers").await?;
        if desk.json {
            desk.out.json(&workers)?;
            return Ok(exit::DONE);
        }
        let rows = workers.as_array().into_iter().flatten().map(row);
        let head = [
            "name",
            "state",
            "busy",
            "labels",
            "last beat",
            "version",
            "usage limit until",
        ];
        desk.out.table(head, rows)?;
        Ok(exit::DONE)
    })
    .await
}

fn row(worker: &Value) -> [String; 7] {
    let state = match worker["status"].as_str() {
        Some("online") if worker["draining"] == true => "draining",
        other => other.unwrap_or_default(),
    };
    let labels = worker["capabilities"]["labels"].as_array();
    let labels: Vec<_> = labels
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let beat = when::age(worker, "last_heartbeat");
    [
        text(worker, "id"),
        state.to_owned(),
        format!(
            "{}/{}",
            text(worker, "active_leases"),
            text(&worker["capabilities"], "max_concurrency")
        ),
        labels.join(", "),
        if beat.is_empty() {
            "never".to_owned()
        } else {
            format!("{beat} ago")
        },
        text(worker, "agent_version"),
        when::at(worker, "credential_exhausted_until"),
    ]
}

pub(super) async fn change(
    client: &ClientArgs,
    names: &Names,
    change: Change,
) -> anyhow::Result<ExitCode> {
    Desk::serve(client, names.json, async |desk| {
        for name in &names.names {
            one(desk, name, change).await?;
        }
        Ok(exit::DONE)
    })
    .await
}

async fn one(desk: &mut Desk, name: &str, change: Change) -> Result<(), Trouble> {
    let path = format!("/workers/{}", segment(name));
    let (answer, done) = match change {
        Change::Drain => {
            let path = format!("{path}/drain");
            (desk.post(&path, &json!({})).await?, "takes no new tasks")
        }
        Change::Resume => {
            let path = format!("{path}/resume");
            (desk.post(&path, &json!({})).await?, "takes tasks again")
        }
        Change::Remove => {
            let answer: Value = desk.client.delete(&path, CALL_LIMIT).await?;
            (answer, "is removed; its tasks are queued again")
        }
    };
    if desk.json {
        return Ok(desk.out.line(&answer)?);
    }
    Ok(desk
        .out
        .line(format_args!("{} {done}", clean(name, false)))?)
}
