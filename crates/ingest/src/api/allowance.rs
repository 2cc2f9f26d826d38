//! The budget on disk, so that a process that is killed and started again neither forgets a `retry-after` nor has a full
//! bucket each time.
//!
//! Owns the file and when it is written: before each request, and when the API asked to be left alone. Must not know what is
//! in it; that is `budget`.
//!
//! The subtle thing: it is written for every request, and so without waiting for the disk. A killed process loses nothing by
//! that; a machine that loses its power takes longer to come back than most waits last. What cannot be read means that
//! everything may be spent, never that nothing is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use disk::Replaced;

use super::budget::{Budget, Kept};
use super::reader::Now;
use super::source::NAME;
use super::time::Micros;

/// The file.
#[derive(Debug)]
pub(super) struct Allowance {
    path: PathBuf,
    /// Whether the last attempt to write failed, so that a full disk is one line.
    failed: bool,
}

impl Allowance {
    /// A file that need not be there.
    pub(super) fn at(path: PathBuf) -> Self {
        Self { path, failed: false }
    }

    /// Lets a budget go on from what is there.
    pub(super) fn resume(&self, budget: &mut Budget, now: Now) {
        match read(&self.path) {
            Ok(Some(kept)) => budget.resume(&kept, now.steady, now.wall),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "what is left of the budget cannot be read; it is taken for spent");
                budget.empty();
            }
        }
    }

    /// Writes what is left of a budget.
    pub(super) fn keep(&mut self, budget: &Budget, now: Now) {
        let written = write(&self.path, &budget.kept(now.steady, now.wall));
        if let (Err(error), false) = (&written, self.failed) {
            // The position cannot be written either then, which is reported as what it is.
            tracing::warn!(file = %self.path.display(), %error, "what is left of the budget cannot be kept");
        }
        self.failed = written.is_err();
    }
}

/// Until when the API asked a source that keeps its state in `folder` to be left alone, by this machine's clock; `None` if it
/// did not, or if that is over. Takes no lock.
///
/// # Errors
///
/// What is kept cannot be read.
pub fn asked_to_wait(folder: &Path) -> io::Result<Option<Micros>> {
    let kept = read(&path_in(folder))?;
    Ok(kept.and_then(|kept| kept.not_before()).filter(|until| *until > Micros::now()))
}

/// Where the budget of a source is kept.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join(format!("{NAME}.budget"))
}

fn read(path: &Path) -> io::Result<Option<Kept>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    disk::replace(path, &serde_json::to_vec(kept)?, Replaced::Soon)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fastrand::Rng;

    use super::*;

    #[test]
    fn what_is_spent_stays_spent_and_what_is_unreadable_is_spent() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.budget");
        let now = Now { wall: Micros(1_000_000_000_000_000), steady: Duration::ZERO };
        let budget = || Budget::new(0.5, Duration::ZERO, Rng::with_seed(1));
        let resumed = || {
            let mut budget = budget();
            Allowance::at(path.clone()).resume(&mut budget, now);
            budget.left(Duration::ZERO)
        };
        assert_eq!(resumed(), 30, "nothing was spent");
        let mut spending = budget();
        (0..25).for_each(|_| spending.spend(Duration::ZERO));
        Allowance::at(path.clone()).keep(&spending, now);
        assert_eq!(resumed(), 5);
        for text in [
            "",
            "{}",
            "no",
            r#"{"at":"2026-01-01T00:00:00Z","tokens":-1e300,"limit":1e999,"not_before":null,"refusals":0}"#,
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(resumed(), 0, "{text}");
        }
    }
}
