//! What the program may take: peak memory, whatever the size and form of the input.
//!
//! The kernel is asked for the most memory the program ever held, while it is still there but has nothing left
//! to do. So nothing is missed between two looks, and it does not matter how fast the machine is.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the lints' own exception covers marked functions only"
)]

mod common;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use common::{peak_of_normalize, time_to_first_document};
use model::catalog::Catalog;
use simulator::Feed;
use tempfile::TempDir;

/// What no mode may exceed, beside the databases.
const LIMIT: u64 = 64 << 20;
/// The size of the input; about this many bytes.
const INPUT: u64 = 60 << 20;

/// How activities lie in a file.
#[derive(Clone, Copy)]
enum Form {
    Lines,
    Array,
}

/// Writes a file of at least `INPUT` bytes; returns how many records it holds.
fn write_feed(path: &Path, form: Form) -> u64 {
    let catalog = Catalog::builtin();
    let mut out = BufWriter::new(File::create(path).unwrap());
    let (mut bytes, mut records) = (0, 0);
    // What is read again has the same cost, and the generator is slow without optimization.
    let lines: Vec<String> = Feed::new(&catalog, 5).take(20_000).collect();
    for line in lines.iter().cycle() {
        let before = match (form, records) {
            (Form::Lines, 0) => "",
            (Form::Lines, _) => "\n",
            (Form::Array, 0) => "[",
            (Form::Array, _) => ",",
        };
        out.write_all(before.as_bytes()).unwrap();
        out.write_all(line.as_bytes()).unwrap();
        bytes += (before.len() + line.len()) as u64;
        records += 1;
        if bytes >= INPUT {
            break;
        }
    }
    out.write_all(if matches!(form, Form::Array) { b"]" } else { b"\n" }).unwrap();
    out.flush().unwrap();
    records
}

fn stays_within_the_limit(form: Form, name: &str, more: &[&str]) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("feed");
    let records = write_feed(&path, form);
    match peak_of_normalize(&path, records, more) {
        Some(peak) => {
            println!("{name}: {:.1} MiB at most", peak as f64 / f64::from(1 << 20));
            assert!(peak < LIMIT, "{name}: {peak} bytes");
        }
        None => println!("SKIPPED {name}: there is no /proc/<pid>/status here"),
    }
}

#[test]
fn lines_and_eight_threads() {
    stays_within_the_limit(Form::Lines, "60 MiB of lines, 8 threads", &["--threads", "8"]);
}

#[test]
fn one_array_on_one_line() {
    stays_within_the_limit(Form::Array, "one array of 60 MiB, 8 threads", &["--threads", "8"]);
}

/// Not asserted, since it says as much of the machine as of the program; `cargo bench-normalize` measures it.
#[test]
fn the_first_document_comes_before_the_input_ends() {
    let mut times: Vec<Duration> = (0..5).map(|_| time_to_first_document()).collect();
    times.sort();
    println!("start to first document: {:.1} ms (median of 5)", times[2].as_secs_f64() * 1e3);
}
