//! `POST /llm-tasks/cancel` and `/requeue`: many tasks in one request, each with its own answer.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::App;
use super::tasks::read_cancel;
use crate::db::calls::task::{Changed, task_cancel_many, task_requeue_many};
use crate::error::Result;
use crate::http::validate::Form;
use crate::http::{Request, Response};

/// How many tasks one request may name.
const IDS_MAX: usize = 1000;
/// The longest id that is looked at, in characters: what is no UUID is no task.
const ID_LENGTH: usize = 100;

/// `{"ids": […], "reason"?, "grace_seconds"?}` → `{"tasks": [{"id", "status"} | {"id", "status",
/// "error", "code"}]}` in order.
pub async fn cancel(app: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let ids = ids(&mut form);
    let options = read_cancel(&mut form, request.caller().name());
    form.finish()?;
    let changed = task_cancel_many(&app.db, &known(&ids), options).await?;
    Response::ok(&answers(ids, changed))
}

/// `{"ids": […]}` → as [`cancel`].
pub async fn requeue(app: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let ids = ids(&mut form);
    form.finish()?;
    let changed = task_requeue_many(&app.db, &known(&ids), request.caller().name()).await?;
    Response::ok(&answers(ids, changed))
}

/// The ids as they were given, with the tasks that they can be.
pub(super) type Ids = Vec<(String, Option<Uuid>)>;

/// The ids of a request.
pub(super) fn ids(form: &mut Form<'_>) -> Ids {
    let given = form.strings("ids").max_items(IDS_MAX).each(0, ID_LENGTH);
    let pair = |id: String| {
        let uuid = Uuid::try_parse(&id).ok();
        (id, uuid)
    };
    given.required().into_iter().map(pair).collect()
}

fn known(ids: &Ids) -> Vec<Uuid> {
    ids.iter().filter_map(|(_, id)| *id).collect()
}

fn answers(ids: Ids, changed: Vec<Changed>) -> Value {
    let mut changed = changed.into_iter();
    let answers = ids.into_iter().map(|(id, uuid)| {
        let Changed { status, error } =
            uuid.and_then(|_| changed.next())
                .unwrap_or_else(|| Changed {
                    status: None,
                    error: Some(json!({ "code": "task_not_found", "message": "Task not found" })),
                });
        match error {
            None => json!({ "id": id, "status": status }),
            Some(error) => json!({
                "id": id, "status": status, "error": error["message"], "code": error["code"],
            }),
        }
    });
    json!({ "tasks": answers.collect::<Vec<_>>() })
}
