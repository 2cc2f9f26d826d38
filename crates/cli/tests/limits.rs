//! What the program may take: peak memory, whatever the size and form of the input.
//!
//! The program reads a large file and then waits on standard input; when the last document of the file has
//! come out, the kernel is asked for the most memory the process ever held. So nothing is missed between two
//! looks, and it does not matter how fast the machine is.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the lints' own exception covers marked functions only"
)]

mod common;

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{code, peak_memory, program, stderr};
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

/// Runs `normalize` over a file and standard input; returns the most memory it held, or nothing where the
/// kernel does not tell.
fn peak(path: &Path, records: u64, more: &[&str]) -> Option<u64> {
    let args = [&["normalize", path.to_str().unwrap(), "-", "--quiet"], more].concat();
    let mut child = program(&args).stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut buffer = vec![0; 1 << 16];
    let mut documents = 0;
    while documents < records {
        let read = stdout.read(&mut buffer).unwrap();
        assert!(read > 0, "{documents} of {records} documents, and no more");
        documents += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    let peak = peak_memory(&child);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stderr(&output), documents), (0, String::new(), records));
    peak
}

fn stays_within_the_limit(form: Form, name: &str, more: &[&str]) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("feed");
    let records = write_feed(&path, form);
    match peak(&path, records, more) {
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
    let mut times: Vec<Duration> = (0..5).map(|_| first_document()).collect();
    times.sort();
    println!("start to first document: {:.1} ms (median of 5)", times[2].as_secs_f64() * 1e3);
}

fn first_document() -> Duration {
    let start = Instant::now();
    let mut child = program(&["normalize", "--quiet"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"{\"id\":\"1\",\"type\":\"claude_chat_created\"}\n").unwrap();
    let mut document = [0; 100];
    child.stdout.as_mut().unwrap().read_exact(&mut document).unwrap();
    let elapsed = start.elapsed();
    drop(stdin);
    assert_eq!(code(&child.wait_with_output().unwrap()), 0);
    elapsed
}
