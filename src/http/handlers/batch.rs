//! `POST /llm-tasks/batch`: thousands of submissions in one request.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::submission::{self, Outside, Submission};
use super::{App, tasks};
use crate::db::calls::task::{Submitted, task_submit_many};
use crate::error::{Error, FieldErrors, Result};
use crate::http::validate::Form;
use crate::http::{Request, Response};

/// How many tasks one request may carry.
const BATCH_MAX: usize = 10_000;
/// How many bad items the answer to an atomic batch names.
const PROBLEMS_MAX: usize = 20;

/// `{"tasks": [...], "atomic": true}` → `{"tasks": [{"id", "created"} | {"error"}]}` in order.
/// Atomic: one bad item fails the whole request, and nothing is stored. Otherwise each item has an
/// answer of its own.
pub async fn submit(app: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let (atomic, items) = read(&mut form);
    form.finish()?;
    let outside = Outside {
        key: None,
        trace: request.trace(),
    };
    let read: Vec<_> = items
        .iter()
        .map(|item| submission::read(Some(item), outside))
        .collect();
    if atomic {
        refuse_bad_items(&read)?;
    }
    let (good, answers) = split(read);
    let stored = if good.is_empty() {
        Vec::new()
    } else {
        let verbs: Vec<_> = good.iter().map(|item| &item.task).collect();
        task_submit_many(&app.db, &verbs, atomic, &[request.caller().name()]).await?
    };
    announce_all(&app, &good, &stored);
    let mut stored = stored.into_iter();
    let answers: Vec<Value> = answers
        .into_iter()
        .map(|refusal| refusal.unwrap_or_else(|| stored.next().map_or(Value::Null, answer)))
        .collect();
    Response::created(&json!({ "tasks": answers }))
}

/// Whether one bad item fails all, and the items.
pub(super) fn read<'a>(form: &mut Form<'a>) -> (bool, &'a [Value]) {
    let atomic = form.boolean("atomic").or(true);
    (atomic, form.items("tasks", BATCH_MAX))
}

fn refuse_bad_items(read: &[Result<Submission>]) -> Result<()> {
    let mut problems = FieldErrors::default();
    let bad = read
        .iter()
        .enumerate()
        .filter_map(|(at, item)| Some((at, item.as_ref().err()?)));
    for (at, error) in bad.take(PROBLEMS_MAX) {
        let text = match error {
            Error::Fields(fields) => fields.to_string(),
            other => other.to_string(),
        };
        problems.add("tasks", format!("[{at}] {text}"));
    }
    problems.into_result()
}

/// The sound items, and for every item the refusal that it already has.
fn split(read: Vec<Result<Submission>>) -> (Vec<Submission>, Vec<Option<Value>>) {
    let mut good = Vec::with_capacity(read.len());
    let answers = read
        .into_iter()
        .map(|item| match item {
            Ok(item) => {
                good.push(item);
                None
            }
            Err(Error::Fields(fields)) => Some(json!({ "error": fields.to_json() })),
            Err(other) => Some(json!({ "error": other.to_string() })),
        })
        .collect();
    (good, answers)
}

fn answer(stored: Submitted) -> Value {
    match (stored.id, stored.error) {
        (Some(id), _) => json!({ "id": id, "created": stored.created }),
        (None, Some(error)) => {
            let text = error
                .get("message")
                .cloned()
                .unwrap_or_else(|| json!("Invalid task"));
            json!({ "error": text, "code": error.get("code") })
        }
        (None, None) => Value::Null,
    }
}

fn announce_all(app: &App, items: &[Submission], stored: &[Submitted]) {
    let mut lanes: BTreeMap<(&str, &[String]), u32> = BTreeMap::new();
    for (item, _) in items
        .iter()
        .zip(stored)
        .filter(|(item, stored)| stored.created && !item.is_deferred())
    {
        *lanes.entry((&item.queue, &item.requires)).or_default() += 1;
    }
    for ((queue, requires), count) in lanes {
        tasks::announce(app, queue, requires, count);
    }
}
