//! What happens in a control beside its load.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::Control;
use crate::clients::api::Api;
use crate::clients::pool::Pool;
use crate::clients::producer::{special, submit};
use crate::clients::pull::Manner;
use crate::journal::FaultRecord;
use crate::nemesis::database::promote;
use crate::nemesis::network::deafen_listeners;
use crate::program::Mode;
use crate::rig::cluster::through;
use crate::rig::machine::send;
use crate::rig::postgres::{Stop, connect};
use crate::rig::{Rig, SQL_USER};
use crate::run::Load;

/// The worker for which many claim at once.
pub const CROWD: &str = "crowd";
const LIMIT: Duration = Duration::from_secs(8);

/// Plays a control's part. Faults are not told of: whatever they lead to is the control's doing.
pub async fn play(control: Control, load: &mut Load) -> anyhow::Result<Vec<FaultRecord>> {
    let rig = Arc::clone(&load.stage.rig);
    match control {
        // Few completions come late enough to be stale; on a busy machine fewer come at all.
        Control::C3 => sleep(Duration::from_secs(60)).await,
        Control::C4 => sleep(Duration::from_secs(20)).await,
        Control::C6 | Control::C7 => sleep(Duration::from_secs(8)).await,
        Control::C1 => {
            for _ in 0..4 {
                kill_unwritten(&rig).await?;
            }
        }
        Control::C2 => {
            sleep(Duration::from_secs(5)).await;
            lose_the_tail(&rig).await?;
        }
        Control::C5 => crowd(&rig).await?,
        Control::C8 => {
            for _ in 0..8 {
                rig.links.front.swallow(4);
                rig.links.sql.swallow(4);
                sleep(Duration::from_secs(1)).await;
            }
        }
        Control::C0 | Control::C9 => probe(load).await?,
        Control::C10 => sloppy_worker(load).await?,
    }
    Ok(Vec::new())
}

/// The server dies with commits that only its memory knows. Its WAL writer stands still before:
/// it is woken with every full page, and what it has handed to the kernel survives a kill -9.
async fn kill_unwritten(rig: &Rig) -> anyhow::Result<()> {
    sleep(Duration::from_secs(1)).await;
    let server = rig.cluster.primary();
    let sql = "select pid from pg_stat_activity where backend_type = 'walwriter'";
    let admin = rig.cluster.admin().await?;
    let writer: i32 = admin.query_one(sql, &[]).await?.get(0);
    send(writer, Signal::STOP);
    sleep(Duration::from_millis(1500)).await;
    let _surgery = rig.cluster.surgery.lock().await;
    server.stop(Stop::Kill).await;
    server.start().await
}

/// The standby stops receiving, the primary goes on and dies, and the standby takes over.
async fn lose_the_tail(rig: &Rig) -> anyhow::Result<()> {
    let standby = rig.cluster.follower();
    let standby = standby.ok_or_else(|| anyhow::anyhow!("no standby"))?;
    let sql = "select pid from pg_stat_wal_receiver";
    let receiver: i32 = standby
        .connect("postgres")
        .await?
        .query_one(sql, &[])
        .await?
        .get(0);
    send(receiver, Signal::STOP);
    sleep(Duration::from_millis(1500)).await;
    let _surgery = rig.cluster.surgery.lock().await;
    rig.cluster.primary().stop(Stop::Kill).await;
    send(receiver, Signal::KILL);
    standby.ready().await?;
    promote(rig).await
}

/// Eight sessions claim for a worker that has one slot, at REPEATABLE READ, all at once.
async fn crowd(rig: &Rig) -> anyhow::Result<()> {
    let api = Api::new(rig.links.front.port(), &rig.keys.root)?;
    let body = json!({"name": CROWD, "capabilities": {
        "max_concurrency": 1, "labels": ["pulled"]}});
    api.post("/workers", &body, LIMIT).await;
    let mut crowd = Vec::new();
    for _ in 0..8 {
        crowd.push(Arc::new(rig.cluster.admin().await?));
    }
    let deadline = Instant::now() + Duration::from_secs(25);
    while Instant::now() < deadline {
        // All have looked before the first of them claims: nobody sees what the others take.
        let begin = "begin isolation level repeatable read; select 1 from bloom.llm_tasks";
        for admin in &crowd {
            admin.batch_execute(begin).await?;
        }
        let mut claims = tokio::task::JoinSet::new();
        for admin in crowd.clone() {
            claims.spawn(async move {
                let claim = format!("select from bloom.lease_next('{CROWD}', null, 1, 1)");
                let end = match admin.batch_execute(&claim).await {
                    Ok(()) => "commit",
                    Err(_) => "rollback",
                };
                admin.batch_execute(end).await
            });
        }
        while claims.join_next().await.is_some() {}
    }
    Ok(())
}

