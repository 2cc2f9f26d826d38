//! Finds out which commit the program is built from, for `--version`.
//!
//! Whoever builds from sources without git says it in `ANTHROPIC_ECS_COMMIT`. If neither knows, the version has no commit,
//! and nothing else is different.
//!
//! The subtle thing: a packager may unpack the sources inside a repository of his own, whose commit is none of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

const VARIABLE: &str = "ANTHROPIC_ECS_COMMIT";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let commit = std::env::var(VARIABLE).ok().or_else(checked_out).filter(|commit| is_commit(commit));
    if let Some(commit) = commit {
        println!("cargo::rustc-env={VARIABLE}={commit}");
    }
}

/// Seven digits or more. Nothing else is let through to where it would be read as an instruction.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The commit that these sources were checked out from; whether they were changed since is not looked at.
fn checked_out() -> Option<String> {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    let root = manifest.ancestors().nth(2)?.canonicalize().ok()?;
    if Path::new(&git(&root, &["rev-parse", "--show-toplevel"])?).canonicalize().ok()? != root {
        return None;
    }
    // Written to whenever another commit is checked out or made.
    let log = root.join(git(&root, &["rev-parse", "--git-path", "logs/HEAD"])?);
    if log.is_file() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    git(&root, &["rev-parse", "--short=12", "HEAD"])
}

/// What git answers in a line.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
