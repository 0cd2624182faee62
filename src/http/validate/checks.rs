//! The rules of the types a field can have.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Report, expected};

/// Turns a JSON value into a Rust one, or reports why it cannot.
pub trait Check {
    /// The Rust value.
    type Out;

    /// Checks `value`. Whoever returns `None` has reported a problem.
    fn read(&self, value: &Value, report: &mut Report<'_>) -> Option<Self::Out>;

    /// The same rules as a JSON Schema.
    fn schema(&self) -> Value;

    /// How a default shows itself in a schema, if it can.
    fn show(_default: &Self::Out) -> Option<Value> {
        None
    }
}

/// A string.
#[derive(Debug)]
pub struct Text {
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) url: bool,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            min: 0,
            max: usize::MAX,
            url: false,
        }
    }
}

impl Check for Text {
    type Out = String;

    fn read(&self, value: &Value, report: &mut Report<'_>) -> Option<String> {
        let Value::String(text) = value else {
            report.add(expected("string", value));
            return None;
        };
        let mut sound = true;
        let mut refuse = |problem: String| {
            sound = false;
            report.add(problem);
        };
        let length = text.chars().count();
        if length < self.min {
            refuse(format!(
                "String must contain at least {} character(s)",
                self.min
            ));
        }
        if length > self.max {
            refuse(format!(
                "String must contain at most {} character(s)",
                self.max
            ));
        }
        if self.url && reqwest::Url::parse(text).is_err() {
            refuse("Invalid url".to_owned());
        }
        sound.then(|| text.clone())
    }

    fn schema(&self) -> Value {
        let mut schema = json!({ "type": "string" });
        if self.min > 0 {
            schema["minLength"] = json!(self.min);
        }
        if self.max < usize::MAX {
            schema["maxLength"] = json!(self.max);
        }
        if self.url {
            schema["format"] = json!("uri");
        }
        schema
    }

    fn show(default: &String) -> Option<Value> {
        Some(json!(default))
    }
}

/// One of a few strings.
#[derive(Debug)]
pub struct Choice {
    options: &'static [&'static str],
}

impl Choice {
    pub(super) fn new(options: &'static [&'static str]) -> Self {
        Self { options }
    }
}

impl Check for Choice {
    type Out = &'static str;

    fn read(&self, value: &Value, report: &mut Report<'_>) -> Option<&'static str> {
        /// How much of a wrong value is repeated to its sender.
        const SHOWN: usize = 64;
        let quoted: Vec<_> = self
            .options
            .iter()
            .map(|option| format!("'{option}'"))
            .collect();
        let list = quoted.join(" | ");
        let Value::String(text) = value else {
            report.add(expected(&list, value));
            return None;
        };
        let found = self.options.iter().find(|option| **option == text.as_str());
        if found.is_none() {
            let shown: String = text.chars().take(SHOWN).collect();
            report.add(format!(
                "Invalid enum value. Expected {list}, received '{shown}'"
            ));
        }
        found.copied()
    }

    fn schema(&self) -> Value {
        json!({ "type": "string", "enum": self.options })
    }

    fn show(default: &&'static str) -> Option<Value> {
        Some(json!(default))
    }
}

/// A hyphenated UUID.
#[derive(Debug)]
pub struct UuidText;

impl Check for UuidText {
    type Out = Uuid;

    fn read(&self, value: &Value, report: &mut Report<'_>) -> Option<Uuid> {
        let Value::String(text) = value else {
            report.add(expected("string", value));
            return None;
        };
        let id = parse_uuid(text);
        if id.is_none() {
            report.add("Invalid uuid");
        }
        id
    }

    fn schema(&self) -> Value {
        json!({ "type": "string", "format": "uuid" })
    }
}

/// Reads a UUID in its hyphenated form and in no other.
pub(in crate::http) fn parse_uuid(text: &str) -> Option<Uuid> {
    const HYPHENATED: usize = 36;
    (text.len() == HYPHENATED)
        .then(|| Uuid::try_parse(text).ok())
        .flatten()
}

/// An integer with bounds.
#[derive(Debug)]
pub struct Integer {
    pub(super) min: i64,
    pub(super) max: i64,
}

impl Default for Integer {
    fn default() -> Self {
        Self {
            min: i64::MIN,
            max: i64::MAX,
        }
    }
}

impl Check for Integer {
    type Out = i64;

    fn read(&self, value: &Value, report: &mut Report<'_>) -> Option<i64> {
        let Value::Number(number) = value else {
            report.add(expected("number", value));
            return None;
        };
        let whole = match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole,
            (None, Some(float)) if float.fract() == 0.0 => saturating(float),
            _ => {
                report.add("Expected integer, received float");
                return None;
            }
        };
        if whole < self.min {
            report.add(format!(
                "Number must be greater than or equal to {}",
                self.min
            ));
        } else if whole > self.max {
            report.add(format!("Number must be less than or equal to {}", self.max));
        } else {
            return Some(whole);
        }
        None
    }

    fn schema(&self) -> Value {
        let mut schema = json!({ "type": "integer" });
        if self.min > i64::MIN {
            schema["minimum"] = json!(self.min);
        }
        if self.max < i64::MAX {
            schema["maximum"] = json!(self.max);
        }
        schema
    }

    fn show(default: &i64) -> Option<Value> {
        Some(json!(default))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates, and the value has no fraction"
)]
fn saturating(float: f64) -> i64 {
    float as i64
}

/// A number with bounds.
#[derive(Debug)]
pub struct Num {
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Default for Num {
    fn default() -> Self {
        Self {
            min: f64::MIN,
            max: f64::MAX,
        }
    }
}

impl Check for Num {
    type Out = f64;

    fn read(&self, value: &Value, report: &mut Report<'_>) -> Option<f64> {
        let Some(number) = value.as_f64() else {
            report.add(expected("number", value));
            return None;
        };
        if number < self.min {
            report.add(format!(
                "Number must be greater than or equal to {}",
                self.min
            ));
        } else if number > self.max {
            report.add(format!("Number must be less than or equal to {}", self.max));
        } else {
            return Some(number);
        }
        None
    }

    fn schema(&self) -> Value {
        let mut schema = json!({ "type": "number" });
        if self.min > f64::MIN {
            schema["minimum"] = json!(self.min);
        }
        if self.max < f64::MAX {
            schema["maximum"] = json!(self.max);
        }
        schema
    }

    fn show(default: &f64) -> Option<Value> {
        Some(json!(default))
    }
}

/// `true` or `false`.
#[derive(Debug)]
pub struct Bool;

impl Check for Bool {
    type Out = bool;

    fn read(&self, value: &Value, report: &mut Report<'_>) -> Option<bool> {
        if value.as_bool().is_none() {
            report.add(expected("boolean", value));
        }
        value.as_bool()
    }

    fn schema(&self) -> Value {
        json!({ "type": "boolean" })
    }

    fn show(default: &bool) -> Option<Value> {
        Some(json!(default))
    }
}
