//! What is held against a plan: the ids that arrived, and the dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::records::Plan;

/// How often an id may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Once,
    AtLeastOnce,
}

/// Every id that was fed is there and no other; gives how many came more than once.
pub(crate) fn ids(plan: &Plan, found: impl IntoIterator<Item = String>, times: Times) -> usize {
    let mut counts = BTreeMap::<String, usize>::new();
    for id in found {
        *counts.entry(id).or_default() += 1;
    }
    let missing: Vec<&String> = plan.ids.iter().filter(|id| !counts.contains_key(*id)).collect();
    let foreign: Vec<&String> = counts.keys().filter(|id| !plan.ids.contains(*id)).collect();
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    let first = |list: &dyn Fn() -> Vec<String>| list().join(", ");
    assert!(
        missing.is_empty() && foreign.is_empty(),
        "{} ids are missing: {}; {} were never fed: {}",
        missing.len(),
        first(&|| missing.iter().take(5).map(ToString::to_string).collect()),
        foreign.len(),
        first(&|| foreign.iter().take(5).map(ToString::to_string).collect()),
    );
    assert!(
        times == Times::AtLeastOnce || doubled.is_empty(),
        "{} ids are there more than once: {}",
        doubled.len(),
        first(&|| doubled.iter().take(5).map(|(id, count)| format!("{id} ({count} times)")).collect()),
    );
    doubled.len()
}

/// The dead letters hold each bad record, whole, and nothing else. A letter may be there twice, since one is written before
/// the position moves; gives how many are.
pub(crate) fn dead_letters<L: AsRef<[u8]>>(plan: &Plan, lines: impl IntoIterator<Item = L>) -> usize {
    let mut found = BTreeSet::new();
    let mut repeated = 0;
    for line in lines {
        let line = line.as_ref();
        let letter: Value = serde_json::from_slice(line)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)));
        let raw = match (letter["raw"].as_str(), letter["raw_base64"].as_str()) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, Some(text)) => STANDARD.decode(text).unwrap(),
            (None, None) => panic!("a letter without its record: {letter}"),
        };
        let head = String::from_utf8_lossy(&raw[..raw.len().min(200)]).into_owned();
        let Some(stage) = plan.dead.get(&raw) else {
            panic!("a dead letter that was not planted: {}: {}: {head}", letter["reason"], letter["detail"]);
        };
        assert_eq!(letter["stage"], *stage, "{}: {head}", letter["reason"]);
        repeated += usize::from(!found.insert(raw));
    }
    let missing: Vec<_> = plan.dead.keys().filter(|raw| !found.contains(*raw)).collect();
    let heads: Vec<_> =
        missing.iter().take(5).map(|raw| String::from_utf8_lossy(&raw[..raw.len().min(80)])).collect();
    assert!(
        missing.is_empty(),
        "{} bad records are not in the dead letters: {}",
        missing.len(),
        heads.join(" | ")
    );
    repeated
}

/// The lines of a file, which may be missing; the last one is whole.
pub(crate) fn lines(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap_or_default();
    whole_lines(&bytes, path)
}

pub(crate) fn whole_lines(bytes: &[u8], path: &Path) -> Vec<Vec<u8>> {
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "{}: the last line is torn", path.display());
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// The `event.id` of a document.
pub(crate) fn event_id(document: &[u8]) -> String {
    let value: Value = serde_json::from_slice(document)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(document)));
    value["event"]["id"].as_str().unwrap_or_else(|| panic!("no event.id: {value}")).to_owned()
}
