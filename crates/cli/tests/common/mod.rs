//! Running the program and looking at what it left behind.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A command line of the program, with everything captured.
pub(crate) fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anthropic-ecs"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program in `directory`, feeding it `input`.
pub(crate) fn run_in(directory: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut child = program(args).current_dir(directory).stdin(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // A program that refuses its arguments reads nothing.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

/// Runs the program in a fresh directory, feeding it `input`.
pub(crate) fn run(args: &[&str], input: &[u8]) -> Output {
    run_in(tempfile::tempdir().unwrap().path(), args, input)
}

/// The exit status.
pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// What was written to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What was written to standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The sample feed.
pub(crate) fn samples() -> String {
    fs::read_to_string(repository("samples/activities.ndjson")).unwrap()
}

/// Sends a signal by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Runs `normalize` over a file of so many records and then over standard input, where nothing comes; returns
/// the most memory it ever held when the last document of the file is out, or nothing where the kernel does
/// not tell.
pub(crate) fn peak_of_normalize(path: &Path, records: u64, more: &[&str]) -> Option<u64> {
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

/// Starts the program on one record; returns how long it takes until the document is there.
pub(crate) fn time_to_first_document() -> Duration {
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

/// The most memory it ever held, or nothing where the kernel does not tell.
pub(crate) fn peak_memory(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Asserts that every line is complete and a JSON object.
pub(crate) fn whole_lines(bytes: &[u8]) -> usize {
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "the last line is cut");
    let text = std::str::from_utf8(bytes).unwrap();
    for line in text.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
    text.lines().count()
}
