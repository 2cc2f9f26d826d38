//! What a crash of a stage leaves behind: no core file, whatever limit it was started under.
//!
//! The limit is the first thing of all, so that it is there when the stage says its first word.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::signal;

/// A stage that has nothing to read yet and waits for more, started by a shell that allows core files of any size. Where the
/// machine allows none, neither can the shell.
fn stage(folder: &Path) -> Child {
    let config = "[source]\ntype = \"file\"\npaths = [\"-\"]\n\
                  [sink]\ntype = \"ndjson\"\npath = \"out.ndjson\"\n\
                  [telemetry]\nlisten = \"127.0.0.1:0\"\n";
    fs::write(folder.join("c.toml"), config).unwrap();
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            "ulimit -c unlimited 2>/dev/null; exec \"$0\" run --config c.toml",
            env!("CARGO_BIN_EXE_anthropic-ecs"),
        ])
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    shell.spawn().unwrap()
}

#[test]
fn a_stage_that_crashes_leaves_no_core_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = stage(folder.path());
    let mut first = String::new();
    BufReader::new(stage.stderr.take().unwrap()).read_line(&mut first).unwrap();
    if let Ok(limits) = fs::read_to_string(format!("/proc/{}/limits", stage.id())) {
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let [soft, hard] = line.split_whitespace().skip(4).take(2).collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        assert_eq!((soft, hard), ("0", "0"), "{first}");
    }
    // The signal of a crash: whoever kept cores would keep one now.
    signal(&stage, "ABRT");
    let ended = stage.wait().unwrap();
    assert!(ended.signal().is_some() && !ended.core_dumped(), "{ended}");
    let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let cores: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("core")).collect();
    assert!(cores.is_empty(), "{cores:?}");
}
