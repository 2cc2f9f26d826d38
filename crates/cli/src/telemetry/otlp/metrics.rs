//! The table of metrics as OTLP has it.
//!
//! Owns how a row becomes a message. Must not know what is counted. What becomes of names, units and kinds is OpenTelemetry's
//! specification of how it goes together with Prometheus (`compatibility/prometheus_and_openmetrics`): names stay as they
//! are, so that a query for `/metrics` works for what a collector passes on to Prometheus.
//!
//! The subtle thing: all numbers are totals since the start of the stage, so that what is lost on the way is made up for by
//! what comes next.

use chrono::{DateTime, Utc};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric as Message, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::attribute;
use super::spans::SCOPE;
use crate::telemetry::facts::Facts;
use crate::telemetry::samples::{Sample, Value};
use crate::telemetry::table::{Kind, METRICS, Metric, Unit};

/// All metrics that have something to say now.
pub(super) fn request(facts: &Facts, resource: &Resource) -> ExportMetricsServiceRequest {
    let times = Times { start: nanos(facts.started), now: nanos(Utc::now()) };
    let metrics = METRICS.iter().filter_map(|metric| message(metric, &(metric.read)(facts), times)).collect();
    let scope = InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope = ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() };
    let resource = Some(resource.clone());
    let all = ResourceMetrics { resource, scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![all] }
}

/// Since when is counted, and when was counted, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Times {
    start: u64,
    now: u64,
}

fn nanos(time: DateTime<Utc>) -> u64 {
    time.timestamp_nanos_opt().and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(0)
}

/// A row with its values; nothing if it has none.
fn message(metric: &Metric, samples: &[Sample], times: Times) -> Option<Message> {
    if samples.is_empty() {
        return None;
    }
    let cumulative = AggregationTemporality::Cumulative.into();
    let numbers = || samples.iter().filter_map(|sample| number(metric, sample, times)).collect();
    let (kind, data) = match metric.kind {
        Kind::Counter => {
            let sum = Sum { data_points: numbers(), aggregation_temporality: cumulative, is_monotonic: true };
            ("counter", Data::Sum(sum))
        }
        Kind::Gauge => ("gauge", Data::Gauge(Gauge { data_points: numbers() })),
        Kind::Info => {
            let sum =
                Sum { data_points: numbers(), aggregation_temporality: cumulative, is_monotonic: false };
            ("info", Data::Sum(sum))
        }
        Kind::Histogram => {
            let points = samples.iter().filter_map(|sample| classes(metric, sample, times)).collect();
            (
                "histogram",
                Data::Histogram(Histogram { data_points: points, aggregation_temporality: cumulative }),
            )
        }
    };
    let unit = match metric.unit {
        Unit::None => "",
        Unit::Seconds => "s",
        Unit::Bytes => "By",
    };
    Some(Message {
        name: metric.name.to_owned(),
        description: metric.help.to_owned(),
        unit: unit.to_owned(),
        metadata: vec![attribute("prometheus.type", kind)],
        data: Some(data),
    })
}

fn labels(metric: &Metric, sample: &Sample) -> Vec<KeyValue> {
    metric.labels.iter().zip(&sample.labels).map(|(name, value)| attribute(name, value)).collect()
}

fn number(metric: &Metric, sample: &Sample, times: Times) -> Option<NumberDataPoint> {
    let value = match sample.value {
        Value::Count(count) => Number::AsInt(i64::try_from(count).unwrap_or(i64::MAX)),
        Value::Level(level) => Number::AsDouble(level),
        Value::Known => Number::AsInt(1),
        Value::Classes(..) => return None,
    };
    Some(NumberDataPoint {
        attributes: labels(metric, sample),
        // A level has no beginning.
        start_time_unix_nano: if metric.kind == Kind::Gauge { 0 } else { times.start },
        time_unix_nano: times.now,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

fn classes(metric: &Metric, sample: &Sample, times: Times) -> Option<HistogramDataPoint> {
    let Value::Classes(classes, count, sum) = &sample.value else { return None };
    Some(HistogramDataPoint {
        attributes: labels(metric, sample),
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        count: *count,
        sum: Some(*sum),
        bucket_counts: classes.iter().map(|(_, count)| *count).collect(),
        // The last class has no bound.
        explicit_bounds: classes.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect(),
        ..HistogramDataPoint::default()
    })
}