/// One worker asks for the tasks of a queue all the time, through services that hear nothing.
async fn probe(load: &mut Load) -> anyhow::Result<()> {
    let rig = Arc::clone(&load.stage.rig);
    let manner = Manner {
        name: "prober".to_owned(),
        queue: "probe".to_owned(),
        slots: 1,
        ttl: 5,
        wait: 20,
        beats: false,
        wild: false,
        linger: Duration::ZERO,
        heartbeat: None,
    };
    load.pull(manner, fastrand::Rng::with_seed(1))?;
    sleep(Duration::from_secs(3)).await;
    deafen_listeners(&rig);
    // Through SQL, past the services: nobody tells them.
    let client = connect(&through(&rig.links.sql, SQL_USER)).await?;
    let journal = load.stage.pool.journal("probe")?;
    for number in 0..4 {
        let key = format!("{}-{number}", journal.proc());
        let task = special(&key, Mode::Normal, 1, "probe", "probe");
        let (options, prompt) = (task.clone(), task["prompt"].as_str().unwrap_or_default());
        let mut options = options;
        for name in ["context_id", "agent_slug", "prompt"] {
            options.as_object_mut().map(|members| members.remove(name));
        }
        let sql = "select bloom.task_submit($1::text, 'chaos', $2::text, $3::jsonb)";
        let mut record = journal.invoke(crate::journal::Op::Enqueue, |r| r.key = Some(key.clone()));
        let row = client.query_one(sql, &[&key, &prompt, &options]).await?;
        record.task = Some(row.get::<_, Uuid>(0));
        journal.end(record, crate::journal::Kind::Ok);
        sleep(Duration::from_secs(3)).await;
    }
    Ok(())
}

/// A worker that ends its programs by killing the direct child alone.
async fn sloppy_worker(load: &mut Load) -> anyhow::Result<()> {
    let (rig, pool) = (&load.stage.rig, &load.stage.pool);
    let (journal, key) = (pool.journal("sloppy")?, "sloppy-task");
    let api = Api::new(rig.links.front.port(), &rig.keys.root)?;
    let body = json!({"name": "sloppy", "capabilities": {
        "max_concurrency": 1, "labels": ["sloppy"]}});
    let task = special(key, Mode::Normal, 1, "sloppy", "sloppy");
    // Or the operator could pick this very task and cancel it: then there is no second attempt.
    let apart = Pool::new(pool.journals.clone(), pool.clock, pool.with_keys);
    let task = submit(&api, &apart, &journal, key, &task).await;
    let task = task.ok_or_else(|| anyhow::anyhow!("the task is not taken"))?;
    let deadline = Instant::now() + Duration::from_secs(120);
    for attempt in 0..2 {
        let granted = loop {
            // Again and again: an answer that never came would leave it unknown.
            api.post("/workers", &body, LIMIT).await;
            let ask = json!({"worker_id": "sloppy", "session_id": Uuid::new_v4(),
                "wait_seconds": 2, "ttl_seconds": 1, "queues": ["sloppy"]});
            let reply = api.post("/leases", &ask, LIMIT).await;
            if reply.body["leases"][0].is_object() {
                break reply.body["leases"][0].clone();
            }
            if Instant::now() >= deadline {
                let path = format!("/llm-tasks/{task}/explain");
                let (why, answer) = (api.get(&path, LIMIT).await.body, (reply.http, reply.body));
                anyhow::bail!("no lease in attempt {attempt}: {answer:?}, {why}");
            }
        };
        let text = |name: &str| {
            granted["lease"][name]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        if attempt == 0 {
            let dir = rig.options.dir.join("program");
            let me = std::env::current_exe()?;
            let line = format!(
                "'{}' program --dir '{}' --left-behind & wait",
                me.display(),
                dir.display()
            );
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &line]);
            command
                .env("BLOOM_TASK_ID", text("task_id"))
                .env("BLOOM_WORKER", "sloppy");
            command.env("BLOOM_FENCE", granted["lease"]["fence"].to_string());
            let mut child = command.kill_on_drop(true).spawn()?;
            sleep(Duration::from_millis(800)).await;
            child.kill().await?;
        } else {
            let body = json!({"lease_id": text("id"), "status": "success", "output": "done"});
            let path = format!("/llm-tasks/{}/complete", text("task_id"));
            timeout(LIMIT, api.post(&path, &body, LIMIT)).await?;
        }
    }
    sleep(Duration::from_secs(8)).await;
    Ok(())
}
