//! Field validation that answers with exactly the texts existing clients show.
//!
//! A [`Form`] reads a JSON object field by field and collects every problem; nothing is coerced
//! and unknown fields are ignored. Each reader ends in a word that says what absence means and
//! returns a plain value at once:
//!
//! ```
//! # use bloom_runtime::http::validate::Form;
//! # fn read(body: Option<&serde_json::Value>) -> bloom_runtime::error::Result<()> {
//! let mut form = Form::new(body)?;
//! let prompt = form.string("prompt").min(1).max(100_000).required();
//! let format = form.choice("desired_format", &["json", "text"]).or("text");
//! let labels = form.strings("labels").max_items(32).or(Vec::new());
//! let (timeout, budget) = form.object("policy").or_empty(|policy| {
//!     (policy.integer("timeout_sec").range(1, 3600).or(120), policy.number("budget").min(0.0).or(0.0))
//! });
//! form.finish()?;
//! # let _ = (prompt, format, labels, timeout, budget);
//! # Ok(())
//! # }
//! ```
//!
//! **Values are dummies until [`Form::finish`] is `Ok`**: a field that is wrong yields its type's
//! default so that the remaining ones can still be checked. Hence `finish` comes before any use,
//! and a form left unfinished is a compiler warning.

mod checks;
mod describe;
mod field;
mod lists;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

pub(super) use checks::parse_uuid;
pub use checks::{Bool, Check, Choice, Integer, Num, Text, UuidText};
use describe::Described;
pub use field::{Field, Nested};
pub use lists::{Json, Objects, Texts};

use crate::error::{Error, FieldErrors, Result};

/// The most texts one answer carries, so that a list of a million wrong items stays a short one.
const MAX_TEXTS: usize = 32;

/// The largest time in epoch milliseconds that is accepted: the end of the year 9999.
const MAX_EPOCH_MS: i64 = 253_402_300_799_999;

/// What JSON calls the type of a value.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The text for a value of the wrong type.
fn expected(what: &str, value: &Value) -> String {
    format!("Expected {what}, received {}", type_name(value))
}

/// Collects the problems of one top-level field.
#[derive(Debug)]
pub struct Report<'f> {
    errors: &'f mut Errors,
    /// The top-level field; problems deeper inside are reported under it.
    field: &'f str,
}

impl Report<'_> {
    /// Adds one problem.
    pub fn add(&mut self, text: impl Into<String>) {
        if self.errors.count < MAX_TEXTS {
            self.errors.fields.add(self.field, text);
        }
        self.errors.count += 1;
    }
}

#[derive(Debug, Default)]
struct Errors {
    fields: FieldErrors,
    count: usize,
}

/// One JSON object that is being read.
#[derive(Debug)]
#[must_use = "values count only after `finish()` said so"]
pub struct Form<'a> {
    object: Option<&'a Map<String, Value>>,
    errors: Errors,
    /// The top-level field that this object stands in, when it is nested.
    inside: Option<&'a str>,
    /// Where the form is not read but described: what was asked of it so far.
    described: Option<Described>,
}

impl<'a> Form<'a> {
    /// Reads `body`, which must be an object.
    ///
    /// # Errors
    /// `formErrors` of `Required` without a body, `Expected object, received …` for another type.
    pub fn new(body: Option<&'a Value>) -> Result<Self> {
        let text = match body {
            Some(Value::Object(object)) => return Ok(Self::over(Some(object), None)),
            Some(other) => expected("object", other),
            None => "Required".to_owned(),
        };
        let mut errors = FieldErrors::default();
        errors.add_form(text);
        Err(Error::Fields(errors))
    }

    /// Like [`Form::new`], but no body at all counts as `{}`: for routes whose fields are all
    /// optional.
    ///
    /// # Errors
    /// `formErrors` of `Expected object, received …` for another type.
    pub fn or_empty(body: Option<&'a Value>) -> Result<Self> {
        match body {
            None => Ok(Self::over(None, None)),
            some => Self::new(some),
        }
    }

