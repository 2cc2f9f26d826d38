//! The spans of delivery: mapping, writing, burying, committing.
//!
//! Owns their attributes. They say how much, how often and what came of it, and nothing of what is in a record; a sink's words
//! about a document it refused may quote it, and are left to the dead letters. Without anybody who takes spans, making one
//! costs a look at a flag.

use model::fault::Fault;
use output::{Outcome, Request};
use tracing::Span;
use tracing::field::Empty;

use crate::mapping::{Parcel, shorten};

/// To how many batches beside its first the span of a write is linked.
const MOST_LINKS: usize = 100;

/// How many bytes of a cause are kept.
const LONGEST_CAUSE: usize = 1 << 10;

/// A batch is mapped.
pub(crate) fn map(batch: &Span, bytes: usize) -> Span {
    tracing::info_span!(
        parent: batch,
        "map",
        anthropic_ecs.map.bytes = number(bytes as u64),
        anthropic_ecs.map.dead = Empty,
        anthropic_ecs.map.documents = Empty,
        anthropic_ecs.map.unknown_types = Empty,
    )
}

/// That is what became of it.
pub(crate) fn mapped(span: &Span, parcel: &Parcel) {
    if !span.is_disabled() {
        span.record("anthropic_ecs.map.dead", number(parcel.letters.len() as u64));
        span.record("anthropic_ecs.map.documents", number(parcel.documents.len() as u64));
        span.record("anthropic_ecs.map.unknown_types", number(parcel.unknown_types.values().sum()));
    }
}

/// A request is written for the so manieth time; `batches` are the spans of what is in it.
pub(crate) fn write<'s>(
    request: &Request,
    attempt: u32,
    mut batches: impl Iterator<Item = &'s Span>,
) -> Span {
    let span = tracing::info_span!(
        parent: batches.next().and_then(Span::id),
        "write",
        anthropic_ecs.write.attempt = i64::from(attempt),
        anthropic_ecs.write.bytes = number(request.bytes() as u64),
        anthropic_ecs.write.delivered = Empty,
        anthropic_ecs.write.documents = number(request.len() as u64),
        anthropic_ecs.write.duplicates = Empty,
        anthropic_ecs.write.rejected = Empty,
        anthropic_ecs.write.retried = Empty,
        error.type = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    );
    if !span.is_disabled() {
        batches.take(MOST_LINKS).for_each(|batch| {
            span.follows_from(batch);
        });
    }
    span
}

/// The sink answered.
pub(crate) fn written(span: &Span, answer: &Result<Vec<Outcome>, Fault>) {
    if span.is_disabled() {
        return;
    }
    let Ok(outcomes) = answer else { return ended(span, answer) };
    let (mut delivered, mut duplicates, mut retried, mut rejected) = (0, 0, 0, 0);
    for outcome in outcomes {
        match outcome {
            Outcome::Delivered => delivered += 1,
            Outcome::Duplicate => duplicates += 1,
            Outcome::Rejected(_) => rejected += 1,
            Outcome::Retry(fault) => {
                if retried == 0 {
                    failed(span, fault);
                }
                retried += 1;
            }
        }
    }
    for (name, count) in [
        ("anthropic_ecs.write.delivered", delivered),
        ("anthropic_ecs.write.duplicates", duplicates),
        ("anthropic_ecs.write.rejected", rejected),
        ("anthropic_ecs.write.retried", retried),
    ] {
        span.record(name, number(count));
    }
}

/// Letters are written.
pub(crate) fn bury(letters: usize) -> Span {
    tracing::info_span!(
        parent: None,
        "bury",
        anthropic_ecs.bury.letters = number(letters as u64),
        error.type = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// Positions are committed.
pub(crate) fn commit(lanes: usize) -> Span {
    tracing::info_span!(
        parent: None,
        "commit",
        anthropic_ecs.commit.lanes = number(lanes as u64),
        error.type = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// It went well or not.
pub(crate) fn ended<T>(span: &Span, result: &Result<T, Fault>) {
    if let Err(fault) = result {
        failed(span, fault);
    }
}

fn failed(span: &Span, fault: &Fault) {
    span.record("error.type", fault.kind.name());
    span.record("otel.status_code", "error");
    span.record("otel.status_description", shorten(&fault.cause, LONGEST_CAUSE));
}

/// A number as spans have it: with a sign.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
