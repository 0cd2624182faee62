//! The document as a page for people: plain HTML, no script, nothing from elsewhere.

use std::fmt::Write as _;

use serde_json::Value;

/// The page's style sheet.
pub const STYLE: &str = include_str!("page.css");

/// Text as it may stand in HTML, also in attributes.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

fn text(value: &Value) -> String {
    escaped(value.as_str().unwrap_or_default())
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The page.
#[must_use]
pub fn page(document: &Value) -> String {
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>BLOOM Runtime: HTTP API</title>\n\
         <link rel=\"stylesheet\" href=\"/docs/style.css\">\n",
    );
    let info = &document["info"];
    let (title, version, words) = (
        text(&info["title"]),
        text(&info["version"]),
        text(&info["description"]),
    );
    put(
        &mut html,
        format_args!(
            "<header><h1>{title} <small>{version}</small></h1>\n<p>{words}</p>\n\
             <p>For programs: <a href=\"/openapi.json\">openapi.json</a> (OpenAPI 3.1).</p>\n<nav>"
        ),
    );
    for tag in items(&document["tags"]) {
        let name = text(&tag["name"]);
        put(&mut html, format_args!("<a href=\"#{name}\">{name}</a> "));
    }
    html.push_str("<a href=\"#schemas\">schemas</a></nav></header>\n<main>\n");
    for tag in items(&document["tags"]) {
        let (name, about) = (text(&tag["name"]), text(&tag["description"]));
        put(
            &mut html,
            format_args!("<h2 id=\"{name}\">{name}</h2>\n<p>{about}</p>\n"),
        );
        for (path, methods) in members(&document["paths"]) {
            for (method, operation) in members(methods) {
                if operation["tags"][0] == tag["name"] {
                    show(&mut html, method, path, operation);
                }
            }
        }
    }
    html.push_str("<h2 id=\"schemas\">schemas</h2>\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let name = escaped(name);
        put(
            &mut html,
            format_args!("<details id=\"schema-{name}\"><summary><code>{name}</code></summary>"),
        );
        json_block(&mut html, schema);
        html.push_str("</details>\n");
    }
    html.push_str("</main>\n");
    html
}

fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string does not fail.
    let _never = html.write_fmt(text);
}

fn show(html: &mut String, method: &str, path: &str, operation: &Value) {
    let (method, path) = (escaped(&method.to_uppercase()), escaped(path));
    let summary = text(&operation["summary"]);
    put(
        html,
        format_args!(
            "<details><summary><b class=\"{method}\">{method}</b> <code>{path}</code> \
             <span>{summary}</span></summary>\n<p>{}</p>\n",
            text(&operation["description"])
        ),
    );
    let scopes: Vec<_> = items(&operation["security"][0]["key"]).map(text).collect();
    let scopes = if scopes.is_empty() {
        "none needed".to_owned()
    } else {
        scopes.join(" or ")
    };
    let rate = text(&operation["x-rate-budget"]);
    put(html, format_args!("<p>Key: {scopes}. Rate budget: {rate}."));
    if operation["x-body-limit"].is_string() {
        let limit = text(&operation["x-body-limit"]);
        put(html, format_args!(" Body: at most {limit}."));
    }
    html.push_str("</p>\n");
    if items(&operation["parameters"]).next().is_some() {
        html.push_str("<table><tr><th>parameter<th>in<th>schema<th>\n");
        for param in items(&operation["parameters"]) {
            put(
                html,
                format_args!(
                    "<tr><td><code>{}</code><td>{}<td><code>{}</code><td>{}\n",
                    text(&param["name"]),
                    text(&param["in"]),
                    escaped(&param["schema"].to_string()),
                    text(&param["description"])
                ),
            );
        }
        html.push_str("</table>\n");
    }
    let body = &operation["requestBody"];
    if body.is_object() {
        let required = if body["required"] == true {
            ""
        } else {
            " (may be absent)"
        };
        put(html, format_args!("<h4>Body{required}</h4>\n"));
        media(html, &body["content"]);
    }
    for (status, answer) in members(&operation["responses"]) {
        if let Some(there) = answer["$ref"].as_str() {
            let name = escaped(there.rsplit('/').next().unwrap_or_default());
            put(
                html,
                format_args!("<p class=\"refusal\">{status} {name}</p>\n"),
            );
        } else {
            let about = text(&answer["description"]);
            put(html, format_args!("<h4>{status}: {about}</h4>\n"));
            media(html, &answer["content"]);
        }
    }
    html.push_str("</details>\n");
}

fn media(html: &mut String, content: &Value) {
    for (kind, media) in members(content) {
        put(html, format_args!("<p>{}</p>\n", escaped(kind)));
        json_block(html, &media["schema"]);
        if !media["example"].is_null() {
            html.push_str("<p>Example</p>\n");
            json_block(html, &media["example"]);
        }
    }
}

/// JSON, its references as links.
fn json_block(html: &mut String, value: &Value) {
    const SCHEMAS: &str = "#/components/schemas/";
    let pretty = serde_json::to_string_pretty(value).unwrap_or_default();
    html.push_str("<pre>");
    for line in pretty.lines() {
        match line.split_once(SCHEMAS) {
            Some((before, rest)) => {
                let (name, after) = rest.split_once('"').unwrap_or((rest, ""));
                let (before, name, after) = (escaped(before), escaped(name), escaped(after));
                put(
                    html,
                    format_args!("{before}<a href=\"#schema-{name}\">{name}</a>&quot;{after}\n"),
                );
            }
            None => put(html, format_args!("{}\n", escaped(line))),
        }
    }
    html.push_str("</pre>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_in_a_document_becomes_markup() {
        let hostile = "<script>alert(1)</script>\"'";
        let page = page(&json!({
            "info": { "title": hostile, "description": hostile },
            "tags": [{ "name": hostile }],
            "paths": { hostile: { "get": { "summary": hostile, "tags": [hostile] } } },
            "components": { "schemas": { hostile: { "$ref": format!("#/components/schemas/{hostile}") } } },
        }));
        assert!(!page.contains("<script"), "{page}");
    }
}
