//! Every argument of every verb, with values that it must refuse: always with an error of ours
//! (`RT4xx`) or a data exception (class 22), never with an internal one, and without a trace.

pub mod table;

use tokio_postgres::Client;

use crate::pg::TestDb;
use crate::sql_kit::{column, lease_of, literal, one, refused, register, run, submit, try_rows};
use table::{Arg, Opt, Verb, verbs};

/// The service process that owns the webhook of a scene.
const SERVICE: &str = "01900000-0000-7000-8000-00000000000f";

/// A database with one leased task, one dead one and a worker with room, and the words that stand
/// for them.
pub struct Scene {
    pub db: TestDb,
    pub client: Client,
    words: Vec<(&'static str, String)>,
}

impl Scene {
    pub async fn new() -> Self {
        let db = TestDb::new().await;
        let client = db.connect().await;
        register(&client, "w", r#"{"max_concurrency": 3}"#).await;
        let leased = submit(&client, "c1", "{}").await;
        run(&client, "select bloom.lease_next('w')").await;
        let lease = lease_of(&client, &leased).await;
        run(
            &client,
            "insert into bloom_private.credential values ('limited', now() + interval '1 hour',
                 null, 'w', now())",
        )
        .await;
        let waiting = submit(&client, "c2", "{}").await;
        let done = submit(&client, "c3", "{}").await;
        run(
            &client,
            &format!("select bloom.lease_task('{done}', array['w'])"),
        )
        .await;
        let ended = lease_of(&client, &done).await;
        let sql = format!(
            "select artifact_id from bloom.lease_complete('{done}', '{ended}', 'error', 'out',
                 '{{\"retryable\": false}}')"
        );
        let artifact = one(&client, &sql).await;
        let sql = "select bloom.key_create('k', 'p', sha256('x'), array['reader'])";
        let key = one(&client, sql).await;
        let webhook = "01900000-0000-7000-8000-00000000000e";
        let idle = "01900000-0000-7000-8000-00000000000d";
        run(
            &client,
            &format!(
                "select bloom.webhook_create('{webhook}', 'n', 'http://x', '{{}}');
                 select bloom.webhook_create('{idle}', 'm', 'http://x', '{{}}');
                 update bloom_private.webhook set owner = '{SERVICE}', owned_until = now()"
            ),
        )
        .await;
        let sql = format!(
            "select delivery_id from bloom.webhook_submit('{webhook}', '{SERVICE}', '999999', 1, '[]', 1)"
        );
        let delivery = one(&client, &sql).await;
        let words = vec![
            ("%W", webhook.to_owned()),
            ("%X", idle.to_owned()),
            ("%V", delivery),
            ("%S", SERVICE.to_owned()),
            ("%T", leased),
            ("%L", lease),
            ("%R", waiting),
            ("%D", done),
            ("%A", artifact),
            ("%K", key),
        ];
        Self { db, client, words }
    }

    /// A statement with the ids in place of their words.
    pub fn fill(&self, text: &str) -> String {
        let words = self.words.iter();
        words.fold(text.to_owned(), |text, (word, id)| text.replace(word, id))
    }

    /// Everything in the database that is not a counter.
    pub async fn everything(&self) -> String {
        let sql = "select c.relname from pg_class c
                    where c.relnamespace = 'bloom_private'::regnamespace and c.relkind in ('r', 'p')
                      and not c.relispartition order by 1";
        let mut all = String::new();
        for table in column(&self.client, sql).await {
            let sql = format!(
                "select '{table} ' || coalesce(md5(string_agg(t::text, '|' order by t::text)), '')
                   from bloom_private.{table} t"
            );
            all += &one(&self.client, &sql).await;
        }
        all
    }
}

/// A call with the good values, but for one argument.
fn call(verb: &Verb, index: usize, value: &str) -> String {
    let args = verb.args.iter().enumerate();
    let args: Vec<_> = args
        .map(|(i, arg)| if i == index { value } else { arg.good })
        .collect();
    format!("select * from bloom.{}({})", verb.name, args.join(", "))
}

fn is_proper(refusal: &str) -> bool {
    refusal.starts_with("RT4") || refusal.starts_with("22")
}

