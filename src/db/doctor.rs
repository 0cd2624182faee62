//! Looks a database over and says what weakens the promises, and what to do about it.
//!
//! Reads only: it changes nothing, and runs as the role that the service uses.

mod activity;
mod login;
mod settings;

use std::future::{pending, poll_fn};
use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client};

use crate::db::endpoint::{ConnectError, Endpoint};
use crate::db::install::{self, Bundle, InstallError, SchemaStatus};
use crate::error::chain;

/// How long a notification may take to come back.
const NOTIFY_LIMIT: Duration = Duration::from_secs(3);
/// No single look may take longer: a sick database is when one runs the doctor.
const STATEMENT_LIMIT: &str = "10s";

/// From when on something deserves a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A transaction older than this keeps enough dead rows to be felt.
    pub old_transaction: Duration,
    /// The login is the server's superuser on purpose: that of a private server is its only one.
    pub superuser_is_meant: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            old_transaction: Duration::from_secs(300),
            superuser_is_meant: false,
        }
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but something is at risk or soon will be.
    Warn,
    /// A promise does not hold, or the service cannot work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at; a stable `snake_case` name.
    pub name: &'static str,
    /// What was found.
    pub text: String,
    /// What to do about it; `None` when nothing needs to be done.
    pub advice: Option<String>,
}

impl Finding {
    pub(crate) fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self {
            level: Level::Ok,
            name,
            text: text.into(),
            advice: None,
        }
    }

    pub(crate) fn warn(
        name: &'static str,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Warn,
            name,
            text: text.into(),
            advice: Some(advice.into()),
        }
    }

    pub(crate) fn fail(
        name: &'static str,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Fail,
            name,
            text: text.into(),
            advice: Some(advice.into()),
        }
    }
}

/// Findings of one look, or the error of its query.
type Looked = Result<Vec<Finding>, tokio_postgres::Error>;

/// Looks at everything. What cannot be looked at is a finding too.
pub async fn examine(endpoint: &Endpoint, bundle: &Bundle, limits: Limits) -> Vec<Finding> {
    let endpoint = endpoint
        .clone()
        .with_settings(&[("statement_timeout", STATEMENT_LIMIT)]);
    let client = match endpoint.connect().await {
        Ok(client) => client,
        Err(error) => return vec![no_connection(&error)],
    };
    let mut findings = vec![Finding::ok("connection", "the database answers")];
    findings.extend(schema(&client, bundle).await);
    let mut add = |name, looked: Looked| match looked {
        Ok(more) => findings.extend(more),
        Err(error) => findings.push(Finding::warn(name, chain(&error), "see the server's log")),
    };
    add("settings", settings::look(&client).await);
    add("privileges", privileges(&client).await);
    add(
        "login",
        login::look(&client, limits.superuser_is_meant).await,
    );
    add("event_log", event_log(&client).await);
    add("clock", settings::clock(&client).await);
    add(
        "horizon",
        activity::horizon(&client, limits.old_transaction).await,
    );
    add("notify_queue", activity::notify_queue(&client).await);
    add("connections", activity::connections(&client).await);
    findings.push(listen(&endpoint, &client).await);
    findings
}

fn no_connection(error: &ConnectError) -> Finding {
    let advice = "check that the server runs and accepts writes, and check address, user and \
                  password in DATABASE_URL";
    Finding::fail("connection", chain(error), advice)
}

async fn schema(client: &Client, bundle: &Bundle) -> Option<Finding> {
    const NAME: &str = "schema";
    let run = "run `bloom migrate`";
    Some(match install::status(client, bundle).await {
        Ok(SchemaStatus::Current {
            version,
            app_version,
        }) => Finding::ok(
            NAME,
            format!("version {version}, installed by bloom {app_version}"),
        ),
        Ok(SchemaStatus::NotInstalled) => Finding::fail(NAME, "nothing is installed", run),
        Ok(SchemaStatus::Outdated {
            installed,
            supported,
        }) if installed == supported => {
            Finding::warn(NAME, "the functions are not those of this program", run)
        }
        Ok(SchemaStatus::Outdated {
            installed,
            supported,
        }) => {
            let text = format!("version {installed}, this program needs {supported}");
            Finding::fail(NAME, text, run)
        }
        Ok(SchemaStatus::Newer {
            installed,
            supported,
        }) => {
            let text = format!("version {installed}, this program knows {supported}");
            Finding::fail(NAME, text, "use the newer program")
        }
        Err(InstallError::Privilege { need, grant }) => {
            Finding::fail(NAME, need, format!("as a superuser: {grant}"))
        }
        Err(error @ InstallError::Server { .. }) => {
            Finding::fail("server_version", error.to_string(), "upgrade the server")
        }
        Err(error @ InstallError::Encoding { .. }) => {
            Finding::fail("encoding", error.to_string(), "use another database")
        }
        Err(error) => Finding::fail(NAME, chain(&error), "see the server's log"),
    })
}

