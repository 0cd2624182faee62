//! The words that a field's reading consists of.

use serde_json::Value;

use super::checks::{Check, Integer, Num, Text};
use super::describe::{Described, or_null, with_default};
use super::lists::{Json, Objects, Texts};
use super::{Form, Report, expected};

/// One field with its rules; ends in a word that says what absence means.
#[derive(Debug)]
#[must_use = "a field is checked by `required`, `optional`, `nullable` or `or`"]
pub struct Field<'f, C> {
    pub(super) value: Option<&'f Value>,
    pub(super) check: C,
    pub(super) report: Report<'f>,
    pub(super) name: &'f str,
    pub(super) described: Option<&'f mut Described>,
}

impl<C: Check> Field<'_, C> {
    /// The value; absence is a problem (`Required`).
    pub fn required(mut self) -> C::Out
    where
        C::Out: Default,
    {
        self.describe(|schema| schema, true);
        let Some(value) = self.value else {
            self.report.add("Required");
            return C::Out::default();
        };
        self.check.read(value, &mut self.report).unwrap_or_default()
    }

    /// The value, or `None` when absent; `null` is a problem.
    pub fn optional(mut self) -> Option<C::Out> {
        self.describe(|schema| schema, false);
        self.read()
    }

    fn read(&mut self) -> Option<C::Out> {
        self.value
            .and_then(|value| self.check.read(value, &mut self.report))
    }

    fn describe(&mut self, change: impl FnOnce(Value) -> Value, required: bool) {
        if let Some(described) = &mut self.described {
            described.add(self.name, change(self.check.schema()), required);
        }
    }

    /// The value, or `None` when absent or `null`.
    pub fn nullable(mut self) -> Option<C::Out> {
        self.describe(or_null, false);
        self.value = self.value.filter(|value| !value.is_null());
        self.read()
    }

    /// The value, or `default` when absent; `null` is a problem.
    pub fn or(mut self, default: C::Out) -> C::Out {
        let shown = C::show(&default);
        self.describe(|schema| with_default(schema, shown), false);
        self.read().unwrap_or(default)
    }

    fn with(mut self, change: impl FnOnce(&mut C)) -> Self {
        change(&mut self.check);
        self
    }
}

impl Field<'_, Text> {
    /// At least so many characters.
    pub fn min(self, characters: usize) -> Self {
        self.with(|check| check.min = characters)
    }

    /// At most so many characters.
    pub fn max(self, characters: usize) -> Self {
        self.with(|check| check.max = characters)
    }

    /// An absolute URL.
    pub fn url(self) -> Self {
        self.with(|check| check.url = true)
    }
}

impl Field<'_, Integer> {
    /// Between the two, both included.
    pub fn range(self, min: i64, max: i64) -> Self {
        self.with(|check| (check.min, check.max) = (min, max))
    }

    /// At least `min`.
    pub fn min(self, min: i64) -> Self {
        self.with(|check| check.min = min)
    }

    /// At most `max`.
    pub fn max(self, max: i64) -> Self {
        self.with(|check| check.max = max)
    }
}

impl Field<'_, Num> {
    /// At least `min`.
    pub fn min(self, min: f64) -> Self {
        self.with(|check| check.min = min)
    }

    /// At most `max`.
    pub fn max(self, max: f64) -> Self {
        self.with(|check| check.max = max)
    }
}

impl Field<'_, Texts> {
    /// At most so many items.
    pub fn max_items(self, items: usize) -> Self {
        self.with(|check| check.max_items = items)
    }

    /// Between so many characters in each item.
    pub fn each(self, min: usize, max: usize) -> Self {
        self.with(|check| {
            check.item = Text {
                min,
                max,
                url: false,
            }
        })
    }
}

impl Field<'_, Json> {
    /// At most so many bytes when written compactly.
    pub fn max_bytes(self, bytes: usize) -> Self {
        self.with(|check| check.max_bytes = bytes)
    }
}

impl<F> Field<'_, Objects<F>>
where
    Objects<F>: Check,
{
    /// At least so many items.
    pub fn min_items(self, items: usize) -> Self {
        self.with(|check| check.min_items = items)
    }

    /// At most so many items.
    pub fn max_items(self, items: usize) -> Self {
        self.with(|check| check.max_items = items)
    }
}

/// An object inside a form. The closure always runs where a value is returned, over an empty
/// object if need be, so that its dummies have a type.
#[derive(Debug)]
#[must_use = "a nested object is checked by `required`, `optional`, `nullable` or `or_empty`"]
pub struct Nested<'f, 'a> {
    pub(super) name: &'a str,
    pub(super) form: &'f mut Form<'a>,
}

impl Nested<'_, '_> {
    /// What `read` makes of the object; absence is a problem (`Required`).
    pub fn required<T>(self, read: impl FnOnce(&mut Form<'_>) -> T) -> T {
        if self.form.described.is_some() {
            return self.describe(read, |schema| schema, true);
        }
        if self.form.value(self.name).is_none() {
            self.form.problem(self.name, "Required");
            return read(&mut Form::over(None, None));
        }
        self.or_empty(read)
    }

    /// What `read` makes of the object, or `None` when absent; `null` is a problem.
    pub fn optional<T>(self, read: impl FnOnce(&mut Form<'_>) -> T) -> Option<T> {
        if self.form.described.is_some() {
            return Some(self.describe(read, |schema| schema, false));
        }
        self.form
            .value(self.name)
            .is_some()
            .then(|| self.or_empty(read))
    }

    /// What `read` makes of the object, or `None` when absent or `null`.
    pub fn nullable<T>(self, read: impl FnOnce(&mut Form<'_>) -> T) -> Option<T> {
        if self.form.described.is_some() {
            return Some(self.describe(read, or_null, false));
        }
        let present = self
            .form
            .value(self.name)
            .is_some_and(|value| !value.is_null());
        present.then(|| self.or_empty(read))
    }

    /// What `read` makes of the object, which counts as `{}` when absent; `null` is a problem.
    pub fn or_empty<T>(self, read: impl FnOnce(&mut Form<'_>) -> T) -> T {
        if self.form.described.is_some() {
            return self.describe(read, |schema| schema, false);
        }
        let field = self.form.inside.unwrap_or(self.name);
        let object = match self.form.value(self.name) {
            None => None,
            Some(Value::Object(object)) => Some(object),
            Some(other) => {
                self.form.problem(self.name, expected("object", other));
                return read(&mut Form::over(None, None));
            }
        };
        let mut inner = Form::over(object, Some(field));
        std::mem::swap(&mut inner.errors, &mut self.form.errors);
        let value = read(&mut inner);
        std::mem::swap(&mut inner.errors, &mut self.form.errors);
        value
    }

    fn describe<T>(
        self,
        read: impl FnOnce(&mut Form<'_>) -> T,
        change: impl FnOnce(Value) -> Value,
        required: bool,
    ) -> T {
        let (schema, value) = Form::describe_with(read);
        if let Some(described) = &mut self.form.described {
            described.add(self.name, change(schema), required);
        }
        value
    }
}
