//! A span: one piece of work of a trace.

use super::TraceContext;
use super::export::Recording;

/// What a span is, in OpenTelemetry's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An HTTP request that is answered.
    Server,
    /// An attempt at a task: work that somebody queued.
    Consumer,
}

/// A piece of work under way, exported when it is dropped. Where nothing is exported it only passes
/// its parent on.
#[derive(Debug)]
pub struct Span {
    context: Option<TraceContext>,
    recording: Option<Recording>,
}

impl Span {
    /// Begins one, below `parent` where there is one.
    #[must_use]
    pub fn start(kind: Kind, name: &'static str, parent: Option<TraceContext>) -> Self {
        let recording = Recording::start(kind, name, parent.as_ref());
        let own = recording.as_ref().and_then(Recording::context);
        Self {
            context: own.or(parent),
            recording,
        }
    }

    /// What the work that it causes has as its parent.
    #[must_use]
    pub fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Notes a fact about it. The value is made only where it is exported.
    pub fn note(&mut self, key: &'static str, value: impl FnOnce() -> String) {
        if let Some(recording) = &mut self.recording {
            recording.note(key, value());
        }
    }

    /// Notes a number about it.
    pub fn number(&mut self, key: &'static str, value: i64) {
        if let Some(recording) = &mut self.recording {
            recording.number(key, value);
        }
    }

    /// Gives it the name that was not known at its start.
    pub fn rename(&mut self, name: impl FnOnce() -> String) {
        if let Some(recording) = &mut self.recording {
            recording.rename(name());
        }
    }

    /// Says that it went wrong.
    pub fn fail(&mut self) {
        if let Some(recording) = &mut self.recording {
            recording.fail();
        }
    }
}
