//! Notices a connection pooler in front of PostgreSQL. The service needs sessions of its own: their
//! settings bound how long statements and locks may wait, and one of them listens. A pooler in
//! transaction mode takes both away, the second without a word.

use crate::db::endpoint::{ConnectError, Endpoint};

/// SQLSTATE with which poolers refuse settings in the start-up packet.
const PROTOCOL_VIOLATION: &str = "08P01";
/// A setting that nobody else chooses, and what the server makes of it.
const PROBE: (&str, &str) = ("lock_timeout", "2017ms");

/// Sessions are not our own.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database address leads to a connection pooler that does not pass on the settings of \
     sessions. The service needs sessions of its own, also to LISTEN: set DATABASE_URL to the \
     address of PostgreSQL itself (its pool is bounded by --pool-size). Clients that submit in SQL \
     may go on using the pooler"
)]
pub struct Pooled;

/// Looks whether what a session is told arrives. A server that is away now is no objection.
///
/// # Errors
/// [`Pooled`] when it does not.
pub async fn check(endpoint: &Endpoint) -> Result<(), Pooled> {
    let endpoint = endpoint.clone().with_settings(&[PROBE]);
    let client = match endpoint.connect().await {
        Ok(client) => client,
        Err(ConnectError::Postgres(error)) if is_refused_setting(&error) => return Err(Pooled),
        Err(_) => return Ok(()),
    };
    let rows = client.simple_query(&format!("show {}", PROBE.0)).await;
    let told = rows.ok().and_then(|rows| {
        rows.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    });
    match told {
        Some(value) if value != PROBE.1 => Err(Pooled),
        _ => Ok(()),
    }
}

fn is_refused_setting(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|db| {
        db.code().code() == PROTOCOL_VIOLATION && db.message().contains("startup parameter")
    })
}
