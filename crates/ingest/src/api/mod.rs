//! The Compliance API's activity feed into raw records.
//!
//! Owns: the configuration ([`ComplianceApiConfig`]), what is read when (`schedule`, `position`), the pages (`page`, `rows`),
//! the requests (`client`, `budget`, `refusal`), what was delivered lately (`seen`), and the proof of it (`attestation`).
//! Must not know what an activity means, nor when it has ended.
//!
//! How nothing is lost:
//!
//! - Time is read in closed windows that end `lag` behind the clock, ours or the server's, whichever is behind. A window
//!   counts when its last page is delivered, and the next one begins `overlap` before its end.
//! - What came later than that is found by re-reads, which drop what was given before by its id.
//! - Everything that decides is in `reader`, which does no IO; a request that failed moves nothing.
//! - A stretch that the API fails to give for good is halved until it is small, kept as a gap, and tried again for ever.
//!
//! The one subtle thing: rows are given out at least once. Ids are remembered to keep re-reads small and to tell what was
//! late; that nothing is in the sink twice is the sink's own doing, by the id of the activity. So several organizations or
//! keys with overlapping rows are simply several processes on one sink.

mod allowance;
mod attestation;
mod budget;
mod canary;
mod client;
mod config;
mod page;
mod position;
mod query;
mod reader;
mod refusal;
mod report;
mod rows;
mod schedule;
mod seen;
mod source;
mod spans;
mod tally;
mod time;
mod trouble;
mod watch;

pub use allowance::asked_to_wait;
pub use attestation::{Attestation, read as read_attestations};
pub use config::{Authentication, ComplianceApiConfig, ReconcileConfig, Settings};
pub use position::{Gap, PassDue, Position, Slice, Task, Walk};
pub use query::{Filters, Order};
pub use source::{ComplianceApiSource, NAME, files, probe};
pub use tally::Tally;
pub use time::Micros;
pub use watch::{Doing, LATENESS_BOUNDS, Lateness, Moment, Number, Trouble, Watch};

#[cfg(test)]
mod tests;
