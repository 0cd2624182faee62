//! The fake's endpoints.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{FakeTask, State};

type Reply = (u16, Value);

pub fn submit(state: &mut State, body: Value) -> Uuid {
    let id = Uuid::new_v4();
    state.tasks.push(FakeTask {
        id,
        body,
        status: "queued",
        lease: None,
        fence: 0,
        attempts: 0,
        cancel: false,
        completions: Vec::new(),
        releases: Vec::new(),
        events: vec!["task_submitted"],
    });
    id
}

pub async fn serve(
    state: &Mutex<State>,
    wake: &Notify,
    method: &str,
    path: &str,
    query: &str,
    body: Value,
    size: usize,
) -> Reply {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if (method, parts.as_slice()) == ("POST", &["leases"]) {
        return lease(state, wake, &body).await;
    }
    let mut state = state.lock().unwrap();
    let state = &mut *state;
    match (method, parts.as_slice()) {
        ("POST", ["workers"]) => {
            state.workers.insert(text(&body, "name"), body.clone());
            (201, body)
        }
        ("POST", ["workers", name, "beat"]) => beat(state, name, &body),
        ("POST", ["llm-tasks"]) => {
            let id = submit(state, body);
            wake.notify_waiters();
            (201, render(state.task(id)))
        }
        ("GET", ["llm-tasks"]) => {
            let wanted = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("status="));
            let tasks = state
                .tasks
                .iter()
                .rev()
                .filter(|t| wanted.is_none_or(|s| s == t.status));
            (200, tasks.map(render).collect())
        }
        ("GET", ["artifacts"]) => {
            let id = query.strip_prefix("task_id=").unwrap_or_default();
            let done = |task: &&FakeTask| task.id.to_string() == id && task.status == "completed";
            (
                200,
                state
                    .tasks
                    .iter()
                    .filter(done)
                    .map(|_| json!({ "content": "…" }))
                    .collect(),
            )
        }
        (_, ["llm-tasks", id, rest @ ..]) => {
            let limit = state.max_body;
            let Some(task) = state
                .tasks
                .iter_mut()
                .find(|task| task.id.to_string() == *id)
            else {
                return (404, json!({ "error": "Task not found" }));
            };
            match (method, rest) {
                ("POST", ["complete"]) if limit.is_some_and(|limit| size > limit) => {
                    (413, json!({ "error": "Payload too large" }))
                }
                ("POST", [verb]) => change(task, verb, &body, wake),
                _ => show(task, rest),
            }
        }
        _ => (404, json!({ "error": "Not found" })),
    }
}

async fn lease(state: &Mutex<State>, wake: &Notify, body: &Value) -> Reply {
    let request: Uuid = text(body, "request_id").parse().unwrap();
    let end = Instant::now() + Duration::from_secs(body["wait_seconds"].as_u64().unwrap());
    loop {
        let woken = wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        {
            let mut state = state.lock().unwrap();
            if !state.workers.contains_key(&text(body, "worker_id")) {
                return (404, json!({ "error": "Worker not found" }));
            }
            if let Some(leases) = state.granted.get(&request) {
                return (200, json!({ "leases": leases }));
            }
            if let Some(granted) = grant(&mut state, body) {
                state.granted.insert(request, vec![granted.clone()]);
                return (200, json!({ "leases": [granted] }));
            }
        }
        if timeout_at(end, woken).await.is_err() {
            return (200, json!({ "leases": [] }));
        }
    }
}

fn grant(state: &mut State, body: &Value) -> Option<Value> {
    let ttl = state.ttl.or_else(|| body["ttl_seconds"].as_u64()).unwrap();
    if state.drain {
        return None;
    }
    let task = state
        .tasks
        .iter_mut()
        .find(|task| task.status == "queued")?;
    let lease = Uuid::new_v4();
    (task.status, task.lease) = ("leased", Some(lease));
    (task.fence, task.attempts) = (task.fence + 1, task.attempts + 1);
    task.events.push("task_leased");
    let lease = json!({
        "id": lease, "task_id": task.id, "worker_id": body["worker_id"], "ttl_seconds": ttl,
        "fence": task.fence, "attempt": task.attempts, "session_id": body["session_id"],
    });
    Some(json!({ "lease": lease, "task": render(task) }))
}

