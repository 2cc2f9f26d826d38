//! Hours of mixed faults at load: whether memory, descriptors and threads stay what they are, whether the position keeps up,
//! and whether in the end every row is at every sink, once.
//!
//! Two stages of the program read one tenant of the simulator, which lives in this process behind a real socket, an hour a
//! minute: one into rotated NDJSON files, one into a stand-in for Elasticsearch. All the while something goes wrong, on both
//! sides. The processes live the whole time, for leaks are what a soak is for.
//!
//! `cargo bench-soak -- 2h` soaks for two hours; `-- 20s` is a smoke run. `--write docs` puts the figures and the plot where
//! they are published. It ends with 1 if anything is wrong. `DELIVERY_PROGRAM` names another build of the program.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod elastic;
mod figures;
mod files;
mod ledger;
mod machine;
mod options;
mod plot;
mod report;
mod run;
mod sample;
mod stage;
mod tenant;
mod weather;

use std::fs;
use std::process::ExitCode;

use clap::Parser as _;

use options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = run::Run::new(&options).run();
    let folder = Options::folder();
    println!("\n{}", report::summary(&outcome));
    // Figures of a failure are kept, and not published.
    let destination = if outcome.faults.is_empty() { options.destination() } else { folder };
    fs::create_dir_all(&destination).unwrap();
    fs::write(destination.join("soak.md"), report::page(&options, &outcome)).unwrap();
    fs::write(destination.join("soak.svg"), plot::draw(&outcome)).unwrap();
    println!("\nwritten to {}", destination.canonicalize().unwrap().display());
    if outcome.faults.is_empty() {
        println!("PASSED");
        ExitCode::SUCCESS
    } else {
        outcome.faults.iter().for_each(|fault| println!("FAILED: {fault}"));
        ExitCode::FAILURE
    }
}
