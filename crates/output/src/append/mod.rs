//! A file that only grows, by whole lines: what the NDJSON sink and the dead letters have in common.
//!
//! Owns the file: the lock, the repair of what a crash left behind, taking back what could not be written in full, syncing,
//! rotation. Must not know what a line says.
//!
//! The subtle thing: `length` is how much of the file is known to be whole. Whatever lies beyond it, after any failure, is cut
//! off before the next attempt writes again, so that neither half a line nor a line twice can stay behind.

mod frames;
mod names;
mod repair;
mod writer;

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use disk::fault as storage;
use model::fault::{Fault, FaultKind};

pub(crate) use frames::Framing;
pub(crate) use writer::Writer;

/// How long to wait for a reader that is slower than we are, when waiting is ours to do.
const SLOW_READER: Duration = Duration::from_millis(10);

/// When written lines are made to survive a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Before they are reported as written.
    Always,
    /// Within this time.
    Within(Duration),
    /// When the system likes.
    Never,
}

/// What file, and how it is written.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// `-` is standard output.
    pub(crate) path: PathBuf,
    pub(crate) rotate_bytes: Option<u64>,
    pub(crate) rotate_interval: Option<Duration>,
    pub(crate) framing: Framing,
    pub(crate) durability: Durability,
}

/// The file and what is known about it.
#[derive(Debug)]
pub(crate) struct Appender {
    plan: Plan,
    /// Standard output or a device: no lock, no repair, no rotation.
    stream: bool,
    /// Held as long as we are.
    _lock: Option<Lock>,
    file: Option<File>,
    length: u64,
    /// Whether there may be something beyond `length`.
    unclean: bool,
    begun: SystemTime,
    /// Since when something written has not been synced.
    unsynced: Option<Instant>,
    /// The name given at the last rotation; later ones sort behind it.
    last_name: Option<PathBuf>,
    frame: Vec<u8>,
}

impl Appender {
    /// Takes the lock, and opens and repairs the file.
    pub(crate) fn open(plan: Plan) -> Result<Self, Fault> {
        let standard_output = plan.path == Path::new("-");
        let device = fs::metadata(&plan.path).is_ok_and(|data| data.file_type().is_char_device());
        let stream = standard_output || (device && !plan.path.is_symlink());
        let lock = if stream { None } else { Some(lock(&plan.path)?) };
        let mut appender = Self {
            plan,
            stream,
            _lock: lock,
            file: None,
            length: 0,
            unclean: false,
            begun: SystemTime::now(),
            unsynced: None,
            last_name: None,
            frame: Vec::new(),
        };
        appender.ready()?;
        Ok(appender)
    }

    /// Shows the lines at the end of what is written, file by file from the newest on, until they are `window` bytes long.
    pub(crate) fn last_lines(&self, window: u64, each: &mut dyn FnMut(&[u8])) -> Result<(), Fault> {
        if self.stream {
            return Ok(());
        }
        let mut left = window;
        let mut files = vec![self.plan.path.clone()];
        files.extend(names::rotated(&self.plan.path).into_iter().rev());
        for path in files {
            if left == 0 {
                break;
            }
            let read = repair::last_lines(&path, self.plan.framing, left, each)
                .map_err(|error| storage(&path, "reading back", &error))?;
            left = left.saturating_sub(read);
        }
        Ok(())
    }

    /// Appends chunks of whole lines, all or nothing, as durably as the plan wants it.
    pub(crate) fn append(&mut self, chunks: &[Bytes]) -> Result<(), Fault> {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        let encoded = match self.plan.framing {
            Framing::Plain => Ok(()),
            framing => framing.encode(chunks, &mut frame),
        };
        let result = match (encoded, self.plan.framing) {
            (Err(error), _) => Err(self.fault("compressing", &error)),
            (Ok(()), Framing::Plain) => self.append_bytes(chunks),
            (Ok(()), _) => {
                let chunk = [Bytes::from(frame)];
                let result = self.append_bytes(&chunk);
                let [chunk] = chunk;
                frame = chunk.try_into_mut().map(Vec::from).unwrap_or_default();
                result
            }
        };
        if frame.capacity() <= 64 << 20 {
            self.frame = if self.plan.framing == Framing::Plain { Vec::new() } else { frame };
        }
        result
    }

