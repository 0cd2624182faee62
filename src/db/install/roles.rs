//! The roles and schemas that everything else belongs to.
//!
//! Roles belong to the whole cluster, so another database's installer may create the same ones at
//! the same moment, and an uninstalled database leaves them behind.

use tokio_postgres::Transaction;

use super::InstallError;

/// Owns every object; nobody logs in as it.
pub(super) const OWNER: &str = "bloom_owner";
/// The group roles that other services and people are made members of.
pub(super) const GROUPS: [&str; 4] = [
    "bloom_producer",
    "bloom_worker",
    "bloom_reader",
    "bloom_admin",
];
/// The group whose members may call every verb, and name the one on whose behalf they do.
pub(super) const ADMIN: &str = GROUPS[3];
/// The schemas: the public contract, and what is behind it.
pub(super) const SCHEMAS: [&str; 2] = ["bloom", "bloom_private"];

/// Creates the roles that are missing, and makes the connecting role able to act as the owner.
pub(super) async fn create(transaction: &Transaction<'_>) -> Result<(), InstallError> {
    let me = Me::read(transaction).await?;
    for role in [OWNER].into_iter().chain(GROUPS) {
        if exists(transaction, role).await? {
            continue;
        }
        if !me.may_create_roles {
            let all: Vec<_> = [OWNER].into_iter().chain(GROUPS).collect();
            return Err(InstallError::Privilege {
                need: format!("role {} may not create role {role}", me.name),
                grant: format!(
                    "alter role {} createrole; or create them for it: {}; grant {OWNER} to {}",
                    quote(&me.name),
                    all.iter()
                        .map(|role| format!("create role {role} nologin"))
                        .collect::<Vec<_>>()
                        .join("; "),
                    quote(&me.name),
                ),
            });
        }
        // The other creator may commit first: then ours waits for it and finds it there.
        transaction
            .batch_execute(&format!(
                "do $$ begin create role {role} nologin; \
                 exception when duplicate_object or unique_violation then null; end $$"
            ))
            .await?;
    }
    become_able(transaction, &me).await
}

/// Makes sure that `set role` to the owner will work, and that the verbs take the connecting role
/// for the service that it most likely runs: members of the admin group speak for their callers.
async fn become_able(transaction: &Transaction<'_>, me: &Me) -> Result<(), InstallError> {
    if !me.can_act_as_owner(transaction).await? {
        try_to_join(transaction, OWNER).await?;
        if !me.can_act_as_owner(transaction).await? {
            return Err(me.lacks(OWNER));
        }
    }
    if !me.is_admin(transaction).await? {
        try_to_join(transaction, ADMIN).await?;
        if !me.is_admin(transaction).await? {
            return Err(me.lacks(ADMIN));
        }
    }
    Ok(())
}

/// Grants `role` to the connecting role, if it may. Up to 15, CREATEROLE may grant any ordinary
/// role. From 16, the creator of a role has ADMIN but neither SET nor INHERIT, and may grant itself
/// those.
async fn try_to_join(transaction: &Transaction<'_>, role: &str) -> Result<(), InstallError> {
    transaction.batch_execute("savepoint bloom_grant").await?;
    let granted = transaction
        .batch_execute(&format!("grant {role} to current_user"))
        .await;
    let then = match granted {
        Ok(()) => "release savepoint bloom_grant",
        Err(error)
            if error.code() == Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE) =>
        {
            "rollback to savepoint bloom_grant"
        }
        Err(error) => return Err(error.into()),
    };
    Ok(transaction.batch_execute(then).await?)
}

/// Creates both schemas, owned by the owner.
pub(super) async fn create_schemas(transaction: &Transaction<'_>) -> Result<(), InstallError> {
    let row = transaction
        .query_one(
            "select has_database_privilege(current_database(), 'create'), \
             quote_ident(current_database()), quote_ident(current_user)",
            &[],
        )
        .await?;
    let (database, user): (String, String) = (row.get(1), row.get(2));
    if !row.get::<_, bool>(0) {
        return Err(InstallError::Privilege {
            need: format!("role {user} may not create schemas in database {database}"),
            grant: format!("grant create on database {database} to {user}"),
        });
    }
    for schema in SCHEMAS {
        transaction
            .batch_execute(&format!("create schema {schema} authorization {OWNER}"))
            .await?;
    }
    Ok(())
}

/// From here to the end of the transaction, whatever is created belongs to the owner.
pub(super) async fn become_owner(transaction: &Transaction<'_>) -> Result<(), InstallError> {
    Ok(transaction
        .batch_execute(&format!("set local role {OWNER}"))
        .await?)
}

/// `name` as an SQL identifier.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn exists(transaction: &Transaction<'_>, role: &str) -> Result<bool, InstallError> {
    let row = transaction
        .query_one(
            "select exists(select from pg_catalog.pg_roles where rolname = $1)",
            &[&role],
        )
        .await?;
    Ok(row.get(0))
}

/// The connecting role.
struct Me {
    name: String,
    may_create_roles: bool,
    server_version: i32,
}

impl Me {
    async fn read(transaction: &Transaction<'_>) -> Result<Self, InstallError> {
        let row = transaction
            .query_one(
                "select rolname::text, rolsuper or rolcreaterole, \
                 current_setting('server_version_num')::int \
                 from pg_catalog.pg_roles where rolname = current_user",
                &[],
            )
            .await?;
        Ok(Self {
            name: row.get(0),
            may_create_roles: row.get(1),
            server_version: row.get(2),
        })
    }

    fn lacks(&self, role: &str) -> InstallError {
        InstallError::Privilege {
            need: format!("role {} is not a member of {role}", self.name),
            grant: format!("grant {role} to {}", quote(&self.name)),
        }
    }

    async fn is_admin(&self, transaction: &Transaction<'_>) -> Result<bool, InstallError> {
        let sql = "select pg_has_role(session_user, $1::text, 'MEMBER')";
        Ok(transaction.query_one(sql, &[&ADMIN]).await?.get(0))
    }

    async fn can_act_as_owner(&self, transaction: &Transaction<'_>) -> Result<bool, InstallError> {
        // Membership alone does not allow `set role` from 16 on. Reading what the owner owns
        // (the version stamp) needs the privileges to be inherited too.
        let how = if self.server_version >= 160_000 {
            "SET"
        } else {
            "MEMBER"
        };
        let row = transaction
            .query_one(
                "select pg_has_role(current_user, $1::text, $2::text) \
                 and pg_has_role(current_user, $1::text, 'USAGE')",
                &[&OWNER, &how],
            )
            .await?;
        Ok(row.get(0))
    }
}
