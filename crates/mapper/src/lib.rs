//! From a raw activity to an ECS document.
//!
//! [`Mapper::map`] takes the bytes of one record of Anthropic's Compliance API activity feed and
//! appends the bytes of one Elastic Common Schema 9.4.0 document. It is pure (no IO; the same bytes in
//! give the same bytes out) and total: every JSON object that has an `id` or a `type` is mapped, whatever else it holds, and
//! every non-empty value of it is in the document. What it knows comes from the tables of
//! [`model::tables`]; this crate knows no activity type by name.
//!
//! The way of a record: `record` parses it, `fields` finds a rule for each field and fills slots, `map` writes
//! the slots in document order (`program` holds both, compiled from the tables), with finished pieces
//! for address and client from `fragments`; `plan` remembers how, and `layout` recognises the next record of the same shape by its
//! bytes. What no index would take goes to `anthropic.audit.metadata`, tagged.

mod cache;
mod compile;
mod document;
mod documents;
mod exact;
mod fields;
mod findings;
mod flatten;
mod fragments;
mod json;
mod layout;
mod map;
mod message;
mod out;
mod plan;
mod plans;
mod privacy;
mod program;
mod record;
mod tags;
mod text;
mod time;
mod unknown;
mod url;
mod value;
mod writer;

pub mod enrich;

use std::sync::{Arc, Mutex};

use chrono::{DateTime, SecondsFormat, Utc};
use model::tables::{EcsFields, Tables};
use thiserror::Error;

pub use documents::Documents;
pub use findings::Findings;
pub use privacy::{Action, Privacy, PrivacyError, PrivacyOptions, PrivacyRule, SHORTEST_KEY};
pub use tags::Tags;

use enrich::GeoDatabases;
use out::Out;
use privacy::{Treater, Unreadable};
use program::Program;

/// The ECS version of the documents.
pub const ECS_VERSION: &str = "9.4.0";

/// How deep a value may nest before the rest of it is written as a JSON string.
pub const MAX_DEPTH: usize = 64;

/// What can be chosen about the documents.
#[derive(Debug, Clone)]
pub struct MapperOptions {
    /// `data_stream.namespace`.
    pub namespace: String,
    /// Keep the raw record, byte for byte, in `event.original`.
    pub preserve_original: bool,
    /// Write the SHA-256 of the raw record to `event.hash`.
    pub event_hash: bool,
    /// Larger records are refused, in bytes.
    pub max_record_bytes: usize,
    /// What is treated before anything is made of it; everything above that says "raw record" then means the treated one.
    pub privacy: Option<Arc<Privacy>>,
}

impl Default for MapperOptions {
    fn default() -> Self {
        Self {
            namespace: "default".to_owned(),
            preserve_original: false,
            event_hash: false,
            max_record_bytes: 16 << 20,
            privacy: None,
        }
    }
}

/// Everything that does not change from record to record; shared by all mappers.
pub struct Mapping {
    program: Program,
    ecs: EcsFields,
    geo: GeoDatabases,
    options: MapperOptions,
    /// What stands between `@timestamp` and `event`.
    head: Vec<u8>,
    /// How documents of treated records end that have no other tags, by what was done.
    ends: Vec<Box<[u8]>>,
    /// Held while a huge record is mapped, so that a number of threads do not need the memory for as many at once.
    huge: Mutex<()>,
}

impl Mapping {
    /// Compiles the tables.
    #[must_use]
    pub fn new(tables: Tables, geo: GeoDatabases, options: MapperOptions) -> Self {
        let mut head = b"\"data_stream\":{\"dataset\":\"anthropic.audit\",\"namespace\":".to_vec();
        head.extend_from_slice(&json::string(&options.namespace));
        let rest = format!(",\"type\":\"logs\"}},\"ecs\":{{\"version\":\"{ECS_VERSION}\"}},");
        head.extend_from_slice(rest.as_bytes());
        let ends = options.privacy.as_ref().map(|_| map::ends(&options)).unwrap_or_default();
        Self {
            program: Program::compile(tables),
            ecs: EcsFields::builtin(),
            geo,
            options,
            head,
            ends,
            huge: Mutex::new(()),
        }
    }

