//! Where documents go: Elasticsearch, a Kafka topic, NDJSON files; and where goes what is no document, the dead letters.
//!
//! Owns framing, sending once, and reading the answer item by item. Must not know where records come from, nor what a
//! document means; it never retries.

mod append;
pub mod assets;
pub mod dead_letters;
mod document;
pub mod elasticsearch;
pub mod kafka;
pub mod ndjson;
mod sink;

pub use document::{Document, Documents, DocumentsBuilder, Request};
pub use sink::{Outcome, Rejection, Sink};
