//! Records spans and sends them to an OpenTelemetry collector, over HTTP, in protobuf.
//!
//! Sampling, attributes of the resource and headers for the collector are read from the variables
//! that OpenTelemetry defines (`OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`,
//! `OTEL_EXPORTER_OTLP_HEADERS`, …) by its library. Spans are sent by a thread of their own, in
//! batches; a collector that is away costs spans, never requests.

use std::sync::OnceLock;

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};

use super::{Kind, TraceContext};

/// What records, once the exporter has started.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// A span that is recorded.
#[derive(Debug)]
pub struct Recording(Span);

impl Recording {
    /// Begins one; `None` without an exporter.
    pub fn start(kind: Kind, name: &'static str, parent: Option<&TraceContext>) -> Option<Self> {
        let tracer = TRACER.get()?;
        let mut above = Context::new();
        if let Some(parent) = parent.and_then(remote) {
            above = above.with_remote_span_context(parent);
        }
        let kind = match kind {
            Kind::Server => SpanKind::Server,
            Kind::Consumer => SpanKind::Consumer,
        };
        let builder = tracer.span_builder(name).with_kind(kind);
        Some(Self(tracer.build_with_context(builder, &above)))
    }

    /// Where it stands in its trace.
    pub fn context(&self) -> Option<TraceContext> {
        let own = self.0.span_context();
        let parent = format!(
            "00-{}-{}-{:02x}",
            own.trace_id(),
            own.span_id(),
            own.trace_flags().to_u8()
        );
        TraceContext::parse(&parent, Some(&own.trace_state().header()))
    }

    /// Notes a fact.
    pub fn note(&mut self, key: &'static str, value: String) {
        self.0.set_attribute(KeyValue::new(key, value));
    }

    /// Notes a number.
    pub fn number(&mut self, key: &'static str, value: i64) {
        self.0.set_attribute(KeyValue::new(key, value));
    }

    /// Changes its name.
    pub fn rename(&mut self, name: String) {
        self.0.update_name(name);
    }

    /// Says that it went wrong.
    pub fn fail(&mut self) {
        self.0.set_status(Status::error(""));
    }
}

/// The parent, as OpenTelemetry has it.
fn remote(parent: &TraceContext) -> Option<SpanContext> {
    let mut fields = parent.parent().split('-').skip(1);
    let trace = TraceId::from_hex(fields.next()?).ok()?;
    let span = SpanId::from_hex(fields.next()?).ok()?;
    let flags = u8::from_str_radix(fields.next()?, 16).ok()?;
    let state = parent
        .state()
        .and_then(|state| state.parse::<TraceState>().ok());
    let state = state.unwrap_or_default();
    Some(SpanContext::new(
        trace,
        span,
        TraceFlags::new(flags),
        true,
        state,
    ))
}

/// What all spans of this process have in common. The operator's variables win.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let name = Resource::builder().build().get(&Key::new("service.name"));
    let is_named = name.is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let known = Resource::builder_empty().with_attribute(version);
    let known = if is_named {
        known
    } else {
        known.with_service_name("bloom")
    };
    let known: Vec<_> = known
        .build()
        .iter()
        .map(|(k, v)| KeyValue::new(k.clone(), v.clone()))
        .collect();
    Resource::builder().with_attributes(known).build()
}

/// Sends spans to a collector.
#[derive(Debug)]
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Begins to record and to send: to `endpoint`, the collector's address without `/v1/traces`.
    ///
    /// # Errors
    /// When the address is none, or this is not the first call.
    pub fn start(endpoint: &str) -> Result<Self, String> {
        let target = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(target)
            .build();
        let exporter = exporter.map_err(|error| error.to_string())?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource())
            .build();
        let is_first = TRACER.set(provider.tracer("bloom")).is_ok();
        is_first
            .then_some(Self(provider))
            .ok_or_else(|| "it has been started before".to_owned())
    }

    /// Sends what is left. Blocks for a few seconds at most.
    pub fn finish(self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "some spans were not sent");
        }
    }
}
