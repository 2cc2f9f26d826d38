//! What is to be read, given what is there and what was read before.
//!
//! Owns the decision for each input: from the start, on from a position, or not at all; and the refusals. It reads a few
//! kilobytes of each file at most.
//!
//! Files are known by device and inode first, so that a log that was rotated to another name is not read again; by path
//! second, so that a copy in the place of the original goes on.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use model::fault::{Fault, FaultKind};

use super::position::{Entry, SPLITTER, State};
use crate::file::Input;

/// Something to read.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) input: Input,
    /// For origins: the path, or `-`.
    pub(super) name: Arc<str>,
    /// Whether it is a file that can be known again.
    pub(super) resumable: bool,
    /// How far it was read before, as an index into the state.
    pub(super) entry: Option<usize>,
}

/// Sorts inputs out. Files that were read in part come first, so that there is never more than one of them.
pub(super) fn plan(inputs: Vec<Input>, state: &State, saved: &Path) -> Result<Vec<Planned>, Fault> {
    let by_file: HashMap<(u64, u64), usize> = (0..)
        .zip(&state.inputs)
        .map(|(at, entry)| ((entry.identity.device, entry.identity.inode), at))
        .collect();
    let by_path: HashMap<&str, usize> =
        (0..).zip(&state.inputs).map(|(at, entry)| (entry.path.as_str(), at)).collect();
    let (mut claimed, mut seen) = (HashSet::new(), HashSet::new());
    let mut found = Vec::new();
    for input in inputs {
        let name: Arc<str> = input.path().map_or("-".into(), |path| path.to_string_lossy().into());
        let mut planned = Planned { input, name, resumable: false, entry: None };
        let data = planned.input.path().map(fs::metadata).transpose();
        if let Some(data) =
            data.map_err(|error| unreadable(&planned.name, &error))?.filter(|data| data.is_file())
        {
            // One file under two names is read once.
            if !seen.insert((data.dev(), data.ino())) {
                tracing::info!(file = %planned.name, "is another name of a file that is read already");
                continue;
            }
            planned.resumable = true;
            let known = by_file.get(&(data.dev(), data.ino())).copied();
            if let Some(at) =
                known.filter(|at| state.inputs.get(*at).is_some_and(|entry| same(entry, &planned)))
            {
                claimed.insert(at);
                planned.entry = Some(at);
            }
        }
        found.push(planned);
    }
    for planned in found.iter_mut().filter(|planned| planned.resumable && planned.entry.is_none()) {
        let known = by_path.get(&*planned.name).filter(|at| !claimed.contains(*at)).copied();
        if let Some((at, entry)) = known.and_then(|at| Some((at, state.inputs.get(at)?))) {
            let path = planned.input.path().unwrap_or(Path::new(""));
            let difference =
                entry.identity.difference(path).map_err(|error| unreadable(&planned.name, &error))?;
            if let Some(difference) = difference {
                return Err(changed(&planned.name, &difference, saved));
            }
            claimed.insert(at);
            planned.entry = Some(at);
        }
    }
    check_missing(state, &claimed, saved)?;
    found.retain(|planned| !is_finished(planned, state));
    found.sort_by_key(|planned| entry(planned, state).is_none_or(|entry| entry.reached.ended));
    Ok(found)
}

/// Whether the state can be compared with what is found today.
pub(super) fn check_compatible(state: &State, max_record_bytes: u64, saved: &Path) -> Result<(), Fault> {
    if state.inputs.is_empty() || state.inputs.iter().all(|entry| entry.reached.ended) {
        // Nothing is half read; finished files are known by their bytes alone.
        return Ok(());
    }
    let cause = if state.splitter != SPLITTER {
        "a file was read in part by another version of this program".to_owned()
    } else if state.max_record_bytes != max_record_bytes {
        format!("a file was read in part with source.max_record_bytes = {}", state.max_record_bytes)
    } else {
        return Ok(());
    };
    let remedy = format!("finish it as it was begun; or remove {} to read everything again", saved.display());
    Err(Fault::new(FaultKind::Unusable, cause, remedy))
}

fn entry<'s>(planned: &Planned, state: &'s State) -> Option<&'s Entry> {
    planned.entry.and_then(|at| state.inputs.get(at))
}

/// Whether an entry of the same inode is of the same file. If its path is the same too, doubts are for the second look, which
/// refuses; under another path it is a new file that got an old number.
fn same(entry: &Entry, planned: &Planned) -> bool {
    let Some(path) = planned.input.path() else { return false };
    let untouched = fs::metadata(path).is_ok_and(|data| entry.identity.is_untouched(&data));
    untouched && entry.reached.ended || entry.identity.difference(path).is_ok_and(|found| found.is_none())
}

fn is_finished(planned: &Planned, state: &State) -> bool {
    let size = planned.input.path().and_then(|path| fs::metadata(path).ok()).map(|data| data.len());
    entry(planned, state).is_some_and(|entry| entry.reached.ended && size == Some(entry.identity.size))
}

/// Refuses when a file that was read in part is gone: the rest of it would be lost without a word.
fn check_missing(state: &State, claimed: &HashSet<usize>, saved: &Path) -> Result<(), Fault> {
    let lost = (0..).zip(&state.inputs).find(|(at, entry)| !entry.reached.ended && !claimed.contains(at));
    let Some((_, entry)) = lost else { return Ok(()) };
    Err(Fault::new(
        FaultKind::Unusable,
        format!(
            "{} was read in part, {} records of it, and is not there now",
            entry.path, entry.reached.spans
        ),
        format!("put it back; or remove {} to read everything that is there from its start", saved.display()),
    ))
}

/// What is said of a file that is not what it was.
pub(super) fn changed(name: &str, difference: &str, saved: &Path) -> Fault {
    Fault::new(
        FaultKind::Unusable,
        format!("{name} is not what it was when it was read: {difference}"),
        format!(
            "put back what was there; or, if this is another file, give it another name to have it read from its start; \
             or remove {} to read everything again",
            saved.display()
        ),
    )
}

fn unreadable(name: &str, error: &io::Error) -> Fault {
    let cause = format!("reading {name} failed: {error}");
    Fault::new(FaultKind::Storage, cause, "see that it is there and this user may read it")
}
