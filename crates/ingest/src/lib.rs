//! Where activities come from: files, streams, Kafka, the Compliance API.
//!
//! Owns the way from a source to raw records: bytes, where each came from, and what could not be told apart.
//! Must not know what an activity means, nor where it goes: no mapping, no retry, no decision to commit.

pub mod api;
pub mod checkpoint;
pub mod dead_letter;
pub mod file;
#[cfg(feature = "kafka")]
pub mod kafka;
mod source;
mod spans;

pub use source::{Batch, Lane, Mark, Origin, RawRecord, Source};