    fn append_bytes(&mut self, chunks: &[Bytes]) -> Result<(), Fault> {
        let bytes: u64 = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        if bytes == 0 {
            return Ok(());
        }
        self.ready()?;
        let full = self.plan.rotate_bytes.is_some_and(|most| self.length.saturating_add(bytes) > most);
        if full || self.rotation_in().is_some_and(|left| left.is_zero()) {
            self.rotate()?;
            self.ready()?;
        }
        if self.length == 0 {
            self.begun = SystemTime::now();
        }
        self.unclean = true;
        if let Err(fault) = self.write_chunks(chunks) {
            // What stands in the way of this has been seen or will be seen by the next attempt.
            let _ = self.take_back();
            return Err(fault);
        }
        self.length += bytes;
        self.unclean = false;
        Ok(())
    }

    fn write_chunks(&mut self, chunks: &[Bytes]) -> Result<(), Fault> {
        for chunk in chunks {
            self.write_all(chunk).map_err(|error| self.fault("writing to", &error))?;
        }
        if self.plan.durability == Durability::Always {
            self.sync()?;
        } else if self.unsynced.is_none() {
            self.unsynced = Some(Instant::now());
        }
        Ok(())
    }

    /// Cuts off what lies beyond the whole part of the file. What has gone to a pipe or device cannot be called back.
    fn take_back(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.as_mut().filter(|_| self.unclean)
            && file.metadata()?.is_file()
        {
            file.set_len(self.length)?;
            file.seek(SeekFrom::Start(self.length))?;
        }
        self.unclean = false;
        Ok(())
    }

