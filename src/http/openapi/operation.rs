//! One route in words, and what goes in and comes out.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::shared::refusal;
use crate::http::validate::Form;

/// A query parameter or a header.
#[derive(Debug, Clone)]
pub struct Param {
    name: &'static str,
    place: &'static str,
    schema: Value,
    text: &'static str,
}

impl Param {
    /// A query parameter.
    #[must_use]
    pub fn query(name: &'static str, schema: Value, text: &'static str) -> Self {
        Self {
            name,
            place: "query",
            schema,
            text,
        }
    }

    /// A header.
    #[must_use]
    pub fn header(name: &'static str, schema: Value, text: &'static str) -> Self {
        Self {
            place: "header",
            ..Self::query(name, schema, text)
        }
    }

    fn show(&self) -> Value {
        json!({
            "name": self.name, "in": self.place, "required": false,
            "schema": self.schema, "description": self.text,
        })
    }
}

/// What an answer holds.
enum Content {
    Nothing,
    Json(fn(&mut SchemaGenerator) -> Schema),
    Plain(Value),
    Other(&'static str),
}

struct Answer {
    status: u16,
    text: &'static str,
    content: Content,
    example: Option<Value>,
    headers: &'static [&'static str],
}

struct Body {
    schema: Value,
    required: bool,
    example: Option<Value>,
}

/// One route in words.
#[derive(Default)]
pub struct Operation {
    summary: &'static str,
    tag: &'static str,
    text: &'static str,
    params: Vec<Param>,
    body: Option<Body>,
    answers: Vec<Answer>,
    refusals: Vec<u16>,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.summary)
    }
}

impl Operation {
    /// A route of a group, with the sentence that says what it does.
    #[must_use]
    pub fn of(tag: &'static str, summary: &'static str) -> Self {
        Self {
            summary,
            tag,
            ..Self::default()
        }
    }

    /// More about it.
    #[must_use]
    pub fn text(mut self, text: &'static str) -> Self {
        self.text = text;
        self
    }

    /// It takes these parameters.
    #[must_use]
    pub fn params(mut self, params: impl IntoIterator<Item = Param>) -> Self {
        self.params.extend(params);
        self
    }

    /// It takes a body that `read` reads.
    #[must_use]
    pub fn body<T>(self, read: impl FnOnce(&mut Form<'_>) -> T) -> Self {
        self.body_schema(Form::describe(read), true)
    }

    /// It takes a body that `read` reads, or none.
    #[must_use]
    pub fn body_or_none<T>(self, read: impl FnOnce(&mut Form<'_>) -> T) -> Self {
        self.body_schema(Form::describe(read), false)
    }

    /// It takes a body of this schema.
    #[must_use]
    pub fn body_schema(mut self, schema: Value, required: bool) -> Self {
        self.body = Some(Body {
            schema,
            required,
            example: None,
        });
        self
    }

    /// An example of the body.
    #[must_use]
    pub fn sends(mut self, example: Value) -> Self {
        if let Some(body) = &mut self.body {
            body.example = Some(example);
        }
        self
    }

    /// It answers a `T`.
    #[must_use]
    pub fn answers<T: JsonSchema>(self, status: u16, text: &'static str) -> Self {
        let content = Content::Json(SchemaGenerator::subschema_for::<T>);
        self.answer(status, text, content)
    }

    /// It answers JSON of a schema that is no type's.
    #[must_use]
    pub fn answers_json(self, status: u16, text: &'static str, schema: Value) -> Self {
        self.answer(status, text, Content::Plain(schema))
    }

    /// It answers text of another type.
    #[must_use]
    pub fn answers_text(self, status: u16, text: &'static str, kind: &'static str) -> Self {
        self.answer(status, text, Content::Other(kind))
    }

    /// It answers nothing but a status.
    #[must_use]
    pub fn answers_nothing(self, status: u16, text: &'static str) -> Self {
        self.answer(status, text, Content::Nothing)
    }

    fn answer(mut self, status: u16, text: &'static str, content: Content) -> Self {
        self.answers.push(Answer {
            status,
            text,
            content,
            example: None,
            headers: &[],
        });
        self
    }

    /// An example of the last answer.
    #[must_use]
    pub fn receives(mut self, example: Value) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.example = Some(example);
        }
        self
    }

    /// The last answer is a page of a list: it names the next one.
    #[must_use]
    pub fn paged(mut self) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers = &["X-Next-Cursor"];
        }
        self
    }

    /// It refuses with these statuses, beside those that its place in the route table implies.
    #[must_use]
    pub fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend_from_slice(statuses);
        self
    }

    pub(super) fn show(&self, generator: &mut SchemaGenerator, path: &str) -> Value {
        let mut params: Vec<_> = path_params(path);
        params.extend(self.params.iter().map(Param::show));
        let mut responses = Map::new();
        for status in &self.refusals {
            responses.insert(status.to_string(), refusal(*status));
        }
        for answer in &self.answers {
            responses.insert(answer.status.to_string(), answer.show(generator));
        }
        let mut shown = json!({
            "summary": self.summary,
            "tags": [self.tag],
            "parameters": params,
            "responses": responses,
        });
        if !self.text.is_empty() {
            shown["description"] = json!(self.text);
        }
        if let Some(body) = &self.body {
            let mut media = json!({ "schema": body.schema });
            if let Some(example) = &body.example {
                media["example"] = example.clone();
            }
            shown["requestBody"] =
                json!({ "required": body.required, "content": { "application/json": media } });
        }
        shown
    }
}

impl Answer {
    fn show(&self, generator: &mut SchemaGenerator) -> Value {
        let mut headers = Map::new();
        for name in ["X-Request-Id"].iter().chain(self.headers) {
            let there = json!({ "$ref": format!("#/components/headers/{name}") });
            headers.insert((*name).to_owned(), there);
        }
        let mut shown = json!({ "description": self.text, "headers": headers });
        let (kind, schema) = match &self.content {
            Content::Nothing => return shown,
            Content::Json(schema) => ("application/json", json!(schema(generator))),
            Content::Plain(schema) => ("application/json", schema.clone()),
            Content::Other(kind) => (*kind, json!({ "type": "string" })),
        };
        let mut media = json!({ "schema": schema });
        if let Some(example) = &self.example {
            media["example"] = example.clone();
        }
        shown["content"] = json!({ kind: media });
        shown
    }
}

/// The parameters in a path. What is no id of a task or an artifact is a name.
fn path_params(path: &str) -> Vec<Value> {
    let is_uuid = path.contains("/llm-tasks/{id}") || path.contains("/artifacts/{id}");
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let show = |name: &str| {
        let schema = if name == "id" && is_uuid {
            json!({ "type": "string", "format": "uuid" })
        } else {
            json!({ "type": "string", "minLength": 1, "maxLength": 128 })
        };
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    };
    names.map(show).collect()
}