    /// The tables the mapping was compiled from.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.program.tables
    }

    /// The open GeoIP databases.
    #[must_use]
    pub fn geo(&self) -> &GeoDatabases {
        &self.geo
    }
}

/// Maps records, one after the other; each thread has its own.
pub struct Mapper {
    mapping: Arc<Mapping>,
    parser: record::Parser,
    state: map::State,
    /// The document of a caller that wants it in a `Vec`.
    document: Documents,
    treater: Option<Box<Treater>>,
    /// `event.ingested`, when the caller sets it.
    ingested: Option<String>,
    plans: bool,
    /// The statistics that were taken.
    taken: PlanStatistics,
}

/// What became of a record, beside the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapped<'m> {
    /// `event.id`, which is also the id a document is to be stored under.
    pub event_id: &'m str,
    /// `event.action`; empty when the record has no type.
    pub activity_type: &'m str,
    /// What was unusual about the record.
    pub tags: Tags,
}

/// How many records were written in which way; see [`Mapper::use_plans`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlanStatistics {
    /// By a plan.
    pub planned: u64,
    /// By the general path.
    pub general: u64,
    /// Of those, how many had a plan that met something it did not foresee.
    pub surprises: u64,
    /// Plans made.
    pub learnt: u64,
}

/// The record cannot be made a document; it belongs to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unmappable {
    /// The bytes are not JSON.
    #[error("not JSON: expected {expected} at byte {offset}")]
    NotJson {
        /// What would have been right there.
        expected: &'static str,
        /// Byte offset in the record.
        offset: usize,
    },
    /// A JSON value, but no object.
    #[error("not a JSON object but {found}")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// Neither `id` nor `type`: this is no activity.
    #[error("not an activity: the object has neither `id` nor `type`")]
    NotAnActivity,
    /// The record is larger than allowed.
    #[error("{size} bytes, more than the {limit} allowed")]
    TooLarge {
        /// The record's size in bytes.
        size: usize,
        /// The largest size allowed in bytes.
        limit: usize,
    },
}

impl Unmappable {
    /// A short name for counters and dead letters.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "not_json",
            Self::NotAnObject { .. } => "not_an_object",
            Self::NotAnActivity => "not_an_activity",
            Self::TooLarge { .. } => "too_large",
        }
    }

    /// Where in the record the fault lies, in bytes from its start.
    #[must_use]
    pub fn offset(&self) -> usize {
        match self {
            Self::NotJson { offset, .. } => *offset,
            Self::NotAnObject { .. } | Self::NotAnActivity | Self::TooLarge { .. } => 0,
        }
    }
}

impl Mapper {
    /// A mapper with empty caches.
    #[must_use]
    pub fn new(mapping: Arc<Mapping>) -> Self {
        let are_truncated = mapping.options.privacy.as_ref().is_some_and(|privacy| privacy.truncates());
        let state = map::State::new(&mapping.program, are_truncated);
        let document = Documents::default();
        let treater = mapping.options.privacy.as_ref().map(|_| Box::new(Treater::new()));
        Self {
            mapping,
            parser: record::Parser::new(),
            state,
            document,
            treater,
            ingested: None,
            plans: true,
            taken: PlanStatistics::default(),
        }
    }

    /// Sets or clears the `event.ingested` of the documents to come, in UTC.
    pub fn set_ingested(&mut self, at: Option<DateTime<Utc>>) {
        let ingested = at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
        if ingested.is_some() != self.ingested.is_some() {
            self.state.forget_plans();
        }
        self.ingested = ingested;
    }

    /// Whether records of a shape met before are written by a plan learnt from the first (the default) or
    /// each by the general path. The documents are the same; this is for tests that show it, and for
    /// measuring.
    pub fn use_plans(&mut self, plans: bool) {
        self.plans = plans;
    }

    /// How the records so far were written.
    #[must_use]
    pub fn plan_statistics(&self) -> PlanStatistics {
        self.state.statistics()
    }

    /// What was met since this was asked last.
    pub fn take_findings(&mut self) -> Findings {
        let (before, now) = (self.taken, self.plan_statistics());
        self.taken = now;
        Findings { plans: now.since(before), ..self.state.take_findings() }
    }