    fn write_all(&mut self, mut rest: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        while !rest.is_empty() {
            match file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Standard output may be a socket or terminal that somebody else made non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(SLOW_READER),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&mut self) -> Result<(), Fault> {
        let synced = match &self.file {
            Some(file) if file.metadata().is_ok_and(|data| data.is_file()) => file.sync_data(),
            _ => Ok(()),
        };
        synced.map_err(|error| self.fault("syncing", &error))?;
        self.unsynced = None;
        Ok(())
    }

    /// Does what is due by time alone, and says when there will be something again.
    pub(crate) fn tick(&mut self) -> Result<Option<Duration>, Fault> {
        let sync_in = |appender: &Self| match (appender.plan.durability, appender.unsynced) {
            (Durability::Within(time), Some(since)) => Some(time.saturating_sub(since.elapsed())),
            _ => None,
        };
        if sync_in(self).is_some_and(|left| left.is_zero()) {
            self.sync()?;
        }
        if self.rotation_in().is_some_and(|left| left.is_zero()) {
            self.ready()?;
            self.rotate()?;
        }
        Ok([sync_in(self), self.rotation_in()].into_iter().flatten().min())
    }

    /// How long the file may still grow; `None` if nothing but size can end it.
    fn rotation_in(&self) -> Option<Duration> {
        let interval = self.plan.rotate_interval.filter(|_| self.length > 0 && !self.stream)?;
        // A clock that was set back makes the file look new, which does no harm.
        Some(interval.saturating_sub(self.begun.elapsed().unwrap_or_default()))
    }

    /// Gives the file its final name. The next write begins a new one.
    fn rotate(&mut self) -> Result<(), Fault> {
        if self.stream || self.length == 0 {
            return Ok(());
        }
        if self.plan.durability != Durability::Never {
            self.sync()?;
        }
        let path = &self.plan.path;
        let name = names::next(path, SystemTime::now(), self.last_name.as_deref());
        fs::rename(path, &name).map_err(|error| storage(path, "rotating", &error))?;
        tracing::info!(file = %name.display(), bytes = self.length, "rotated");
        self.last_name = Some(name);
        self.file = None;
        self.length = 0;
        self.unsynced = None;
        disk::sync_folder(path).map_err(|error| storage(path, "rotating", &error))
    }

    /// Sees to it that the file is open, is still what the path leads to, and ends where we think it does.
    fn ready(&mut self) -> Result<(), Fault> {
        let cut = self.take_back();
        cut.map_err(|error| storage(&self.plan.path, "taking back an unfinished write to", &error))?;
        if let Some(file) = &self.file {
            if self.stream {
                return Ok(());
            }
            let open = file.metadata().map_err(|error| storage(&self.plan.path, "looking at", &error))?;
            let same = fs::symlink_metadata(&self.plan.path)
                .is_ok_and(|data| data.dev() == open.dev() && data.ino() == open.ino());
            if same && open.len() == self.length {
                return Ok(());
            }
            tracing::warn!(file = %self.plan.path.display(), "moved or changed by somebody else; opened again");
            self.file = None;
        }
        if self.stream { self.open_stream() } else { self.open_file() }
    }

    fn open_stream(&mut self) -> Result<(), Fault> {
        use std::os::fd::AsFd;
        let file = if self.plan.path == Path::new("-") {
            io::stdout().as_fd().try_clone_to_owned().map(File::from)
        } else {
            disk::existing(&self.plan.path)
        };
        let mut file = file.map_err(|error| storage(&self.plan.path, "opening", &error))?;
        self.length = 0;
        if file.metadata().is_ok_and(|data| data.is_file()) {
            self.length =
                file.seek(SeekFrom::End(0)).map_err(|error| storage(&self.plan.path, "opening", &error))?;
        }
        self.file = Some(file);
        Ok(())
    }

    fn open_file(&mut self) -> Result<(), Fault> {
        let path = &self.plan.path;
        let failed = |error: &io::Error| storage(path, "opening", error);
        // A link would be refused by the opening; here it can still be said what to name instead.
        let there = match fs::symlink_metadata(path) {
            Ok(data) if data.is_symlink() => {
                return Err(unusable(
                    path,
                    "is a symbolic link",
                    "name the file itself, or - for standard output",
                ));
            }
            Ok(data) if !data.is_file() => {
                return Err(unusable(path, "is no regular file", "name a file, or - for standard output"));
            }
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(failed(&error)),
        };
        let file = disk::append(path).map_err(|error| failed(&error))?;
        // What was opened must be what was looked at: nobody may have put another file there in between.
        let open = file.metadata().map_err(|error| failed(&error))?;
        let same = fs::symlink_metadata(path)
            .is_ok_and(|named| named.dev() == open.dev() && named.ino() == open.ino());
        if !same || !open.is_file() {
            return Err(unusable(path, "was replaced while it was opened", "see who else writes there"));
        }
        if !there && let Some(mode) = names::rotated(path).last().and_then(|last| mode(last)) {
            // Whoever was let in to the file before this one is let in to this one.
            file.set_permissions(mode).map_err(|error| failed(&error))?;
        }
        if there && disk::is_for_everybody(&open) {
            tracing::warn!(file = %path.display(), "every user of this machine may read this file; take that right away with chmod o-rwx");
        }
        let whole = repair::whole_length(path, &file, self.plan.framing)?;
        let length = file.metadata().map_err(|error| failed(&error))?.len();
        if whole < length {
            tracing::warn!(file = %path.display(), bytes = length - whole, "cut off an unfinished write");
            file.set_len(whole).and_then(|()| file.sync_all()).map_err(|error| failed(&error))?;
        }
        disk::sync_folder(path).map_err(|error| failed(&error))?;
        let born = file.metadata().and_then(|data| data.created().or_else(|_| data.modified()));
        self.begun = born.unwrap_or_else(|_| SystemTime::now());
        self.length = whole;
        self.unclean = false;
        self.file = Some(file);
        Ok(())
    }

    fn fault(&self, doing: &str, error: &io::Error) -> Fault {
        if self.stream && error.kind() == io::ErrorKind::BrokenPipe {
            let remedy = "start the program that reads it again, and this one after it";
            return Fault::new(FaultKind::Unusable, "nobody reads standard output any more", remedy);
        }
        storage(&self.plan.path, doing, error)
    }
}

/// A lock that is given back when it is dropped, even while a process just started still holds a copy of the descriptor.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file comes next and does the same, a little later at worst.
        let _ = self.0.unlock();
    }
}

/// Takes the lock beside a file: the file itself changes its name when it is rotated.
fn lock(path: &Path) -> Result<Lock, Fault> {
    let Some(name) = path.file_name() else {
        return Err(unusable(path, "is no file name", "name a file, or - for standard output"));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".lock");
    let beside = path.with_file_name(hidden);
    let failed = |error: &io::Error| storage(&beside, "locking", error);
    let file = disk::update(&beside).map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(Fault::new(
            FaultKind::Taken,
            format!("{} is being written by another process", path.display()),
            "stop that one, or name another file",
        )),
        Err(TryLockError::Error(error)) => Err(failed(&error)),
    }
}

/// The mode of a file that somebody may have changed it to.
fn mode(path: &Path) -> Option<fs::Permissions> {
    fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file).map(|data| data.permissions())
}

fn unusable(path: &Path, what: &str, remedy: &str) -> Fault {
    Fault::new(FaultKind::Unusable, format!("{} {what}", path.display()), remedy)
}

#[cfg(test)]
mod tests;
