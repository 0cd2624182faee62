//! `docs/reference/sql-api.md`: the verbs, who may call them, and the shapes that they return.

use std::fmt::Write as _;

use tokio_postgres::Client;

use super::source;

const ROLES: [&str; 4] = [
    "bloom_producer",
    "bloom_worker",
    "bloom_reader",
    "bloom_admin",
];

pub async fn render(client: &Client) -> String {
    let mut text = String::from(
        "# SQL API\n\n\
         Every function of schema `bloom`: its signature, what it does, and which group role may\n\
         execute it. Nobody else may, and `PUBLIC` may execute nothing. All of them are\n\
         `security definer` functions of `bloom_owner`. How to use them: [SQL guide](../sql-guide.md).\n\
         What they raise: [errors](errors.md).\n",
    );
    for (heading, functions) in source::groups() {
        let verbs: Vec<_> = functions.iter().filter(|one| one.is_public).collect();
        if verbs.is_empty() {
            continue;
        }
        let heading = heading.trim_start_matches("Verbs: ");
        let (first, rest) = heading.split_at(1);
        write!(text, "\n## {}{rest}\n", first.to_uppercase()).unwrap();
        for verb in verbs {
            let path = &verb.path;
            let roles = executors(client, &verb.name).await;
            write!(
                text,
                "\n### {}\n\n{}\n\n```sql\n{}\n```\n\n```text\n{}\n```\n\nMay execute: {roles}. \
                 Source: [{path}](../../functions/{path}).\n",
                verb.name,
                verb.comment,
                verb.signature,
                verb.header.join("\n"),
            )
            .unwrap();
        }
    }
    text.push_str("\n## Views\n\nFor reading with plain SQL. Times are `timestamptz`.\n");
    relations(client, &mut text, "v").await;
    text.push_str("\n## Row types\n\nWhat the verbs return rows of.\n");
    relations(client, &mut text, "c").await;
    text
}

async fn executors(client: &Client, name: &str) -> String {
    let sql = "select r from unnest($1::text[]) with ordinality x(r, n), pg_proc p \
               where p.proname = $2 and p.pronamespace = 'bloom'::regnamespace \
                 and has_function_privilege(r, p.oid, 'execute') order by n";
    let roles = client.query(sql, &[&&ROLES[..], &name]).await.unwrap();
    join(roles.iter().map(|row| row.get(0)))
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Views (`v`) with their readers, or composite types (`c`).
async fn relations(client: &Client, text: &mut String, kind: &str) {
    let sql = "select c.relname::text, c.oid, \
                 array(select r from unnest($2::text[]) r \
                        where $1 = 'v' and has_table_privilege(r, c.oid, 'select')) \
               from pg_class c where c.relnamespace = 'bloom'::regnamespace \
                 and c.relkind::text = $1 order by 1";
    for row in client.query(sql, &[&kind, &&ROLES[..]]).await.unwrap() {
        let (name, oid): (String, u32) = (row.get(0), row.get(1));
        let readers: Vec<String> = row.get(2);
        write!(text, "\n### {name}\n\n").unwrap();
        if !readers.is_empty() {
            let readers = join(readers.iter().map(String::as_str));
            write!(text, "May select: {readers}.\n\n").unwrap();
        }
        text.push_str("| column | type |\n|---|---|\n");
        let sql = "select attname::text, format_type(atttypid, atttypmod) from pg_attribute \
                   where attrelid = $1 and attnum > 0 and not attisdropped order by attnum";
        for column in client.query(sql, &[&oid]).await.unwrap() {
            let (name, kind): (String, String) = (column.get(0), column.get(1));
            writeln!(text, "| `{name}` | {kind} |").unwrap();
        }
    }
}
