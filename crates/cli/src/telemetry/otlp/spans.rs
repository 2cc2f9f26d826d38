//! Spans: which there are, and how they get from `tracing` into the queue.
//!
//! Owns the list of them, which the page in `docs/` shows and a test holds against the code that makes them, and what of
//! `tracing` is taken: spans of our own crates, nothing of the libraries below, and no line of the log.
//!
//! The subtle thing: who makes spans must not wait. What finds the queue full is counted and gone.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use opentelemetry_proto::transform::common::tonic::{Attributes, ResourceAttributesWithSchema};
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanLimits, SpanProcessor};
use tokio::sync::mpsc;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::Counts;
use crate::run::logging::is_ours;

/// The name of what makes our spans and numbers.
pub(super) const SCOPE: &str = "anthropic-ecs";

/// A span that there is.
#[cfg(test)]
pub(in crate::telemetry) struct Kind {
    pub(in crate::telemetry) name: &'static str,
    /// What kind of span it is for OpenTelemetry.
    pub(in crate::telemetry) kind: &'static str,
    /// What it covers, from when to when, in one sentence without its full stop.
    pub(in crate::telemetry) meaning: &'static str,
    /// What it is part of, or linked to.
    pub(in crate::telemetry) place: &'static str,
    pub(in crate::telemetry) attributes: &'static [&'static str],
}

/// All of them.
#[cfg(test)]
pub(in crate::telemetry) static SPANS: &[Kind] = &[
    Kind {
        name: "walk",
        kind: "internal",
        meaning: "A way through a stretch of the feed's time, page by page: a window, a re-read (`pass`), history, the tail, or another try at a gap",
        place: "a trace of its own",
        attributes: &[
            "anthropic_ecs.walk.kind",
            "anthropic_ecs.walk.from",
            "anthropic_ecs.walk.to",
            "anthropic_ecs.walk.pages",
            "anthropic_ecs.walk.rows",
            "anthropic_ecs.walk.rows_new",
            "anthropic_ecs.walk.rows_late",
        ],
    },
    Kind {
        name: "GET /v1/compliance/activities",
        kind: "client",
        meaning: "A request to the Compliance API, until its page is read whole; while the pipeline is full, the rest of a page waits",
        place: "begins a trace; linked to its `walk`",
        attributes: &[
            "anthropic_ecs.walk.kind",
            "anthropic_ecs.page.from",
            "anthropic_ecs.page.to",
            "anthropic_ecs.page.request_id",
            "anthropic_ecs.page.rows",
            "anthropic_ecs.page.rows_new",
            "anthropic_ecs.page.rows_late",
            "error.type",
            "http.request.method",
            "http.response.status_code",
            "server.address",
            "server.port",
            "url.template",
        ],
    },
    Kind {
        name: "batch",
        kind: "internal, or consumer for Kafka",
        meaning: "Records that came together, from when the source has them until every one of them is delivered or in the dead letters",
        place: "part of the request it came by, or begins a trace",
        attributes: &[
            "anthropic_ecs.batch.bytes",
            "anthropic_ecs.batch.lane",
            "anthropic_ecs.batch.number",
            "anthropic_ecs.batch.origin",
            "anthropic_ecs.batch.records",
            "messaging.batch.message_count",
            "messaging.destination.name",
            "messaging.destination.partition.id",
            "messaging.kafka.offset",
            "messaging.operation.type",
            "messaging.system",
        ],
    },
    Kind {
        name: "map",
        kind: "internal",
        meaning: "The mapping of a batch, on one thread",
        place: "part of its `batch`",
        attributes: &[
            "anthropic_ecs.map.bytes",
            "anthropic_ecs.map.dead",
            "anthropic_ecs.map.documents",
            "anthropic_ecs.map.unknown_types",
        ],
    },
    Kind {
        name: "write",
        kind: "internal",
        meaning: "One attempt to write one request to the sink",
        place: "part of the first `batch` in it; linked to the others, up to 100",
        attributes: &[
            "anthropic_ecs.write.attempt",
            "anthropic_ecs.write.bytes",
            "anthropic_ecs.write.delivered",
            "anthropic_ecs.write.documents",
            "anthropic_ecs.write.duplicates",
            "anthropic_ecs.write.rejected",
            "anthropic_ecs.write.retried",
            "error.type",
        ],
    },
    Kind {
        name: "bulk",
        kind: "client",
        meaning: "The request to Elasticsearch of such an attempt",
        place: "part of its `write`",
        attributes: &[
            "db.collection.name",
            "db.operation.batch.size",
            "db.operation.name",
            "db.system.name",
            "error.type",
            "http.request.method",
            "http.response.status_code",
        ],
    },
    Kind {
        name: "send",
        kind: "producer",
        meaning: "The messages to Kafka of such an attempt, until the brokers have answered for all of them",
        place: "part of its `write`",
        attributes: &[
            "messaging.batch.message_count",
            "messaging.destination.name",
            "messaging.operation.name",
            "messaging.operation.type",
            "messaging.system",
        ],
    },
    Kind {
        name: "bury",
        kind: "internal",
        meaning: "One attempt to write dead letters",
        place: "a trace of its own",
        attributes: &["anthropic_ecs.bury.letters", "error.type"],
    },
    Kind {
        name: "commit",
        kind: "internal",
        meaning: "One attempt to commit positions: of a transaction, if the sink writes in such",
        place: "a trace of its own",
        attributes: &["anthropic_ecs.commit.lanes", "error.type"],
    },
];

/// What takes up our spans and puts them into the queue. Everything is set here that OpenTelemetry's SDK would otherwise take
/// from the environment.
pub(super) fn layer<S>(
    queue: mpsc::Sender<SpanData>,
    counts: Arc<Counts>,
    sample_ratio: f64,
) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    // The log stays the log.
    let limits = SpanLimits { max_events_per_span: 0, ..SpanLimits::default() };
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Queue { queue, counts })
        // The whole trace follows its first span.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample_ratio))))
        .with_span_limits(limits)
        // Whose spans they are is said where they are sent.
        .with_resource(Resource::builder_empty().build())
        .build();
    let scope = InstrumentationScope::builder(SCOPE).with_version(env!("CARGO_PKG_VERSION")).build();
    let ours = filter_fn(|metadata| {
        metadata.is_span() && *metadata.level() <= Level::INFO && is_ours(metadata.target())
    });
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer_with_scope(scope))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(ours.with_max_level_hint(LevelFilter::from_level(Level::INFO)))
}

/// Takes what has ended.
struct Queue {
    queue: mpsc::Sender<SpanData>,
    counts: Arc<Counts>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.queue.try_send(span).is_err() {
            self.counts.dropped(1);
        }
    }

    /// Whoever empties the queue does so by itself.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Spans as OTLP has them.
pub(super) fn request(spans: Vec<SpanData>, resource: &ResourceMessage) -> ExportTraceServiceRequest {
    let attributes = Attributes(resource.attributes.clone());
    let resource = ResourceAttributesWithSchema { attributes, schema_url: None };
    ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(spans, &resource) }
}
