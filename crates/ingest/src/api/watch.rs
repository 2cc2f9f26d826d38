//! What is known of the reader while it runs: numbers for metrics and for a progress bar, and what stands in its way.
//!
//! Owns the counters. Must not decide anything by them.
//!
//! The subtle thing: counters begin with the process, not with the state; a page that failed counts for nothing but its
//! request, so that no row is counted twice because an answer was cut. Moments are given as moments and not as ages, because
//! nobody writes here while the reader waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::fault::Fault;

use super::time::Micros;

/// A number that anybody may read.
#[derive(Debug, Default)]
pub struct Number(AtomicU64);

impl Number {
    pub(super) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    pub(super) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    pub(super) fn raise(&self, number: u64) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }

    /// What it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A moment that may not have come about yet.
#[derive(Debug, Default)]
pub struct Moment(AtomicU64);

impl Moment {
    pub(super) fn set(&self, time: Option<Micros>) {
        let micros = time.and_then(|time| u64::try_from(time.0).ok()).unwrap_or(0);
        self.0.store(micros, Ordering::Relaxed);
    }

    /// Microseconds since 1970.
    #[must_use]
    pub fn get(&self) -> Option<Micros> {
        i64::try_from(self.0.load(Ordering::Relaxed)).ok().filter(|micros| *micros > 0).map(Micros)
    }
}

/// The upper bounds of the classes of [`Lateness`], in seconds: a minute to five days. What is later is in no class but in the
/// count.
pub const LATENESS_BOUNDS: [u64; 8] = [60, 600, 3_600, 7_200, 21_600, 86_400, 172_800, 432_000];

/// How late rows came that were not there when their time was read first: a histogram. A row's lateness is the time from its
/// `created_at` to when it was found, which is by the re-read after it came; so it is never less than it truly was.
#[derive(Debug, Default)]
pub struct Lateness {
    classes: [Number; LATENESS_BOUNDS.len()],
    count: Number,
    sum: Number,
    most: Number,
}

impl Lateness {
    pub(super) fn add(&self, seconds: u64) {
        let class = LATENESS_BOUNDS.iter().position(|bound| seconds <= *bound);
        if let Some(class) = class.and_then(|class| self.classes.get(class)) {
            class.add(1);
        }
        self.count.add(1);
        self.sum.add(seconds);
        self.most.raise(seconds);
    }

    /// For each of [`LATENESS_BOUNDS`], the rows that were at most so late: numbers that grow from class to class, as
    /// Prometheus wants them.
    #[must_use]
    pub fn cumulative(&self) -> [(u64, u64); LATENESS_BOUNDS.len()] {
        let mut total = 0;
        let mut at = 0;
        LATENESS_BOUNDS.map(|bound| {
            total += self.classes.get(at).map_or(0, Number::get);
            at += 1;
            (bound, total)
        })
    }

    /// How many rows came late.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.get()
    }

    /// The seconds of all of them together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.get()
    }

    /// The seconds of the latest of them.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most.get()
    }
}

/// What the reader is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Doing {
    /// It was not asked for anything yet.
    #[default]
    Starting,
    /// A page is under way, or is being given out.
    Reading,
    /// Everything that is due was read; it waits for its timer.
    Resting,
    /// It waits because its share of the budget is spent.
    Saving,
    /// It waits because the API asked to be left alone for a while: `retry-after`.
    Held,
    /// It waits before it tries again what failed; see [`Watch::trouble`].
    Recovering,
    /// Everything that was asked for is read.
    Done,
}

impl Doing {
    /// All of them, for a metric with one series each.
    pub const ALL: [Self; 7] = [
        Self::Starting,
        Self::Reading,
        Self::Resting,
        Self::Saving,
        Self::Held,
        Self::Recovering,
        Self::Done,
    ];

    /// A short name for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Reading => "reading",
            Self::Resting => "resting",
            Self::Saving => "saving",
            Self::Held => "held",
            Self::Recovering => "recovering",
            Self::Done => "done",
        }
    }
}

/// What stands in the reader's way. It has been tried since, and will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The fault that was met last: its kind for a label, cause and remedy for people. No key is in it.
    pub fault: Fault,
    /// When the first of the failures in a row was met, by our own clock.
    pub since: Micros,
    /// How many there were in a row.
    pub failures: u64,
}

