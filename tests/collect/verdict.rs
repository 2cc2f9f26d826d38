//! What a copy left behind, held against what is true.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ingest::api::{NAME, Position, read_attestations};
use ingest::checkpoint::Checkpoint;
use serde::Deserialize;

use crate::copies::Copy;
use crate::feed::{Feed, SECOND};

#[derive(Deserialize)]
struct Document {
    event: Event,
}

#[derive(Deserialize)]
struct Event {
    id: String,
}

/// The ids in the output, each with how often it is there. Half a line at the end, from a kill, is none.
pub(crate) fn delivered(copy: &Copy) -> BTreeMap<String, usize> {
    let bytes = fs::read(copy.path("out.ndjson")).unwrap_or_default();
    let mut ids = BTreeMap::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        // Not as a tree of values, which refuses numbers that the feed may hold.
        let document: Document = serde_json::from_slice(line)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)));
        *ids.entry(document.event.id).or_default() += 1;
    }
    ids
}

/// The dead letters as they are: a record that could not be decoded has ended there, and may come whole with a re-read.
fn buried(copy: &Copy) -> String {
    fs::read_to_string(copy.path("dead.ndjson")).unwrap_or_default()
}

/// Where the copy would go on.
pub(crate) fn position(copy: &Copy) -> Option<Position> {
    Checkpoint::peek(&copy.path("state"), NAME).unwrap()
}

/// What holds at any moment, so after every kill: no id is in the output twice, and the kept position is not past a row that
/// was there within the promised minute and has not ended.
pub(crate) fn after_a_kill(feed: &Feed, copy: &Copy, name: &str) {
    let position = position(copy);
    let (sink, buried) = (delivered(copy), buried(copy));
    once(&sink, name);
    let Some(position) = position else { return };
    let gaps: Vec<_> = position.gaps.iter().map(|gap| gap.slice.from.0..gap.slice.to.0).collect();
    let from = position.history.map_or(position.start.0, |history| history.to.0);
    let passed: Vec<String> = feed.control().with(|simulation, _| {
        let covered = simulation.truth().filter(|truth| {
            (from..position.high.0).contains(&truth.created)
                && truth.indexed <= truth.created + 60 * SECOND
                && !gaps.iter().any(|gap| gap.contains(&truth.created))
        });
        covered.map(|truth| truth.id).filter(|id| !sink.contains_key(id) && !buried.contains(id)).collect()
    });
    assert!(
        passed.is_empty(),
        "{name}: the kept position, {}, is past {} rows that are not in the output, such as {}\n{}",
        position.high,
        passed.len(),
        passed[0],
        copy.log_tail()
    );
}

/// What holds in the end: every row that the feed shows, from where the copy began, has ended, once; attestations have
/// numbers without holes; nothing was left out.
pub(crate) fn in_the_end(feed: &Feed, copy: &Copy, name: &str) -> usize {
    let sink = delivered(copy);
    once(&sink, name);
    let position = position(copy).unwrap();
    let missing = missing(feed, copy, position.start.0);
    assert!(missing.is_empty(), "{name}: {} rows are lost: {missing:?}\n{}", missing.len(), copy.log_tail());
    assert!(position.gaps.is_empty(), "{name}: a gap was left: {:?}", position.gaps);
    let lines = read_attestations(&copy.path("state/attestations.ndjson")).unwrap();
    for (number, line) in (0..).zip(&lines) {
        assert_eq!(line.sequence, number, "{name}: an attestation is missing, or there twice");
    }
    sink.len()
}

/// Rows that the feed shows and that have not ended.
pub(crate) fn missing(feed: &Feed, copy: &Copy, start: i64) -> Vec<String> {
    let (sink, buried) = (delivered(copy), buried(copy));
    feed.control().with(|simulation, now| {
        let shown = simulation.truth().filter(|truth| truth.created >= start && truth.indexed <= now);
        shown.map(|truth| truth.id).filter(|id| !sink.contains_key(id) && !buried.contains(id)).collect()
    })
}

fn once(sink: &BTreeMap<String, usize>, name: &str) {
    let doubled: Vec<_> = sink.iter().filter(|(_, times)| **times > 1).collect();
    assert!(
        doubled.is_empty(),
        "{name}: {} ids are in the output more than once: {doubled:?}",
        doubled.len()
    );
}

/// The key is in none of the files but its own: log, output, state, ids, attestations, dead letters.
pub(crate) fn no_secret(feed: &Feed, copy: &Copy, name: &str) {
    let mut looked_at = 0;
    files(&copy.path("."), &mut |path, bytes| {
        if path.ends_with("key") {
            return;
        }
        looked_at += 1;
        let secret = feed.key.as_bytes();
        let found = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "{name}: the key is in {}", path.display());
        let kind = b"sk-ant-";
        let any = bytes.windows(kind.len()).any(|window| window == kind);
        assert!(!any, "{name}: some key is in {}", path.display());
    });
    assert!(looked_at >= 5, "{name}: {looked_at} files were looked at");
}

fn files(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, look);
        } else {
            look(&path, &fs::read(&path).unwrap());
        }
    }
}
