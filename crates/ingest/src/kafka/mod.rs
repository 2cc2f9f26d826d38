//! A consumer group's share of some topics into raw records.
//!
//! Owns: the configuration ([`Config`]), the client and its thread ([`KafkaSource`]), the bookkeeping of positions
//! (`offsets`, free of IO), and what one message value holds (`split`). Must not know what a record means, nor decide when
//! it has ended.
//!
//! The one subtle thing: librdkafka never commits for us. A position reaches the broker only through
//! [`crate::Source::commit`], or inside a transaction ([`KafkaSource::transaction_offsets`]).

mod client;
mod config;
mod consumer;
mod lag;
mod offsets;
mod probe;
mod shared;
mod split;
mod start;

pub use config::{Config, Settings, Start};
pub use consumer::{KafkaSource, TransactionOffsets};
pub use lag::{Lags, PartitionLag};
pub use probe::{Found, probe};
