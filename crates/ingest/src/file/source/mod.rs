//! Files as a source: read once, to the end, and resumed after a crash.
//!
//! Owns what is committed and saved. Reading is a thread's (`read`), so that no task waits for a disk; what is to be read
//! is decided at the start (`plan`); what is saved is in `position`.
//!
//! The subtle thing: the position is saved every second and every 32 MiB, not with every commit, because a save waits for the
//! disk. A crash therefore gives again what was committed since. Where documents have ids that is harmless, and the NDJSON
//! sink looks back farther than that, so that its files are exact.
//!
//! - A file that only grew is read on behind what was read; the last record is given again if it had not been finished.
//! - A file that was changed or replaced, or read in part and then removed, stops the start, with the choices.
//! - A damaged file ends where the damage begins, with a dead letter that names the place; the next file is read.
//! - Files that come while reading are read by the next run. Standard input and pipes cannot be resumed.
//! - Dead letters are unwrapped: what is given is the record in them.

mod config;
mod plan;
mod position;
mod read;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use model::fault::{Fault, FaultKind};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{ExpandError, Input, expand};
use crate::checkpoint::Checkpoint;
use crate::source::{Batch, Lane, Mark, Source};
use position::{Entry, State};
use read::{Item, Reader};

pub use config::{FileConfig, FileSettings};

/// How often the position is saved while it moves.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// How many bytes of records may be committed without being saved.
const SAVE_BYTES: u64 = 32 << 20;

/// Batches that wait to be taken.
const AHEAD: usize = 4;

/// The only lane: all inputs, one after the other.
const LANE: Lane = Lane(0);

/// Reads files.
#[derive(Debug)]
pub struct FileSource {
    inputs: Vec<Input>,
    /// `None` when there is nothing more to come.
    items: Option<mpsc::Receiver<Item>>,
    retry: std::sync::mpsc::Sender<()>,
    waits: bool,
    ended: bool,
    next_batch: u64,
    /// What was given and not yet committed.
    pending: VecDeque<Pending>,
    checkpoint: Option<Arc<Checkpoint>>,
    state: State,
    /// Where in the state each input has its entry.
    slots: Vec<Option<usize>>,
    unsaved: bool,
    unsaved_bytes: u64,
    saved_at: Instant,
    saving: Option<JoinHandle<Result<(), Fault>>>,
}

#[derive(Debug)]
struct Pending {
    batch: u64,
    bytes: u64,
    entry: Option<(usize, Entry)>,
}

impl FileSource {
    /// Finds the files, compares them with the position that was saved, and begins to read. Without a `checkpoint` nothing is
    /// saved, and every run reads everything. Waits for the disk.
    ///
    /// # Errors
    ///
    /// A path leads nowhere, a file is not what it was when it was read, or the saved position cannot be used.
    pub fn open(settings: &FileSettings, checkpoint: Option<Checkpoint>) -> Result<Self, Fault> {
        let found = expand(&settings.paths).map_err(|error| not_found(&error))?;
        for path in &found.skipped {
            tracing::info!(file = %path.display(), "passed over because of its name");
        }
        let saved = checkpoint.as_ref().map_or(PathBuf::new(), |checkpoint| checkpoint.path().to_owned());
        let loaded = checkpoint.as_ref().map(Checkpoint::load::<State>).transpose()?.flatten();
        let mut state = loaded.unwrap_or_else(|| State::new(settings.max_record_bytes));
        plan::check_compatible(&state, settings.max_record_bytes, &saved)?;
        (state.splitter, state.max_record_bytes) = (position::SPLITTER, settings.max_record_bytes);
        let planned = plan::plan(found.inputs.clone(), &state, &saved)?;
        if checkpoint.is_some() {
            for stream in planned.iter().filter(|planned| !planned.resumable) {
                tracing::warn!(input = %stream.name, "cannot be resumed: after a crash, give it again from its start");
            }
        }
        let slots: Vec<Option<usize>> = planned.iter().map(|planned| planned.entry).collect();
        let before = slots.iter().map(|slot| slot.and_then(|at| state.inputs.get(at).cloned())).collect();
        let (items, receiver) = mpsc::channel(AHEAD);
        let (retry, wait) = std::sync::mpsc::channel();
        let reader = Reader {
            inputs: planned,
            before,
            options: settings.options(),
            max_record_bytes: settings.max_record_bytes,
            saved,
            items,
            retry: wait,
        };
        let started = thread::Builder::new().name("files".into()).spawn(move || reader.run());
        started.map_err(|error| Fault::new(FaultKind::Storage, format!("no thread: {error}"), ""))?;
        Ok(Self {
            inputs: found.inputs,
            items: Some(receiver),
            retry,
            waits: false,
            ended: false,
            next_batch: 0,
            pending: VecDeque::new(),
            checkpoint: checkpoint.map(Arc::new),
            state,
            slots,
            unsaved: false,
            unsaved_bytes: 0,
            saved_at: Instant::now(),
            saving: None,
        })
    }

