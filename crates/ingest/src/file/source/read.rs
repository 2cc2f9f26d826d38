//! The thread that reads: inputs into batches.
//!
//! Owns the way through one input, again and again until it has come to its end, and what each batch says about how far it is.
//! Must not know commits.
//!
//! The subtle thing: going on in the middle of an input means reading it from its start and passing over what was given out
//! before. An array or a page cannot be understood from its middle, nor a compressed file. It costs what splitting
//! costs, and shows on the way whether the bytes are still the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use model::fault::{Fault, FaultKind};
use tokio::sync::mpsc::Sender;

use super::plan::{Planned, changed};
use super::position::{Entry, Identity, Reached, Verdict};
use crate::dead_letter;
use crate::file::block::HEAD_BYTES;
use crate::file::{Block, Kind, Options, ReadError, Reason, Records, Span};
use crate::source::{Origin, RawRecord};

/// What comes from the thread.
#[derive(Debug)]
pub(super) enum Item {
    /// Records, and what is known of their input when they have ended.
    Batch(Vec<RawRecord>, Option<(usize, Entry)>),
    /// Reading waits until it is told to try again.
    Fault(Fault),
    /// All inputs are used up.
    End,
}

/// What the thread works with.
pub(super) struct Reader {
    pub(super) inputs: Vec<Planned>,
    /// How far each input was read, by its index.
    pub(super) before: Vec<Option<Entry>>,
    pub(super) options: Options,
    pub(super) max_record_bytes: u64,
    pub(super) saved: PathBuf,
    pub(super) items: Sender<Item>,
    pub(super) retry: Receiver<()>,
}

/// Why reading an input stopped.
enum Stop {
    /// Nobody wants more.
    Unwanted,
    Fault(Fault),
}

impl Reader {
    /// Reads all inputs.
    pub(super) fn run(mut self) {
        let mut before = std::mem::take(&mut self.before);
        before.resize(self.inputs.len(), None);
        for (at, (planned, before)) in self.inputs.iter().zip(&mut before).enumerate() {
            loop {
                match self.read(at, planned, before) {
                    Ok(()) => break,
                    Err(Stop::Unwanted) => return,
                    Err(Stop::Fault(fault)) => {
                        if self.items.blocking_send(Item::Fault(fault)).is_err() || self.retry.recv().is_err()
                        {
                            return;
                        }
                    }
                }
            }
        }
        let _ = self.items.blocking_send(Item::End);
    }

