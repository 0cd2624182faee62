//! Times and spans as people read them: local time, and the unit that suits.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::output::span;

/// Epoch milliseconds as local time (`TZ`, else the system's), to the second.
#[must_use]
pub fn local(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(
        |_| String::new(),
        |at| {
            let at = at.to_zoned(TimeZone::system());
            at.strftime("%Y-%m-%d %H:%M:%S").to_string()
        },
    )
}

/// The moment in member `name`, as local time.
#[must_use]
pub fn at(value: &Value, name: &str) -> String {
    value[name].as_i64().map_or_else(String::new, local)
}

/// How long ago the moment in member `name` was.
#[must_use]
pub fn age(value: &Value, name: &str) -> String {
    since(value[name].as_u64())
}

/// How long ago a moment was.
#[must_use]
pub fn since(ms: Option<u64>) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    ms.map_or_else(String::new, |at| span(now.saturating_sub(at)))
}

/// From one moment to another, where both are known.
#[must_use]
pub fn between(value: &Value, from: &str, to: &str) -> String {
    match (value[from].as_u64(), value[to].as_u64()) {
        (Some(from), Some(to)) => span(to.saturating_sub(from)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let task = json!({ "a": null, "b": 1_000, "c": 3_500 });
        assert_eq!(at(&task, "a"), "");
        assert_eq!(age(&task, "x"), "");
        assert_eq!(between(&task, "a", "c"), "");
        assert_eq!(between(&task, "b", "c"), "2.5 s");
    }
}
