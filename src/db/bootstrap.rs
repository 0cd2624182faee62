//! What is done before there is a database to connect to.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls};

/// Makes the database `name` unless it is there. `config` leads to another database of the same
/// server. Its superuser has the name of our schema, so the path on which names are looked for is set
/// to `public` alone: what people create there must not land among our verbs. The name must be a plain one (`a-z`, digits, `_`): it is quoted but not escaped.
///
/// # Errors
/// When the server cannot be reached or refuses.
pub async fn ensure_database(config: &Config, name: &str) -> Result<(), Error> {
    let (client, connection) = config.connect(NoTls).await?;
    let (made, _closed) = tokio::join!(make(client, name), connection);
    made
}

/// Owns the client, so that its end closes the connection.
async fn make(client: Client, name: &str) -> Result<(), Error> {
    let known = client
        .query_opt("select from pg_database where datname = $1", &[&name])
        .await?;
    if known.is_some() {
        return Ok(());
    }
    match client
        .batch_execute(&format!("create database \"{name}\""))
        .await
    {
        // Another start was quicker.
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => {}
        made => made?,
    }
    let path = format!("alter database \"{name}\" set search_path = public");
    client.batch_execute(&path).await
}
