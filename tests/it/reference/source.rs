//! The SQL functions as their files state them.

use std::collections::BTreeMap;

use super::root;

/// One function of `functions/`.
pub struct Function {
    /// Path below `functions/`.
    pub path: String,
    /// Its name without the schema.
    pub name: String,
    /// Whether it stands in schema `bloom`.
    pub is_public: bool,
    /// From the schema's name to the end of what it returns, as written.
    pub signature: String,
    /// The comment of the catalogue: one line.
    pub comment: String,
    /// The comment at the head of the body, without the dashes.
    pub header: Vec<String>,
    /// From `$$` to the end of the file.
    pub body: String,
}

/// A heading of the index with its functions, in order.
pub type Group = (String, Vec<Function>);

/// All functions, in the groups and the order of the index.
pub fn groups() -> Vec<Group> {
    let dir = root().join("functions");
    let index = std::fs::read_to_string(dir.join("index.sql")).unwrap();
    let mut groups: Vec<Group> = Vec::new();
    for line in index.lines() {
        if let Some(heading) = line.strip_prefix("-- Group: ") {
            groups.push((heading.to_owned(), Vec::new()));
        } else if let Some(path) = line.strip_prefix("\\ir ") {
            let text = std::fs::read_to_string(dir.join(path)).unwrap();
            let group = &mut groups.last_mut().unwrap().1;
            group.extend(function(path, &text));
        }
    }
    groups
}

/// All functions by name.
pub fn by_name() -> BTreeMap<String, Function> {
    let all = groups().into_iter().flat_map(|(_, functions)| functions);
    all.map(|function| (function.name.clone(), function))
        .collect()
}

/// The function that a file holds; none for views, grants and triggers.
fn function(path: &str, text: &str) -> Option<Function> {
    let start = text.find("create or replace function ")?;
    let declared = &text[start + "create or replace function ".len()..];
    let (signature, rest) = declared.split_once("\nlanguage ").unwrap();
    let (schema, after) = signature.split_once('.').unwrap();
    let name = after.split('(').next().unwrap();
    let (_, body) = rest.split_once("$$\n").unwrap();
    let header = body
        .lines()
        .skip_while(|line| line.starts_with('#'))
        .map_while(|line| line.strip_prefix("--"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned())
        .collect();
    let comment = text.rsplit_once("comment on function")?.1;
    Some(Function {
        path: path.to_owned(),
        name: name.to_owned(),
        is_public: schema == "bloom",
        signature: signature.to_owned(),
        comment: comment.split('\'').nth(1).unwrap_or_default().to_owned(),
        header,
        body: body.to_owned(),
    })
}

/// The arguments of the call whose opening parenthesis `text` begins behind, split at its own
/// commas.
pub fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut quote, mut current) = (0, None, String::new());
    let mut found = Vec::new();
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) => quote = Some(open).filter(|open| *open != c),
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => break,
            (None, ')') => depth -= 1,
            (None, ',') if depth == 0 => {
                found.push(std::mem::take(&mut current));
                continue;
            }
            _ => {}
        }
        current.push(c);
    }
    found.push(current);
    found.iter().map(|one| one.trim().to_owned()).collect()
}

/// The calls of `name` in `text`: what follows each opening parenthesis.
pub fn calls<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let call = format!("{name}(");
    text.match_indices(&call)
        .filter(|(at, _)| {
            let before = text[..*at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
        })
        .map(|(at, _)| &text[at + call.len()..])
        .collect()
}
