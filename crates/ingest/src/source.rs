//! What every source gives: batches of raw records, each with the mark by which it is committed.
//!
//! A source tries once and reports; only the pipeline retries, counts and decides what to commit. Records and the mark
//! that acknowledges them travel as one value, so that neither can be lost without the other.

use std::fmt;
use std::future::Future;

use bytes::Bytes;
use model::fault::Fault;
use tracing::Span;

use crate::file::Kind;

/// A sequence of records with an order of its own: a file list, a partition as long as it is assigned to us. A lane's number
/// is never used again, so that a commit for a partition that has been taken away meets nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub u64);

/// The place of a batch in its lane: numbers count up by one from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark {
    /// Which lane.
    pub lane: Lane,
    /// Which batch of it.
    pub batch: u64,
}

/// Records that came together, of one lane.
#[derive(Debug)]
pub struct Batch {
    /// By this the source learns that all of the batch, and all of its lane before it, has ended.
    pub mark: Mark,
    /// In the source's order. May be empty: a position can move without a record (tombstones, an empty page).
    pub records: Vec<RawRecord>,
    /// Its span, which ends when all of it has ended: whoever has the batch, or what was made of it, keeps this.
    pub span: Span,
}

impl Batch {
    /// A batch, with a span that is part of whatever span is entered here.
    #[must_use]
    pub fn new(mark: Mark, records: Vec<RawRecord>) -> Self {
        let span = crate::spans::batch(mark, &records);
        Self { mark, records, span }
    }
}

/// One raw record as it came.
#[derive(Debug, Clone)]
pub struct RawRecord {
    /// Its bytes; a cheap clone of a shared buffer.
    pub bytes: Bytes,
    /// Whether it is a record at all.
    pub kind: Kind,
    /// Where it came from, for dead letters.
    pub origin: Origin,
}

/// Where a record came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A place in a file or stream.
    File {
        /// The path, `-` for standard input.
        path: std::sync::Arc<str>,
        /// Offset in the decompressed content, in bytes.
        offset: u64,
    },
    /// A place in a topic.
    Kafka {
        /// The topic.
        topic: std::sync::Arc<str>,
        /// The partition.
        partition: i32,
        /// The offset of the message.
        offset: i64,
        /// Which record of the message, when it holds a page or an array.
        item: u32,
    },
    /// A page of the API.
    Api {
        /// The request id of the answer.
        request_id: std::sync::Arc<str>,
        /// Which record of the page.
        item: u32,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, offset } => write!(f, "{path}: byte {offset}"),
            Self::Kafka { topic, partition, offset, item } => {
                write!(f, "{topic}[{partition}]@{offset}, record {item}")
            }
            Self::Api { request_id, item } => write!(f, "request {request_id}, record {item}"),
        }
    }
}

/// Where activities come from.
pub trait Source: Send {
    /// Waits for the next batch; `None` when there will be no more. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// What stood in the way. Unless it is final, calling again tries again.
    fn next(&mut self) -> impl Future<Output = Result<Option<Batch>, Fault>> + Send;

    /// Commits, for each lane named, everything up to and including the mark. Marks of lanes that are ours no longer are
    /// passed over. Returns when the position is as durable as the source can make it.
    ///
    /// # Errors
    ///
    /// What stood in the way; the caller commits the same or later marks again.
    fn commit(&mut self, marks: &[Mark]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// No more records are wanted: `next` is not called again, and what a source holds for others (its partitions) is to be
    /// kept until [`Source::close`], so that what is under way can still be committed.
    fn stop_intake(&mut self) {}

    /// Lets go of everything: leaves the consumer group, releases locks.
    fn close(self) -> impl Future<Output = ()> + Send;
}