/// Whether the service's role may call what it needs to call.
async fn privileges(client: &Client) -> Looked {
    let row = client
        .query_one(
            "select current_user::text, \
                 count(*) filter (where not has_function_privilege(p.oid, 'execute')), count(*), \
                 coalesce(bool_and(has_schema_privilege(n.oid, 'usage')), true), \
                 (select coalesce(bool_or(pg_has_role(session_user, r.oid, 'MEMBER')), false) \
                    from pg_catalog.pg_roles r where r.rolname = 'bloom_admin') \
             from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace \
             where n.nspname = 'bloom'",
            &[],
        )
        .await?;
    let (user, denied, all): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
    if denied > 0 || !row.get::<_, bool>(3) {
        let text = format!("role {user} may not call {denied} of {all} functions of schema bloom");
        let advice = format!(
            "as a superuser: grant bloom_owner to \"{user}\" (the service), or one of \
             bloom_producer, bloom_worker, bloom_reader, bloom_admin (a client)"
        );
        return Ok(vec![Finding::fail("privileges", text, advice)]);
    }
    if !row.get::<_, bool>(4) {
        let text = format!("role {user} may not name those on whose behalf it calls");
        let advice = format!("for the service's own role: grant bloom_admin to \"{user}\"");
        return Ok(vec![Finding::fail("privileges", text, advice)]);
    }
    let text = format!("role {user} may call all {all} functions of schema bloom");
    Ok(vec![Finding::ok("privileges", text)])
}

/// Whether the event log belongs to this server: its order is that of transaction ids, which begin
/// anew where a dump is restored into a fresh cluster.
async fn event_log(client: &Client) -> Looked {
    let sql = "select count(*) from pg_catalog.pg_proc where proname = 'audit_list'";
    if client.query_one(sql, &[]).await?.get::<_, i64>(0) == 0 {
        return Ok(Vec::new());
    }
    let row = client
        .query_one(
            "select coalesce((select xid::text::numeric from bloom.audit_list(1)), 0) \
                 >= pg_snapshot_xmax(pg_current_snapshot())::text::numeric",
            &[],
        )
        .await?;
    if row.get::<_, bool>(0) {
        let text = "events are newer than any transaction of this server: the database was \
                    restored from a dump of another one";
        let advice = "counts and readers of the event log stand still until this server's \
                      transaction ids have caught up; see docs/operations.md, restore";
        return Ok(vec![Finding::fail("event_log", text, advice)]);
    }
    Ok(vec![Finding::ok(
        "event_log",
        "the event log belongs to this server",
    )])
}

/// Whether a notification from one connection reaches another: not through a transaction pooler.
async fn listen(endpoint: &Endpoint, sender: &Client) -> Finding {
    const NAME: &str = "listen";
    let advice = "give the service an address that leads to the server itself, not to a \
                  connection pooler in transaction mode; until then wake-ups come by polling";
    match timeout(NOTIFY_LIMIT, round_trip(endpoint, sender)).await {
        Ok(Ok(took)) => Finding::ok(NAME, format!("a notification took {} ms", took.as_millis())),
        Ok(Err(error)) => Finding::warn(NAME, chain(&error), advice),
        Err(_) => {
            let text = format!(
                "no notification arrived within {} s",
                NOTIFY_LIMIT.as_secs()
            );
            Finding::warn(NAME, text, advice)
        }
    }
}

async fn round_trip(endpoint: &Endpoint, sender: &Client) -> Result<Duration, ConnectError> {
    let (receiver, mut driver) = endpoint.open().await?;
    let channel = format!("bloom_doctor_{}", uuid::Uuid::new_v4().simple());
    let (heard, mut ear) = tokio::sync::mpsc::channel(1);
    let drive = async {
        while let Some(message) = poll_fn(|context| driver.poll_message(context)).await {
            if let AsyncMessage::Notification(_) = message? {
                heard.send(()).await.ok();
            }
        }
        pending::<Result<Duration, ConnectError>>().await
    };
    let talk = async {
        receiver.batch_execute(&format!("listen {channel}")).await?;
        let started = std::time::Instant::now();
        sender.batch_execute(&format!("notify {channel}")).await?;
        ear.recv().await;
        Ok(started.elapsed())
    };
    tokio::select! {
        result = drive => result,
        result = talk => result,
    }
}
