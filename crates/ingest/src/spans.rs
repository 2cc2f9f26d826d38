//! The span of a batch: from when a source has it until all of it has ended.
//!
//! Owns its attributes. They say how much there is and where it came from, and nothing of what is in a record. Without
//! anybody who takes spans, making one costs a look at a flag.

use tracing::Span;
use tracing::field::Empty;

use crate::source::{Mark, Origin, RawRecord};

/// A part of whatever span is entered here; the beginning of a trace if none is.
pub(crate) fn batch(mark: Mark, records: &[RawRecord]) -> Span {
    let span = tracing::info_span!(
        "batch",
        anthropic_ecs.batch.bytes = Empty,
        anthropic_ecs.batch.lane = number(mark.lane.0),
        anthropic_ecs.batch.number = number(mark.batch),
        anthropic_ecs.batch.origin = Empty,
        anthropic_ecs.batch.records = number(records.len() as u64),
        messaging.batch.message_count = Empty,
        messaging.destination.name = Empty,
        messaging.destination.partition.id = Empty,
        messaging.kafka.offset = Empty,
        messaging.operation.type = Empty,
        messaging.system = Empty,
        otel.kind = Empty,
    );
    if !span.is_disabled() {
        let bytes = records.iter().map(|record| record.bytes.len() as u64).sum();
        span.record("anthropic_ecs.batch.bytes", number(bytes));
        if let Some(first) = records.first() {
            from(&span, &first.origin, records.len());
        }
    }
    span
}

/// Where the first record came from.
fn from(span: &Span, origin: &Origin, records: usize) {
    span.record("anthropic_ecs.batch.origin", tracing::field::display(origin));
    if let Origin::Kafka { topic, partition, offset, .. } = origin {
        span.record("otel.kind", "consumer");
        span.record("messaging.batch.message_count", number(records as u64));
        span.record("messaging.destination.name", &**topic);
        span.record("messaging.destination.partition.id", tracing::field::display(partition));
        span.record("messaging.kafka.offset", *offset);
        span.record("messaging.operation.type", "receive");
        span.record("messaging.system", "kafka");
    }
}

/// A number as spans have it: with a sign.
pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
