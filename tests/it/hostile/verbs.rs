//! Every argument of every verb and every option, as the role that may call it: whatever comes, the
//! verb accepts it or refuses it with an SQLSTATE that is documented.

use std::collections::BTreeMap;

use bytes::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Row};

use super::corpus::{Helpings, Input, Kind, all};
use crate::history::assert_clean;
use crate::pg::TestDb;
use crate::sql_kit::{one, run};
use crate::sql_refusals::Scene;
use crate::sql_refusals::table::{Arg, Verb, verbs};

/// Calls with each input in turn, undoes it, and tells of each that failed.
const TRY: &str = "
create function public.hostile_try(p_sql text, p_inputs text[])
    returns table (number integer, state text, message text)
    language plpgsql as $$
begin
    for number in 1 .. cardinality(p_inputs) loop
        begin
            execute p_sql using p_inputs[number];
            raise exception using errcode = 'ZZ000';
        exception when others then
            state := sqlstate;
            message := sqlerrm;
            return next;
        end;
    end loop;
end $$";

/// What a call that was accepted is undone with.
const ACCEPTED: &str = "ZZ000";

/// The roles, those with the fewest rights first.
const ROLES: [&str; 4] = [
    "bloom_producer",
    "bloom_worker",
    "bloom_reader",
    "bloom_admin",
];

/// Whether the verbs may refuse like that: in their own words, or because text is no value of a type.
fn is_proper(state: &str, input: &str) -> bool {
    let is_deep = input.starts_with("deep-") || input.starts_with("wide-");
    // Postgres' own readers refuse what would take all of their stack.
    state == ACCEPTED
        || state.starts_with("RT4")
        || state == "RT503"
        || state.starts_with("22")
        || (is_deep && state == "54001")
}

/// The types of each verb's arguments, and the least role that may call it.
async fn signatures(client: &Client) -> BTreeMap<String, (Vec<String>, String)> {
    let sql = "select p.proname::text,
                      array(select format_type(t, null)
                              from unnest(p.proargtypes) with ordinality a(t, i) order by i),
                      (select r from unnest($1::text[]) with ordinality roles(r, i)
                        where has_function_privilege(r, p.oid, 'execute') order by i limit 1)
                 from pg_proc p where p.pronamespace = 'bloom'::regnamespace";
    let rows = client.query(sql, &[&ROLES.as_slice()]).await.unwrap();
    rows.iter()
        .map(|row| (row.get(0), (row.get(1), row.get(2))))
        .collect()
}

/// A call with good values, but for one argument.
fn call(verb: &Verb, index: usize, value: &str) -> String {
    let args = verb.args.iter().enumerate();
    let args: Vec<_> = args
        .map(|(i, arg)| if i == index { value } else { arg.good })
        .collect();
    format!("select * from bloom.{}({})", verb.name, args.join(", "))
}

/// The SQL in which the input stands for an argument of this type, and what is tried there.
fn attempts(
    arg: &Arg,
    kind: &str,
    texts: &mut Helpings,
    values: &[Input],
) -> Vec<(String, Vec<Input>)> {
    let mut some = texts.next();
    some.extend(
        values
            .iter()
            .filter(|value| value.name.starts_with("number"))
            .cloned(),
    );
    let mut tries = match (kind, kind.strip_suffix("[]")) {
        ("text", _) => vec![("$1".to_owned(), all(Kind::Text))],
        ("jsonb", _) => vec![
            ("$1::jsonb".to_owned(), values.to_vec()),
            ("to_jsonb($1)".to_owned(), texts.next()),
            ("jsonb_build_array($1)".to_owned(), texts.next()),
        ],
        (_, Some(of)) => vec![
            (format!("array[$1::{of}]"), some.clone()),
            (format!("$1::{of}[]"), some),
        ],
        _ => vec![(format!("$1::{kind}"), some)],
    };
    if let Arg::Options(options) = arg {
        for (number, (name, _)) in options.iter().enumerate() {
            let some = values.iter().skip(number % 3).step_by(3).cloned();
            let place = |value: &str| format!("jsonb_build_object('{name}', {value})");
            tries.push((place("$1::jsonb"), some.collect()));
            tries.push((place("$1"), texts.next()));
            tries.push((place("jsonb_build_array($1)"), texts.next()));
        }
    }
    tries
}

