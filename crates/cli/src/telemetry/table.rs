//! Every metric there is, in one table.
//!
//! Owns names, types, units, labels and words, and where each number comes from. Whatever shows or documents metrics reads
//! it here, and what uses their names (alerts, the dashboard) is held against it by a test.
//!
//! The subtle thing: a row carries its own reader, so that there is neither a name without a number nor a number without a
//! name.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::Utc;
use ingest::api::Doing;
use mapper::ECS_VERSION;

use super::facts::{Facts, moment};
use super::samples::{Sample, Value, api, classes, count, lateness, level, named, names};

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows, and begins at 0 with the process. Its name ends with `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts sizes by class.
    Histogram,
    /// Is 1; what is to be known are its labels. Its name ends with `_info`.
    Info,
}

/// What a number is measured in. The name says it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    None,
    Seconds,
    Bytes,
}

/// A metric.
pub(super) struct Metric {
    /// The name as one asks for it.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: Unit,
    pub(super) labels: &'static [&'static str],
    /// What it counts, in one sentence without its full stop.
    pub(super) help: &'static str,
    /// Its values now; none if there is nothing to say of it.
    pub(super) read: fn(&Facts) -> Vec<Sample>,
}

use Kind::{Counter, Gauge, Info};
use Unit::{Bytes, Seconds};

/// A row.
macro_rules! metric {
    ($name:literal, $kind:expr, $unit:expr, $labels:expr, $help:literal, $read:expr) => {
        Metric {
            name: concat!("anthropic_ecs_", $name),
            kind: $kind,
            unit: $unit,
            labels: &$labels,
            help: $help,
            read: $read,
        }
    };
}

/// The table, in the order in which it is shown.
pub(super) static METRICS: &[Metric] = &[
    // === the process
    metric!(
        "build_info",
        Info,
        Unit::None,
        ["version", "commit", "ecs_version", "catalog", "source", "sink"],
        "The program and the commit it was built from, if that is known; the ECS version of its documents, the edition of the catalog, and the types of source and sink",
        |facts| {
            let (version, commit) = (env!("CARGO_PKG_VERSION"), option_env!("ANTHROPIC_ECS_COMMIT"));
            let catalog = facts.catalog.as_str();
            let labels =
                [version, commit.unwrap_or_default(), ECS_VERSION, catalog, facts.source, facts.sink];
            vec![Sample { labels: labels.map(str::to_owned).into(), value: Value::Known }]
        }
    ),
    metric!("start_time_seconds", Gauge, Seconds, [], "When the stage started, since 1970", |facts| {
        level(facts.started.timestamp_millis() as f64 / 1_000.0)
    }),
    metric!(
        "ready",
        Gauge,
        Unit::None,
        [],
        "1 while nothing stands in the way and the stage is not stopping, as /readyz says",
        |facts| { level(f64::from(u8::from(super::readiness::is_ready(facts)))) }
    ),
    metric!(
        "part_up",
        Gauge,
        Unit::None,
        ["part"],
        "1 while nothing stands in the way of a part; /readyz has cause and remedy",
        |facts| {
            let up = |part: &&pipeline::Health| {
                named(part.part(), Value::Level(f64::from(u8::from(part.down().is_none()))))
            };
            facts.status.parts().iter().map(up).collect()
        }
    ),
    metric!(
        "faults_total",
        Counter,
        Unit::None,
        ["part", "kind"],
        "Attempts of a part that failed, by the kind of fault",
        |facts| {
            let of = |part: &pipeline::Health| {
                let name = part.part();
                let sample = move |(kind, count)| Sample {
                    labels: vec![name.to_owned(), kind],
                    value: Value::Count(count),
                };
                part.faults().into_iter().map(sample).collect::<Vec<_>>()
            };
            facts.status.parts().into_iter().flat_map(of).collect()
        }
    ),
    // === records
    metric!(
        "records_read_total",
        Counter,
        Unit::None,
        [],
        "Records found in what the source gave",
        |facts| count(facts.status.read.get())
    ),
    metric!("records_mapped_total", Counter, Unit::None, [], "Records that became documents", |facts| count(
        facts.status.mapped.get()
    )),
    metric!(
        "records_delivered_total",
        Counter,
        Unit::None,
        [],
        "Documents written to the sink for the first time",
        |facts| count(facts.status.delivered.get())
    ),
    metric!(
        "records_duplicate_total",
        Counter,
        Unit::None,
        [],
        "Documents that the sink had before, so that nothing was to do",
        |facts| count(facts.status.duplicates.get())
    ),
    metric!(
        "records_retried_total",
        Counter,
        Unit::None,
        [],
        "Times a document had to be sent again",
        |facts| count(facts.status.retried.get())
    ),
    metric!(
        "records_dead_total",
        Counter,
        Unit::None,
        ["reason"],
        "Records that are durably in the dead letters, by the reason",
        |facts| names(facts.status.dead.get())
    ),
    metric!(
        "read_bytes_total",
        Counter,
        Bytes,
        [],
        "Bytes of raw records that came from the source",
        |facts| count(facts.status.read_bytes.get())
    ),
    metric!("batches_total", Counter, Unit::None, [], "Batches that came from the source", |facts| count(
        facts.status.batches.get()
    )),
    metric!("commits_total", Counter, Unit::None, [], "Commits of positions that went well", |facts| count(
        facts.status.commits.get()
    )),
    metric!(
        "unknown_types_total",
        Counter,
        Unit::None,
        ["activity_type"],
        "Documents of activity types that the tables do not know; at most 1,000 names, the rest as (others)",
        |facts| names(facts.status.unknown_types.get())
    ),
    metric!(
        "unknown_fields_total",
        Counter,
        Unit::None,
        ["field"],
        "Values of fields that the tables do not know, by path in the record; at most 1,000 names, the rest as (others)",
        |facts| names(facts.status.unknown_fields.get())
    ),
    // === where it stands
    metric!(
        "newest_record_timestamp_seconds",
        Gauge,
        Seconds,
        [],
        "The time of the newest record that has ended, since 1970; never later than now",
        |facts| {
            moment(facts.status.newest_record.get())
                .map_or_else(Vec::new, |time| level(time.timestamp_millis() as f64 / 1_000.0))
        }
    ),
    metric!(
        "newest_record_age_seconds",
        Gauge,
        Seconds,
        [],
        "How long ago the newest record that has ended happened; grows too while nothing happens",
        |facts| { facts.newest_age(Utc::now()).map_or_else(Vec::new, level) }
    ),
    metric!(
        "last_commit_timestamp_seconds",
        Gauge,
        Seconds,
        [],
        "When positions were committed last, since 1970",
        |facts| {
            moment(facts.status.last_commit.get())
                .map_or_else(Vec::new, |time| level(time.timestamp_millis() as f64 / 1_000.0))
        }
    ),
    metric!(
        "position_age_seconds",
        Gauge,
        Seconds,
        [],
        "For how long no position was committed though records are under way; 0 while none are",
        |facts| { level(facts.position_age(Utc::now())) }
    ),
    // === under way
    metric!("in_flight_bytes", Gauge, Bytes, [], "Memory reckoned for records under way", |facts| level(
        facts.status.bytes_in_flight.get() as f64
    )),
    metric!("in_flight_peak_bytes", Gauge, Bytes, [], "The most there ever was of it", |facts| level(
        facts.status.peak_bytes.get() as f64
    )),
    metric!("open_batches", Gauge, Unit::None, [], "Batches of which not every record has ended", |facts| {
        level(facts.status.open_batches.get() as f64)
    }),
    metric!("requests_total", Counter, Unit::None, [], "Requests sent to the sink", |facts| count(
        facts.status.requests.get()
    )),
    metric!(
        "requests_in_flight",
        Gauge,
        Unit::None,
        [],
        "Requests to the sink that are under way",
        |facts| level(facts.status.requests_in_flight.get() as f64)
    ),
    metric!(
        "requests_limit",
        Gauge,
        Unit::None,
        [],
        "How many requests may be under way at present; goes down when the sink asks for less",
        |facts| level(facts.status.request_limit.get() as f64)
    ),
    metric!("request_documents", Kind::Histogram, Unit::None, [], "Documents in a request", |facts| classes(
        &facts.status.request_documents,
        1.0
    )),
    metric!(
        "request_size_bytes",
        Kind::Histogram,
        Bytes,
        [],
        "Bytes of documents in a request, before compression",
        |facts| classes(&facts.status.request_bytes, 1.0)
    ),
    metric!(
        "request_duration_seconds",
        Kind::Histogram,
        Seconds,
        [],
        "How long the sink took for a request, whatever came of it",
        |facts| classes(&facts.status.request_millis, 1_000.0)
    ),
    // === the mapper
    metric!(
        "mapper_records_total",
        Counter,
        Unit::None,
        ["path"],
        "How records were mapped: by a plan learnt from records alike, or in general; what has to be taken up again there, or is no activity, counts each time",
        |facts| {
            let mappers = &facts.status.mappers;
            vec![
                named("plan", Value::Count(mappers.planned.get())),
                named("general", Value::Count(mappers.general.get())),
            ]
        }
    ),
    metric!(
        "mapper_plan_surprises_total",
        Counter,
        Unit::None,
        [],
        "Records with a plan that met something it did not foresee",
        |facts| count(facts.status.mappers.surprises.get())
    ),
    metric!("mapper_plans_learnt_total", Counter, Unit::None, [], "Plans made", |facts| count(
        facts.status.mappers.learnt.get()
    )),
    metric!(
        "mapper_cache_lookups_total",
        Counter,
        Unit::None,
        ["cache"],
        "How often an address or a user agent was looked for in a cache; records have one of each at most, and many have none",
        |facts| {
            let mappers = &facts.status.mappers;
            vec![
                named("address", Value::Count(mappers.address_lookups.get())),
                named("user_agent", Value::Count(mappers.agent_lookups.get())),
            ]
        }
    ),
    metric!(
        "mapper_cache_misses_total",
        Counter,
        Unit::None,
        ["cache"],
        "Of those, how often it was not there, and was looked up in the databases or taken apart",
        |facts| {
            let mappers = &facts.status.mappers;
            vec![
                named("address", Value::Count(mappers.address_misses.get())),
                named("user_agent", Value::Count(mappers.agent_misses.get())),
            ]
        }
    ),
    metric!(
        "geoip_database_age_seconds",
        Gauge,
        Seconds,
        ["kind", "database"],
        "How long ago a GeoIP database was built",
        |facts| {
            let now = Utc::now().timestamp();
            let age = |database: &mapper::enrich::Database| {
                let age = now.saturating_sub_unsigned(database.build_epoch()).max(0);
                let labels = vec![database.kind().to_string(), database.database_type().to_owned()];
                Sample { labels, value: Value::Level(age as f64) }
            };
            facts.mapping.geo().databases().map(age).collect()
        }
    ),
    metric!(
        "geoip_broken_lookups_total",
        Counter,
        Unit::None,
        [],
        "Records whose address met damage in a GeoIP database",
        |facts| count(facts.status.broken_lookups.get())
    ),
    // === the source compliance_api
    metric!(
        "api_state",
        Gauge,
        Unit::None,
        ["state"],
        "What the reader of the API is at: 1 for that, 0 for all else",
        |facts| {
            api(facts, |watch| {
                Doing::ALL
                    .map(|doing| {
                        named(doing.name(), Value::Level(f64::from(u8::from(watch.doing() == doing))))
                    })
                    .into()
            })
        }
    ),
    metric!("api_requests_total", Counter, Unit::None, [], "Requests to the API", |facts| api(
        facts,
        |watch| count(watch.requests.get())
    )),
    metric!("api_throttled_total", Counter, Unit::None, [], "Answers 429", |facts| api(
        facts,
        |watch| count(watch.throttled.get())
    )),
    metric!(
        "api_failures_total",
        Counter,
        Unit::None,
        [],
        "Requests to the API that failed in any other way",
        |facts| api(facts, |watch| count(watch.failures.get()))
    ),
    metric!("api_pages_total", Counter, Unit::None, [], "Pages that came whole", |facts| api(
        facts,
        |watch| count(watch.pages.get())
    )),
    metric!(
        "api_rows_total",
        Counter,
        Unit::None,
        ["result"],
        "Rows in them: new ones, and those that had been given before; overlaps and re-reads find many of these",
        |facts| {
            api(facts, |watch| {
                vec![
                    named("new", Value::Count(watch.fresh.get())),
                    named("duplicate", Value::Count(watch.duplicates.get())),
                ]
            })
        }
    ),
    metric!(
        "api_late_rows_total",
        Counter,
        Unit::None,
        [],
        "Rows that were not there when their time was read first, and were found by a re-read",
        |facts| api(facts, |watch| count(watch.late.get()))
    ),
    metric!("api_lateness_seconds", Kind::Histogram, Seconds, [], "How late such rows were found", |facts| {
        api(facts, lateness)
    }),
    metric!(
        "api_behind_seconds",
        Gauge,
        Seconds,
        [],
        "How far what was read completely is behind now; never less than the source's lag",
        |facts| {
            match facts.behind(Utc::now()) {
                Some(super::facts::Behind::Seconds(seconds)) => level(seconds),
                _ => Vec::new(),
            }
        }
    ),
    metric!(
        "api_own_row_delay_seconds",
        Gauge,
        Seconds,
        [],
        "How long the last row about a request of our own took to come back in the feed; while such a row is missing, how long it has been",
        |facts| api(facts, |watch| match watch.canary.get() {
            0 => Vec::new(),
            delay => level(delay as f64),
        })
    ),
    metric!(
        "api_gaps",
        Gauge,
        Unit::None,
        [],
        "Stretches of time that the API fails to give, and that are tried again",
        |facts| api(facts, |watch| level(watch.gaps.get() as f64))
    ),
    metric!(
        "api_left_seconds",
        Gauge,
        Seconds,
        [],
        "How much time of the feed is still to be read, history included",
        |facts| api(facts, |watch| level(watch.left_seconds.get() as f64))
    ),
    metric!(
        "api_windows_total",
        Counter,
        Unit::None,
        [],
        "Windows of time that were read to their end",
        |facts| api(facts, |watch| count(watch.windows.get()))
    ),
    metric!("api_rereads_total", Counter, Unit::None, [], "Re-reads that came to their end", |facts| api(
        facts,
        |watch| count(watch.passes.get())
    )),
    metric!(
        "api_budget_left",
        Gauge,
        Unit::None,
        [],
        "Requests that our share of the organization's budget allows at once",
        |facts| api(facts, |watch| level(watch.budget_left.get() as f64))
    ),
    metric!(
        "api_budget_limit",
        Gauge,
        Unit::None,
        [],
        "Requests a minute that all keys of the organization have together",
        |facts| api(facts, |watch| level(watch.budget_limit.get() as f64))
    ),
    metric!(
        "api_budget_server_left",
        Gauge,
        Unit::None,
        [],
        "What the API said last is left of them",
        |facts| { api(facts, |watch| watch.server_left().map_or_else(Vec::new, |left| level(left as f64))) }
    ),
    // === the source kafka
    metric!(
        "kafka_lag_messages",
        Gauge,
        Unit::None,
        ["topic", "partition"],
        "Messages behind the committed position, of the partitions that are ours",
        |facts| {
            let lags = facts.kafka.get().map(ingest::kafka::Lags::get).unwrap_or_default();
            let sample = |lag: ingest::kafka::PartitionLag| {
                let labels = vec![lag.topic.to_string(), lag.partition.to_string()];
                Sample { labels, value: Value::Level(lag.messages as f64) }
            };
            lags.into_iter().map(sample).collect()
        }
    ),
    // === the export to a collector
    metric!(
        "otlp_requests_total",
        Counter,
        Unit::None,
        ["signal", "result"],
        "Requests to the OpenTelemetry collector, by what it said",
        |facts| {
            let Some(counts) = facts.otlp.get() else { return Vec::new() };
            let of = |signal: &super::otlp::Signal| {
                let sample = |result: &str, number: &AtomicU64| Sample {
                    labels: vec![signal.name.to_owned(), result.to_owned()],
                    value: Value::Count(number.load(Ordering::Relaxed)),
                };
                [sample("accepted", &signal.accepted), sample("failed", &signal.failed)]
            };
            [&counts.traces, &counts.metrics].into_iter().flat_map(of).collect()
        }
    ),
    metric!(
        "otlp_spans_dropped_total",
        Counter,
        Unit::None,
        [],
        "Spans that did not reach the OpenTelemetry collector: it was away for too long, or did not keep up",
        |facts| {
            let dropped = |counts: &Arc<super::otlp::Counts>| counts.spans_dropped.load(Ordering::Relaxed);
            facts.otlp.get().map_or_else(Vec::new, |counts| count(dropped(counts)))
        }
    ),
];

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
