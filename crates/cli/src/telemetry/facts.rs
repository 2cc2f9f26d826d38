//! Everything that is shown of a running stage, by whatever shows it.
//!
//! Owns the handles on the parts that count, and what follows from their numbers at a moment. Must not count anything itself,
//! and nothing in here can stand in the way of the run.

use std::sync::{Arc, LazyLock, OnceLock};

use chrono::{DateTime, Utc};
use ingest::api::{ComplianceApiSource, Watch};
use ingest::kafka::{KafkaSource, Lags};
use mapper::Mapping;
use model::catalog::Catalog;
use pipeline::{Status, Stop};

use super::history::History;
use super::otlp::Counts;
use crate::config::{Config, Sink, Source};

/// Handles on what is known of a run.
pub(crate) struct Facts {
    pub(super) status: Arc<Status>,
    pub(super) mapping: Arc<Mapping>,
    /// The reader of the API, if that is the source, once it is open.
    pub(super) api: OnceLock<Arc<Watch>>,
    /// The consumer group, if that is the source, once it is open.
    pub(super) kafka: OnceLock<Lags>,
    /// What came of the export to a collector, if there is one.
    pub(super) otlp: OnceLock<Arc<Counts>>,
    /// The types of source and sink, as the configuration names them.
    pub(super) source: &'static str,
    pub(super) sink: &'static str,
    /// Which edition of the vendor's reference the program knows.
    pub(super) catalog: LazyLock<String>,
    pub(super) stop: Stop,
    pub(super) started: DateTime<Utc>,
    pub(super) history: History,
}

impl Facts {
    pub(super) fn new(config: &Config, status: Arc<Status>, mapping: Arc<Mapping>, stop: Stop) -> Self {
        let source = match config.source {
            Source::ComplianceApi(_) => "compliance_api",
            Source::Kafka(_) => "kafka",
            Source::File(_) => "file",
        };
        let sink = match config.sink {
            Sink::Elasticsearch(_) => "elasticsearch",
            Sink::Kafka(_) => "kafka",
            Sink::Ndjson(_) => "ndjson",
        };
        let started = Utc::now();
        let (api, kafka, otlp) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let catalog = LazyLock::new(edition as fn() -> String);
        let history = History::default();
        Self { status, mapping, api, kafka, otlp, source, sink, catalog, stop, started, history }
    }

    /// Looks at this source too.
    pub(crate) fn api(&self, source: ComplianceApiSource) -> ComplianceApiSource {
        // There is one source; of a second, nothing would be shown.
        let _ = self.api.set(source.watch());
        source
    }

    /// Looks at this source too.
    pub(crate) fn kafka(&self, source: KafkaSource) -> KafkaSource {
        let _ = self.kafka.set(source.lags());
        source
    }

    /// How long ago the newest record that has ended happened, in seconds.
    pub(super) fn newest_age(&self, now: DateTime<Utc>) -> Option<f64> {
        let newest = moment(self.status.newest_record.get())?;
        Some(seconds(now - newest))
    }

    /// For how long positions have not been committed though something was under way, in seconds.
    pub(super) fn position_age(&self, now: DateTime<Utc>) -> f64 {
        if self.status.open_batches.get() == 0 {
            return 0.0;
        }
        let last = moment(self.status.last_commit.get()).map_or(self.started, |last| last.max(self.started));
        seconds(now - last)
    }

    /// How far the source is behind, in its own measure: seconds for the API, messages for Kafka.
    pub(super) fn behind(&self, now: DateTime<Utc>) -> Option<Behind> {
        if let Some(watch) = self.api.get() {
            // Nobody writes there while the reader waits, so that it is reckoned from the mark itself.
            let high = watch.high.get().and_then(|high| DateTime::from_timestamp_micros(high.0));
            return high.map(|high| Behind::Seconds(seconds(now - high)));
        }
        let lags = self.kafka.get()?.get();
        Some(Behind::Messages(lags.iter().map(|lag| lag.messages).sum()))
    }
}

/// The edition of the catalog. To be asked late: it is in a text of some size.
pub(super) fn edition() -> String {
    Catalog::builtin().edition().to_owned()
}

/// How far a source is behind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Behind {
    Seconds(f64),
    Messages(u64),
}

/// A moment in milliseconds since 1970; none for 0.
pub(super) fn moment(millis: u64) -> Option<DateTime<Utc>> {
    let millis = i64::try_from(millis).ok().filter(|millis| *millis > 0)?;
    DateTime::from_timestamp_millis(millis)
}

/// A length of time that is never less than nothing, since clocks are set.
pub(super) fn seconds(length: chrono::TimeDelta) -> f64 {
    length.as_seconds_f64().max(0.0)
}
