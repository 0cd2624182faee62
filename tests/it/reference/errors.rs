//! `docs/reference/errors.md`: every refusal, found where the code raises it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use bloom_runtime::error::{Error, Kind};
use bloom_runtime::http::failure::status_of;

use super::root;
use super::source::{self, Function, arguments, calls};

/// So many verbs are named one by one.
const NAMED_VERBS: usize = 10;

/// What is known of one code.
#[derive(Default)]
struct Refusal {
    texts: BTreeSet<String>,
    raised_in: BTreeSet<String>,
}

pub fn render() -> String {
    let mut text = String::from(
        "# Errors\n\n\
         Programs go by the code; the text is for people.\n\n\
         ## From the verbs\n\n\
         A verb refuses with SQLSTATE `RT` + the HTTP status. MESSAGE is the code, DETAIL a JSON object\n\
         with the text as `message` and the ids concerned; for a wrong argument also its name as `field`\n\
         and what is wrong with it as `text`. Over HTTP the same code and text come as `code` and\n\
         `error`. A refused statement has changed nothing, and its transaction has to be rolled back.\n\n\
         `%s` stands for an id, a name or a status.\n\n\
         | code | SQLSTATE | HTTP | text | verbs |\n|---|---|---|---|---|\n",
    );
    let functions = source::by_name();
    for ((status, code), refusal) in from_verbs(&functions) {
        let verbs = verbs_that_reach(&functions, &refusal.raised_in);
        let verbs = if verbs.len() > NAMED_VERBS {
            format!("{} verbs", verbs.len())
        } else {
            let verbs = verbs.iter().map(|verb| format!("`{verb}`"));
            verbs.collect::<Vec<_>>().join(", ")
        };
        let texts = join(&refusal.texts);
        writeln!(
            text,
            "| `{code}` | `RT{status}` | {status} | {texts} | {verbs} |"
        )
        .unwrap();
    }
    text.push_str(
        "\n## Other SQLSTATEs that callers of the verbs meet\n\n\
         | SQLSTATE | when | what to do | over HTTP |\n|---|---|---|---|\n\
         | `40001`, `40P01` | lost against another transaction | run the transaction again | the service tries up to six times more, then 503 |\n\
         | `55P03` | a lock was not to be had in time | try again later | likewise |\n\
         | `22021`, `22P05`, `22P02` | text that Postgres cannot store, such as U+0000 | send other text | 400 `invalid_text` |\n\
         | `42501` | the role may not call this verb | ask for membership in the right group role | – |\n\
         | `57014`, `08…`, `53…`, `57P0…`, `25006` | Postgres is away, overloaded, stopping, or a standby | try again later | 503 `unavailable` with `Retry-After` |\n\
         | any other | a fault | – | 500 `internal` with a `request_id`; the log has the rest |\n",
    );
    text.push_str(
        "\n## From the HTTP layer\n\n\
         Raised before a verb is called. Wrong fields of a body have no code: 400 with\n\
         `{\"error\":{\"formErrors\":[…],\"fieldErrors\":{…}}}`.\n\n\
         | code | HTTP | text |\n|---|---|---|\n",
    );
    for ((status, code), texts) in from_rust() {
        writeln!(text, "| `{code}` | {status} | {} |", join(&texts)).unwrap();
    }
    text
}

fn join(texts: &BTreeSet<String>) -> String {
    texts.iter().cloned().collect::<Vec<_>>().join("<br>")
}

fn from_verbs(functions: &BTreeMap<String, Function>) -> BTreeMap<(String, String), Refusal> {
    let mut found: BTreeMap<(String, String), Refusal> = BTreeMap::new();
    for function in functions.values().filter(|one| one.name != "refuse") {
        for call in calls(&function.body, "refuse") {
            let arguments = arguments(call);
            let code = arguments[1].trim_matches('\'').to_owned();
            let refusal = found.entry((arguments[0].clone(), code)).or_default();
            refusal.raised_in.insert(function.name.clone());
            let texts = literals(&arguments[2], '\'').into_iter();
            // What begins in the middle of a sentence is a part of one.
            refusal
                .texts
                .extend(texts.filter(|text| text.starts_with(char::is_uppercase)));
        }
    }
    let wrong = found.get_mut(&("400".to_owned(), "invalid_argument".to_owned()));
    let wrong = wrong.expect("refuse_field raises it");
    wrong.texts = BTreeSet::from(["the argument, then what is wrong with it".to_owned()]);
    found
}

