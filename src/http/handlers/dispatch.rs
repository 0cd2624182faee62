//! Tasks that are pushed to the agent of a worker, and the health of such agents.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::leases::{OFFERED, ROUTER, explained};
use super::{App, refuse_while_stopping, task_id};
use crate::db::calls::lease::{Grant, lease_task};
use crate::db::calls::task::task_get;
use crate::db::calls::worker::{Worker, worker_get};
use crate::dispatch::lease_seconds;
use crate::error::{Error, Kind, Result};
use crate::http::validate::Form;
use crate::http::{Request, Response, wire};
use crate::routing::{Need, rank};

/// `POST /llm-tasks/:id/dispatch`: leases the task and has the worker's agent run it; answers when
/// the agent has. Whoever asked may go away meanwhile.
pub async fn dispatch(app: Arc<App>, request: Request) -> Result<Response> {
    let id = task_id(&request)?;
    let body = request.json().await?;
    let mut form = Form::or_empty(body.as_ref())?;
    let worker = read(&mut form);
    form.finish()?;
    refuse_while_stopping(&app)?;
    app.dispatcher.check()?;
    let run = {
        let app = Arc::clone(&app);
        // Leasing too: a client that goes away between the two must not leave a lease behind.
        async move {
            let (grant, url) = assign(&app, id, worker).await?;
            app.metrics.leased(&grant);
            let done = app.dispatcher.run(&grant, &url).await;
            app.waiters.worker_freed(&grant.worker_id);
            done.map(|execution| (grant, execution))
        }
    };
    let (grant, execution) = app.shutdown.spawn(run).await.map_err(Error::internal)??;
    Response::ok(&wire::Dispatched {
        dispatched: true,
        task_id: grant.task_id,
        worker_id: grant.worker_id,
        lease_id: grant.lease_id,
        execution,
    })
}

/// The worker that is wished for.
pub(super) fn read(form: &mut Form<'_>) -> Option<String> {
    form.string("worker_id").min(1).max(128).nullable()
}

/// Leases the task to the best worker that has an address, and tells the address.
async fn assign(app: &App, id: Uuid, worker: Option<String>) -> Result<(Grant, String)> {
    let task = task_get(&app.db, id).await?;
    let ttl = lease_seconds(&task.policy);
    let fleet = app.fleet.candidates().await?;
    let need = Need {
        context_id: &task.context_id,
        requires: &task.requires,
        conversation_worker: task.context_worker_id.as_deref(),
    };
    let ranked = match &worker {
        Some(worker) => vec![worker.as_str()],
        None => rank(&need, &fleet),
    };
    let mut reachable = Vec::new();
    for name in ranked.iter().take(OFFERED) {
        match worker_get(&app.db, name).await {
            Ok(found) if !found.url.is_empty() => reachable.push(found),
            Ok(_)
            | Err(Error::Refused {
                kind: Kind::NotFound,
                ..
            }) => {}
            Err(error) => return Err(error),
        }
    }
    if reachable.is_empty()
        && let Some(first) = ranked.first()
        && task.status == "queued"
    {
        return Err(no_url(&worker_get(&app.db, first).await?));
    }
    // Also with an empty list: the verb knows whether the task could be leased at all.
    let offered: Vec<_> = reachable.iter().map(|worker| worker.id.as_str()).collect();
    let grant = match lease_task(&app.db, id, &offered, ttl, ROUTER).await {
        Err(refusal) if worker.is_none() => return Err(explained(app, id, refusal).await),
        answer => answer?,
    };
    let chosen = reachable
        .into_iter()
        .find(|worker| worker.id == grant.worker_id);
    let chosen = chosen.ok_or_else(|| Error::internal("leased to somebody who was not offered"))?;
    Ok((grant, chosen.url))
}

fn no_url(worker: &Worker) -> Error {
    let text = format!("Worker \"{}\" has no URL configured", worker.id);
    Error::refused(Kind::Invalid, "worker_has_no_url", text)
}

/// `GET /workers/:id/agent-health`.
pub async fn agent_health(app: Arc<App>, request: Request) -> Result<Response> {
    let worker = worker_get(&app.db, request.param("id")?).await?;
    if worker.url.is_empty() {
        let text = "Worker has no URL configured";
        return Err(Error::refused(Kind::Invalid, "worker_has_no_url", text));
    }
    let body = match app.dispatcher.health(&worker.url).await {
        Ok(Value::Object(mut health)) => {
            health.insert("reachable".to_owned(), json!(true));
            health
        }
        Ok(_) => Map::new(),
        Err(why) => Map::from_iter([
            ("reachable".to_owned(), json!(false)),
            ("error".to_owned(), json!(why)),
        ]),
    };
    Response::ok(&Value::Object(body))
}