fn beat(state: &State, name: &str, body: &Value) -> Reply {
    if !state.workers.contains_key(name) {
        return (404, json!({ "error": "Worker not found" }));
    }
    let states = body["leases"].as_array().unwrap().iter().map(|lease| {
        let id = text(lease, "lease_id");
        let task = state
            .tasks
            .iter()
            .find(|t| t.lease.is_some_and(|l| l.to_string() == id));
        let said = task.map_or("lost", |task| if task.cancel { "cancel" } else { "ok" });
        json!({ "lease_id": id, "state": said })
    });
    (
        200,
        json!({ "leases": states.collect::<Vec<_>>(), "drain": state.drain }),
    )
}

fn change(task: &mut FakeTask, verb: &str, body: &Value, wake: &Notify) -> Reply {
    let lease = text(body, "lease_id");
    let done_by = task
        .completions
        .first()
        .map(|first| text(first, "lease_id"));
    if verb == "complete" && done_by.is_some_and(|by| by == lease) {
        return (200, json!({ "task": render(task) }));
    }
    match verb {
        "cancel" => {
            task.cancel = true;
            if task.lease.is_none() {
                task.status = "cancelled";
            }
            return (200, render(task));
        }
        "requeue" => {
            if !matches!(task.status, "failed" | "dead" | "cancelled") {
                let text = format!("Cannot requeue task with status '{}'", task.status);
                return (409, json!({ "error": text }));
            }
            (task.status, task.cancel) = ("queued", false);
            wake.notify_waiters();
            return (200, render(task));
        }
        _ => {}
    }
    if task
        .lease
        .is_none_or(|current| current.to_string() != lease)
    {
        let error = format!("Lease {lease} is no longer current");
        return (409, json!({ "error": error, "code": "lease_lost" }));
    }
    match verb {
        "heartbeat" => {
            if task.status != "running" {
                task.events.push("task_running");
            }
            task.status = "running";
        }
        "complete" => {
            let failed = if task.cancel { "cancelled" } else { "failed" };
            task.status = if body["status"] == "success" {
                "completed"
            } else {
                failed
            };
            task.events.push("task_completed");
            task.lease = None;
            task.completions.push(body.clone());
        }
        "release" => {
            (task.status, task.lease) = ("queued", None);
            task.attempts -= 1;
            task.releases.push(body.clone());
            wake.notify_waiters();
        }
        _ => return (404, json!({ "error": "Not found" })),
    }
    (200, json!({ "task": render(task) }))
}

fn show(task: &FakeTask, what: &[&str]) -> Reply {
    let last = task.completions.last();
    match what {
        [] => (200, render(task)),
        ["result"] => last.map_or((404, json!({ "error": "Result not found" })), |done| {
            (
                200,
                json!({ "status": done["status"], "output": done["output"],
                "error_message": done["error_message"], "metrics": done["metrics"] }),
            )
        }),
        ["attempts"] => (
            200,
            json!(vec![json!({ "attempt": 1 }); task.attempts as usize]),
        ),
        ["events"] => {
            let events = task.events.iter().enumerate();
            (
                200,
                events
                    .map(|(i, action)| json!({ "ver": i + 1, "action": action }))
                    .collect(),
            )
        }
        ["explain"] => (
            200,
            json!({ "task_id": task.id, "status": task.status,
            "reason": "no_worker", "sentence": "no live worker", "data": {} }),
        ),
        _ => (404, json!({ "error": "Not found" })),
    }
}

fn render(task: &FakeTask) -> Value {
    let or = |name: &str, default: Value| task.body.get(name).cloned().unwrap_or(default);
    json!({
        "id": task.id, "status": task.status, "prompt": or("prompt", json!("")),
        "context_id": or("context_id", json!("ctx")), "agent_slug": or("agent_slug", json!("agent")),
        "policy": or("policy", json!({ "timeout_sec": 60, "budget": 0 })),
        "desired_format": or("desired_format", json!("text")), "context_hints": [],
        "created_at": 1_700_000_000_000_u64, "updated_at": 1_700_000_000_000_u64,
        "lease_id": task.lease, "worker_id": null, "attempts": task.attempts, "max_attempts": 3,
    })
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
