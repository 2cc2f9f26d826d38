//! Files that take lines, and the question whether two names mean one file.
//!
//! Owns [`Lines`], which never leaves half a line behind when writing fails, and [`Identity`].
//!
//! Documents go straight to the path the user named, not to a temporary file that is renamed at the end:
//! the path may be a pipe or a device, a long run's output should be readable while it grows, and half a
//! run's output is worth having. The price is that it must be cut back to whole lines by ourselves. How a path is opened is
//! [`disk`]'s business.

use std::fs::{File, Metadata};
use std::io::{self, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What makes a file one and the same, whatever it is called: device and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(u64, u64);

impl Identity {
    /// Of a path, through links; `None` when nothing is there, or something that writing cannot harm (a pipe, a device).
    pub(crate) fn of(path: &Path) -> Option<Self> {
        path.metadata().ok().and_then(|data| Self::of_file(&data))
    }

    /// Of an open descriptor, such as standard input.
    pub(crate) fn of_open(descriptor: impl AsFd) -> Option<Self> {
        let file = File::from(descriptor.as_fd().try_clone_to_owned().ok()?);
        file.metadata().ok().and_then(|data| Self::of_file(&data))
    }

    fn of_file(data: &Metadata) -> Option<Self> {
        data.is_file().then(|| Self(data.dev(), data.ino()))
    }
}

/// A file that takes whole lines.
#[derive(Debug)]
pub(crate) struct Lines {
    file: File,
}

impl Lines {
    /// Makes a file, or empties an existing one.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: disk::empty(path)? })
    }

    /// Standard output, without the buffer that the standard library puts before it.
    pub(crate) fn stdout() -> io::Result<Self> {
        Ok(Self { file: File::from(io::stdout().as_fd().try_clone_to_owned()?) })
    }

    /// Writes `lines`, which ends with a line end. When that fails, an unfinished line is taken back.
    pub(crate) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut rest = lines;
        while !rest.is_empty() {
            let error = match self.file.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    rest = rest.get(count..).unwrap_or_default();
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            let written = lines.len() - rest.len();
            self.take_back(lines.get(..written).unwrap_or_default());
            return Err(error);
        }
        Ok(())
    }

    /// Cuts off the unfinished line at the end of what was written, if this is a file that ends there.
    fn take_back(&mut self, written: &[u8]) {
        let unfinished = written.iter().rev().take_while(|byte| **byte != b'\n').count() as u64;
        let (Ok(data), Ok(end)) = (self.file.metadata(), self.file.stream_position()) else { return };
        if unfinished > 0 && data.is_file() && data.len() == end {
            // Writing has failed already, and that is what will be reported.
            let _ = self.file.set_len(end.saturating_sub(unfinished));
        }
    }

    /// Waits until a file is on disk; pipes and devices have nothing to wait for.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if self.file.metadata()?.is_file() { self.file.sync_all() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_known_by_any_name() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::write(at("a"), "").unwrap();
        fs::write(at("b"), "").unwrap();
        fs::hard_link(at("a"), at("hard")).unwrap();
        std::os::unix::fs::symlink(at("a"), at("soft")).unwrap();
        let a = Identity::of(&at("a"));
        assert!(a.is_some() && a == Identity::of(&at("hard")) && a == Identity::of(&at("soft")));
        assert_ne!(a, Identity::of(&at("b")));
        assert_eq!(a, Identity::of_open(File::open(at("a")).unwrap()));
        assert_eq!((Identity::of(&at("none")), Identity::of(Path::new("/dev/null"))), (None, None));
    }

    #[test]
    fn an_unfinished_line_is_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        let mut lines = Lines::create(&path).unwrap();
        lines.write(b"one\ntwo\nthr").unwrap();
        lines.take_back(b"two\nthr");
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
        lines.take_back(b"two\n");
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");
    }
}
