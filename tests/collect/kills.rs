//! When a copy is killed: after a while, when one of its files has changed, or when it has asked for something.
//!
//! The program has no places for this: what it does is seen from outside, by its files and by the requests that come in.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

use crate::copies::Copy;
use crate::feed::Feed;

/// The files that a commit touches, in the order in which it does; and the output, which comes before all of them.
pub(crate) const FILES: [&str; 6] = [
    "out.ndjson",
    "state/compliance_api.ids",
    "state/compliance_api.state.new",
    "state/compliance_api.state",
    "state/attestations.ndjson",
    "state/compliance_api.budget",
];

/// What a file looks like from outside.
type Stamp = Option<(u64, u64, i64, i64)>;

/// The files of a copy, and what they looked like last.
pub(crate) struct Watched {
    files: Vec<(PathBuf, Stamp)>,
}

impl Watched {
    pub(crate) fn new(copy: &Copy, names: &[&str]) -> Self {
        let files =
            names.iter().map(|name| copy.path(name)).map(|path| (path.clone(), stamp(&path))).collect();
        Self { files }
    }

    /// Whether any of them changed since it was asked last.
    pub(crate) fn changed(&mut self) -> bool {
        let mut changed = false;
        for (path, last) in &mut self.files {
            let now = stamp(path);
            changed |= now != *last;
            *last = now;
        }
        changed
    }
}

fn stamp(path: &PathBuf) -> Stamp {
    let found = fs::metadata(path).ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

/// When to kill.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    /// After so long.
    After(Duration),
    /// When this file has changed, and so much later.
    Changed(&'static str, Duration),
    /// When so many more requests were answered, and so much later.
    Asked(usize, Duration),
}

/// Waits for the moment, which comes in any case after `most`. Gives false if the copy ended by itself before.
pub(crate) fn wait(copy: &mut Copy, feed: &Feed, when: When, most: Duration) -> bool {
    let deadline = Instant::now() + most;
    let (mut watched, asked) = match when {
        When::Changed(name, _) => (Watched::new(copy, &[name]), 0),
        When::After(_) | When::Asked(..) => (Watched::new(copy, &[]), feed.requests()),
    };
    let begun = Instant::now();
    loop {
        let (is_time, pause) = match when {
            When::After(wait) => (begun.elapsed() >= wait, Duration::ZERO),
            When::Changed(_, pause) => (watched.changed(), pause),
            When::Asked(more, pause) => (feed.requests() >= asked + more, pause),
        };
        if is_time || Instant::now() > deadline {
            sleep(pause);
            return true;
        }
        if let Some(status) = copy.ended() {
            assert!(matches!(status.code(), Some(0 | 3)), "{status}:\n{}", copy.log_tail());
            return false;
        }
        match when {
            // It is to be noticed before the next step.
            When::Changed(..) => yield_now(),
            When::After(_) | When::Asked(..) => sleep(Duration::from_micros(300)),
        }
    }
}
