//! `explain`: what happens to an activity type, or to one record, and why.
//!
//! Owns nothing but the choice between the two. [`activity`] asks the tables, [`record`] asks the mapper and
//! finds out with the tables why it did what it did; [`rules`] is how both read the tables.

mod activity;
mod layout;
mod record;
pub(crate) mod rules;
pub(crate) mod words;

use crate::args::ExplainArgs;
use crate::failure::{Ending, Failure};

/// Runs the mode.
pub(crate) fn run(args: &ExplainArgs) -> Result<Ending, Failure> {
    if args.subject == "-" { record::run(args) } else { activity::run(args) }
}
