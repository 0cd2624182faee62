//! What the service has to show for each text, and whether that is what was promised.

use serde_json::Value;

use super::{CALL_LIMIT, Job};
use crate::cli::desk::text;
use crate::cli::output::{Out, brief, span};
use crate::client::{Client, Failure};

/// Submitted, leased, running, completed.
pub(super) const AUDIT_ROWS: usize = 4;
/// How much of a result is shown, in characters.
const BRIEF: usize = 40;

/// What the service says of one task.
pub(super) struct Proof {
    status: String,
    attempts: String,
    output: String,
    duration_ms: u64,
    artifacts: usize,
    audit_rows: usize,
}

/// Asks for everything.
pub(super) async fn collect(client: &Client, jobs: &[Job]) -> Result<Vec<Proof>, Failure> {
    let mut proofs = Vec::new();
    for job in jobs {
        let task: Value = client
            .get(&format!("/llm-tasks/{}", job.id), CALL_LIMIT)
            .await?;
        let result = client
            .get(&format!("/llm-tasks/{}/result", job.id), CALL_LIMIT)
            .await;
        let result: Value = match result {
            Err(failure) if failure.status() == Some(404) => Value::Null,
            other => other?,
        };
        let artifacts = format!("/artifacts?task_id={}", job.id);
        let artifacts: Vec<Value> = client.get(&artifacts, CALL_LIMIT).await?;
        let events = format!("/llm-tasks/{}/events", job.id);
        let events: Vec<Value> = client.get(&events, CALL_LIMIT).await?;
        proofs.push(Proof {
            status: text(&task, "status"),
            attempts: text(&task, "attempts"),
            output: text(&result, "output"),
            duration_ms: result["metrics"]["duration_ms"]
                .as_u64()
                .unwrap_or_default(),
            artifacts: artifacts.len(),
            audit_rows: events.len(),
        });
    }
    Ok(proofs)
}

/// Shows it.
pub(super) fn table(out: &mut Out, jobs: &[Job], proofs: &[Proof]) -> std::io::Result<()> {
    let head = [
        "text",
        "words",
        "result (first line)",
        "attempts",
        "duration",
        "audit rows",
    ];
    let rows = jobs.iter().zip(proofs).map(|(job, proof)| {
        let result = match proof.status.as_str() {
            "completed" => brief(&proof.output, BRIEF),
            other => format!("({other})"),
        };
        [
            job.text.name.clone(),
            job.text.words().to_string(),
            result,
            proof.attempts.clone(),
            span(proof.duration_ms),
            proof.audit_rows.to_string(),
        ]
    });
    out.table(head, rows.collect::<Vec<_>>())
}

/// What is not as promised, one sentence each.
pub(super) fn faults(jobs: &[Job], proofs: &[Proof]) -> Vec<String> {
    let mut faults = Vec::new();
    for (job, proof) in jobs.iter().zip(proofs) {
        let name = &job.text.name;
        if proof.status != "completed" {
            faults.push(format!("{name} is {}", proof.status));
            continue;
        }
        if proof.artifacts != 1 {
            faults.push(format!("{name} has {} artifacts", proof.artifacts));
        }
        if proof.audit_rows != AUDIT_ROWS {
            faults.push(format!("{name} has {} audit rows", proof.audit_rows));
        }
    }
    faults
}
