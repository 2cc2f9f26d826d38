//! One batch of raw records into one parcel: finished documents, and letters for what is none.
//!
//! Owns what becomes of each thing a source hands out. Must not know threads, sinks or positions beyond the mark it carries.
//!
//! The subtle thing: a record that is no activity may be a whole API page or an array, so it is offered to [`split_page`]
//! before it is given up. And each document remembers the bytes it came from: if a sink refuses it for good, the letter
//! holds the record as it came, not what was made of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::Utc;
use ingest::file::{Kind, Reason, split_page};
use ingest::{Batch, Mark, Origin, RawRecord};
use mapper::{Findings, Mapper, Mapping, Tags, Unmappable};
use output::dead_letters::Stage;
use output::{Documents, DocumentsBuilder, Rejection};
use serde::Deserialize;
use tracing::Span;

use crate::dead::Letter;
use crate::spans;

/// How many bytes of a detail or a name are kept: they come from outside and may be as long as they like.
const LONGEST_DETAIL: usize = 4 << 10;
const LONGEST_NAME: usize = 128;

/// What documents are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// ECS documents.
    #[default]
    Ecs,
    /// The raw records themselves, under the id their document would have.
    Raw,
}

/// What messages are keyed by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyBy {
    /// The activity's id.
    #[default]
    Id,
    /// Who did it, so that one actor's activities keep their order; the id where none is named.
    Actor,
    /// The organization; the id where none is named.
    Organization,
}

/// What can be chosen about documents beyond the mapping itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct DecodeOptions {
    /// What documents are.
    pub format: Format,
    /// What they are keyed by.
    pub key: KeyBy,
    /// Whether they say when they passed here, as `event.ingested`.
    pub ingested: bool,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Parcel {
    /// The batch.
    pub mark: Mark,
    /// What is to be delivered.
    pub documents: Arc<Documents>,
    /// What is to be written to the dead letters.
    pub letters: Vec<Letter>,
    /// Activity types that the tables do not know, with how many documents there are of each.
    pub unknown_types: BTreeMap<String, u64>,
    /// Documents whose address met damage in a GeoIP database.
    pub broken_lookups: u64,
    /// What the mapper met on the way.
    pub findings: Findings,
    /// What it takes of memory, in bytes.
    pub cost: usize,
    /// The span of the batch.
    pub(crate) span: Span,
    records: Vec<RawRecord>,
    places: Vec<Place>,
}

/// Where in the batch the bytes of a document are.
#[derive(Debug, Clone, Copy)]
struct Place {
    record: u32,
    start: u32,
    end: u32,
}

impl Parcel {
    /// How many records it holds: each is a document or a letter.
    #[must_use]
    pub fn len(&self) -> u64 {
        (self.documents.len() + self.letters.len()) as u64
    }

    /// Whether there is nothing to deliver and nothing to bury.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The letter for a document that was refused for good at the given attempt.
    #[must_use]
    pub fn refused(&self, document: u32, rejection: Rejection, attempts: u32) -> Option<Letter> {
        let place = self.places.get(document as usize)?;
        let record = self.records.get(place.record as usize)?;
        let why = Why { reason: rejection.reason.into(), detail: rejection.detail, stage: Stage::Deliver };
        Some(letter(record, place.start..place.end, why, attempts))
    }
}

/// What a batch is reckoned to take of memory until it is mapped, in bytes: the records, and twice the room for their
/// documents, which are copied once.
#[must_use]
pub(crate) fn expected_cost(batch: &Batch) -> usize {
    let (raw, records) = (raw_bytes(batch), batch.records.len());
    // A record may be a page of many; none of those is shorter than this.
    let entries = records.max(raw / 256);
    EACH_BATCH + entries * EACH_RECORD + raw + 2 * room(raw, records)
}

fn raw_bytes(batch: &Batch) -> usize {
    batch.records.iter().map(|record| record.bytes.len()).sum()
}

/// What documents take. They are about twice as long as their records; the part that is the same in all counts for more where
/// records are short.
fn room(raw: usize, records: usize) -> usize {
    raw.saturating_mul(3) / 2 + records * 512
}

/// What a batch and a record take beside their bytes: entries in lists, offsets, names.
const EACH_BATCH: usize = 512;
const EACH_RECORD: usize = 256;

