//! Reads what is installed, compares it with a bundle, and stamps the result.

use tokio_postgres::error::{DbError, ErrorPosition};
use tokio_postgres::{Client, Transaction};

use super::{Bundle, INSTALL_LOCK, InstallError, MIN_SERVER_VERSION, Script, roles};

/// What is installed, compared with a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaStatus {
    /// Nothing is.
    NotInstalled,
    /// The bundle itself, or the functions of a newer program with the same schema version.
    Current {
        /// The schema version.
        version: i32,
        /// The program that installed it.
        app_version: String,
    },
    /// Something older: another schema version, or other functions.
    Outdated {
        /// The installed schema version.
        installed: i32,
        /// The bundle's; the same when only the functions differ.
        supported: i32,
    },
    /// A schema that only a newer program understands.
    Newer {
        /// The installed schema version.
        installed: i32,
        /// The bundle's.
        supported: i32,
    },
}

impl std::fmt::Display for SchemaStatus {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotInstalled => to.write_str("nothing is installed"),
            Self::Current {
                version,
                app_version,
            } => write!(
                to,
                "schema version {version} is current (installed by bloom {app_version})"
            ),
            Self::Outdated {
                installed,
                supported,
            } if installed == supported => {
                write!(
                    to,
                    "schema version {installed} is current; functions are to be reloaded"
                )
            }
            Self::Outdated {
                installed,
                supported,
            } => write!(
                to,
                "schema version {installed} is to be upgraded to {supported}"
            ),
            Self::Newer {
                installed,
                supported,
            } => write!(
                to,
                "schema version {installed} is newer than this program's {supported}"
            ),
        }
    }
}

/// The installed row of `bloom_private.schema_version`.
pub(super) struct Stamp {
    pub(super) version: i32,
    pub(super) bundle_hash: String,
    pub(super) app_version: String,
}

/// Refuses servers and databases that cannot hold the queue.
pub(super) async fn check_server(client: &Client) -> Result<(), InstallError> {
    let row = client
        .query_one(
            "select current_setting('server_version_num')::int, current_setting('server_version'), \
             current_setting('server_encoding')",
            &[],
        )
        .await?;
    if row.get::<_, i32>(0) < MIN_SERVER_VERSION {
        return Err(InstallError::Server { found: row.get(1) });
    }
    let encoding: String = row.get(2);
    if encoding != "UTF8" {
        return Err(InstallError::Encoding { found: encoding });
    }
    Ok(())
}

/// The stamp, if there is one that the connecting role can read.
pub(super) async fn read_stamp(client: &Client) -> Result<Option<Stamp>, InstallError> {
    // `to_regclass` needs USAGE on the schema, so that is looked at first.
    let row = client
        .query_one(
            "select exists(select from pg_catalog.pg_class c join pg_catalog.pg_namespace n \
                 on n.oid = c.relnamespace where n.nspname = 'bloom_private' \
                 and c.relname = 'schema_version'), current_user::text",
            &[],
        )
        .await?;
    if !row.get::<_, bool>(0) {
        return Ok(None);
    }
    let user: String = row.get(1);
    let readable = client
        .query_one(
            "select case when has_schema_privilege('bloom_private', 'usage') \
             then has_table_privilege('bloom_private.schema_version', 'select') else false end",
            &[],
        )
        .await?;
    if !readable.get::<_, bool>(0) {
        return Err(InstallError::Privilege {
            need: format!("role {user} may not read the installed schema version"),
            grant: format!("grant {} to {}", roles::OWNER, roles::quote(&user)),
        });
    }
    let row = client
        .query_opt(
            "select version, bundle_hash, app_version from bloom_private.schema_version",
            &[],
        )
        .await?;
    Ok(row.map(|row| Stamp {
        version: row.get(0),
        bundle_hash: row.get(1),
        app_version: row.get(2),
    }))
}

/// Compares a stamp with a bundle.
pub(super) fn compare(stamp: Option<&Stamp>, bundle: &Bundle) -> SchemaStatus {
    let Some(stamp) = stamp else {
        return SchemaStatus::NotInstalled;
    };
    let (installed, supported) = (stamp.version, bundle.version());
    if installed > supported {
        return SchemaStatus::Newer {
            installed,
            supported,
        };
    }
    let same_functions =
        stamp.bundle_hash == bundle.hash() || is_newer(&stamp.app_version, bundle.app_version());
    if installed == supported && same_functions {
        return SchemaStatus::Current {
            version: installed,
            app_version: stamp.app_version.clone(),
        };
    }
    SchemaStatus::Outdated {
        installed,
        supported,
    }
}

