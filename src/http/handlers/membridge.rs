//! The connection to Membridge: its settings, its test, and the few calls that are passed on.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::App;
use crate::db::calls::audit::audit_note;
use crate::error::{Error, Result};
use crate::http::control::{ControlCall, ControlSettings};
use crate::http::validate::Form;
use crate::http::{Request, Response, wire};

/// The longest address, in characters.
const URL_MAX: usize = 2048;
/// The longest admin key, in characters.
const KEY_MAX: usize = 1024;
/// The longest name of a node, in characters.
const NODE_MAX: usize = 256;
/// What stands for a key that is there, whatever it is.
const MASK: &str = "\u{2022}\u{2022}\u{2022}\u{2022}";

/// `GET /config`.
pub async fn show(app: Arc<App>, _request: Request) -> Result<Response> {
    Response::ok(&shown(&app.control.settings().await?))
}

fn shown(settings: &ControlSettings) -> wire::Config {
    wire::Config {
        membridge_server_url: settings.url.clone(),
        admin_key_masked: if settings.has_key { MASK } else { "" },
        connected: settings.connected,
        last_test: settings.last_test,
    }
}

/// `POST /config`: `{"membridge_server_url", "admin_key"?}`. Without a key the stored one stays,
/// unless the origin of the URL changes: then it is forgotten.
pub async fn configure(app: Arc<App>, request: Request) -> Result<Response> {
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let (url, key) = read(&mut form);
    form.finish()?;
    let key = key.filter(|key| !key.is_empty()).map(SecretString::from);
    let actor = request.caller().name().to_owned();
    Response::ok(&shown(&app.control.configure(url, key, actor).await?))
}

/// The address, and the key if one is given.
pub(super) fn read(form: &mut Form<'_>) -> (String, Option<String>) {
    let url: String = form.string("membridge_server_url").max(URL_MAX).required();
    let key: Option<String> = form.string("admin_key").max(KEY_MAX).nullable();
    if key
        .as_deref()
        .is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        form.problem(
            "admin_key",
            "Must be visible ASCII characters without spaces",
        );
    }
    (url, key)
}

/// `POST /test-connection`.
pub async fn test(app: Arc<App>, request: Request) -> Result<Response> {
    let actor = request.caller().name().to_owned();
    Response::ok(&match app.control.test(actor).await? {
        Ok(health) => wire::Tested {
            connected: true,
            health: Some(health),
            error: None,
        },
        Err(error) => wire::Tested {
            connected: false,
            health: None,
            error: Some(error),
        },
    })
}

/// `GET /api/membridge/health`.
pub async fn health(app: Arc<App>, _request: Request) -> Result<Response> {
    Response::ok(&app.control.call(ControlCall::Health).await?)
}

/// `GET /api/membridge/projects`: an array, or an error status.
pub async fn projects(app: Arc<App>, _request: Request) -> Result<Response> {
    Response::ok(&app.control.call(ControlCall::Projects).await?)
}

/// `GET /api/membridge/projects/:cid/leadership`.
pub async fn leadership(app: Arc<App>, request: Request) -> Result<Response> {
    let call = ControlCall::Leadership(request.param("cid")?.to_owned());
    Response::ok(&app.control.call(call).await?)
}

/// `GET /api/membridge/projects/:cid/nodes`.
pub async fn nodes(app: Arc<App>, request: Request) -> Result<Response> {
    let call = ControlCall::Nodes(request.param("cid")?.to_owned());
    Response::ok(&app.control.call(call).await?)
}

/// `POST /api/membridge/projects/:cid/leadership/select`: `{"primary_node_id", "lease_seconds"?}`.
pub async fn select(app: Arc<App>, request: Request) -> Result<Response> {
    let project = request.param("cid")?.to_owned();
    let body = request.json().await?;
    let mut form = Form::new(body.as_ref())?;
    let (node, seconds) = read_select(&mut form);
    form.finish()?;
    let mut asked = Map::from_iter([("primary_node_id".to_owned(), json!(node))]);
    if let Some(seconds) = seconds {
        asked.insert("lease_seconds".to_owned(), json!(seconds));
    }
    let (asked, actor) = (Value::Object(asked), request.caller().name().to_owned());
    let promoting = {
        let app = Arc::clone(&app);
        async move { promote(&app, project, asked, &actor).await }
    };
    // Whoever asked may go away; what was promoted is written down all the same.
    let done = app.shutdown.spawn(promoting).await;
    Response::ok(&done.map_err(Error::internal)??)
}

/// The node to promote, and for how long.
pub(super) fn read_select(form: &mut Form<'_>) -> (String, Option<i64>) {
    let node: String = form
        .string("primary_node_id")
        .min(1)
        .max(NODE_MAX)
        .required();
    let seconds = form
        .integer("lease_seconds")
        .range(1, 86_400 * 365)
        .optional();
    (node, seconds)
}

/// Promotes, then writes it down: a promotion that was refused has not happened.
async fn promote(app: &App, project: String, asked: Value, actor: &str) -> Result<Value> {
    let subject = format!("membridge_project/{project}");
    let call = ControlCall::Select(project, asked.clone());
    let answer = app.control.call(call).await?;
    audit_note(&app.db, "leadership_promote", &subject, &asked, actor).await?;
    Ok(answer)
}
