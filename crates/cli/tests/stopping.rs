//! Ending early: a reader that goes away, and signals.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use common::{code, program, samples, signal, stderr, whole_lines};

/// Starts the program reading from a pipe.
fn start(args: &[&str]) -> Child {
    program(args).stdin(Stdio::piped()).spawn().unwrap()
}

/// Feeds a program the samples until it no longer takes any.
fn feed_for_ever(child: &mut Child) -> thread::JoinHandle<()> {
    let mut stdin = child.stdin.take().unwrap();
    let text = samples();
    thread::spawn(move || while stdin.write_all(text.as_bytes()).is_ok() {})
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    for threads in ["1", "3"] {
        let mut child = start(&["normalize", "--threads", threads]);
        let feeder = feed_for_ever(&mut child);
        let mut first = [0; 100];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((code(&output), stderr(&output)), (0, String::new()));
        feeder.join().unwrap();
    }
}

/// What writes to standard output, with what it is to read.
const WRITERS: [(&[&str], &str); 15] = [
    (&["catalog"], ""),
    (&["catalog", "--csv"], ""),
    (&["catalog", "--json"], ""),
    (&["explain", "claude_chat_created"], ""),
    (&["explain", "claude_chat_created", "--actors"], ""),
    (&["explain", "claude_chat_created", "--json"], ""),
    (&["explain", "no_such_type_created"], ""),
    (&["explain", "no_such_type_created", "--json"], ""),
    (&["explain", "-"], RECORD),
    (&["explain", "-", "--json"], RECORD),
    (&["normalize"], RECORD),
    (&["completions", "bash"], ""),
    (&["manual"], ""),
    (&["--version"], ""),
    (&["--help"], ""),
];

const RECORD: &str =
    "{\"id\":\"1\",\"type\":\"claude_chat_created\",\"actor\":{\"type\":\"user_actor\",\"user_id\":\"u\"}}\n";

#[test]
fn an_output_that_nobody_reads_is_no_failure() {
    for (args, input) in WRITERS {
        // Gone before the program starts, so that the first write fails and not only what exceeds a pipe.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = program(args).stdin(Stdio::piped()).stdout(writer).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((code(&output), stderr(&output)), (0, String::new()), "{args:?}");
    }
}

#[test]
fn a_reader_of_the_first_lines_is_no_failure() {
    // As `… | head -n 2` does; what is longer than a pipe holds is still being written then.
    let modes: [&[&str]; 3] =
        [&["catalog"], &["catalog", "--json"], &["explain", "claude_chat_created", "--actors", "--json"]];
    for args in modes {
        let mut child = program(args).spawn().unwrap();
        let mut out = BufReader::with_capacity(64, child.stdout.take().unwrap());
        let mut lines = String::new();
        for _ in 0..2 {
            out.read_line(&mut lines).unwrap();
        }
        drop(out);
        assert_eq!(lines.lines().count(), 2, "{args:?}");
        let output = child.wait_with_output().unwrap();
        assert_eq!((code(&output), stderr(&output)), (0, String::new()), "{args:?}");
    }
}

#[test]
fn a_signal_ends_a_busy_run_between_lines() {
    for (name, threads) in [("INT", "1"), ("TERM", "2"), ("INT", "5")] {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let mut child = start(&["normalize", "-o", out.to_str().unwrap(), "--threads", threads]);
        let feeder = feed_for_ever(&mut child);
        while std::fs::metadata(&out).map_or(0, |data| data.len()) < 1_000_000 {
            sleep(Duration::from_millis(5));
        }
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), 130, "{}", stderr(&output));
        let said = stderr(&output);
        assert!(said.starts_with("anthropic-ecs: interrupted: read "), "{said}");
        let lines = whole_lines(&std::fs::read(&out).unwrap());
        let wrote = said.split("wrote ").nth(1).unwrap().split(", dead").next().unwrap().replace(',', "");
        assert_eq!(lines.to_string(), wrote);
        feeder.join().unwrap();
    }
}

#[test]
fn a_signal_ends_a_run_that_waits_for_input() {
    let mut child = start(&["normalize"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"{\"id\":\"1\"}\n{\"id\":\"2\"}\n{\"id\":\"half").unwrap();
    let mut first = [0; 20];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    signal(&child, "INT");
    let begun = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    assert_eq!(whole_lines(&[&first, output.stdout.as_slice()].concat()), 2);
    assert!(stderr(&output).contains("interrupted: read 2, wrote 2"), "{}", stderr(&output));
    drop(stdin);
}

#[test]
fn a_second_signal_kills() {
    // Nobody reads the output, so the program cannot finish what it has in hand.
    let mut child = start(&["normalize"]);
    let feeder = feed_for_ever(&mut child);
    let mut first = [0; 20];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    sleep(Duration::from_millis(500));
    signal(&child, "INT");
    sleep(Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "it waits for its reader");
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    feeder.join().unwrap();
}
