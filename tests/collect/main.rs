//! Collection, live: the program itself polls a simulated feed that misbehaves, and is killed with SIGKILL all the while, at
//! moments of chance, whenever one of its files has just changed, and at each request. After every kill the position it left
//! behind is held against what is true and what is in its output; in the end every record is in the output, once.
//!
//! The simulator lives in the test's own process, behind a real socket. Its clock runs many times as fast as ours, and the
//! program follows it by the `date` of the answers; only what is about waiting (`retry-after`, the budget) is tried at the
//! speed of the real clock.
//!
//! `COLLECT_LIVES` is how many lives there are, 4 unless it is set, of which `COLLECT_AT_ONCE` run side by side; a thousand
//! take about an hour: `COLLECT_LIVES=1000 cargo test -p anthropic-ecs --test collect -- --nocapture`. `COLLECT_SEED` is the first seed;
//! what goes wrong is decided by it, the moments are up to the machine. `DELIVERY_PROGRAM` names another build of the
//! program, like a release, and `DELIVERY_KEEP` keeps what a life leaves behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the lints' own exception covers only functions marked as tests, not their helpers"
)]

mod boundaries;
#[path = "../delivery/copies.rs"]
#[allow(dead_code, reason = "the other campaigns use the rest")]
mod copies;
mod feed;
mod kills;
mod lives;
#[path = "../delivery/settings.rs"]
#[allow(dead_code, reason = "the other campaigns use the rest")]
mod settings;
mod verdict;
mod waits;

use std::fmt::Display;
use std::io::{self, Write};

/// Tells the one who runs the tests, whether they pass or not: what the print macros write is only shown for failures.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