    /// Appends the document for `raw`, one JSON object without a line end, to `out`.
    ///
    /// # Errors
    ///
    /// [`Unmappable`], and then nothing is appended.
    pub fn map(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<Mapped<'_>, Unmappable> {
        let mut document = std::mem::take(&mut self.document);
        document.clear();
        let written = self.write(raw, &mut document.0);
        if written.is_ok() {
            out.extend_from_slice(document.as_slice());
        }
        if document.capacity() <= LARGE_RECORD {
            self.document = document;
        }
        written.map(|()| self.state.mapped())
    }

    /// The same as [`Mapper::map`] for a buffer that is ours, which saves a copy.
    ///
    /// # Errors
    ///
    /// [`Unmappable`], and then nothing is appended.
    pub fn append(&mut self, raw: &[u8], documents: &mut Documents) -> Result<Mapped<'_>, Unmappable> {
        self.write(raw, &mut documents.0).map(|()| self.state.mapped())
    }

    fn write(&mut self, raw: &[u8], out: &mut Out) -> Result<(), Unmappable> {
        let limit = self.mapping.options.max_record_bytes;
        if raw.len() > limit {
            return Err(Unmappable::TooLarge { size: raw.len(), limit });
        }
        let shared = (raw.len() > LARGE_RECORD).then(|| Arc::clone(&self.mapping));
        let _alone = shared.as_ref().map(|mapping| mapping.huge.lock());
        match self.treater.take() {
            None => self.write_record(raw, None, out),
            Some(mut treater) => {
                let written = self.write_treated(raw, &mut treater, out);
                if raw.len() > LARGE_RECORD {
                    treater.shrink(LARGE_RECORD);
                }
                self.treater = Some(treater);
                written
            }
        }
    }

    /// Treats a record, and writes the document of what comes out.
    fn write_treated(&mut self, raw: &[u8], treater: &mut Treater, out: &mut Out) -> Result<(), Unmappable> {
        let options = &self.mapping.options;
        let Some(privacy) = &options.privacy else { return self.write_record(raw, None, out) };
        let written = match treater.treat(privacy, raw, options.max_record_bytes) {
            Ok(done) if done.is_empty() => self.write_record(raw, Some(done), out),
            Ok(done) => self.write_record(treater.record(), Some(done), out),
            Err(Unreadable) => Err(Unmappable::NotJson { expected: "a record of JSON", offset: 0 }),
        };
        match written {
            // Where the fault lies is asked of the record as it came.
            Err(Unmappable::NotJson { expected, offset }) => {
                let fault = exact::parse(raw).err().unwrap_or(record::NotJson { expected, offset });
                Err(Unmappable::NotJson { expected: fault.expected, offset: fault.offset })
            }
            written => written,
        }
    }

    /// Writes the document of a record; `treated` is what was done to it, if privacy is on.
    fn write_record(&mut self, raw: &[u8], treated: Option<Tags>, out: &mut Out) -> Result<(), Unmappable> {
        let context = map::Context {
            mapping: &self.mapping,
            ingested: self.ingested.as_deref(),
            plans: self.plans && raw.len() <= LARGE_RECORD,
            treated,
        };
        let (state, start) = (&mut self.state, out.len());
        if context.plans && map::map_by_plan(context, state, &mut self.parser, raw, out) {
            return Ok(());
        }
        let mapped = self.parser.parse(raw, |record| {
            let mut keep_original = context.mapping.options.preserve_original;
            loop {
                let verdict = map::map(context, state, record, keep_original, out);
                if verdict != map::Verdict::Mapped {
                    out.truncate(start);
                }
                match verdict {
                    map::Verdict::Mapped => return Some(Ok(())),
                    map::Verdict::NotAnObject(found) => return Some(Err(Unmappable::NotAnObject { found })),
                    map::Verdict::NotAnActivity => return Some(Err(Unmappable::NotAnActivity)),
                    map::Verdict::NeedsOriginal => keep_original = true,
                    map::Verdict::NeedsExactNumbers => return None,
                }
            }
        });
        if raw.len() > LARGE_RECORD {
            self.parser.shrink(LARGE_RECORD);
            self.state.shrink(&self.mapping.program);
        }
        mapped.unwrap_or_else(|not_json| {
            Err(Unmappable::NotJson { expected: not_json.expected, offset: not_json.offset })
        })
    }
}

/// What a record of more than this makes the buffers grow by is given back.
const LARGE_RECORD: usize = 128 << 10;
