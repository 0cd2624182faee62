//! Usage limits, as the CLI tells of them: an event with the time of their end, or a text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// How long a limit is believed to stand when nobody says.
pub const UNKNOWN: Duration = Duration::from_secs(300);
/// The longest that is believed: weekly limits, and a day for clocks and zones.
const LONGEST: Duration = Duration::from_secs(8 * 86_400);
/// The least: a limit that is over already was at least there.
const LEAST: Duration = Duration::from_secs(1);
/// What stands before the end in epoch seconds in older texts.
const WITH_TIME: &str = "usage limit reached|";
/// Rate limits of the server, which are nobody's usage limit, whatever else the text says.
const NOT_MINE: &str = "not your usage limit";

/// A usage limit; its end in epoch seconds where the CLI told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Its end.
    pub resets_at: Option<i64>,
}

impl Limit {
    /// Until when to leave the credential alone, in epoch milliseconds.
    #[must_use]
    pub fn until(self, now: SystemTime) -> i64 {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let told = self.resets_at.and_then(|at| u64::try_from(at).ok());
        let end = told.map_or(since + UNKNOWN, Duration::from_secs);
        let end = end.clamp(since + LEAST, since + LONGEST);
        i64::try_from(end.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The limit that a `rate_limit_event` tells of: one that is enforced and whose end is known.
#[must_use]
pub fn in_event(event: &Value) -> Option<Limit> {
    let info = &event["rate_limit_info"];
    let resets_at = info["resetsAt"].as_i64();
    (info["status"] == "rejected" && resets_at.is_some()).then_some(Limit { resets_at })
}

/// The limit that the text of an error tells of.
#[must_use]
pub fn in_text(text: &str) -> Option<Limit> {
    let lower = text.to_lowercase();
    if let Some((_, rest)) = lower.split_once(WITH_TIME) {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        return Some(Limit {
            resets_at: digits.parse().ok(),
        });
    }
    if lower.contains(NOT_MINE) {
        return None;
    }
    // "You've hit your limit · resets 3pm (UTC)", "5-hour limit reached ∙ resets 2am",
    // "Weekly limit reached", "Claude AI usage limit reached", "Credit balance is too low".
    // The hour stands there in somebody's time zone: the event says it better.
    let hit = lower.contains("you've hit your") && lower.contains("limit");
    let reached = lower.contains("usage limit reached")
        || (lower.contains("limit reached") && lower.contains("resets"))
        || lower.contains("weekly limit reached");
    let broke = lower.contains("credit balance is too low");
    (hit || reached || broke).then_some(Limit { resets_at: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_texts_are_limits_and_others_are_not() {
        for (text, resets_at) in [
            (
                "Claude AI usage limit reached|1795489091",
                Some(1_795_489_091),
            ),
            (
                "API Error: Request rejected (429) · Claude AI usage limit reached|17",
                Some(17),
            ),
            ("Claude AI usage limit reached|soon", None),
            ("You've hit your limit · resets 2:58am (UTC)", None),
            ("5-hour limit reached ∙ resets 3pm", None),
            ("Weekly limit reached ∙ resets Oct 7, 3pm", None),
            ("Credit balance is too low", None),
        ] {
            assert_eq!(in_text(text), Some(Limit { resets_at }), "{text}");
        }
        for text in [
            "API Error: Request rejected (429) · This request would exceed your rate limit",
            "API Error: Server is temporarily limiting requests (not your usage limit) · Rate limited",
            "API Error: 529 Overloaded",
            "the speed limit reached 30",
            "",
        ] {
            assert_eq!(in_text(text), None, "{text}");
        }
    }

    #[test]
    fn only_an_enforced_limit_with_an_end_counts_in_an_event() {
        let event = |status: &str, at: Value| {
            in_event(&json!({ "rate_limit_info": { "status": status, "resetsAt": at } }))
        };
        assert_eq!(
            event("rejected", json!(9)),
            Some(Limit { resets_at: Some(9) })
        );
        assert_eq!(event("rejected", json!(null)), None);
        assert_eq!(event("allowed_warning", json!(9)), None);
    }

    #[test]
    fn an_end_is_believed_within_bounds() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let until = |resets_at| Limit { resets_at }.until(now);
        assert_eq!(until(Some(1_000_060)), 1_000_060_000);
        assert_eq!(until(None), 1_000_300_000);
        assert_eq!(until(Some(1)), 1_000_001_000);
        assert_eq!(until(Some(-5)), 1_000_300_000);
        assert_eq!(until(Some(i64::MAX)), 1_000_000_000 + 8 * 86_400_000);
    }
}