/// Numbers of a reader.
#[derive(Debug, Default)]
pub struct Watch {
    /// Requests sent, counted when they go out.
    pub requests: Number,
    /// Pages that came whole.
    pub pages: Number,
    /// Rows in them, whether they were new or not.
    pub records: Number,
    /// Rows that had been given before. High by nature: overlaps and re-reads find what is known.
    pub duplicates: Number,
    /// Rows that were new, and were given out.
    pub fresh: Number,
    /// Rows that were not there when their time was read first.
    pub late: Number,
    /// How late these were.
    pub lateness: Lateness,
    /// Answers 429.
    pub throttled: Number,
    /// Requests that failed in any other way.
    pub failures: Number,
    /// Parts that cannot be read, and are tried again. Anything but 0 is for a person to look at.
    pub gaps: Number,
    /// How far the closed windows were behind the server's clock when a request was decided upon last, in seconds. It is
    /// never less than `lag`. Between two polls nobody writes it; [`Watch::high`] says it for any moment.
    pub behind: Number,
    /// Everything before this was read; what was there then, and is not a gap or history.
    pub high: Moment,
    /// How long the last row about a request of our own took to come back in the feed, in seconds; while one is missing, how
    /// long it has been.
    pub canary: Number,
    /// Walks under way: a window, a re-read, a part of history, a gap that is tried again.
    pub open: Number,
    /// Windows that were read to their end.
    pub windows: Number,
    /// Re-reads that were.
    pub passes: Number,
    /// Attestations made, those of earlier processes included: the number of the next.
    pub attestations: Number,
    /// Days of history still to be read, rounded up: what was there before the first start, read in the background.
    pub history_days: Number,
    /// Seconds of time that were read since the beginning of all; grows with every page.
    pub read_seconds: Number,
    /// Seconds of time still to be read: history, and from the high mark to where the newest window may end. Small and steady
    /// when a reader keeps up.
    pub left_seconds: Number,
    /// Requests that our share of the budget allows at once, right after the last one.
    pub budget_left: Number,
    /// Requests a minute that all keys of the organization have together; 600 unless the API says otherwise.
    pub budget_limit: Number,
    /// What the API said last is left of that, for everybody. One more than it is, so that 0 means that it was not said.
    server_left: Number,
    /// Until when the API asked to be left alone; a moment that has passed means nothing.
    pub held_until: Moment,
    doing: AtomicU64,
    trouble: Mutex<Option<Trouble>>,
}

impl Watch {
    /// What the reader is at.
    #[must_use]
    pub fn doing(&self) -> Doing {
        let number = self.doing.load(Ordering::Relaxed);
        Doing::ALL.into_iter().find(|doing| *doing as u64 == number).unwrap_or_default()
    }

    /// What stands in its way; nothing when the last request went well.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.lock().clone()
    }

    /// What the API said last is left of the minute's requests, for all keys together; nothing if it says no such thing.
    #[must_use]
    pub fn server_left(&self) -> Option<u64> {
        self.server_left.get().checked_sub(1)
    }

    pub(super) fn set_server_left(&self, left: Option<u32>) {
        self.server_left.set(left.map_or(0, |left| u64::from(left) + 1));
    }

    pub(super) fn does(&self, doing: Doing) {
        self.doing.store(doing as u64, Ordering::Relaxed);
    }

    /// A request failed.
    pub(super) fn failed(&self, fault: &Fault, now: Micros) {
        let mut trouble = self.lock();
        let (since, failures) =
            trouble.as_ref().map_or((now, 0), |trouble| (trouble.since, trouble.failures));
        *trouble = Some(Trouble { fault: fault.clone(), since, failures: failures + 1 });
    }

    /// A request went well.
    pub(super) fn worked(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trouble>> {
        // Nothing panics while it holds this; if something did, a fault is still a fault.
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use model::fault::FaultKind;

    use super::*;

    #[test]
    fn lateness_is_counted_in_classes_that_grow() {
        let lateness = Lateness::default();
        for seconds in [0, 60, 61, 3_600, 500_000] {
            lateness.add(seconds);
        }
        let counts = lateness.cumulative().map(|(_, count)| count);
        assert_eq!(counts, [2, 3, 4, 4, 4, 4, 4, 4], "the latest is in no class");
        assert_eq!((lateness.count(), lateness.sum(), lateness.most()), (5, 503_721, 500_000));
    }

    #[test]
    fn trouble_is_known_since_its_first_failure_until_something_works() {
        let watch = Watch::default();
        assert_eq!((watch.trouble(), watch.doing(), watch.server_left()), (None, Doing::Starting, None));
        for (kind, at) in [(FaultKind::Unreachable, 5), (FaultKind::Throttled, 9)] {
            watch.failed(&Fault::new(kind, "away", "wait"), Micros(at));
        }
        let trouble = watch.trouble().unwrap();
        assert_eq!(
            (trouble.fault.kind, trouble.since, trouble.failures),
            (FaultKind::Throttled, Micros(5), 2)
        );
        watch.worked();
        assert_eq!(watch.trouble(), None);
        for doing in Doing::ALL {
            watch.does(doing);
            assert_eq!(watch.doing(), doing);
        }
        watch.set_server_left(Some(0));
        assert_eq!(watch.server_left(), Some(0));
        assert_eq!(watch.high.get(), None);
        watch.high.set(Some(Micros(7)));
        assert_eq!(watch.high.get(), Some(Micros(7)));
    }
}
