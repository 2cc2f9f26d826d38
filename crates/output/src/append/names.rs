//! The names of finished files: the file's own name with the time of its end in it.
//!
//! Owns the promise that they sort in the order in which they were written and never meet a name that is there already, even
//! when the clock is set back.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};

/// `20261120T090025.123456Z`
const STAMP_BYTES: usize = 23;

/// A name for `path` as it ends now: behind every name given before.
pub(super) fn next(path: &Path, now: SystemTime, last: Option<&Path>) -> PathBuf {
    let last = rotated(path).pop().max(last.map(Path::to_owned));
    let mut at = now;
    if let Some(end) = last.as_deref().and_then(|last| stamp_of(path, last)) {
        at = at.max(end + Duration::from_micros(1));
    }
    loop {
        let name = named(path, at);
        // The lock is ours, so nobody makes this name in between, unless on purpose.
        if fs::symlink_metadata(&name).is_err() {
            return name;
        }
        at += Duration::from_micros(1);
    }
}

/// The finished files of `path`, oldest first.
pub(super) fn rotated(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(disk::folder_of(path)).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| path.with_file_name(entry.file_name()))
        .filter(|name| stamp_of(path, name).is_some())
        .collect();
    found.sort();
    found
}

fn named(path: &Path, at: SystemTime) -> PathBuf {
    let (stem, ending) = parts(path);
    let mut name = stem;
    name.push("-");
    name.push(DateTime::<Utc>::from(at).format("%Y%m%dT%H%M%S%.6fZ").to_string());
    name.push(ending);
    path.with_file_name(name)
}

/// When a finished file of `path` ended; `None` if `name` is none.
fn stamp_of(path: &Path, name: &Path) -> Option<SystemTime> {
    let (stem, ending) = parts(path);
    let name = name.file_name()?.as_encoded_bytes();
    let stamp = name
        .strip_prefix(stem.as_encoded_bytes())?
        .strip_prefix(b"-")?
        .strip_suffix(ending.as_encoded_bytes())?;
    let stamp = std::str::from_utf8(stamp).ok().filter(|stamp| stamp.len() == STAMP_BYTES)?;
    let time = chrono::NaiveDateTime::parse_from_str(stamp, "%Y%m%dT%H%M%S%.fZ").ok()?;
    Some(time.and_utc().into())
}

/// A name before and from its first dot on, so that all endings stay what they are: `a` and `.ndjson.gz`.
fn parts(path: &Path) -> (OsString, OsString) {
    let name = path.file_name().and_then(OsStr::to_str);
    match name.and_then(|name| Some(name.split_at(name.get(1..)?.find('.')? + 1))) {
        Some((stem, ending)) => (stem.into(), ending.into()),
        None => (path.file_name().unwrap_or_default().into(), OsString::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_and_never_meet_even_when_the_clock_goes_back() {
        let root = tempfile::tempdir().unwrap();
        for own in ["out.ndjson.gz", "out", ".hidden.ndjson"] {
            let path = root.path().join(own);
            let mut given: Vec<PathBuf> = Vec::new();
            for seconds in [1_000, 1_000, 999, 5, 2_000, 1_999] {
                let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds);
                let name = next(&path, now, given.last().map(PathBuf::as_path));
                fs::write(&name, "").unwrap();
                assert!(given.last() < Some(&name), "{given:?} {name:?}");
                given.push(name);
            }
            // A restart knows the names from the folder alone.
            let name = next(&path, SystemTime::UNIX_EPOCH, None);
            assert!(given.last() < Some(&name));
            assert_eq!(rotated(&path), given);
        }
        let path = root.path().join("out.ndjson.gz");
        let first = rotated(&path).remove(0);
        assert_eq!(first.file_name().unwrap(), "out-20260921T143000.000000Z.ndjson.gz");
        for foreign in ["out-1.ndjson.gz", "out.ndjson.gz", "out-20260921T143000.000000Z.txt"] {
            assert_eq!(stamp_of(&path, Path::new(foreign)), None, "{foreign}");
        }
    }
}