/// How large a buffer for documents may stay between batches, in bytes.
const KEPT_BUFFER: usize = 4 << 20;

/// Turns batches into parcels, one after the other; each thread has its own.
pub struct Decoder {
    mapper: Mapper,
    options: DecodeOptions,
    /// The documents of the batch in hand, which leave it in one piece of just their length; where raw records are to be
    /// delivered, the document of the record in hand.
    documents: mapper::Documents,
}

impl Decoder {
    /// A decoder with empty caches.
    #[must_use]
    pub fn new(mapping: &Arc<Mapping>, options: DecodeOptions) -> Self {
        let mapper = Mapper::new(Arc::clone(mapping));
        Self { mapper, options, documents: mapper::Documents::default() }
    }

    /// Maps a batch.
    #[must_use]
    pub fn decode(&mut self, batch: Batch) -> Parcel {
        if self.options.ingested {
            self.mapper.set_ingested(Some(Utc::now()));
        }
        let raw = raw_bytes(&batch);
        let span = spans::map(&batch.span, raw);
        let mut work = Work::with_room(batch.records.len());
        for (at, record) in batch.records.iter().enumerate() {
            let whole = 0..record.bytes.len() as u32;
            let Err(why) = self.one(record, at, whole.clone(), record.kind, &mut work) else { continue };
            match if record.kind == Kind::Record { split_page(&record.bytes) } else { None } {
                None => work.letters.push(letter(record, whole, why, 0)),
                Some(parts) => {
                    for part in parts {
                        let range = part.start..part.end;
                        if let Err(why) = self.one(record, at, range.clone(), part.kind, &mut work) {
                            work.letters.push(letter(record, range, why, 0));
                        }
                    }
                }
            }
        }
        let parcel = work.finish(batch, raw, self.documents.as_slice());
        self.documents.clear();
        if self.documents.capacity() > KEPT_BUFFER {
            self.documents = mapper::Documents::default();
        }
        spans::mapped(&span, &parcel);
        Parcel { findings: self.mapper.take_findings(), ..parcel }
    }

    /// Maps one record, or says why there is none.
    fn one(
        &mut self,
        record: &RawRecord,
        at: usize,
        range: std::ops::Range<u32>,
        kind: Kind,
        work: &mut Work,
    ) -> Result<(), Why> {
        match kind {
            Kind::Record => {}
            Kind::Malformed(reason) => return Err(Why::malformed(reason)),
            Kind::TooLarge { length } => return Err(Why::too_large(length)),
        }
        let bytes = record.bytes.get(range.start as usize..range.end as usize).unwrap_or_default();
        let start = self.documents.len();
        let mapped = self.mapper.append(bytes, &mut self.documents);
        let mapped = mapped.map_err(|why| Why::unmappable(&why))?;
        if mapped.tags.contains(Tags::UNKNOWN_ACTIVITY_TYPE) {
            *work.unknown_types.entry(shorten(mapped.activity_type, LONGEST_NAME).to_owned()).or_default() +=
                1;
        }
        work.broken_lookups += u64::from(mapped.tags.contains(Tags::GEOIP_LOOKUP_FAILURE));
        let key = match self.options.key {
            KeyBy::Id => None,
            by => key(self.documents.as_slice().get(start..).unwrap_or_default(), by),
        };
        let (id, action) = (mapped.event_id, mapped.activity_type);
        match self.options.format {
            Format::Ecs => {
                self.documents.push(b'\n');
                work.documents.note(self.documents.len(), id, action, key.as_deref());
            }
            Format::Raw => {
                self.documents.clear();
                append_line(&mut work.documents.lines, bytes);
                work.documents.push(id, action, key.as_deref());
            }
        }
        work.places.push(Place { record: at as u32, start: range.start, end: range.end });
        Ok(())
    }
}

