//! What paths stand for.
#![allow(clippy::unwrap_used, clippy::panic)]

use anthropic_ecs_ingest::file::{ExpandError, Expansion, Input, expand};
use std::fs;
use std::path::{Path, PathBuf};

fn tree(names: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in names {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    root
}

/// Names below `root`.
fn names(root: &Path, found: &Expansion) -> Vec<String> {
    let below = |path: &Path| path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    found.inputs.iter().map(|input| input.path().map_or("-".into(), below)).collect()
}

#[test]
fn directories_are_read_in_order_of_path_without_what_is_no_data() {
    let root = tree(&[
        "b.ndjson",
        "a/2.json.gz",
        "a/1.json",
        "a.json",
        "z",
        ".hidden",
        ".git/x",
        "x.tmp",
        "SHA.sha256",
        "README.md",
    ]);
    let found = expand(&[root.path()]).unwrap();
    assert_eq!(names(root.path(), &found), ["a/1.json", "a/2.json.gz", "a.json", "b.ndjson", "z"]);
    let skipped: Vec<PathBuf> =
        [".git", ".hidden", "README.md", "SHA.sha256", "x.tmp"].map(|name| root.path().join(name)).into();
    assert_eq!(found.skipped, skipped);
    assert_eq!(found.total_bytes(), Some(8 + 11 + 6 + 8 + 1));
}

#[test]
fn what_is_named_is_read_in_the_order_given() {
    let root = tree(&["d/.hidden.tmp", "d/a", "d/b"]);
    let at = |name: &str| root.path().join(name);
    let found = expand(&[at("d/b"), "-".into(), at("d/.hidden.tmp"), at("d")]).unwrap();
    assert_eq!(names(root.path(), &found), ["d/b", "-", "d/.hidden.tmp", "d/a"]);
    assert_eq!(found.total_bytes(), None);
    assert_eq!(expand(&[at("d/a"), at("d/a")]).unwrap().inputs.len(), 2);
    assert_eq!(expand::<PathBuf>(&[]).unwrap(), Expansion::default());
}

#[test]
fn what_is_missing_is_told_first() {
    let root = tree(&["a"]);
    let absent = root.path().join("absent");
    let error = expand(&[root.path().join("a"), absent.clone()]).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: no such file or directory", absent.display()));
    assert!(matches!(expand(&["-", "-"]), Err(ExpandError::StdinTwice)));
}

#[cfg(unix)]
#[test]
fn links_are_followed_once() {
    use std::os::unix::fs::symlink;
    let root = tree(&["m/real", "elsewhere/file"]);
    let at = |name: &str| root.path().join(name);
    symlink(at("m"), at("m/loop")).unwrap();
    symlink(at("m/real"), at("m/a-link-to-it")).unwrap();
    symlink(at("elsewhere"), at("m/far")).unwrap();
    assert_eq!(names(root.path(), &expand(&[at("m")]).unwrap()), ["m/far/file", "m/real"]);
    assert_eq!(names(root.path(), &expand(&[root.path()]).unwrap()), ["elsewhere/file", "m/real"]);
    symlink(at("nowhere"), at("m/dangling")).unwrap();
    assert!(matches!(expand(&[at("m")]), Err(ExpandError::NotFound { .. })));
}

#[test]
fn an_output_that_is_an_input_is_recognised() {
    let root = tree(&["a", "d/b"]);
    let input = Input::file(root.path().join("a"));
    assert!(input.is(&root.path().join("d/../a")));
    assert!(!input.is(&root.path().join("d/b")) && !input.is(&root.path().join("absent")));
    assert!(!Input::stdin().is(&root.path().join("a")));
}
