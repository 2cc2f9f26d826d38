//! Proof of what was read: one line for each walk that has ended, in `attestations.ndjson` beside the state.
//!
//! Owns the form of a line, and that each is there exactly once. Must not decide when a walk has ended.
//!
//! The subtle thing: a line may be written only when the walk's records are delivered, and must then not be lost. So it
//! travels in the position, which is saved first, and is written to its file after that; at a start, what the file lacks is
//! added. Numbers tell which those are.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use model::fault::Fault;
use serde::{Deserialize, Serialize};

use super::position::Walk;
use super::tally::Tally;
use super::time::Micros;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attestation {
    /// Its number.
    pub sequence: u64,
    /// When the walk ended.
    pub time: Micros,
    /// What the walk was for: `window`, `pass`, `history`, `gap`; or `unrecorded`, while the API was not enabled.
    pub kind: String,
    /// The query, without what changes from page to page.
    pub query: String,
    /// Rows at or after this.
    pub from: Micros,
    /// Rows before this.
    pub to: Micros,
    /// Up to where this counts as read: less than `to` when the server's clock was behind ours.
    pub read_to: Micros,
    /// Pages that came.
    pub pages: u64,
    /// Records in them.
    pub records: u64,
    /// Records that had not been given before.
    pub new: u64,
    /// Of these, those that came late.
    pub late: u64,
    /// Records that had been given before.
    pub duplicates: u64,
    /// Records that the same walk met twice, which are in none of the other counts.
    #[serde(default)]
    pub repeats: u64,
    /// Records without an id that can be read.
    pub without_id: u64,
    /// How late the latest was, in seconds.
    pub lateness_seconds: u64,
    /// Parts that could not be read. They are read again until they can be, and have lines of their own then.
    pub gaps: u64,
    /// The first row's cursor.
    pub first_cursor: Option<String>,
    /// The last row's cursor.
    pub last_cursor: Option<String>,
    /// The answers, by their request ids.
    pub request_ids: Vec<String>,
    /// How many more there were.
    pub more_requests: u64,
    /// SHA-256 over the ids of the records in the order in which they came, each followed by a line end.
    pub ids_sha256: String,
}

impl Attestation {
    /// What is to be said of a walk that has ended.
    pub(super) fn new(sequence: u64, time: Micros, walk: &Walk, query: String) -> Self {
        let Tally {
            pages,
            records,
            new,
            late,
            duplicates,
            repeats,
            without_id,
            lateness,
            gaps,
            more_requests,
            ..
        } = walk.tally;
        let ids_sha256 = walk.tally.ids_sha256();
        let tally = walk.tally.clone();
        Self {
            sequence,
            time,
            kind: walk.task.kind().to_owned(),
            query,
            from: walk.whole.from,
            to: walk.whole.to,
            read_to: walk
                .settled
                .map_or(walk.whole.to, |settled| settled.clamp(walk.whole.from, walk.whole.to)),
            pages,
            records,
            new,
            late,
            duplicates,
            repeats,
            without_id,
            lateness_seconds: lateness,
            gaps,
            first_cursor: tally.first_cursor,
            last_cursor: tally.last_cursor,
            request_ids: tally.request_ids,
            more_requests,
            ids_sha256,
        }
    }
}

/// The file of attestations.
#[derive(Debug)]
pub(super) struct Attestations {
    path: PathBuf,
    file: File,
    /// The number of the last line.
    last: Option<u64>,
}

impl Attestations {
    /// Opens the file, or makes it. Half a line at its end, from a crash, is cut off. Waits for the disk.
    pub(super) fn open(folder: &Path) -> Result<Self, Fault> {
        let path = folder.join("attestations.ndjson");
        let opened = (|| {
            let mut file = disk::append(&path)?;
            let last = last_number(&mut file)?;
            Ok((file, last))
        })();
        let (file, last) = opened.map_err(|error| storage(&path, &error))?;
        Ok(Self { path, file, last })
    }

    /// Adds the lines that are not there yet, and returns when they are on the disk. Waits for the disk.
    pub(super) fn add(&mut self, lines: &[Attestation]) -> Result<(), Fault> {
        let missing = lines.iter().filter(|line| self.last.is_none_or(|last| line.sequence > last));
        let mut text = Vec::new();
        let mut last = self.last;
        for line in missing {
            serde_json::to_writer(&mut text, line).map_err(|error| storage(&self.path, &error.into()))?;
            text.push(b'\n');
            last = Some(line.sequence);
        }
        if text.is_empty() {
            return Ok(());
        }
        let before = self.file.metadata().map_err(|error| storage(&self.path, &error))?.len();
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line would spoil the next one.
            let _ = self.file.set_len(before);
            return Err(storage(&self.path, &error));
        }
        self.last = last;
        Ok(())
    }
}

/// The number of the last whole line; what is behind it is cut off.
fn last_number(file: &mut File) -> io::Result<Option<u64>> {
    let size = file.metadata()?.len();
    let mut step = 64 * 1024;
    loop {
        let start = size.saturating_sub(step);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        Read::by_ref(file).take(size - start).read_to_end(&mut tail)?;
        let Some(end) = memchr::memrchr(b'\n', &tail) else {
            if start == 0 {
                file.set_len(0)?;
                return Ok(None);
            }
            step *= 4;
            continue;
        };
        let line = tail.get(..end).unwrap_or_default();
        let begin = memchr::memrchr(b'\n', line).map_or(0, |at| at + 1);
        if begin == 0 && start > 0 {
            step *= 4;
            continue;
        }
        file.set_len(start + end as u64 + 1)?;
        let line = line.get(begin..).unwrap_or_default();
        #[derive(Deserialize)]
        struct Number {
            sequence: u64,
        }
        let number: Number = serde_json::from_slice(line)?;
        return Ok(Some(number.sequence));
    }
}

fn storage(path: &Path, error: &io::Error) -> Fault {
    let mut fault = disk::fault(path, "writing", error);
    if error.kind() == io::ErrorKind::InvalidData {
        fault.remedy = "its last line is none of ours; move the file away".to_owned();
    }
    fault
}

/// Reads all lines. Waits for the disk.
///
/// # Errors
///
/// The file cannot be read, or a line is none of ours.
pub fn read(path: &Path) -> Result<Vec<Attestation>, Fault> {
    let text = fs::read(path).map_err(|error| storage(path, &error))?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|error| storage(path, &error.into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::position::Task;
    use super::super::query::Order;
    use super::*;

    fn line(sequence: u64) -> Attestation {
        let walk = Walk::new(Task::Window, None, Order::Asc, Micros(0), Micros(1));
        Attestation::new(sequence, Micros(2), &walk, "x".repeat(40_000))
    }

    #[test]
    fn a_line_is_there_once_whatever_was_cut() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("attestations.ndjson");
        let lines: Vec<Attestation> = (0..4).map(line).collect();
        Attestations::open(root.path()).unwrap().add(&lines[..2]).unwrap();
        Attestations::open(root.path()).unwrap().add(&lines[..3]).unwrap();
        assert_eq!(read(&path).unwrap(), lines[..3]);
        let whole = fs::read(&path).unwrap();
        for cut in [whole.len() - 1, whole.len() - 20_000, whole.len() - 41_000, 5, 0] {
            fs::write(&path, &whole[..cut]).unwrap();
            Attestations::open(root.path()).unwrap().add(&lines).unwrap();
            assert_eq!(read(&path).unwrap(), lines, "cut at {cut}");
        }
    }
}
