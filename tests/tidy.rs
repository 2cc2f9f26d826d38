//! Rules about the code that no compiler knows, read from the manifests and sources themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::world;

/// Which crates of ours a crate may use; nothing else. `simulator` beyond this is for tests only.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("cli", &["disk", "ingest", "mapper", "model", "output", "pipeline", "simulator"]),
    ("disk", &["model"]),
    ("ingest", &["disk", "model"]),
    ("mapper", &["model"]),
    ("model", &[]),
    ("output", &["disk", "model"]),
    ("pipeline", &["ingest", "mapper", "model", "output"]),
    ("simulator", &["model"]),
];

/// The longest source file of a crate.
const MOST_LINES: usize = 600;

/// The crates with their manifests.
fn manifests() -> BTreeMap<String, String> {
    let crates = fs::read_dir(world::root("crates")).unwrap().map(|entry| entry.unwrap().path());
    let crates = crates.filter(|path| path.is_dir());
    crates
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path.join("Cargo.toml")).unwrap())
        })
        .collect()
}

/// The keys of a manifest's section, whether `[section]` or `[section.key]`.
fn keys<'m>(manifest: &'m str, section: &str) -> BTreeSet<&'m str> {
    let mut keys = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = header == section;
            keys.extend(header.strip_prefix(section).and_then(|rest| rest.strip_prefix('.')));
        } else if inside && let Some((key, _)) = line.split_once('=') {
            keys.insert(key.trim().split('.').next().unwrap_or_default());
        }
    }
    keys
}

#[test]
fn crates_use_only_the_crates_they_may() {
    let manifests = manifests();
    for (name, manifest) in &manifests {
        let allowed = ALLOWED.iter().find(|(known, _)| known == name).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("crates/{name} is not in the list of allowed edges"));
        let ours = |key: &&str| ALLOWED.iter().any(|(known, _)| known == key);
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            for used in keys(manifest, section).into_iter().filter(ours) {
                // A command of the binary simulates the API; all others use the simulator in tests alone.
                let for_tests = section == "dev-dependencies" && used == "simulator" && name != "model";
                assert!(
                    allowed.contains(&used) || for_tests,
                    "crates/{name} must not use {used} ([{section}])"
                );
            }
        }
        for key in keys(manifest, "dependencies") {
            assert!(
                !key.starts_with("anthropic-ecs"),
                "crates/{name}: {key} by its package name escapes this test"
            );
        }
    }
}

#[test]
fn every_crate_inherits_lints_version_and_dependencies() {
    for (name, manifest) in manifests() {
        assert_eq!(
            keys(&manifest, "lints"),
            ["workspace"].into(),
            "crates/{name} does not inherit the workspace's lints"
        );
        for field in ["version", "edition", "rust-version", "license", "publish"] {
            assert!(
                manifest.contains(&format!("{field}.workspace = true")),
                "crates/{name}: {field} is not the workspace's"
            );
        }
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let own = section_lines(&manifest, section).into_iter().find(|line| !line.contains("workspace"));
            assert!(own.is_none(), "crates/{name}: versions stand in the workspace's manifest: {own:?}");
        }
    }
}

fn section_lines<'m>(manifest: &'m str, section: &str) -> Vec<&'m str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == format!("[{section}]");
        } else if inside && line.contains('=') && !line.starts_with('#') {
            lines.push(line);
        }
    }
    lines
}

/// Every Rust file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn source_files_are_short_and_say_what_they_are() {
    let mut wrong = Vec::new();
    for name in manifests().keys() {
        for path in sources(&world::root("crates").join(name).join("src")) {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().count();
            if lines > MOST_LINES {
                wrong.push(format!("{}: {lines} lines, more than {MOST_LINES}", path.display()));
            }
            if !text.starts_with("//! ") {
                wrong.push(format!("{}: no module documentation at the top", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_undone() {
    // Put together, so that this file does not find itself.
    let words = ["todo", "unimplemented", "dbg"].map(|word| format!("{word}!("));
    let ignored = ["#[ign", "ore"].concat();
    let mut wrong = Vec::new();
    for path in [world::root("crates"), world::root("tests")].iter().flat_map(|folder| sources(folder)) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in (1..).zip(text.lines()) {
            if words.iter().chain([&ignored]).any(|word| line.contains(word.as_str())) {
                wrong.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_manifest_reader_reads() {
    let manifest = "[dependencies]\nmodel = { workspace = true }\ningest.workspace = true\n# a = 1\n\n[dev-dependencies.simulator]\nworkspace = true\n[lints]\nworkspace = true\n";
    assert_eq!(keys(manifest, "dependencies"), ["ingest", "model", "# a"].into());
    assert_eq!(keys(manifest, "dev-dependencies"), ["simulator"].into());
}
