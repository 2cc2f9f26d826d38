//! `demo`: the first thing a newcomer runs.

#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;

use common::{code, run, stderr, stdout};

#[test]
fn it_shows_the_whole_stage_and_tells_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("demo-output");
    let text = output.to_str().unwrap();
    let shown = run(&["demo", "--output", text], b"");
    let (said, told) = (stderr(&shown), stdout(&shown));
    assert_eq!(code(&shown), 0, "{said}\n{told}");

    // What goes wrong on the way is told when it happens, and again at the end.
    for part in ["429", "503", "an answer is lost", "24 of them"] {
        assert!(said.contains(part), "{part} is not in\n{said}");
    }
    for part in [
        "429 once",
        "503 once",
        "an answer lost once",
        "each once.",
        " 0 dead letters",
        "event.category",
        "authentication",
        "Country",
        "Elastic Common Schema",
        "source.geo.country_name",
        "anthropic-ecs verify --attestations",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    assert!(!said.contains('\u{1b}') && !told.contains('\u{1b}'), "colours outside a terminal");

    // Nobody else may read any of it.
    let mut made = vec![output.clone()];
    while let Some(path) = made.pop() {
        let (folder, mode) = (path.is_dir(), path.metadata().unwrap().mode() & 0o777);
        assert_eq!(mode, if folder { 0o700 } else { 0o600 }, "{}", path.display());
        if folder {
            made.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }

    // What it says to do next works.
    let documents = output.join("ecs.ndjson");
    let attestations = output.join("state/attestations.ndjson");
    let verified =
        run(&["verify", "--attestations", attestations.to_str().unwrap(), documents.to_str().unwrap()], b"");
    assert_eq!(code(&verified), 0, "{}\n{}", stdout(&verified), stderr(&verified));
    let checked = run(&["check", "--config", output.join("demo.toml").to_str().unwrap()], b"");
    assert_eq!(code(&checked), 0, "{}\n{}", stdout(&checked), stderr(&checked));
}

#[test]
fn a_folder_with_something_else_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("thesis.txt");
    fs::write(&other, "years of work").unwrap();
    let refused = run(&["demo", "--output", folder.path().to_str().unwrap()], b"");
    assert_eq!(code(&refused), 2);
    assert!(stderr(&refused).contains("--output"), "{}", stderr(&refused));
    assert_eq!(fs::read_to_string(other).unwrap(), "years of work");
}
