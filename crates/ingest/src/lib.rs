//! Where activities come from: files and streams now, Kafka and the Compliance API beside them later.
//!
//! Owns the way from a source to raw records: bytes, where each came from, and what could not be told apart.
//! Must not know what an activity means, nor where it goes: no mapping, no retry, no commit.

pub mod file;
