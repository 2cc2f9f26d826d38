//! Values of metrics, and the usual ways to make them.
//!
//! Must not know which metrics there are.

use std::collections::BTreeMap;

use ingest::api::{LATENESS_BOUNDS, Watch};
use pipeline::{Distribution, Histogram};

use super::facts::Facts;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    /// The values of the labels, in the order of the row.
    pub(super) labels: Vec<String>,
    pub(super) value: Value,
}

/// A value of one of the kinds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Count(u64),
    Level(f64),
    /// Upper bounds with how many were in each class alone, how many there were, and their sum.
    Classes(Vec<(f64, u64)>, u64, f64),
    /// For the labels' sake.
    Known,
}

pub(super) fn count(number: u64) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value: Value::Count(number) }]
}

pub(super) fn level(number: f64) -> Vec<Sample> {
    vec![Sample { labels: Vec::new(), value: Value::Level(number) }]
}

pub(super) fn named(name: &str, value: Value) -> Sample {
    Sample { labels: vec![name.to_owned()], value }
}

pub(super) fn names(counts: BTreeMap<String, u64>) -> Vec<Sample> {
    counts
        .into_iter()
        .map(|(name, number)| Sample { labels: vec![name], value: Value::Count(number) })
        .collect()
}

/// What is known of the reader of the API, if there is one.
pub(super) fn api(facts: &Facts, read: impl Fn(&Watch) -> Vec<Sample>) -> Vec<Sample> {
    facts.api.get().map_or_else(Vec::new, |watch| read(watch))
}

/// A histogram whose sizes are so many to the unit.
pub(super) fn classes(histogram: &Histogram, to_the_unit: f64) -> Vec<Sample> {
    let Distribution { counts, sum } = histogram.get();
    let total = counts.iter().map(|(_, count)| count).sum();
    let bound = |bound: Option<u64>| bound.map_or(f64::INFINITY, |bound| bound as f64 / to_the_unit);
    let counts = counts.into_iter().map(|(upper, count)| (bound(upper), count)).collect();
    vec![Sample { labels: Vec::new(), value: Value::Classes(counts, total, sum as f64 / to_the_unit) }]
}

pub(super) fn lateness(watch: &Watch) -> Vec<Sample> {
    let (total, mut before) = (watch.lateness.count(), 0);
    let mut counts = Vec::with_capacity(LATENESS_BOUNDS.len() + 1);
    for (bound, up_to) in watch.lateness.cumulative() {
        counts.push((bound as f64, up_to.saturating_sub(before)));
        before = up_to;
    }
    // A row may be counted between the two looks.
    let total = total.max(before);
    counts.push((f64::INFINITY, total - before));
    vec![Sample { labels: Vec::new(), value: Value::Classes(counts, total, watch.lateness.sum() as f64) }]
}
