//! Where input can stand: every operation of the description of the API, with its parameters and the
//! fields of its body, and a sound value for each.

use serde_json::{Value, json};

use bloom_runtime::http::handlers::docs;

/// Stands where the raw JSON of an input goes.
const MARK: &str = "@@HERE@@";

/// An id, of whatever.
const SOME_ID: &str = "01900000-0000-7000-8000-000000000001";

/// One method of one path.
#[derive(Debug)]
pub struct Operation {
    /// `GET`, `POST`, …
    pub method: String,
    /// The template, such as `/api/runtime/workers/{id}`.
    pub path: String,
    /// Its query parameters.
    pub query: Vec<String>,
    /// A body that it takes, where it takes one.
    pub body: Option<Value>,
    /// The fields of the body, the nested ones too.
    pub fields: Vec<Field>,
}

/// One field of a body.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its place, as a JSON pointer.
    pub pointer: String,
    /// What it takes.
    pub schema: Value,
}

impl Field {
    /// Whether it takes this text, going by what the description says of its length.
    pub fn takes(&self, text: &str) -> bool {
        let bound = |name: &str, default| self.schema[name].as_u64().unwrap_or(default);
        let length = text.chars().count() as u64;
        !text.contains('\0')
            && (bound("minLength", 0)..=bound("maxLength", u64::MAX)).contains(&length)
    }
}

/// Every operation there is.
pub fn operations() -> Vec<Operation> {
    let document = docs::document();
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, told) in methods.as_object().unwrap() {
            let query = told["parameters"].as_array().into_iter().flatten();
            let query = query
                .filter(|param| param["in"] == "query")
                .map(|param| param["name"].as_str().unwrap().to_owned());
            let content = &told["requestBody"]["content"]["application/json"];
            let schema = content.get("schema");
            let mut fields = Vec::new();
            if let Some(schema) = schema {
                collect(schema, "", &mut fields);
            }
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                query: query.collect(),
                body: schema.map(sound),
                fields,
            });
        }
    }
    all
}

impl Operation {
    /// Its path with one value for each of its parameters, as they are spelled.
    pub fn target(&self, value: impl Fn(&str, &str) -> String) -> String {
        let fill = |part: &str| match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            Some(name) => value(&self.path, name),
            None => part.to_owned(),
        };
        self.path.split('/').map(fill).collect::<Vec<_>>().join("/")
    }

    /// Whether its path has parameters.
    pub fn has_params(&self) -> bool {
        self.path.contains('{')
    }

    /// A sound body about this lease, but for this raw JSON in one field.
    pub fn body_with(&self, field: &Field, raw: &[u8], lease: &str) -> Vec<u8> {
        let mut body = self.body.clone().unwrap();
        put(&mut body, &field.pointer, &field.schema);
        *body.pointer_mut(&field.pointer).unwrap() = json!(MARK);
        let some = format!("\"lease_id\":\"{SOME_ID}\"");
        let text = body.to_string();
        let text = text.replace(&some, &format!("\"lease_id\":\"{lease}\""));
        let (before, after) = text.split_once(&format!("\"{MARK}\"")).unwrap();
        [before.as_bytes(), raw, after.as_bytes()].concat()
    }
}

/// Makes sure that a place exists, with sound values beside it.
fn put(body: &mut Value, pointer: &str, schema: &Value) {
    let (outer, name) = pointer.rsplit_once('/').unwrap();
    if body.pointer(pointer).is_some() {
        return;
    }
    if body.pointer(outer).is_none() {
        put(
            body,
            outer,
            &json!({ "type": if name == "0" { "array" } else { "object" } }),
        );
    }
    match body.pointer_mut(outer).unwrap() {
        Value::Array(items) => items.push(sound(schema)),
        outer => outer[name] = sound(schema),
    }
}

/// The kind of value a schema is for, where `null` is allowed beside it, too.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str().unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    }
}

fn collect(schema: &Value, pointer: &str, fields: &mut Vec<Field>) {
    if !pointer.is_empty() {
        fields.push(Field {
            pointer: pointer.to_owned(),
            schema: schema.clone(),
        });
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        collect(inner, &format!("{pointer}/{name}"), fields);
    }
    if schema["items"].is_object() {
        collect(&schema["items"], &format!("{pointer}/0"), fields);
    }
}

/// A value that a schema takes.
pub fn sound(schema: &Value) -> Value {
    if let Some(options) = schema["enum"].as_array() {
        return options[0].clone();
    }
    match (kind(schema), schema["format"].as_str()) {
        ("string", Some("uuid")) => json!(SOME_ID),
        // A port where nobody listens.
        ("string", Some("uri")) => json!("http://127.0.0.1:9/"),
        ("string", _) => {
            json!("x".repeat(usize::try_from(schema["minLength"].as_u64().unwrap_or(1)).unwrap()))
        }
        ("integer", _) => json!(schema["minimum"].as_i64().unwrap_or(1).max(0)),
        ("number", _) => json!(0),
        ("boolean", _) => json!(true),
        ("array", _) => json!([sound(&schema["items"])]),
        ("object", _) => {
            let required = schema["required"].as_array().into_iter().flatten();
            let pairs = required.map(|name| {
                let name = name.as_str().unwrap();
                (name.to_owned(), sound(&schema["properties"][name]))
            });
            Value::Object(pairs.collect())
        }
        _ => json!({}),
    }
}
