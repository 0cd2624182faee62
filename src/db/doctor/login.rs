//! What the login of the service may do to the server beside its work.

use tokio_postgres::Client;

use super::{Finding, Looked};

const NAME: &str = "login";

/// From this version on CREATEROLE reaches only roles that its holder was given.
const NARROW_CREATEROLE: i32 = 160_000;

/// The powers of the login, and of every role that it may take: the role and the power, its own
/// first.
const POWERS: &str = "
    select r.rolname::text, p.power, r.rolname = session_user
      from pg_catalog.pg_roles r
     cross join lateral (values (1, 'superuser', r.rolsuper), (2, 'createrole', r.rolcreaterole),
           (3, 'bypassrls', r.rolbypassrls), (4, 'replication', r.rolreplication),
           (5, 'server', r.rolname in ('pg_execute_server_program', 'pg_read_server_files',
               'pg_write_server_files'))) p(n, power, has)
     where p.has and pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
     order by r.rolname <> session_user, r.rolname, p.n";

/// Whether the login has powers that whoever learns its password has, too, and that the service
/// does not need. `superuser_is_meant`: of a superuser nothing is said.
pub(super) async fn look(client: &Client, superuser_is_meant: bool) -> Looked {
    let sql = "select session_user::text, current_setting('server_version_num')::integer";
    let row = client.query_one(sql, &[]).await?;
    let (login, version): (String, i32) = (row.get(0), row.get(1));
    let powers = client.query(POWERS, &[]).await?;
    let power = |row: &tokio_postgres::Row| (row.get(0), row.get(1), row.get(2));
    let mut powers: Vec<(String, String, bool)> = powers.iter().map(power).collect();
    // A superuser is everything else, too.
    if powers
        .first()
        .is_some_and(|(_, power, own)| *own && power == "superuser")
    {
        powers.truncate(1);
        if superuser_is_meant {
            let text = format!("role {login} is the superuser of a server of the service's own");
            return Ok(vec![Finding::ok(NAME, text)]);
        }
    }
    if powers.is_empty() {
        let text = format!("role {login} has no powers beside its work");
        return Ok(vec![Finding::ok(NAME, text)]);
    }
    let findings = powers.iter().map(|(role, power, own)| {
        let who = match own {
            true => format!("role {login}"),
            false => format!("role {login} may become {role}, which"),
        };
        let text = format!("{who} {}", meaning(power, version));
        Finding::warn(NAME, text, advice(&login, role, power, *own))
    });
    Ok(findings.collect())
}

/// What somebody who has the power can do with it.
fn meaning(power: &str, version: i32) -> &'static str {
    match power {
        "superuser" => {
            "is a superuser: whoever has its password may do anything on this server, and run \
             commands as the server's user"
        }
        "createrole" if version < NARROW_CREATEROLE => {
            "has CREATEROLE: whoever has its password may join pg_execute_server_program, and run \
             commands as the server's user"
        }
        "createrole" => "has CREATEROLE, which only the set-up needs: it may make logins",
        "bypassrls" => "has BYPASSRLS: row security hides nothing from it, in any table",
        "replication" => "has REPLICATION: it may copy everything that stands on this server",
        _ => "gives a hold of the server's files or programs",
    }
}

fn advice(login: &str, role: &str, power: &str, own: bool) -> String {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    match power {
        _ if !own => format!(
            "as a superuser: revoke {} from {}",
            quote(role),
            quote(login)
        ),
        "superuser" => {
            "give the service a login of its own: see docs/operations.md, your own PostgreSQL"
                .to_owned()
        }
        _ => format!(
            "the service does not need it once it is set up; as a superuser: alter role {} no{power}",
            quote(login)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_createrole_means_depends_on_the_server() {
        assert!(meaning("createrole", 159_999).contains("pg_execute_server_program"));
        let since = meaning("createrole", 160_000);
        assert!(!since.contains("pg_execute_server_program"), "{since}");
    }

    #[test]
    fn statements_to_run_survive_odd_names() {
        let own = advice("a\"b", "a\"b", "createrole", true);
        assert!(own.ends_with("alter role \"a\"\"b\" nocreaterole"), "{own}");
        let foreign = advice("app", "big boss", "createrole", false);
        assert!(
            foreign.ends_with("revoke \"big boss\" from \"app\""),
            "{foreign}"
        );
    }
}