/// Appends a raw record as one line. Line ends in it lie between its tokens, since JSON allows none in strings, so that a
/// space says the same.
fn append_line(lines: &mut Vec<u8>, raw: &[u8]) {
    let start = lines.len();
    lines.extend_from_slice(raw.trim_ascii());
    for byte in lines.iter_mut().skip(start).filter(|byte| matches!(**byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

/// What a document is keyed by, if it has it. The document is our own, so that its shape is known; reading it once more
/// costs some two microseconds, and only where such a key was asked for.
fn key(document: &[u8], by: KeyBy) -> Option<String> {
    #[derive(Deserialize)]
    struct Named<'d> {
        #[serde(borrow)]
        id: Option<Cow<'d, str>>,
    }
    #[derive(Deserialize)]
    struct Audit<'d> {
        #[serde(borrow)]
        actor: Option<Named<'d>>,
    }
    #[derive(Deserialize)]
    struct Vendor<'d> {
        #[serde(borrow)]
        audit: Option<Audit<'d>>,
    }
    #[derive(Deserialize)]
    struct Keys<'d> {
        #[serde(borrow)]
        anthropic: Option<Vendor<'d>>,
        #[serde(borrow)]
        organization: Option<Named<'d>>,
    }
    let keys: Keys<'_> = serde_json::from_slice(document).ok()?;
    let named = match by {
        KeyBy::Id => None,
        KeyBy::Actor => keys.anthropic.and_then(|vendor| vendor.audit).and_then(|audit| audit.actor),
        KeyBy::Organization => keys.organization,
    };
    named.and_then(|named| named.id).map(Cow::into_owned)
}

/// A parcel in the making.
#[derive(Default)]
struct Work {
    documents: DocumentsBuilder,
    places: Vec<Place>,
    letters: Vec<Letter>,
    unknown_types: BTreeMap<String, u64>,
    broken_lookups: u64,
}

impl Work {
    fn with_room(records: usize) -> Self {
        Self { places: Vec::with_capacity(records), ..Self::default() }
    }

    /// The parcel; `documents` are the bytes of what was noted.
    fn finish(mut self, batch: Batch, raw: usize, documents: &[u8]) -> Parcel {
        let lines = match std::mem::take(&mut self.documents.lines) {
            none if none.is_empty() => Bytes::copy_from_slice(documents),
            lines => Bytes::from(lines.into_boxed_slice()),
        };
        let count = batch.records.len().max(self.places.len()) + self.letters.len();
        let cost = EACH_BATCH + count * EACH_RECORD + raw + lines.len();
        Parcel {
            mark: batch.mark,
            documents: Arc::new(self.documents.finish_with(lines)),
            letters: self.letters,
            unknown_types: self.unknown_types,
            broken_lookups: self.broken_lookups,
            findings: Findings::default(),
            cost,
            span: batch.span,
            records: batch.records,
            places: self.places,
        }
    }
}

#[cold]
fn letter(record: &RawRecord, range: std::ops::Range<u32>, why: Why, attempts: u32) -> Letter {
    let (start, end) = (range.start as usize, range.end as usize);
    let raw =
        if end <= record.bytes.len() && start <= end { record.bytes.slice(start..end) } else { Bytes::new() };
    let length = match record.kind {
        Kind::TooLarge { length } => length,
        Kind::Record | Kind::Malformed(_) => raw.len() as u64,
    };
    let origin: Origin = record.origin.clone();
    let reason = shorten(&why.reason, LONGEST_NAME).to_owned();
    let detail = shorten(&why.detail, LONGEST_DETAIL).to_owned();
    let offset = u64::from(range.start);
    Letter { raw, length, reason, detail, stage: why.stage, origin, offset, attempts, time: Utc::now() }
}

/// Why something is no document, or a document that nobody takes.
struct Why {
    reason: Cow<'static, str>,
    detail: String,
    stage: Stage,
}

impl Why {
    #[cold]
    fn malformed(reason: Reason) -> Self {
        let name = match reason {
            Reason::NotAnObject => "not_an_object",
            Reason::Unbalanced | Reason::LineBreakInString => "not_json",
            Reason::Truncated => "truncated",
            Reason::NotAPage => "not_a_page",
        };
        Self { reason: name.into(), detail: reason.to_string(), stage: Stage::Decode }
    }

    #[cold]
    fn too_large(length: u64) -> Self {
        let detail = format!("{length} bytes, more than one record may have");
        Self { reason: "too_large".into(), detail, stage: Stage::Decode }
    }

    #[cold]
    fn unmappable(why: &Unmappable) -> Self {
        Self { reason: why.reason().into(), detail: why.to_string(), stage: Stage::Map }
    }
}

/// The beginning of a text, as far as it is kept.
pub(crate) fn shorten(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
#[path = "mapping_tests.rs"]
mod tests;
