//! What is known of a run while it runs, for metrics, readiness and the log.
//!
//! Owns the counters and what stands in the way of each part right now. Must not decide anything by them.
//!
//! The subtle thing: it is read by whoever shows it and written by the loop that delivers, so nothing in here waits for
//! anything, and nothing is done for each record: numbers are added up by the batch.

mod glance;
mod health;
mod numbers;
mod recent;
#[cfg(test)]
mod runs;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use output::Request;

use crate::dead::Letter;
use crate::mapping::Parcel;

pub use glance::{Glance, LastHour};
pub use health::{Down, Health};
pub use numbers::{Counter, Distribution, Gauge, Histogram, Names, OTHER_NAMES};
pub use recent::{DeadNote, Recent};

/// Everything known of a run.
#[derive(Debug)]
pub struct Status {
    /// Batches that came from the source.
    pub batches: Counter,
    /// Records that were found in them. Each ends as one of delivered, duplicate or dead.
    pub read: Counter,
    /// Bytes of records that came from the source.
    pub read_bytes: Counter,
    /// Records that became documents.
    pub mapped: Counter,
    /// Documents written.
    pub delivered: Counter,
    /// Documents that had been written before.
    pub duplicates: Counter,
    /// How often a document had to be sent again.
    pub retried: Counter,
    /// Requests sent.
    pub requests: Counter,
    /// Commits that went well.
    pub commits: Counter,
    /// Records whose address met damage in a GeoIP database.
    pub broken_lookups: Counter,
    /// Dead letters by reason, counted when they are durable.
    pub dead: Names,
    /// Documents by activity type, of types the tables do not know.
    pub unknown_types: Names,
    /// Values by the path of their field, of fields the tables do not know.
    pub unknown_fields: Names,
    /// What the mappers did in which way.
    pub mappers: Mappers,
    /// Bytes of memory reckoned for records under way.
    pub bytes_in_flight: Gauge,
    /// The most there ever was of them.
    pub peak_bytes: Gauge,
    /// Batches that have not ended.
    pub open_batches: Gauge,
    /// Requests under way, and how many may be at present.
    pub requests_in_flight: Gauge,
    /// How many requests may be under way at present.
    pub request_limit: Gauge,
    /// Documents in a request.
    pub request_documents: Histogram,
    /// Bytes of documents in a request.
    pub request_bytes: Histogram,
    /// How long a request took, in milliseconds, whatever came of it.
    pub request_millis: Histogram,
    /// The time of the newest record that has ended, in milliseconds since 1970, never later than now; 0 for none.
    pub newest_record: Gauge,
    /// When positions were committed last, in milliseconds since 1970; 0 for never.
    pub last_commit: Gauge,
    /// The last dead letters.
    pub recent_dead: Recent,
    /// What the records of the last hour were about.
    pub glance: Glance,
    /// Reading.
    pub source: Health,
    /// Writing.
    pub sink: Health,
    /// Writing dead letters.
    pub dead_letters: Health,
    /// Committing positions.
    pub positions: Health,
}

/// In which way records were mapped, and how often something had to be looked up for it.
#[derive(Debug, Default)]
pub struct Mappers {
    /// Records written by a plan.
    pub planned: Counter,
    /// Records written by the general path.
    pub general: Counter,
    /// Of those, records with a plan that met something it did not foresee.
    pub surprises: Counter,
    /// Plans made.
    pub learnt: Counter,
    /// Addresses that were looked for in a cache.
    pub address_lookups: Counter,
    /// User agents that were looked for in a cache.
    pub agent_lookups: Counter,
    /// Addresses that were not in a cache.
    pub address_misses: Counter,
    /// User agents that were not in a cache.
    pub agent_misses: Counter,
}

/// Upper bounds of the classes. Documents in a request: from one to more than any sink takes.
const DOCUMENTS: &[u64] = &[1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];
/// Bytes in a request.
const BYTES: &[u64] =
    &[1 << 10, 16 << 10, 64 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 5 << 20, 10 << 20, 25 << 20];
/// Milliseconds for a request.
const MILLIS: &[u64] = &[1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];

impl Default for Status {
    fn default() -> Self {
        Self {
            batches: Counter::default(),
            read: Counter::default(),
            read_bytes: Counter::default(),
            mapped: Counter::default(),
            delivered: Counter::default(),
            duplicates: Counter::default(),
            retried: Counter::default(),
            requests: Counter::default(),
            commits: Counter::default(),
            broken_lookups: Counter::default(),
            dead: Names::default(),
            unknown_types: Names::default(),
            unknown_fields: Names::default(),
            mappers: Mappers::default(),
            bytes_in_flight: Gauge::default(),
            peak_bytes: Gauge::default(),
            open_batches: Gauge::default(),
            requests_in_flight: Gauge::default(),
            request_limit: Gauge::default(),
            request_documents: Histogram::new(DOCUMENTS),
            request_bytes: Histogram::new(BYTES),
            request_millis: Histogram::new(MILLIS),
            newest_record: Gauge::default(),
            last_commit: Gauge::default(),
            recent_dead: Recent::default(),
            glance: Glance::default(),
            source: Health::new("source"),
            sink: Health::new("sink"),
            dead_letters: Health::new("dead letters"),
            positions: Health::new("commits"),
        }
    }
}

