//! Everything that is shown of the program as a whole, in one test binary.
//!
//! [`lossless`] is the yardstick: it holds a document against its raw record and against the tables, with a
//! JSON reader ([`json`]) and a look-up of its own, so that a fault of the mapper is not repeated here.
//! What belongs to one crate alone is tested in that crate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "the lints' own exception covers only functions marked as tests, not their helpers"
)]

mod assets;
mod check;
mod compat;
mod deploy;
mod docs;
#[path = "../crates/output/tests/support/fake_elasticsearch.rs"]
mod fake_elasticsearch;
mod golden;
mod hostile;
mod json;
mod live_assets;
mod live_server;
mod lossless;
mod mutations;
mod overlays;
mod privacy;
mod properties;
mod readme;
mod tables;
mod tidy;
mod world;
