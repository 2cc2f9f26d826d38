//! An NDJSON sink read while it is written: every line once, across rotations, and old files removed.
//!
//! A file is known by its number on the disk, because it changes its name when it is rotated. A line counts when its end is
//! there; so half a line that a kill left, and that the next start cuts off, was never read.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::ledger::Ledger;

/// The file under way.
pub(crate) const NAME: &str = "out.ndjson";

/// How many finished files stay: what a stage reads back at its start.
const STAY: usize = 6;

#[derive(Deserialize)]
struct Document<'l> {
    #[serde(borrow)]
    event: Event<'l>,
}

#[derive(Deserialize)]
struct Event<'l> {
    id: &'l str,
}

/// Follows what a stage writes into a folder.
pub(crate) struct Follower {
    folder: PathBuf,
    ledger: Arc<Ledger>,
    /// How much of each file is read.
    read: HashMap<u64, u64>,
    pub(crate) bytes: u64,
}

impl Follower {
    pub(crate) fn new(folder: PathBuf, ledger: Arc<Ledger>) -> Self {
        Self { folder, ledger, read: HashMap::new(), bytes: 0 }
    }

    /// Reads what is new.
    pub(crate) fn follow(&mut self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let named = entries.map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("out") && name.ends_with(".ndjson")
        });
        // Finished files sort by time, before the one under way: `-` is less than `.`.
        let mut files: Vec<(PathBuf, File)> =
            named.filter_map(|path| Some((path.clone(), File::open(&path).ok()?))).collect();
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (_, file) in &mut files {
            self.read_on(file);
        }
        let mut finished: Vec<&(PathBuf, File)> =
            files.iter().filter(|(path, _)| !path.ends_with(NAME)).collect();
        finished.truncate(finished.len().saturating_sub(STAY));
        for (path, file) in finished {
            if fs::remove_file(path).is_ok() {
                self.read.remove(&number(file));
            }
        }
    }

    fn read_on(&mut self, file: &mut File) {
        let from = self.read.entry(number(file)).or_default();
        file.seek(SeekFrom::Start(*from)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        *from += end as u64;
        self.bytes += end as u64;
        for line in bytes[..end].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let document: Document<'_> = serde_json::from_slice(line)
                .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line)));
            self.ledger.note(document.event.id);
        }
    }
}

fn number(file: &File) -> u64 {
    file.metadata().unwrap().ino()
}
