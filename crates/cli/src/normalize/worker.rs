//! One mapper thread's work: a block of raw records in, batches of finished lines out.
//!
//! Owns what happens to each thing found in an input: it becomes a line of the output or a dead letter, and
//! is counted as one. Must not know threads or files.
//!
//! The subtle thing: a line that is no activity may be a whole API page, so it is offered to
//! [`split_page`] before it is given up. And a batch is handed on as soon as it is large, wherever in a
//! block that happens, because a few input bytes can make a long document.

use std::collections::BTreeMap;
use std::sync::Arc;

use ingest::file::{Block, Kind, Reason, split_page};
use mapper::{Documents, Mapper, Mapping, Tags, Unmappable};
use output::dead_letters::{DeadLetter, Place, Stage};

/// Finished lines.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Documents, one a line.
    pub(super) documents: Documents,
    /// Dead letters, one a line.
    pub(super) dead: Vec<u8>,
    /// What this batch adds to the totals.
    pub(super) counts: Counts,
    /// Whether the block ends with this batch.
    pub(super) last: bool,
}

/// Numbers of one batch.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Bytes of records.
    pub(super) bytes: u64,
    /// Documents.
    pub(super) written: u64,
    /// Dead letters by reason.
    pub(super) dead: BTreeMap<&'static str, u64>,
    /// Documents of activity types that the tables do not know.
    pub(super) unknown_types: BTreeMap<String, u64>,
    /// Documents whose address met damage in a GeoIP database.
    pub(super) broken_lookups: u64,
}

/// For the document that goes beyond the usual bytes of a batch.
const ROOM: usize = 16 << 10;

impl Batch {
    /// An empty batch with room for the `usual` bytes.
    pub(super) fn new(usual: usize) -> Self {
        Self { documents: Documents::with_capacity(usual + ROOM), ..Self::default() }
    }

    /// Makes it ready to be filled again. Memory is given back if long records made it far more than the `usual`
    /// bytes, which doubling alone does not.
    pub(super) fn clear(&mut self, usual: usize) {
        self.documents.clear();
        if self.documents.capacity() > 4 * usual {
            self.documents = Documents::with_capacity(usual + ROOM);
        }
        self.dead.clear();
        if self.dead.capacity() > 4 * usual {
            self.dead.shrink_to(usual);
        }
        self.counts = Counts::default();
        self.last = false;
    }

    fn len(&self) -> usize {
        self.documents.len() + self.dead.len()
    }
}

/// A mapper and what it needs to name the places of dead letters.
pub(super) struct Worker {
    mapper: Mapper,
    inputs: Arc<[String]>,
    batch_bytes: usize,
}

impl Worker {
    /// A worker whose batches are handed on at `batch_bytes`.
    pub(super) fn new(mapping: &Arc<Mapping>, inputs: Arc<[String]>, batch_bytes: usize) -> Self {
        Self { mapper: Mapper::new(Arc::clone(mapping)), inputs, batch_bytes }
    }

    /// From how many bytes on a batch is full.
    pub(super) fn batch_bytes(&self) -> usize {
        self.batch_bytes
    }

    /// Maps a block. Full batches are handed to `ship`, which answers with an empty one, or with `None` when
    /// nobody wants any more. The last batch, which is returned, may be empty.
    pub(super) fn map(
        &mut self,
        block: &Block,
        mut batch: Batch,
        ship: &mut impl FnMut(Batch) -> Option<Batch>,
    ) -> Option<Batch> {
        let input = block.input();
        for span in block.spans() {
            let bytes = block.bytes(span);
            let parts = match self.one(bytes, span.kind, &mut batch) {
                Ok(()) => Vec::new(),
                Err(why) => match split(bytes, span.kind) {
                    Some(parts) => parts,
                    None => {
                        self.dead(bytes, span.offset, input, &why, &mut batch);
                        Vec::new()
                    }
                },
            };
            for part in parts {
                let bytes = bytes.get(part.start as usize..part.end as usize).unwrap_or_default();
                if let Err(why) = self.one(bytes, part.kind, &mut batch) {
                    self.dead(bytes, span.offset + part.offset, input, &why, &mut batch);
                }
                if batch.len() >= self.batch_bytes {
                    batch = ship(batch)?;
                }
            }
            if batch.len() >= self.batch_bytes {
                batch = ship(batch)?;
            }
        }
        Some(batch)
    }

    /// Maps one record, or says why there is none.
    fn one(&mut self, bytes: &[u8], kind: Kind, batch: &mut Batch) -> Result<(), Why> {
        match kind {
            Kind::Record => {}
            Kind::Malformed(reason) => return Err(Why::Malformed(reason)),
            Kind::TooLarge { length } => return Err(Why::TooLarge(length)),
        }
        let mapped = self.mapper.append(bytes, &mut batch.documents).map_err(Why::Unmappable)?;
        if mapped.tags.contains(Tags::UNKNOWN_ACTIVITY_TYPE) {
            *batch.counts.unknown_types.entry(shorten(mapped.activity_type).to_owned()).or_default() += 1;
        }
        batch.counts.broken_lookups += u64::from(mapped.tags.contains(Tags::GEOIP_LOOKUP_FAILURE));
        batch.documents.push(b'\n');
        batch.counts.written += 1;
        batch.counts.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes a dead letter.
    #[cold]
    fn dead(&self, raw: &[u8], offset: u64, input: usize, why: &Why, batch: &mut Batch) {
        let length = match why {
            Why::TooLarge(length) => *length,
            Why::Malformed(_) | Why::Unmappable(_) => raw.len() as u64,
        };
        let path = self.inputs.get(input).map_or("", String::as_str);
        let (reason, detail) = (why.reason(), why.detail());
        let stage = match why {
            Why::Malformed(_) | Why::TooLarge(_) => Stage::Decode,
            Why::Unmappable(_) => Stage::Map,
        };
        // Without a time: the same input gives the same bytes.
        let source = Place::File { path, offset };
        let letter =
            DeadLetter { reason, detail: &detail, stage, source, attempts: 0, time: None, length, raw };
        letter.line(&mut batch.dead);
        *batch.counts.dead.entry(reason).or_default() += 1;
        batch.counts.bytes += length;
    }
}

/// Takes apart what is no record by itself but may hold some.
#[cold]
fn split(bytes: &[u8], kind: Kind) -> Option<Vec<ingest::file::Span>> {
    if kind == Kind::Record { split_page(bytes) } else { None }
}

/// Why something is no document.
enum Why {
    Malformed(Reason),
    TooLarge(u64),
    Unmappable(Unmappable),
}

impl Why {
    fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(Reason::NotAnObject) => "not_an_object",
            Self::Malformed(Reason::Unbalanced | Reason::LineBreakInString) => "not_json",
            Self::Malformed(Reason::Truncated) => "truncated",
            Self::Malformed(Reason::NotAPage) => "not_a_page",
            Self::TooLarge(_) => "too_large",
            Self::Unmappable(why) => why.reason(),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Malformed(reason) => reason.to_string(),
            Self::TooLarge(length) => format!("{length} bytes, more than --max-record-size allows"),
            Self::Unmappable(why) => why.to_string(),
        }
    }
}
/// A name as far as it is counted by: a record may make it as long as it likes.
fn shorten(name: &str) -> &str {
    let mut end = name.len().min(128);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}
