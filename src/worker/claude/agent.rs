//! Agent definitions: `<slug>.md` in the operator's directory, in the CLI's own format (a head of
//! `key: value` lines between `---`, then the agent's prompt), handed over as its `--agents` JSON.

use std::path::Path;

use serde_json::{Map, Value, json};

/// The longest definition, in bytes: it stands on the command line.
const MAX_BYTES: u64 = 64 << 10;
/// The longest slug that can name one.
const MAX_SLUG: usize = 64;

/// Whether a slug can name a definition. Any other text is a name for people only.
#[must_use]
pub fn is_name(slug: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let starts = slug.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    starts && slug.len() <= MAX_SLUG && slug.chars().all(plain)
}

/// The flags for the agent called `slug`, or why there are none.
///
/// # Errors
/// A note for the operator; the task runs without an agent then.
pub fn flags(dir: Option<&Path>, slug: &str) -> Result<Vec<String>, &'static str> {
    let dir = dir.ok_or("no directory of agents")?;
    if !is_name(slug) {
        return Err("not the name of an agent");
    }
    let path = dir.join(format!("{slug}.md"));
    let meta = std::fs::metadata(&path).map_err(|_| "no such agent")?;
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Err("the agent's definition is not a small file");
    }
    let text = std::fs::read_to_string(&path).map_err(|_| "the definition cannot be read")?;
    let definition = json!({ slug: definition(slug, &text)? });
    Ok(vec![
        format!("--agents={definition}"),
        format!("--agent={slug}"),
    ])
}

fn definition(slug: &str, text: &str) -> Result<Value, &'static str> {
    let (head, prompt) = split(text);
    if prompt.is_empty() || text.contains('\0') {
        return Err("the definition has no prompt");
    }
    let mut agent = Map::new();
    agent.insert("description".to_owned(), json!(slug));
    agent.insert("prompt".to_owned(), json!(prompt));
    for line in head.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim().trim_matches(['"', '\'']);
        match key.trim() {
            "description" => agent.insert("description".to_owned(), json!(value)),
            "model" if value != "inherit" => agent.insert("model".to_owned(), json!(value)),
            "tools" => {
                let tools = value.trim_matches(['[', ']']).split(',');
                let tools: Vec<_> = tools
                    .map(str::trim)
                    .filter(|tool| !tool.is_empty())
                    .collect();
                (!tools.is_empty()).then(|| agent.insert("tools".to_owned(), json!(tools)));
                None
            }
            _ => None,
        };
    }
    Ok(Value::Object(agent))
}

/// The head and the rest.
fn split(text: &str) -> (&str, &str) {
    let rest = text.strip_prefix("---\n");
    match rest.and_then(|rest| rest.split_once("\n---")) {
        Some((head, prompt)) => (head, prompt.trim()),
        None => ("", text.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_in_the_clis_format_is_understood() {
        let text = "---\nname: rev\ndescription: Reviews: code\ntools: Read, Grep\nmodel: sonnet\n\
                    ---\n\nYou review.\nWell.\n";
        let expected = json!({ "description": "Reviews: code", "prompt": "You review.\nWell.",
            "tools": ["Read", "Grep"], "model": "sonnet" });
        assert_eq!(definition("rev", text).unwrap(), expected);
        let plain = definition("rev", "You review.").unwrap();
        assert_eq!(
            plain,
            json!({ "description": "rev", "prompt": "You review." })
        );
        assert!(definition("rev", "---\nname: rev\n---\n").is_err());
    }

    #[test]
    fn only_plain_names_name_a_file() {
        for good in ["a", "code-reviewer", "7_x"] {
            assert!(is_name(good), "{good}");
        }
        let long = "a".repeat(65);
        for bad in [
            "", "../..", "a/b", "A", ".a", "-p", "--agents", "a.md", "ä", "a\0", &long,
        ] {
            assert!(!is_name(bad), "{bad}");
            assert!(flags(Some(Path::new("/etc")), bad).is_err(), "{bad}");
        }
    }
}