/// Whether the program version `this` is newer than `that`, by their numbers; a suffix such as
/// `-beta.1` does not count.
pub(super) fn is_newer(this: &str, that: &str) -> bool {
    let numbers = |version: &str| -> Vec<u64> {
        let core = version.split(['-', '+']).next().unwrap_or_default();
        core.split('.')
            .map(|part| part.parse().unwrap_or(0))
            .collect()
    };
    numbers(this) > numbers(that)
}

/// Refuses to build over schemas of our names that somebody else made.
pub(super) async fn check_foreign(transaction: &Transaction<'_>) -> Result<(), InstallError> {
    for name in roles::SCHEMAS {
        let row = transaction
            .query_one(
                "select exists(select from pg_catalog.pg_namespace where nspname = $1)",
                &[&name],
            )
            .await?;
        if row.get::<_, bool>(0) {
            return Err(InstallError::Foreign(name));
        }
    }
    Ok(())
}

/// Records what was installed, after making sure that no file has ended our transaction.
pub(super) async fn write_stamp(
    transaction: &Transaction<'_>,
    bundle: &Bundle,
) -> Result<(), InstallError> {
    // A file that commits would also have released the advisory lock.
    let held = transaction
        .query_one(
            "select exists(select from pg_catalog.pg_locks where locktype = 'advisory' \
             and pid = pg_catalog.pg_backend_pid() and granted \
             and (classid::int8 << 32 | objid::int8) = $1)",
            &[&INSTALL_LOCK],
        )
        .await?;
    if !held.get::<_, bool>(0) {
        return Err(InstallError::Escaped);
    }
    transaction
        .execute(
            "insert into bloom_private.schema_version \
                 (singleton, version, bundle_hash, app_version, installed_at) \
             values (true, $1, $2, $3, pg_catalog.clock_timestamp()) \
             on conflict (singleton) do update set version = excluded.version, \
                 bundle_hash = excluded.bundle_hash, app_version = excluded.app_version, \
                 installed_at = excluded.installed_at",
            &[&bundle.version(), &bundle.hash(), &bundle.app_version()],
        )
        .await?;
    Ok(())
}

/// Says which file, which line and what.
pub(super) fn script_error(script: &Script, source: tokio_postgres::Error) -> InstallError {
    let line = source
        .as_db_error()
        .and_then(DbError::position)
        .and_then(|at| match at {
            ErrorPosition::Original(at) => {
                let before = script.text.chars().take((*at as usize).saturating_sub(1));
                Some(before.filter(|c| *c == '\n').count() + 1)
            }
            ErrorPosition::Internal { .. } => None,
        });
    InstallError::Script {
        path: script.path.clone(),
        line,
        message: text(&source),
        source,
    }
}

/// The server's own words; tokio-postgres' `Display` says only "db error".
pub(super) fn text(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(is_newer("0.10.0", "0.9.9"));
        assert!(is_newer("1.0.0", "0.99.0"));
        assert!(!is_newer("1.0.0", "1.0.0"));
        assert!(!is_newer("1.0.0-beta.2", "1.0.0"));
    }

    #[test]
    fn a_stamp_is_compared_by_version_then_by_hash() {
        let bundle = Bundle::new("1.0.0", Script::new("schema.sql", ""), Vec::new());
        let stamp = |version, hash: &str, app: &str| Stamp {
            version,
            bundle_hash: hash.to_owned(),
            app_version: app.to_owned(),
        };
        let is = |stamp: Stamp| compare(Some(&stamp), &bundle);
        assert_eq!(compare(None, &bundle), SchemaStatus::NotInstalled);
        assert!(matches!(
            is(stamp(1, &bundle.hash(), "1.0.0")),
            SchemaStatus::Current { .. }
        ));
        assert!(matches!(
            is(stamp(1, "other", "1.0.0")),
            SchemaStatus::Outdated { .. }
        ));
        assert!(matches!(
            is(stamp(1, "other", "1.0.1")),
            SchemaStatus::Current { .. }
        ));
        assert!(matches!(
            is(stamp(2, "other", "1.0.0")),
            SchemaStatus::Newer { .. }
        ));
    }
}
