//! What a form asks for, as a JSON Schema: the readers of a request body run over nothing, and what
//! they ask is written down. So the description of a body cannot differ from what is checked.

use serde_json::{Map, Value, json};

use super::Form;

/// The fields that were asked for so far.
#[derive(Debug, Default)]
pub(super) struct Described {
    properties: Map<String, Value>,
    required: Vec<String>,
}

impl Described {
    pub(super) fn add(&mut self, name: &str, schema: Value, required: bool) {
        self.properties.insert(name.to_owned(), schema);
        if required {
            self.required.push(name.to_owned());
        }
    }

    /// Further members are allowed: they are ignored.
    fn schema(self) -> Value {
        let mut schema = json!({ "type": "object", "properties": self.properties });
        if !self.required.is_empty() {
            schema["required"] = json!(self.required);
        }
        schema
    }
}

impl Form<'_> {
    /// The JSON Schema of the objects that `read` takes.
    pub fn describe<T>(read: impl FnOnce(&mut Form<'_>) -> T) -> Value {
        Self::describe_with(read).0
    }

    /// The same, and what `read` returned, which says nothing.
    pub(super) fn describe_with<T>(read: impl FnOnce(&mut Form<'_>) -> T) -> (Value, T) {
        let mut form = Form::over(None, None);
        form.described = Some(Described::default());
        let value = read(&mut form);
        let described = form.described.take().unwrap_or_default();
        (described.schema(), value)
    }
}

/// The same schema, which also takes `null`.
pub(super) fn or_null(mut schema: Value) -> Value {
    if let Some(options) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        options.push(Value::Null);
    }
    schema["type"] = match schema["type"].take() {
        Value::Array(mut kinds) => {
            kinds.push(json!("null"));
            Value::Array(kinds)
        }
        kind => json!([kind, "null"]),
    };
    schema
}

/// The same schema with a default.
pub(super) fn with_default(mut schema: Value, default: Option<Value>) -> Value {
    if let Some(default) = default {
        schema["default"] = default;
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_says_what_the_readers_check() {
        let schema = Form::describe(|form| {
            let _name: String = form.string("name").min(1).max(9).required();
            let _kind = form.choice("kind", &["a", "b"]).nullable();
            let _count = form.integer("count").range(1, 5).or(2);
            form.object("inner").nullable(|inner| {
                let _id = inner.uuid("id").required();
            });
        });
        let wanted = json!({
            "type": "object",
            "properties": {
                "name": { "type": "string", "minLength": 1, "maxLength": 9 },
                "kind": { "type": ["string", "null"], "enum": ["a", "b", null] },
                "count": { "type": "integer", "minimum": 1, "maximum": 5, "default": 2 },
                "inner": {
                    "type": ["object", "null"],
                    "properties": { "id": { "type": "string", "format": "uuid" } },
                    "required": ["id"],
                },
            },
            "required": ["name"],
        });
        assert_eq!(schema, wanted);
    }
}