#[tokio::test]
async fn no_argument_of_a_verb_gets_anything_but_its_documented_refusals() {
    let scene = Scene::new().await;
    run(&scene.client, TRY).await;
    let signatures = signatures(&scene.client).await;
    let mut texts = Helpings::of(Kind::Text);
    let mut values = all(Kind::Json);
    values.retain(|value| !value.bytes.contains(&0));
    let mut roles = BTreeMap::new();
    for role in ROLES {
        roles.insert(role, scene.db.connect_as(role).await);
    }
    let (mut wrong, mut tried, mut accepted) = (Vec::new(), 0, 0);
    for verb in verbs() {
        let before = scene.everything().await;
        let (kinds, role) = &signatures[verb.name];
        for (index, arg) in verb.args.iter().enumerate() {
            for (value, mut inputs) in attempts(&arg.kind, &kinds[index], &mut texts, &values) {
                inputs.retain(|input| !input.bytes.contains(&0));
                let sql = scene
                    .fill(&call(&verb, index, &value))
                    .replace("$1", "$1::text");
                let inputs_text: Vec<_> = inputs.iter().map(Input::text).collect();
                let rows = roles[role.as_str()]
                    .query(
                        "select * from public.hostile_try($1, $2)",
                        &[&sql, &inputs_text],
                    )
                    .await
                    .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
                tried += rows.len();
                for (row, input) in rows.iter().zip(&inputs) {
                    let state: String = row.get(1);
                    accepted += usize::from(state == ACCEPTED);
                    if !is_proper(&state, &input.name) {
                        wrong.push(complaint(row, &sql, input));
                    }
                }
            }
        }
        if scene.everything().await != before {
            wrong.push(format!("{}: something changed", verb.name));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(60)].join("\n")
    );
    assert!(
        tried > 10_000 && accepted > 1000,
        "{tried} tried, {accepted} accepted"
    );
    assert_clean(&scene.client).await;
}

fn complaint(row: &Row, sql: &str, input: &Input) -> String {
    let (state, message): (String, String) = (row.get(1), row.get(2));
    format!(
        "{:.160} with {}: {state} {message:.200}",
        sql.replace('\n', " "),
        input.name
    )
}

/// Bytes as they are, as a value of any type.
#[derive(Debug)]
struct Raw(Vec<u8>);

impl ToSql for Raw {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        if *kind == Type::JSONB {
            // The version of the format.
            out.extend_from_slice(&[1]);
        }
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[tokio::test]
async fn bytes_that_are_no_text_are_a_data_exception_at_every_verb() {
    let scene = Scene::new().await;
    let signatures = signatures(&scene.client).await;
    let mut inputs = all(Kind::Bytes);
    inputs.extend(
        all(Kind::Text)
            .into_iter()
            .filter(|input| input.bytes.contains(&0)),
    );
    let (mut wrong, mut tried) = (Vec::new(), 0);
    let mut roles = BTreeMap::new();
    for role in ROLES {
        roles.insert(role, scene.db.connect_as(role).await);
    }
    for verb in verbs() {
        let (kinds, role) = &signatures[verb.name];
        let client = &roles[role.as_str()];
        for (index, kind) in kinds.iter().enumerate() {
            if !matches!(kind.as_str(), "text" | "jsonb") {
                continue;
            }
            let sql = scene.fill(&call(&verb, index, &format!("$1::{kind}")));
            let statement = client.prepare(&sql).await.unwrap();
            // Others at each argument.
            for input in inputs.iter().skip(tried % 5).step_by(5) {
                tried += 1;
                run(client, "begin").await;
                if let Err(error) = client.query(&statement, &[&Raw(input.bytes.clone())]).await {
                    let state = error.code().map(tokio_postgres::error::SqlState::code);
                    if !state.is_some_and(|state| is_proper(state, &input.name)) {
                        wrong.push(format!("{sql} with {}: {error:?}", input.name));
                    }
                }
                run(client, "rollback").await;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 500, "{tried}");
}

#[tokio::test]
async fn a_prompt_submitted_in_sql_comes_back_to_the_last_byte() {
    let db = TestDb::new().await;
    let producer = db.connect_as("bloom_producer").await;
    let mut texts = all(Kind::Text);
    texts.retain(|text| !text.bytes.is_empty() && !text.bytes.contains(&0));
    let texts: Vec<_> = texts.iter().map(Input::text).collect();
    let mut ids: Vec<uuid::Uuid> = Vec::new();
    for text in &texts {
        let sql = "select bloom.task_submit('c', 'a', $1)";
        ids.push(producer.query_one(sql, &[text]).await.unwrap().get(0));
    }
    for (id, text) in ids.iter().zip(&texts) {
        let sql = "select prompt from bloom.task_get($1)";
        let row = producer.query_one(sql, &[id]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), *text);
    }
    let client = db.connect().await;
    assert_eq!(
        one(&client, "select count(*) from bloom_private.task").await,
        texts.len().to_string()
    );
    assert_clean(&client).await;
}
