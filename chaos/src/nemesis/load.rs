//! Load that is a fault: herds, storms, poison; and a control plane that misbehaves.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use super::Stage;
use crate::clients::api::Api;
use crate::clients::producer::{special, submit};
use crate::program::Mode;

/// How many wait for one task.
const HERD: usize = 300;
/// How many tasks fail at once.
const STORM: usize = 40;

/// F27: hundreds wait for work, and there is one task; then a service is started anew.
pub async fn herd(stage: &Stage, hold: Duration, mut rng: fastrand::Rng) -> anyhow::Result<String> {
    let rig = &stage.rig;
    let (queue, session) = (format!("herd-{}", rng.u32(..)), Uuid::new_v4());
    let api = Api::new(rig.links.pull.port(), &rig.keys.worker)?;
    let body = json!({"name": queue, "capabilities": {"max_concurrency": 1, "labels": [queue]}});
    api.post("/workers", &body, Duration::from_secs(8)).await;
    let mut waiting = JoinSet::new();
    for _ in 0..HERD {
        let (api, queue) = (api.clone(), queue.clone());
        let wait = 2 + hold.as_secs();
        waiting.spawn(async move {
            let ask = json!({"worker_id": queue, "session_id": session, "wait_seconds": wait,
                "ttl_seconds": 3, "queues": [queue]});
            api.post("/leases", &ask, Duration::from_secs(wait + 8))
                .await
        });
    }
    sleep(hold / 3).await;
    // A program takes it in the end: the label is one that the workers have, too.
    let journal = stage.pool.journal("herd")?;
    let producer = Api::new(rig.links.front.port(), &rig.keys.producer)?;
    let key = journal.proc().to_owned();
    let task = special(&key, Mode::Normal, 10, &queue, "programs");
    submit(&producer, &stage.pool, &journal, &key, &task).await;
    let mut service = rig.services[rng.usize(..2)].hold().await;
    service.kill(false).await;
    service.start()?;
    drop(service);
    let mut answers = 0;
    while let Some(reply) = waiting.join_next().await {
        answers += usize::from(reply.is_ok_and(|reply| reply.http == Some(200)));
    }
    Ok(format!(
        "{HERD} waited for one task, {answers} of them were answered"
    ))
}

/// F28: many tasks fail every time.
pub async fn storm(stage: &Stage, rng: fastrand::Rng) -> anyhow::Result<String> {
    unleash(stage, rng, Mode::Fail, STORM, "storm").await?;
    Ok(format!("{STORM} tasks that always fail"))
}

/// F29: a task that kills its worker.
pub async fn poison(stage: &Stage, rng: fastrand::Rng) -> anyhow::Result<String> {
    unleash(stage, rng, Mode::Poison, 1, "poison").await?;
    Ok("a task that kills its worker".to_owned())
}

async fn unleash(
    stage: &Stage,
    mut rng: fastrand::Rng,
    mode: Mode,
    count: usize,
    queue: &str,
) -> anyhow::Result<()> {
    let journal = stage.pool.journal(queue)?;
    let producer = Api::new(stage.rig.links.front.port(), &stage.rig.keys.producer)?;
    for number in 0..count {
        let key = format!("{}-{number}", journal.proc());
        let task = special(&key, mode, rng.u64(5..50), queue, "programs");
        submit(&producer, &stage.pool, &journal, &key, &task).await;
    }
    Ok(())
}

/// F36: the control plane is slow, broken, or talks nonsense.
pub async fn control_plane(
    stage: &Stage,
    hold: Duration,
    mut rng: fastrand::Rng,
) -> anyhow::Result<String> {
    let plane = &stage.rig.control_plane;
    let mood = plane.some_mood(&mut rng);
    plane.set(mood);
    sleep(hold * 2).await;
    plane.heal();
    Ok(format!("the control plane was {mood:?}"))
}