    /// Reads one input, from where it was left.
    fn read(&self, at: usize, planned: &Planned, known: &mut Option<Entry>) -> Result<(), Stop> {
        let path = planned.input.path().filter(|_| planned.resumable);
        let identity = path.map(Identity::of).transpose().map_err(|error| unreadable(planned, &error))?;
        let mut before = known.as_ref().map(|entry| entry.reached.clone());
        let mut reached = Reached::default();
        let mut records = Records::new(vec![planned.input.clone()], self.options);
        let progress = records.progress();
        let mut block = Block::new();
        let mut damage = None;
        loop {
            match records.next_block(&mut block) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let error = damaged(planned, error)?;
                    tracing::error!(%error, "the rest of this file cannot be read; what could be is kept");
                    damage = Some(error);
                    break;
                }
            }
            let mut spans = block.spans();
            if let Some(old) = &before {
                let (known, verdict) = compare(old, reached.spans, &block);
                let (passed, rest) = spans.split_at_checked(known).unwrap_or((spans, &[]));
                reached.pass(passed, &block);
                spans = rest;
                match verdict {
                    Verdict::Same if reached.spans < old.spans => {}
                    Verdict::Same | Verdict::Grown => before = None,
                    Verdict::Changed => {
                        let offset = rest.first().map_or(0, |span| span.offset);
                        let difference = format!("other bytes at byte {offset} of its content");
                        return Err(Stop::Fault(changed(&planned.name, &difference, &self.saved)));
                    }
                }
            }
            if spans.is_empty() && !self.items.is_closed() {
                continue;
            }
            let records = self.records(planned, &block, spans);
            reached.pass(spans, &block);
            let entry = identity.clone().map(|identity| entry(planned, identity, reached.clone()));
            // Another try goes on from here.
            known.clone_from(&entry);
            self.give(at, records, entry)?;
        }
        if let Some(old) = before.filter(|old| reached.spans < old.spans)
            && !old.may_end_before(reached.spans)
        {
            let difference = format!("it had {} records or more, and has {}", old.spans, reached.spans);
            return Err(Stop::Fault(changed(&planned.name, &difference, &self.saved)));
        }
        reached.ended = true;
        let identity = match (identity, path) {
            (Some(identity), Some(path)) => {
                // Of a damaged file nothing more will ever be read, unless it is another one.
                let size = if damage.is_some() { size_of(path) } else { Ok(progress.bytes()) };
                let ended = size.and_then(|size| identity.ended(path, size));
                Some(ended.map_err(|error| unreadable(planned, &error))?)
            }
            _ => None,
        };
        let record = damage.map(|_| RawRecord {
            bytes: Bytes::new(),
            kind: Kind::Malformed(Reason::Truncated),
            origin: Origin::File { path: planned.name.clone(), offset: reached.offset() },
        });
        let entry = identity.map(|identity| entry(planned, identity, reached));
        self.give(at, record.into_iter().collect(), entry)
    }

    /// Hands a batch over.
    fn give(&self, at: usize, records: Vec<RawRecord>, entry: Option<Entry>) -> Result<(), Stop> {
        let item = Item::Batch(records, entry.map(|entry| (at, entry)));
        self.items.blocking_send(item).map_err(|_| Stop::Unwanted)
    }

    /// Spans as records of their own: one copy of all the bytes, so that a block that is not full is not held.
    fn records(&self, planned: &Planned, block: &Block, spans: &[Span]) -> Vec<RawRecord> {
        let start = spans.iter().map(|span| span.start).min().unwrap_or_default();
        let end = spans.iter().map(|span| span.end).max().unwrap_or_default();
        let shared = Bytes::copy_from_slice(block.data.get(start as usize..end as usize).unwrap_or_default());
        // A name of the batch's own: a count shared by all batches would travel between all the cores that drop records.
        let path: Arc<str> = Arc::from(&*planned.name);
        let record = |span: &Span| {
            let mut bytes = shared.slice((span.start - start) as usize..(span.end - start) as usize);
            let mut kind = span.kind;
            match dead_letter::unwrap(&bytes).filter(|_| kind == Kind::Record) {
                Some((raw, inner)) => (bytes, kind) = (raw.into(), inner),
                None if kind == Kind::Record && bytes.len() as u64 > self.max_record_bytes => {
                    kind = Kind::TooLarge { length: bytes.len() as u64 };
                    bytes = Bytes::copy_from_slice(bytes.get(..HEAD_BYTES).unwrap_or(&bytes));
                }
                None => {}
            }
            RawRecord { bytes, kind, origin: Origin::File { path: Arc::clone(&path), offset: span.offset } }
        };
        spans.iter().map(record).collect()
    }
}

/// How many spans of a block were given out before, of which `number` came before the block, and what the next one is if it
/// is not what it was.
fn compare(old: &Reached, number: u64, block: &Block) -> (usize, Verdict) {
    for (at, span) in block.spans().iter().enumerate() {
        let number = number + at as u64;
        if number >= old.spans {
            return (at, Verdict::Same);
        }
        match old.judge(number, span, block.bytes(span)) {
            Verdict::Same => {}
            other => return (at, other),
        }
    }
    (block.spans().len(), Verdict::Same)
}

fn size_of(path: &Path) -> std::io::Result<u64> {
    Ok(std::fs::metadata(path)?.len())
}

fn entry(planned: &Planned, identity: Identity, reached: Reached) -> Entry {
    Entry { path: planned.name.to_string(), identity, reached }
}

/// Damage that will not heal ends an input; everything else is for a person or for another try.
fn damaged(planned: &Planned, error: ReadError) -> Result<ReadError, Stop> {
    match error {
        ReadError::Damaged { .. } => Ok(error),
        ReadError::Unsupported { advice, .. } => {
            Err(Stop::Fault(Fault::new(FaultKind::Unusable, error.to_string(), advice)))
        }
        ReadError::Open { .. } | ReadError::Read { .. } if planned.resumable => {
            let remedy = "see that it is there and this user may read it";
            Err(Stop::Fault(Fault::new(FaultKind::Storage, error.to_string(), remedy)))
        }
        // A stream cannot be begun again.
        ReadError::Open { .. } | ReadError::Read { .. } => {
            Err(Stop::Fault(Fault::new(FaultKind::Unusable, error.to_string(), "start again")))
        }
    }
}

fn unreadable(planned: &Planned, error: &std::io::Error) -> Stop {
    let cause = format!("reading {} failed: {error}", planned.name);
    Stop::Fault(Fault::new(FaultKind::Storage, cause, "see that it is there and this user may read it"))
}
