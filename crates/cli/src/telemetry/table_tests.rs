//! What the table promises, held against what it gives.

use std::collections::BTreeSet;

use super::super::testing;
use super::*;

#[test]
fn rows_say_what_their_names_promise() {
    let mut seen = BTreeSet::new();
    for Metric { name, kind, unit, labels, help, .. } in METRICS {
        assert!(seen.insert(name), "{name} stands twice");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert_eq!(*kind == Counter, name.ends_with("_total"), "{name}");
        assert_eq!(*kind == Info, name.ends_with("_info"), "{name}");
        let base = name.trim_end_matches("_total");
        assert_eq!(*unit == Seconds, base.ends_with("_seconds"), "{name}");
        assert_eq!(*unit == Bytes, base.ends_with("_bytes"), "{name}");
        assert!(help.len() > 5 && !help.ends_with('.') && !help.contains(['\n', '\\']), "{name}: {help}");
        assert!(labels.iter().all(|label| !["le", "instance", "job"].contains(label)), "{name}");
    }
}

#[test]
fn every_row_has_values_of_its_kind_and_as_many_labels_as_it_says() {
    let facts = testing::busy();
    for Metric { name, kind, labels, read, .. } in METRICS {
        let samples = read(&facts);
        // Nothing is known of these without a server.
        let silent = [
            "anthropic_ecs_kafka_lag_messages",
            "anthropic_ecs_api_budget_server_left",
            "anthropic_ecs_api_behind_seconds",
            "anthropic_ecs_api_own_row_delay_seconds",
        ];
        assert_eq!(samples.is_empty(), silent.contains(name), "{name}: {samples:?}");
        for sample in samples {
            assert_eq!(sample.labels.len(), labels.len(), "{name}: {sample:?}");
            let fits = match sample.value {
                Value::Count(_) => *kind == Counter,
                Value::Level(level) => *kind == Gauge && level.is_finite(),
                Value::Classes(classes, total, _) => {
                    let sum: u64 = classes.iter().map(|(_, count)| count).sum();
                    let last = classes.last().map(|(bound, _)| *bound);
                    *kind == Kind::Histogram && sum == total && last == Some(f64::INFINITY)
                }
                Value::Known => *kind == Info,
            };
            assert!(fits, "{name}");
        }
    }
}
