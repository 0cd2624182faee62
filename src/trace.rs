//! W3C trace context: who caused a piece of work, carried from the submission to the program that a
//! worker runs, and the spans that are exported about it.
//!
//! The context is carried always. Spans are exported where the program is built with the feature
//! `otel` and told where to (`OTEL_EXPORTER_OTLP_ENDPOINT`); see [`Span`].

#[cfg_attr(not(feature = "otel"), path = "trace/quiet.rs")]
mod export;
mod span;

use hyper::HeaderMap;
use serde_json::Value;

pub use export::Exporter;
pub use span::{Kind, Span};

/// The header, and the member of a task's policy, that names trace and parent.
pub const PARENT: &str = "traceparent";
/// The header, and the member of a task's policy, with what tracing systems add.
pub const STATE: &str = "tracestate";
/// The variables that tell a program the same, as OpenTelemetry names them.
pub const VARIABLES: [&str; 2] = ["TRACEPARENT", "TRACESTATE"];

/// How long version 00 of `traceparent` is, in bytes.
pub const PARENT_BYTES: usize = 55;
/// The longest `tracestate` that is carried, in bytes.
pub const STATE_BYTES: usize = 512;

/// A position in a trace: `00-TRACE_ID-SPAN_ID-FLAGS`, lower-case hex, neither id zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    parent: String,
    state: Option<String>,
}

impl TraceContext {
    /// Reads a `traceparent` and a `tracestate`. A later version's first four fields are read as
    /// version 00, as the specification asks. `None` when the parent is none; a bad state is left
    /// out.
    #[must_use]
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let bytes = parent.as_bytes();
        let head = bytes.get(..PARENT_BYTES)?;
        let is_longer = bytes.len() > PARENT_BYTES;
        let version = head.get(..2)?;
        let is_alone = !is_longer || (version != b"00" && bytes.get(PARENT_BYTES) == Some(&b'-'));
        let mut fields = head.split(|byte| *byte == b'-');
        let lengths = [2, 32, 16, 2];
        let is_hex = lengths.iter().all(|length| {
            fields.next().is_some_and(|field| {
                let mut digits = field.iter();
                field.len() == *length && digits.all(|d| matches!(d, b'0'..=b'9' | b'a'..=b'f'))
            })
        });
        let is_zero = |from, to| {
            parent
                .get(from..to)
                .is_none_or(|id| id.bytes().all(|d| d == b'0'))
        };
        if !is_alone || !is_hex || version == b"ff" || is_zero(3, 35) || is_zero(36, 52) {
            return None;
        }
        let ids = parent.get(2..PARENT_BYTES)?;
        let state = state.filter(|state| is_state(state)).map(str::to_owned);
        Some(Self {
            parent: format!("00{ids}"),
            state,
        })
    }

    /// The context that a request came with. One that cannot be read counts as none: the
    /// specification asks to begin anew.
    #[must_use]
    pub fn of_headers(headers: &HeaderMap) -> Option<Self> {
        let mut parents = headers.get_all(PARENT).iter();
        let parent = parents.next()?.to_str().ok()?;
        let states: Result<Vec<_>, _> = headers.get_all(STATE).iter().map(|s| s.to_str()).collect();
        let state = states.ok().filter(|states| !states.is_empty());
        let state = state.map(|states| states.join(","));
        let is_one = parents.next().is_none();
        is_one.then(|| Self::parse(parent, state.as_deref()))?
    }

    /// The context that stands in a task's policy.
    #[must_use]
    pub fn of_policy(policy: &Value) -> Option<Self> {
        Self::parse(policy[PARENT].as_str()?, policy[STATE].as_str())
    }

    /// As `traceparent`.
    #[must_use]
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// As `tracestate`.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The trace's id, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.parent.get(3..35).unwrap_or_default()
    }

    /// The headers that carry it.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let state = self.state.clone().map(|state| (STATE, state));
        [(PARENT, self.parent.clone())]
            .into_iter()
            .chain(state)
            .collect()
    }
}

/// Whether it is a `traceparent` as tasks carry it: of version 00.
#[must_use]
pub fn is_parent(parent: &str) -> bool {
    TraceContext::parse(parent, None).is_some_and(|context| context.parent == parent)
}

/// Whether a `tracestate` is carried: visible ASCII and spaces, and no longer than systems must
/// pass on.
#[must_use]
pub fn is_state(state: &str) -> bool {
    (1..=STATE_BYTES).contains(&state.len()) && state.bytes().all(|b| matches!(b, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_parent_is_read_as_the_specification_says() {
        let read = |text: &str| TraceContext::parse(text, None).map(|context| context.parent);
        assert_eq!(read(GOOD).as_deref(), Some(GOOD));
        let later = GOOD.replacen("00", "cc", 1);
        assert_eq!(read(&later).as_deref(), Some(GOOD));
        assert_eq!(read(&format!("{later}-more")).as_deref(), Some(GOOD));
        for bad in [
            String::new(),
            "0".repeat(54),
            format!("{GOOD}-more"),
            format!("{later}more"),
            GOOD.replacen("00", "ff", 1),
            GOOD.to_uppercase(),
            GOOD.replace('-', "_"),
            GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            GOOD.replace("b7ad6b7169203331", "b7ad6b716920333é"),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }

    #[test]
    fn two_parents_are_none_and_two_states_are_one() {
        let mut headers = HeaderMap::new();
        headers.append(PARENT, GOOD.parse().unwrap());
        headers.append(STATE, "a=1".parse().unwrap());
        headers.append(STATE, "b=2".parse().unwrap());
        let context = TraceContext::of_headers(&headers).unwrap();
        assert_eq!(context.state(), Some("a=1,b=2"));
        assert_eq!(context.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        headers.append(PARENT, GOOD.parse().unwrap());
        assert_eq!(TraceContext::of_headers(&headers), None);
    }

    #[test]
    fn a_bad_state_costs_only_itself() {
        for bad in ["", "a=\u{1}", "ключ=1", &"x".repeat(513)] {
            let context = TraceContext::parse(GOOD, Some(bad)).unwrap();
            assert_eq!(context.state(), None, "{bad}");
        }
    }
}
