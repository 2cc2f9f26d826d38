//! The vocabulary of anthropic-ecs: the activity catalog and the mapping tables.
//!
//! Knowledge lives in `mappings/` as data; this crate reads it, checks it and hands it out as plain
//! structs. No IO, no async, no JSON records: what is done with the knowledge is the mapper's business.

pub mod catalog;
pub mod fault;
pub mod kafka;
pub mod settings;
pub mod tables;
