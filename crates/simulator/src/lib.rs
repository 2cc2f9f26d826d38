//! Believable activity records from the catalog, and a simulated Compliance API that serves them.
//!
//! [`RecordGenerator`] makes single records of any type, in every shape the catalog allows. [`Feed`]
//! is an endless stream of them as a large office would cause. [`samples`] tells the story that lies
//! in `samples/`. All three are deterministic: a seed decides every byte, no clock and no other
//! source of chance is read. Addresses, names and hosts belong to nobody. [`api`] puts a tenant of such
//! people behind an API that pages, refuses and fails as the real one does; only its server reads a clock.
//!
//! This crate reads the catalog and knows nothing of mapping: what becomes of a record is for its
//! users to say.

mod addresses;
mod agents;
pub mod api;
mod cast;
mod clock;
mod coverage;
mod draft;
mod feed;
mod fits;
mod json;
mod random;
mod records;
mod rules;
pub mod samples;
mod text_rules;
mod values;
mod vocabulary;

#[cfg(test)]
mod conformance;

pub use addresses::{AddressPlan, V4_CAPACITY};
pub use agents::Agents;
pub use cast::{Cast, CastSize, Person};
pub use clock::{Micros, Precision, SECOND, instant, rfc3339};
pub use draft::Draft;
pub use feed::Feed;
pub use random::{Random, Weighted};
pub use records::{RecordGenerator, RecordShape};