#[tokio::test]
async fn every_verb_refuses_every_wrong_argument_and_changes_nothing() {
    let scene = Scene::new().await;
    let mut wrong = Vec::new();
    for verb in verbs() {
        let before = scene.everything().await;
        let good = scene.fill(&call(&verb, usize::MAX, ""));
        run(&scene.client, "begin").await;
        if let Err(refusal) = try_rows(&scene.client, &good).await {
            wrong.push(format!("{good}: {refusal}, although all is well"));
        }
        run(&scene.client, "rollback").await;
        for (index, arg) in verb.args.iter().enumerate() {
            for value in arg.kind.wrong() {
                let bad = scene.fill(&call(&verb, index, &value));
                match try_rows(&scene.client, &bad).await {
                    Ok(_) => wrong.push(format!("{bad}: accepted")),
                    Err(refusal) if is_proper(&refusal) => {}
                    Err(refusal) => wrong.push(format!("{bad}: {refusal}")),
                }
            }
        }
        if scene.everything().await != before {
            wrong.push(format!("{}: something changed", verb.name));
        }
    }
    for line in &mut wrong {
        *line = line.replace('\n', " ").chars().take(300).collect();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_argument_of_every_verb_has_its_cases() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    let sql = "select p.proname || ' ' || coalesce((select string_agg(n, ' ' order by i)
                    from unnest(p.proargnames) with ordinality a(n, i)
                   where p.proargmodes is null or p.proargmodes[i] = 'i'), '')
                 from pg_proc p where p.pronamespace = 'bloom'::regnamespace order by 1";
    let mut present = column(&client, sql).await;
    let mut known: Vec<_> = verbs()
        .iter()
        .map(|verb| {
            let args: Vec<_> = verb
                .args
                .iter()
                .map(|arg| format!("p_{}", arg.name))
                .collect();
            format!("{} {}", verb.name, args.join(" "))
        })
        .collect();
    present.sort();
    known.sort();
    assert_eq!(known, present);
}