    fn over(object: Option<&'a Map<String, Value>>, inside: Option<&'a str>) -> Self {
        Self {
            object,
            errors: Errors::default(),
            inside,
            described: None,
        }
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.object.and_then(|object| object.get(name))
    }

    fn field<C: Check>(&mut self, name: &'a str, check: C) -> Field<'_, C> {
        let value = self.value(name);
        let field = self.inside.unwrap_or(name);
        Field {
            value,
            check,
            report: Report {
                errors: &mut self.errors,
                field,
            },
            name,
            described: self.described.as_mut(),
        }
    }

    /// A string; lengths are counted in characters.
    pub fn string(&mut self, name: &'a str) -> Field<'_, Text> {
        self.field(name, Text::default())
    }

    /// One of a few strings.
    pub fn choice(&mut self, name: &'a str, options: &'static [&'static str]) -> Field<'_, Choice> {
        self.field(name, Choice::new(options))
    }

    /// A UUID in its hyphenated form.
    pub fn uuid(&mut self, name: &'a str) -> Field<'_, UuidText> {
        self.field(name, UuidText)
    }

    /// An integer; `3.0` counts as 3.
    pub fn integer(&mut self, name: &'a str) -> Field<'_, Integer> {
        self.field(name, Integer::default())
    }

    /// A time in epoch milliseconds.
    pub fn epoch_ms(&mut self, name: &'a str) -> Field<'_, Integer> {
        self.integer(name).range(0, MAX_EPOCH_MS)
    }

    /// A finite number.
    pub fn number(&mut self, name: &'a str) -> Field<'_, Num> {
        self.field(name, Num::default())
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'a str) -> Field<'_, Bool> {
        self.field(name, Bool)
    }

    /// An array of strings.
    pub fn strings(&mut self, name: &'a str) -> Field<'_, Texts> {
        self.field(name, Texts::default())
    }

    /// Any JSON value that is not `null`.
    pub fn json(&mut self, name: &'a str) -> Field<'_, Json> {
        self.field(name, Json::default())
    }

    /// An array of objects, each read by `read`.
    pub fn objects<T, F>(&mut self, name: &'a str, read: F) -> Field<'_, Objects<F>>
    where
        F: Fn(&mut Form<'_>) -> T,
    {
        self.field(name, Objects::new(read))
    }

    /// An array of 1 to `most` items of any shape, to be read one by one. Empty, and a problem, where
    /// it is something else.
    pub fn items(&mut self, name: &'a str, most: usize) -> &'a [Value] {
        if let Some(described) = &mut self.described {
            let schema = json!({ "type": "array", "minItems": 1, "maxItems": most });
            described.add(name, schema, true);
        }
        let problem = match self.value(name) {
            Some(Value::Array(items)) if items.is_empty() => {
                "Array must contain at least 1 element(s)".to_owned()
            }
            Some(Value::Array(items)) if items.len() > most => {
                format!("Array must contain at most {most} element(s)")
            }
            Some(Value::Array(items)) => return items,
            Some(other) => expected("array", other),
            None => "Required".to_owned(),
        };
        self.problem(name, problem);
        &[]
    }

    /// An object inside this one, read by the closure that its last word takes.
    pub fn object(&mut self, name: &'a str) -> Nested<'_, 'a> {
        Nested { name, form: self }
    }

    /// Adds a problem that the readers cannot express, e.g. of two fields that exclude each other.
    pub fn problem(&mut self, name: &'a str, text: impl Into<String>) {
        let field = self.inside.unwrap_or(name);
        Report {
            errors: &mut self.errors,
            field,
        }
        .add(text);
    }

    /// The verdict over all fields read so far.
    ///
    /// # Errors
    /// [`Error::Fields`] with every problem found.
    pub fn finish(self) -> Result<()> {
        self.errors.fields.into_result()
    }
}
