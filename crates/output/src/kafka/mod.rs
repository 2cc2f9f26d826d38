//! Documents into a Kafka topic.
//!
//! Owns: the configuration ([`Config`]), the producer ([`KafkaSink`]), and the one that writes in transactions
//! ([`TransactionalSink`]). Must not know what a document means or where it came from.
//!
//! The one subtle thing: a broker refuses batches, not messages. What was refused in company is tried alone before it is
//! said to be refused for good, so that one large document cannot send its neighbours to the dead letters.

mod client;
mod config;
mod probe;
mod producer;
mod reminder;
mod transactional;

pub use config::{Compression, Config, Format, Key, Settings};
pub use probe::{Found, probe};
pub use producer::KafkaSink;
pub use transactional::{Transaction, TransactionalSink};