#[tokio::test]
async fn every_option_that_a_verb_knows_has_its_cases() {
    let mut wrong = Vec::new();
    for verb in verbs() {
        let mut folders =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/functions")).unwrap();
        let text = folders
            .find_map(|folder| {
                let file = folder.unwrap().path().join(format!("{}.sql", verb.name));
                std::fs::read_to_string(file).ok()
            })
            .expect("its file");
        // Where the verb lists its options itself, the table must list the same.
        let Some((_, rest)) = text.split_once("check_options(p_options, array[") else {
            continue;
        };
        let listed = rest.split_once(']').unwrap().0;
        let mut listed: Vec<_> = listed
            .split(',')
            .map(|name| name.trim().trim_matches('\''))
            .filter(|name| !name.is_empty())
            .collect();
        let mut known: Vec<_> = verb
            .args
            .iter()
            .flat_map(|arg| match &arg.kind {
                Arg::Options(options) => options.iter().map(|(name, _)| *name).collect(),
                _ => vec![],
            })
            .collect();
        listed.sort_unstable();
        known.sort_unstable();
        if listed != known {
            wrong.push(format!("{}: {listed:?}, cases for {known:?}", verb.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn text_that_cannot_be_stored_is_a_data_exception_wherever_it_stands() {
    let db = TestDb::new().await;
    let client = db.connect().await;
    register(&client, "w", "{}").await;
    for (json, code) in [
        (r#"{"queue": "a\u0000b"}"#, "22P05"),
        (r#"{"queue": "\ud800"}"#, "22P02"),
        (r#"{"context_hints": ["\udc00\ud800"]}"#, "22P02"),
        (r#"{"policy": {"budget": NaN}}"#, "22P02"),
        ("{", "22P02"),
    ] {
        for sql in [
            format!("select bloom.task_submit('c', 'a', 'p', {})", literal(json)),
            format!("select bloom.task_submit_many('[{json}]')"),
            format!("select bloom.worker_register('w', {})", literal(json)),
            format!("select bloom.setting_set('k', {})", literal(json)),
        ] {
            let refusal = refused(&client, &sql).await;
            assert!(refusal.starts_with(code), "{sql}: {refusal}");
        }
    }
    let stored = one(&client, "select count(*) from bloom_private.task").await;
    assert_eq!(stored, "0");
}

#[tokio::test]
async fn a_bad_item_of_a_batch_is_reported_in_its_place_and_harms_no_other() {
    let scene = Scene::new().await;
    let good = r#"{"context_id": "c", "agent_slug": "a", "prompt": "p"}"#;
    let mut items = vec![good.to_owned()];
    for (option, kind) in table::SUBMISSION {
        for value in kind.wrong() {
            items.push(format!(
                "{good}' || jsonb_build_object('{option}', {value}) || '"
            ));
        }
    }
    for odd in ["3", "null", "[]", "\"x\"", "{}", r#"{"bogus": 1}"#] {
        items.push(odd.to_owned());
    }
    items.push(good.to_owned());
    let parts: Vec<_> = items
        .iter()
        .map(|item| format!("('{item}'::jsonb)"))
        .collect();
    let sql = format!(
        "select string_agg((created)::int::text, '' order by ordinal),
                count(*) filter (where error ->> 'code' = 'invalid_argument')
           from bloom.task_submit_many((select jsonb_agg(x.column1) from (values {}) x),
               '{{\"atomic\": false}}')",
        parts.join(", ").replace("|| ''::jsonb", "")
    );
    let rows = try_rows(&scene.client, &sql).await.expect("accepted");
    let bad = items.len() - 2;
    assert_eq!(rows[0].get(0).unwrap(), format!("1{}1", "0".repeat(bad)));
    assert_eq!(rows[0].get(1).unwrap(), bad.to_string());
    // And all of them are refused when the batch is atomic.
    let atomic = sql.replace("\"atomic\": false", "\"atomic\": true");
    let refusal = refused(&scene.client, &atomic).await;
    assert!(is_proper(&refusal), "{refusal}");
    drop(scene.db);
}

/// Keeps the kinds of options in one place with what is wrong for each.
impl Opt {
    /// SQL expressions of type `jsonb` that the option must refuse.
    pub fn wrong(&self) -> Vec<String> {
        let plain = |values: &[&str]| -> Vec<String> {
            values
                .iter()
                .map(|json| format!("'{json}'::jsonb"))
                .collect()
        };
        let long = |chars: usize| format!("to_jsonb(repeat('x', {}))", chars + 1);
        match *self {
            Self::Text(max) => {
                let mut all = plain(&["3", "true", "[]", "{}"]);
                all.push(long(max));
                all
            }
            Self::Int(min, max) => {
                let mut all = plain(&["\"3\"", "1.5", "true", "[]", "{}", "1e300", "-1e300"]);
                all.extend(
                    [i64::from(min) - 1, i64::from(max) + 1, 4_294_967_297]
                        .map(|value| format!("'{value}'::jsonb")),
                );
                all
            }
            Self::Bool => plain(&["\"true\"", "1", "0", "[]", "{}"]),
            Self::Uuid => plain(&["\"\"", "\"x\"", "3", "[]", "true"]),
            Self::Texts(items, chars) => {
                let mut all = plain(&["\"x\"", "3", "{}", "[1]", "[\"\"]", "[[\"x\"]]", "[null]"]);
                all.push(format!("jsonb_build_array(repeat('x', {}))", chars + 1));
                all.push(format!(
                    "(select jsonb_agg('x' || i) from generate_series(1, {}) i)",
                    items + 1
                ));
                all
            }
            Self::Time => plain(&[
                "true",
                "[]",
                "{}",
                "-1",
                "1e300",
                "\"\"",
                "\"tomorrow\"",
                "\"infinity\"",
                "\"2026-13-45T00:00:00Z\"",
                "\"9999-01-01T00:00:00Z\"",
                "9000000000000",
            ]),
            Self::Among => plain(&["\"\"", "\"other\"", "3", "[]"]),
            Self::Object(wrong) => {
                let mut all = plain(&["3", "[]", "\"x\"", "true"]);
                all.extend(plain(wrong));
                all
            }
            Self::Moment => plain(&["\"tomorrow\"", "1.5", "[]", "true"]),
            Self::Metrics => {
                let mut all = plain(&[
                    "3",
                    "[]",
                    "\"x\"",
                    r#"{"duration_ms": -1}"#,
                    r#"{"duration_ms": "1"}"#,
                    r#"{"tokens_used": 1.5}"#,
                    r#"{"tokens_used": 1e300}"#,
                    r#"{"x": {}}"#,
                    r#"{"x": 1e131000}"#,
                ]);
                all.push(
                    "(select jsonb_object_agg('m' || i, i) from generate_series(1, 51) i)".into(),
                );
                all
            }
            Self::Policy => plain(&[
                "3",
                "[]",
                "\"x\"",
                r#"{"bogus": 1}"#,
                r#"{"timeout_sec": 0}"#,
                r#"{"timeout_sec": 3601}"#,
                r#"{"timeout_sec": "1"}"#,
                r#"{"budget": -1}"#,
                r#"{"budget": "1"}"#,
                r#"{"budget": 1e300}"#,
                r#"{"budget": 1e-16000}"#,
                r#"{"serial": 1}"#,
                r#"{"backoff_base_sec": 0}"#,
                r#"{"backoff_cap_sec": 86401}"#,
            ]),
        }
    }
}

impl Arg {
    /// SQL expressions that the argument must refuse.
    fn wrong(&self) -> Vec<String> {
        let plain = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
        match self {
            Self::Maybe => vec![],
            Self::Some(values) => plain(values),
            Self::Id => plain(&["null", "gen_random_uuid()"]),
            Self::Name(max) => vec![
                "null".to_owned(),
                "''".to_owned(),
                format!("repeat('x', {})", max + 1),
            ],
            Self::Int(min, max) => {
                let mut all: Vec<String> = plain(&["null", "-1", "2147483647", "-2147483648"]);
                all.push((i64::from(*min) - 1).to_string());
                all.push((i64::from(*max) + 1).to_string());
                all
            }
            Self::Options(options) => {
                let mut all: Vec<String> = plain(&[
                    "null",
                    "'[]'",
                    "'3'",
                    "'null'",
                    "'\"x\"'",
                    "'{\"bogus\": 1}'",
                ]);
                for (name, kind) in options {
                    let values = kind.wrong().into_iter();
                    all.extend(values.map(|v| format!("jsonb_build_object('{name}', {v})")));
                }
                all
            }
        }
    }
}
