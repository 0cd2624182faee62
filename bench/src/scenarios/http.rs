//! Through the whole HTTP path.

use anyhow::Context as _;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Bench;
use crate::http::Client;
use crate::measure::closed;

/// Tasks that a loop may use up.
const SUPPLY: u32 = 80_000;
/// How many tasks a batch has.
const BATCH: usize = 100;

/// 64 clients submit, each one task after the other.
pub async fn submit(bench: &Bench) -> anyhow::Result<()> {
    let body = json!({"context_id": "c", "agent_slug": "a", "prompt": "x".repeat(150)}).to_string();
    for (name, minimal) in [("submit/64", false), ("submit/64/minimal", true)] {
        let mut clients = Vec::new();
        for _ in 0..64 {
            clients.push((Client::connect(&bench.server.base).await?, body.clone()));
        }
        let figures = closed(
            name,
            clients,
            bench.time,
            move |(mut client, body): (Client, String)| async move {
                client.post("/llm-tasks", body.clone(), minimal).await?;
                Ok(((client, body), 1))
            },
        )
        .await?;
        bench.report.figures(name, "tasks/s", &figures);
    }
    Ok(())
}

/// A worker of its own for each client: leases one task, completes it, and so on.
pub async fn cycle(bench: &Bench, count: usize) -> anyhow::Result<()> {
    bench.fill(SUPPLY).await?;
    bench.register(count, 1).await?;
    let mut clients = Vec::new();
    for at in 0..count {
        let ask = json!({"worker_id": format!("w{at}"), "session_id": Uuid::new_v4()}).to_string();
        clients.push((Client::connect(&bench.server.base).await?, ask));
    }
    let name = format!("cycle-{count}");
    let figures = closed(
        &name,
        clients,
        bench.time,
        |(mut client, ask): (Client, String)| async move {
            let bytes = client.post("/leases", ask.clone(), false).await?;
            let answer: Value = serde_json::from_slice(&bytes)?;
            let Some(lease) = answer["leases"].get(0) else {
                return Ok(((client, ask), 0));
            };
            let id = lease["task"]["id"].as_str().context("no id")?;
            let report = json!({"lease_id": lease["lease"]["id"], "status": "success",
                "output": "done"});
            let path = format!("/llm-tasks/{id}/complete");
            client.post(&path, report.to_string(), true).await?;
            Ok(((client, ask), 1))
        },
    )
    .await?;
    bench.report.figures(&name, "cycles/s", &figures);
    Ok(())
}

/// Four clients, a hundred tasks a request.
pub async fn batch(bench: &Bench) -> anyhow::Result<()> {
    bench.fill(SUPPLY * 2).await?;
    bench.register(4, BATCH).await?;
    let mut clients = Vec::new();
    for at in 0..4 {
        let ask = json!({"worker_id": format!("w{at}"), "session_id": Uuid::new_v4(),
            "max_tasks": BATCH});
        clients.push((Client::connect(&bench.server.base).await?, ask.to_string()));
    }
    let figures = closed(
        "batch/4x100",
        clients,
        bench.time,
        |(mut client, ask): (Client, String)| async move {
            let bytes = client.post("/leases", ask.clone(), false).await?;
            let answer: Value = serde_json::from_slice(&bytes)?;
            let leases = answer["leases"].as_array().context("no list")?;
            let item = |lease: &Value| {
                json!({"task_id": lease["task"]["id"], "lease_id": lease["lease"]["id"],
                    "status": "success", "output": "done"})
            };
            let items: Vec<_> = leases.iter().map(item).collect();
            let done = items.len();
            if done > 0 {
                let body = json!({ "items": items }).to_string();
                client.post("/leases/complete", body, false).await?;
            }
            Ok(((client, ask), u64::try_from(done)?))
        },
    )
    .await?;
    bench.report.figures("batch/4x100", "cycles/s", &figures);
    Ok(())
}
