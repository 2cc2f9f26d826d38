//! How far each file was read, and by what it is known again.
//!
//! Owns the saved form and the comparison of what is there now with what was there then. Must not know batches or threads.
//!
//! The subtle thing: how far is counted in spans, not bytes. The splitter gives the same spans for the same bytes, but not
//! always in the order of their offsets (the frame of an object that was wrongly taken for a page comes after its records).
//! The last few spans are kept with a hash, so that bytes changed behind our back are noticed, and so that the one change that
//! is no harm can be told apart: at the end of what was there, something that only became longer.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checkpoint::hex;
use crate::file::{Block, Kind, Reason, Span};

/// To be counted up when the splitter begins to find other spans in the same bytes.
pub(super) const SPLITTER: u32 = 1;

/// How many bytes at the beginning and end of a file, and of a span, are looked at.
const LOOK: u64 = 4096;

/// How many of the last spans are kept.
const KEPT: usize = 4;

/// Where a file source stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// With what the spans were counted; others cannot be compared with them.
    pub(super) splitter: u32,
    pub(super) max_record_bytes: u64,
    pub(super) inputs: Vec<Entry>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) identity: Identity,
    pub(super) reached: Reached,
}

/// What a file is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// As stored. Once the file is read to its end, how much that was.
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    modified: i64,
    /// Hash of the first bytes.
    head: String,
    /// Hash of the last bytes, once the file is read to its end.
    tail: Option<String>,
}

/// How far a file was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reached {
    /// This many spans have been given out and have ended.
    pub(super) spans: u64,
    /// Whether there were no more.
    pub(super) ended: bool,
    /// The last of them.
    last: VecDeque<Seen>,
}

/// A span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    offset: u64,
    length: u64,
    /// Of its first bytes.
    hash: String,
    /// Whether the input ended before it did.
    unfinished: bool,
}

impl State {
    pub(super) fn new(max_record_bytes: u64) -> Self {
        Self { splitter: SPLITTER, max_record_bytes, inputs: Vec::new() }
    }
}

impl Identity {
    /// Of a regular file.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let data = file.metadata()?;
        let head = hash_of(&file, 0, data.len().min(LOOK))?;
        let (device, inode, size) = (data.dev(), data.ino(), data.len());
        Ok(Self { device, inode, size, modified: modified(&data), head, tail: None })
    }

    /// The same file after `size` bytes of it were read, which was all.
    pub(super) fn ended(&self, path: &Path, size: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let data = file.metadata()?;
        if (data.dev(), data.ino()) != (self.device, self.inode) {
            // Another file has taken its name meanwhile, and will be looked at by the next run.
            return Ok(Self { size, ..self.clone() });
        }
        let start = size.saturating_sub(LOOK);
        Ok(Self {
            size,
            modified: modified(&data),
            head: hash_of(&file, 0, size.min(LOOK))?,
            tail: Some(hash_of(&file, start, size - start)?),
            ..self.clone()
        })
    }

    /// Whether nobody can have touched the file since.
    pub(super) fn is_untouched(&self, data: &Metadata) -> bool {
        (self.device, self.inode, self.size, self.modified)
            == (data.dev(), data.ino(), data.len(), modified(data))
    }

    /// What tells that the file at `path` does not begin with the bytes that were read; `None` if it does. As far as can be
    /// told from its length, its first bytes, and the bytes at its former end.
    pub(super) fn difference(&self, path: &Path) -> io::Result<Option<String>> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        if size < self.size {
            return Ok(Some(format!("it had {} bytes, and has {size}", self.size)));
        }
        if hash_of(&file, 0, self.size.min(LOOK))? != self.head {
            return Ok(Some("it begins with other bytes".into()));
        }
        let start = self.size.saturating_sub(LOOK);
        match &self.tail {
            Some(tail) if hash_of(&file, start, self.size - start)? != *tail => {
                Ok(Some(format!("it has other bytes before byte {}", self.size)))
            }
            _ => Ok(None),
        }
    }
}

impl Reached {
    /// Counts spans of a block; only the last ones are kept, and only they are worth a hash.
    pub(super) fn pass(&mut self, spans: &[Span], block: &Block) {
        self.spans += spans.len() as u64;
        for span in spans.iter().skip(spans.len().saturating_sub(KEPT)) {
            if self.last.len() == KEPT {
                self.last.pop_front();
            }
            self.last.push_back(Seen::new(span, block.bytes(span), LOOK as usize));
        }
    }

    /// Where in the content the last span ends.
    pub(super) fn offset(&self) -> u64 {
        self.last.back().map_or(0, |seen| seen.offset + seen.length)
    }

    /// Whether the span with the number `number`, which was given out before, is still what it was.
    pub(super) fn judge(&self, number: u64, span: &Span, bytes: &[u8]) -> Verdict {
        let first_kept = self.spans - self.last.len() as u64;
        let Some(old) = number.checked_sub(first_kept).and_then(|at| self.last.get(at as usize)) else {
            return Verdict::Same;
        };
        if *old == Seen::new(span, bytes, LOOK as usize) {
            return Verdict::Same;
        }
        let longer = old.offset == span.offset
            && old.length < whole_length(span)
            && old.hash == Seen::new(span, bytes, old.length as usize).hash;
        // What looked cut off may turn out to be the frame of a page, with the next record behind it.
        let replaced = old.unfinished && span.offset >= old.offset;
        if longer || replaced { Verdict::Grown } else { Verdict::Changed }
    }

    /// Whether it is no harm that the input ended before the span with the number `number`, which was given out before.
    pub(super) fn may_end_before(&self, number: u64) -> bool {
        let missing = (self.spans - number) as usize;
        missing <= self.last.len() && self.last.iter().rev().take(missing).all(|seen| seen.unfinished)
    }
}

/// What became of a span since it was given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Same,
    /// It was unfinished and has gone on: it is to be given out again.
    Grown,
    /// Something else stands in its place.
    Changed,
}

impl Seen {
    fn new(span: &Span, bytes: &[u8], look: usize) -> Self {
        let unfinished = span.kind == Kind::Malformed(Reason::Truncated);
        let head = bytes.get(..look.min(LOOK as usize)).unwrap_or(bytes);
        Self { offset: span.offset, length: whole_length(span), hash: hash(head), unfinished }
    }
}

fn whole_length(span: &Span) -> u64 {
    match span.kind {
        Kind::TooLarge { length } => length,
        Kind::Record | Kind::Malformed(_) => u64::from(span.end - span.start),
    }
}

fn modified(data: &Metadata) -> i64 {
    data.mtime().saturating_mul(1_000_000_000).saturating_add(data.mtime_nsec())
}

fn hash_of(file: &File, start: u64, length: u64) -> io::Result<String> {
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, start)?;
    Ok(hash(&bytes))
}

fn hash(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).get(..16).unwrap_or_default())
}
