//! Dead letters: what one holds, and what is asked of the place they go to.
//!
//! Owns the shape of a letter as delivery knows it. Must not know files, topics or how a letter is written down.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use ingest::Origin;
use model::fault::Fault;
use output::dead_letters::Stage;

/// A record that cannot be delivered, whole, with all that is known about why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The record's bytes exactly as they came; only the head of one that was too long to be read.
    pub raw: Bytes,
    /// The record's whole length in bytes; more than `raw` has when only its head was kept.
    pub length: u64,
    /// A short name to be counted: `not_json`, `document_parsing_exception`.
    pub reason: String,
    /// Why, as a sentence; the other side's own words where it refused.
    pub detail: String,
    /// Where on its way the record was refused.
    pub stage: Stage,
    /// Where it came from.
    pub origin: Origin,
    /// Where in what came from there it begins, in bytes: beyond 0 only in a page that came as one record.
    pub offset: u64,
    /// How often it was sent; 0 for what never became a document.
    pub attempts: u32,
    /// When it was refused.
    pub time: DateTime<Utc>,
}

/// Where dead letters go.
pub trait DeadLetters: Send + Sync + 'static {
    /// Writes all letters, and returns when they are durable. One call is under way at a time.
    ///
    /// # Errors
    ///
    /// What stood in the way. Some may have been written; all are given again.
    fn write(&self, letters: Vec<Letter>) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Lets go of everything.
    ///
    /// # Errors
    ///
    /// What stood in the way; what was written is durable all the same.
    fn close(&self) -> impl Future<Output = Result<(), Fault>> + Send {
        async { Ok(()) }
    }
}

impl<D: DeadLetters> DeadLetters for Arc<D> {
    fn write(&self, letters: Vec<Letter>) -> impl Future<Output = Result<(), Fault>> + Send {
        D::write(self, letters)
    }

    fn close(&self) -> impl Future<Output = Result<(), Fault>> + Send {
        D::close(self)
    }
}