/// Numbers of a run when it is over, or at any moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records found.
    pub read: u64,
    /// Records that became documents.
    pub mapped: u64,
    /// Documents written.
    pub delivered: u64,
    /// Documents that had been written before.
    pub duplicates: u64,
    /// How often a document had to be sent again.
    pub retried: u64,
    /// Dead letters by reason.
    pub dead: BTreeMap<String, u64>,
    /// Documents of types the tables do not know.
    pub unknown_types: BTreeMap<String, u64>,
}

impl Totals {
    /// How many records are in the dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.dead.values().sum()
    }
}

impl Status {
    /// The numbers as they are now.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            read: self.read.get(),
            mapped: self.mapped.get(),
            delivered: self.delivered.get(),
            duplicates: self.duplicates.get(),
            retried: self.retried.get(),
            dead: self.dead.get(),
            unknown_types: self.unknown_types.get(),
        }
    }

    /// Every part, whether it works or not.
    #[must_use]
    pub fn parts(&self) -> [&Health; 4] {
        [&self.source, &self.sink, &self.dead_letters, &self.positions]
    }

    /// The parts that are down, each with its fault.
    #[must_use]
    pub fn down(&self) -> Vec<(&'static str, Down)> {
        self.parts().into_iter().filter_map(|part| Some((part.part(), part.down()?))).collect()
    }

    /// A batch was mapped: what was met in it.
    pub(crate) fn met(&self, parcel: &mut Parcel) {
        self.broken_lookups.add(parcel.broken_lookups);
        for (name, count) in std::mem::take(&mut parcel.unknown_types) {
            self.unknown_types.add(&name, count);
        }
        let findings = std::mem::take(&mut parcel.findings);
        for (name, count) in &findings.unknown_fields {
            self.unknown_fields.add(name, *count);
        }
        let mappers = &self.mappers;
        mappers.planned.add(findings.plans.planned);
        mappers.general.add(findings.plans.general);
        mappers.surprises.add(findings.plans.surprises);
        mappers.learnt.add(findings.plans.learnt);
        mappers.address_lookups.add(findings.address_lookups);
        mappers.agent_lookups.add(findings.agent_lookups);
        mappers.address_misses.add(findings.address_misses);
        mappers.agent_misses.add(findings.agent_misses);
    }

    /// A request was tried.
    pub(crate) fn tried(&self, request: &Request, took: Duration) {
        self.request_documents.add(request.len() as u64);
        self.request_bytes.add(request.bytes() as u64);
        self.request_millis.add(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    }

    /// Every record of a batch has ended.
    pub(crate) fn ended(&self, parcel: &Parcel) {
        let documents = &parcel.documents;
        let last = documents.len().checked_sub(1).and_then(|last| documents.get(last));
        if let Some(time) = last.and_then(|document| timestamp(document.line)) {
            // A record of the future says nothing about how far we are.
            let time = time.min(Utc::now()).timestamp_millis();
            self.newest_record.raise(u64::try_from(time).unwrap_or_default());
        }
        self.glance.note(documents);
    }

    /// A letter is durable.
    pub(crate) fn buried(&self, letter: &Letter) {
        self.dead.add(&letter.reason, 1);
        self.recent_dead.note(letter);
    }

    /// Positions were committed.
    pub(crate) fn committed(&self) {
        self.commits.add(1);
        self.last_commit.set(u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default());
    }
}

/// The time a document begins with. Raw records have theirs elsewhere, which is not looked for.
fn timestamp(line: &[u8]) -> Option<DateTime<Utc>> {
    let text = line.strip_prefix(br#"{"@timestamp":""#)?;
    let end = text.iter().take(40).position(|byte| *byte == b'"')?;
    let text = std::str::from_utf8(text.get(..end)?).ok()?;
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_document_is_read_from_its_beginning() {
        let read = |line: &str| timestamp(line.as_bytes()).map(|time| time.timestamp_millis());
        assert_eq!(read(r#"{"@timestamp":"1970-01-01T00:00:01.500Z","data":1}"#), Some(1_500));
        assert_eq!(read(r#"{"@timestamp":"yesterday"}"#), None);
        assert_eq!(read(r#"{"id":"a","created_at":"1970-01-01T00:00:01.500Z"}"#), None);
        assert_eq!(read(r#"{"@timestamp":""#), None);
    }
}
