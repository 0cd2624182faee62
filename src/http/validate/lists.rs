//! The rules of arrays, and of JSON that is kept as it is.

use serde_json::{Value, json};

use super::checks::{Check, Text};
use super::{Form, Report, expected};

/// An array of strings.
#[derive(Debug)]
pub struct Texts {
    pub(super) max_items: usize,
    pub(super) item: Text,
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            max_items: usize::MAX,
            item: Text::default(),
        }
    }
}

impl Check for Texts {
    type Out = Vec<String>;

    fn read(&self, value: &Value, report: &mut Report<'_>) -> Option<Vec<String>> {
        let items = array(value, 0, self.max_items, report)?;
        let read: Vec<_> = items
            .iter()
            .map(|item| self.item.read(item, report))
            .collect();
        read.into_iter().collect()
    }

    fn schema(&self) -> Value {
        let mut schema = json!({ "type": "array", "items": self.item.schema() });
        if self.max_items < usize::MAX {
            schema["maxItems"] = json!(self.max_items);
        }
        schema
    }

    fn show(default: &Vec<String>) -> Option<Value> {
        Some(json!(default))
    }
}

/// An array of objects.
#[derive(Debug)]
pub struct Objects<F> {
    read: F,
    pub(super) min_items: usize,
    pub(super) max_items: usize,
}

impl<F> Objects<F> {
    pub(super) fn new(read: F) -> Self {
        Self {
            read,
            min_items: 0,
            max_items: usize::MAX,
        }
    }
}

impl<T, F: Fn(&mut Form<'_>) -> T> Check for Objects<F> {
    type Out = Vec<T>;

    fn read(&self, value: &Value, report: &mut Report<'_>) -> Option<Vec<T>> {
        let items = array(value, self.min_items, self.max_items, report)?;
        let before = report.errors.count;
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            let Value::Object(object) = item else {
                report.add(expected("object", item));
                continue;
            };
            let mut form = Form::over(Some(object), Some(report.field));
            std::mem::swap(&mut form.errors, report.errors);
            values.push((self.read)(&mut form));
            std::mem::swap(&mut form.errors, report.errors);
        }
        (report.errors.count == before).then_some(values)
    }

    fn schema(&self) -> Value {
        let items = Form::describe(&self.read);
        let mut schema = json!({ "type": "array", "items": items });
        if self.min_items > 0 {
            schema["minItems"] = json!(self.min_items);
        }
        if self.max_items < usize::MAX {
            schema["maxItems"] = json!(self.max_items);
        }
        schema
    }
}

/// The items of an array of bounded length. Over-long arrays are not looked into.
fn array<'v>(
    value: &'v Value,
    min: usize,
    max: usize,
    report: &mut Report<'_>,
) -> Option<&'v [Value]> {
    let Value::Array(items) = value else {
        report.add(expected("array", value));
        return None;
    };
    if items.len() < min {
        report.add(format!("Array must contain at least {min} element(s)"));
    } else if items.len() > max {
        report.add(format!("Array must contain at most {max} element(s)"));
    } else {
        return Some(items);
    }
    None
}

/// Any JSON value.
#[derive(Debug)]
pub struct Json {
    pub(super) max_bytes: usize,
}

impl Default for Json {
    fn default() -> Self {
        Self {
            max_bytes: usize::MAX,
        }
    }
}

impl Check for Json {
    type Out = Value;

    fn read(&self, value: &Value, report: &mut Report<'_>) -> Option<Value> {
        if value.is_null() {
            report.add("Expected a value, received null");
            return None;
        }
        if self.max_bytes < usize::MAX && value.to_string().len() > self.max_bytes {
            report.add(format!(
                "Must be at most {} byte(s) of JSON",
                self.max_bytes
            ));
            return None;
        }
        Some(value.clone())
    }

    fn schema(&self) -> Value {
        let kinds = ["object", "array", "string", "number", "boolean"];
        let text = format!("At most {} bytes of JSON.", self.max_bytes);
        if self.max_bytes < usize::MAX {
            json!({ "type": kinds, "description": text })
        } else {
            json!({ "type": kinds })
        }
    }
}
