//! Delivery, live: the program itself between real servers, while its copies are killed, others join and leave, and the
//! servers are stopped and started. Afterwards every record is where it belongs, once, and the dead letters are the planted
//! bad records and nothing else.
//!
//! `KAFKA_BROKERS`, `ELASTICSEARCH_URL` and `OPENSEARCH_URL` say where the servers are; `KAFKA_LIVE_DIR`,
//! `ELASTICSEARCH_LIVE_DIR` and `OPENSEARCH_LIVE_DIR` say in which folders `tests/live/*.sh` started them, so that they can be
//! stopped and started. The scripts print all of these. A campaign whose server is not there is skipped, one whose server
//! cannot be stopped goes without that, and both say so.
//!
//! `DELIVERY_RECORDS` is the size of a campaign, 200,000 unless it is set; `DELIVERY_SEED` repeats the schedule of one (its
//! moments are up to the machine); `DELIVERY_PROGRAM` names another build of the program, like a release.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the lints' own exception covers only functions marked as tests, not their helpers"
)]

mod campaign;
#[allow(dead_code, reason = "the campaign that collects uses the rest")]
mod copies;
mod files;
mod index;
#[path = "../live_server.rs"]
#[allow(
    dead_code,
    clippy::print_stderr,
    reason = "the other test binary uses the rest, and says which servers it found"
)]
mod live_server;
mod records;
mod servers;
mod settings;
mod topics;
mod verdict;

use std::fmt::Display;
use std::io::{self, Write};

/// Tells the one who runs the tests, whether they pass or not: what the print macros write is only shown for failures.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
