//! The metrics as text: OpenMetrics, and the older format of Prometheus.
//!
//! Owns how the table becomes what `prometheus-client` wants. Must not know what is counted.
//!
//! The subtle thing: both formats name a counter with `_total`, but OpenMetrics describes it without. The older one is made
//! from the newer, line by line, so that there is one encoder, and one place where labels are escaped.

use std::fmt::{self, Write};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit as ClientUnit};

use super::facts::Facts;
use super::samples::{Sample, Value};
use super::table::{Kind, METRICS, Metric, Unit};

/// What such a text is called.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
pub(super) const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics of a stage.
pub(super) struct Exposition(Registry);

impl Exposition {
    pub(super) fn new(facts: Arc<Facts>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Table(facts)));
        Self(registry)
    }

    /// The text that an `Accept` asks for, and what it is called.
    pub(super) fn text(&self, accept: &str) -> Result<(&'static str, String), fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.0)?;
        if accept.contains("application/openmetrics-text") {
            return Ok((OPEN_METRICS, out));
        }
        Ok((PROMETHEUS, older(&out)))
    }
}

/// Reads the table whenever it is asked.
struct Table(Arc<Facts>);

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table")
    }
}

impl Collector for Table {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in METRICS {
            let samples = (metric.read)(&self.0);
            if samples.is_empty() {
                continue;
            }
            let unit = match metric.unit {
                Unit::None => None,
                Unit::Seconds => Some(ClientUnit::Seconds),
                Unit::Bytes => Some(ClientUnit::Bytes),
            };
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
                Kind::Info => MetricType::Info,
            };
            let mut described = encoder.encode_descriptor(stem(metric), metric.help, unit.as_ref(), kind)?;
            for Sample { labels, value } in &samples {
                let labels: Vec<(&str, &str)> =
                    metric.labels.iter().copied().zip(labels.iter().map(String::as_str)).collect();
                match value {
                    Value::Known => described.encode_info(&labels)?,
                    _ if labels.is_empty() => encode(&mut described, value)?,
                    _ => encode(&mut described.encode_family(&labels)?, value)?,
                }
            }
        }
        Ok(())
    }
}

/// The name without what the encoder adds to it.
fn stem(metric: &Metric) -> &str {
    let name = match metric.kind {
        Kind::Counter => metric.name.trim_end_matches("_total"),
        Kind::Info => metric.name.trim_end_matches("_info"),
        Kind::Gauge | Kind::Histogram => metric.name,
    };
    match metric.unit {
        Unit::None => name,
        Unit::Seconds => name.trim_end_matches("_seconds"),
        Unit::Bytes => name.trim_end_matches("_bytes"),
    }
}

fn encode(encoder: &mut MetricEncoder<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Count(count) => encoder.encode_counter::<NoLabelSet, u64, f64>(count, None),
        Value::Level(level) => encoder.encode_gauge(level),
        Value::Classes(classes, count, sum) => {
            encoder.encode_histogram::<NoLabelSet>(*sum, *count, classes, None)
        }
        Value::Known => Ok(()),
    }
}

/// The same in Prometheus's older format.
fn older(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        let described = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF" | "UNIT"), ..) => continue,
            (Some("#"), Some(what @ ("HELP" | "TYPE")), Some(name), Some(rest)) => Some((what, name, rest)),
            _ => None,
        };
        // Writing to a string cannot fail.
        let _ = match described {
            Some((what, name, rest)) => {
                let metric = METRICS.iter().find(|metric| whole_stem(metric) == name);
                let name = metric.map_or(name, |metric| metric.name);
                // What is no type there is a level that is always 1.
                let rest = if what == "TYPE" && rest == "info" { "gauge" } else { rest };
                writeln!(out, "# {what} {name} {rest}")
            }
            None => writeln!(out, "{line}"),
        };
    }
    out
}

/// The name as OpenMetrics describes it: with its unit, without its ending.
fn whole_stem(metric: &Metric) -> &str {
    match metric.kind {
        Kind::Counter => metric.name.trim_end_matches("_total"),
        Kind::Info => metric.name.trim_end_matches("_info"),
        Kind::Gauge | Kind::Histogram => metric.name,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    fn texts() -> [String; 2] {
        let exposition = Exposition::new(Arc::new(testing::busy()));
        let accept = "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;q=0.5";
        [exposition.text(accept).unwrap(), exposition.text("*/*").unwrap()].map(|(_, text)| text)
    }

    #[test]
    fn both_formats_say_the_same_under_the_same_names() {
        let [new, old] = texts();
        assert!(new.ends_with("# EOF\n") && !old.contains("# EOF"));
        for said in [
            "# TYPE anthropic_ecs_records_dead counter\n",
            "# UNIT anthropic_ecs_read_bytes bytes\n",
            "# TYPE anthropic_ecs_build info\n",
            "# TYPE anthropic_ecs_request_duration_seconds histogram\n",
        ] {
            assert!(new.contains(said), "{said}{new}");
        }
        for said in [
            "# TYPE anthropic_ecs_records_dead_total counter\n",
            "# TYPE anthropic_ecs_build_info gauge\n",
            "# TYPE anthropic_ecs_read_bytes_total counter\n",
        ] {
            assert!(old.contains(said), "{said}{old}");
        }
        let samples = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_age_"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(samples(&new), samples(&old));
        for metric in METRICS.iter().filter(|metric| !(metric.read)(&testing::busy()).is_empty()) {
            assert!(old.contains(&format!("# HELP {} {}\n", metric.name, metric.help)), "{}", metric.name);
        }
    }

    #[test]
    fn classes_add_up_and_end_with_all() {
        let [_, text] = texts();
        for said in [
            "anthropic_ecs_request_documents_bucket{le=\"100.0\"} 1\n",
            "anthropic_ecs_request_documents_bucket{le=\"+Inf\"} 2\n",
            "anthropic_ecs_request_documents_count 2\n",
            "anthropic_ecs_request_documents_sum 20100.0\n",
            "anthropic_ecs_request_duration_seconds_bucket{le=\"0.05\"} 1\n",
        ] {
            assert!(text.contains(said), "{said}{text}");
        }
    }

    /// Names of types, fields and reasons come from outside, and must not be able to make a line or a label of their own.
    #[test]
    fn what_comes_from_outside_stays_in_its_label() {
        let [new, _] = texts();
        let said =
            r#"anthropic_ecs_unknown_types_total{activity_type="a\"} 1\nanthropic_ecs_ready 9 # \\"} 3"#;
        assert!(new.contains(said), "{new}");
        assert!(!new.lines().any(|line| line.starts_with("anthropic_ecs_ready 9")));
    }
}