    /// Whether `path` is one of the files read. To be asked of every file that is to be written: reading what is being written
    /// has no end.
    #[must_use]
    pub fn reads(&self, path: &Path) -> bool {
        self.inputs.iter().any(|input| input.is(path))
    }

    fn batch(&mut self, records: Vec<crate::RawRecord>, entry: Option<(usize, Entry)>) -> Batch {
        let batch = self.next_batch;
        self.next_batch += 1;
        let bytes = records.iter().map(|record| record.bytes.len() as u64).sum();
        self.pending.push_back(Pending { batch, bytes, entry });
        Batch::new(Mark { lane: LANE, batch }, records)
    }

    /// Takes over what a batch said about its input.
    fn note(&mut self, done: Pending) {
        let Some((input, entry)) = done.entry.filter(|_| self.checkpoint.is_some()) else { return };
        self.unsaved = true;
        self.unsaved_bytes += done.bytes;
        let Some(slot) = self.slots.get_mut(input) else { return };
        match slot.and_then(|at| self.state.inputs.get_mut(at)) {
            Some(old) => *old = entry,
            None => {
                *slot = Some(self.state.inputs.len());
                self.state.inputs.push(entry);
            }
        }
    }

    /// Saves the position. A call that is given up loses nothing: the next one waits for its disk write first.
    async fn save(&mut self) -> Result<(), Fault> {
        let Some(checkpoint) = self.checkpoint.clone() else { return Ok(()) };
        if let Some(earlier) = &mut self.saving {
            let _ = earlier.await;
            self.saving = None;
        }
        let state = self.state.clone();
        let saving = self.saving.insert(tokio::task::spawn_blocking(move || checkpoint.save(&state)));
        let saved = saving.await;
        self.saving = None;
        self.saved_at = Instant::now();
        match saved {
            Ok(Ok(())) => {
                self.unsaved = false;
                self.unsaved_bytes = 0;
                Ok(())
            }
            Ok(Err(fault)) => Err(fault),
            Err(_) => Err(Fault::new(FaultKind::Storage, "saving the position was broken off", "")),
        }
    }
}

impl Source for FileSource {
    async fn next(&mut self) -> Result<Option<Batch>, Fault> {
        if std::mem::take(&mut self.waits) {
            // The thread is there: it waits for this.
            let _ = self.retry.send(());
        }
        loop {
            let Some(items) = &mut self.items else { return Ok(None) };
            let due = self.saved_at + SAVE_EVERY;
            let item = tokio::select! {
                biased;
                item = items.recv() => item,
                // A slow pipe must not keep the last commits from being saved.
                () = tokio::time::sleep_until(due), if self.unsaved => {
                    self.save().await?;
                    continue;
                }
            };
            match item {
                Some(Item::Batch(records, entry)) => return Ok(Some(self.batch(records, entry))),
                Some(Item::Fault(fault)) => {
                    self.waits = true;
                    return Err(fault);
                }
                Some(Item::End) => {
                    self.items = None;
                    self.ended = true;
                    return Ok(None);
                }
                None => {
                    let cause = "the thread that reads files has ended before its time";
                    return Err(Fault::new(FaultKind::Unusable, cause, "start again, and report it"));
                }
            }
        }
    }

    /// Takes the marks over, and saves them when a second has passed, when much has come together, or when all is done.
    async fn commit(&mut self, marks: &[Mark]) -> Result<(), Fault> {
        let last = marks.iter().filter(|mark| mark.lane == LANE).map(|mark| mark.batch).max();
        while self.pending.front().is_some_and(|first| Some(first.batch) <= last) {
            self.pending.pop_front().into_iter().for_each(|done| self.note(done));
        }
        let due = self.saved_at.elapsed() >= SAVE_EVERY || self.unsaved_bytes >= SAVE_BYTES;
        let complete = self.ended && self.pending.is_empty();
        if self.unsaved && (due || complete) {
            self.save().await?;
        }
        Ok(())
    }

    fn stop_intake(&mut self) {
        self.items = None;
    }

    /// Saves what is not saved. The reading thread ends with the read it is in.
    async fn close(mut self) {
        if self.unsaved
            && let Err(fault) = self.save().await
        {
            tracing::error!(%fault, "the position was not saved: the next start gives some records again");
        }
    }
}

fn not_found(error: &ExpandError) -> Fault {
    let (kind, remedy) = match error {
        ExpandError::NotFound { .. } => (FaultKind::Unusable, "see that source.paths names what is there"),
        ExpandError::Unreadable { .. } => (FaultKind::Storage, "let this user read it"),
        ExpandError::StdinTwice => (FaultKind::Unusable, "name it once in source.paths"),
    };
    Fault::new(kind, error.to_string(), remedy)
}

#[cfg(test)]
mod tests;