/// The public functions from which a call of one of `targets` can be reached.
fn verbs_that_reach(
    functions: &BTreeMap<String, Function>,
    targets: &BTreeSet<String>,
) -> BTreeSet<String> {
    let mut reached = targets.clone();
    loop {
        let more: Vec<String> = functions
            .values()
            .filter(|one| !reached.contains(&one.name))
            .filter(|one| {
                reached
                    .iter()
                    .any(|name| !calls(&one.body, name).is_empty())
            })
            .map(|one| one.name.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        reached.extend(more);
    }
    reached.retain(|name| functions[name].is_public);
    reached
}

/// The string literals in an expression; pieces that only white space separates are one.
fn literals(text: &str, quote: char) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut parts = text.split(quote);
    let mut between = parts.next().unwrap_or_default();
    while let Some(literal) = parts.next() {
        let next = parts.next().unwrap_or_default();
        match found.last_mut() {
            // A doubled quote inside a literal, or SQL's continuation on the next line.
            Some(last) if between.is_empty() => {
                last.push(quote);
                last.push_str(literal);
            }
            Some(last) if between.trim().is_empty() => last.push_str(literal),
            _ => found.push(literal.to_owned()),
        }
        between = next;
    }
    found
}

fn from_rust() -> BTreeMap<(u16, String), BTreeSet<String>> {
    let mut found: BTreeMap<(u16, String), BTreeSet<String>> = BTreeMap::new();
    let mut add = |status: u16, code: &str, text: &str| {
        let texts = found.entry((status, code.to_owned())).or_default();
        texts.extend(Some(text.to_owned()).filter(|text| !text.is_empty()));
    };
    add(405, "method_not_allowed", "Method not allowed");
    add(500, "internal", "Internal server error");
    add(
        503,
        "unavailable",
        "The database is unavailable, please try again",
    );
    for part in ["http", "wake", "wake.rs", "db/sqlstate.rs"] {
        for text in files(&root().join("src").join(part)) {
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for call in calls(text, "refused") {
                let arguments = arguments(call);
                let Some(kind) = arguments[0].strip_prefix("Kind::").and_then(kind) else {
                    continue;
                };
                let status = status_of(&Error::refused(kind, "", "")).as_u16();
                let [code] = literals(&arguments[1], '"').try_into().unwrap_or_default();
                let before = &text[..text.len() - call.len()];
                add(status, &code, &rust_text(&arguments[2], before));
            }
            for call in calls(text, "not_found") {
                let arguments = arguments(call);
                if let [code, text] = &arguments[..]
                    && code.starts_with('"')
                {
                    add(404, code.trim_matches('"'), text.trim_matches('"'));
                }
            }
        }
    }
    found.retain(|(_, code), _| !code.is_empty());
    found
}

/// The text of a refusal: a literal, or the one that the variable `text` was set to just before.
fn rust_text(argument: &str, before: &str) -> String {
    let expression = match before.rsplit_once("let text = ") {
        Some((_, set)) if argument == "text" => set.split(';').next().unwrap_or_default(),
        _ => argument,
    };
    literals(expression, '"').concat()
}

fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        "Invalid" => Kind::Invalid,
        "Unauthorized" => Kind::Unauthorized,
        "Forbidden" => Kind::Forbidden,
        "NotFound" => Kind::NotFound,
        "MethodNotAllowed" => Kind::MethodNotAllowed,
        "Timeout" => Kind::Timeout,
        "Conflict" => Kind::Conflict,
        "TooLarge" => Kind::TooLarge,
        "UnsupportedMedia" => Kind::UnsupportedMedia,
        "TooMany" => Kind::TooMany,
        "NotImplemented" => Kind::NotImplemented,
        "BadGateway" => Kind::BadGateway,
        "Busy" => Kind::Busy,
        _ => return None,
    })
}

/// The texts of all files below `path`.
fn files(path: &Path) -> Vec<String> {
    if path.is_file() {
        return vec![std::fs::read_to_string(path).unwrap()];
    }
    let mut paths: Vec<_> = path
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| files(path)).collect()
}
